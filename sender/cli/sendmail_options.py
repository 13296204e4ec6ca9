"""The command line of sendmail: options of one letter that may stand together, with values behind them or apart.

What changes nothing here is taken and passed over, as other drop-ins do; what asks for another program is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sender.core.notify import DsnError, checked_envelope_id, checked_notify, encoded
from sender.core.reply import sanitised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PASSED_OVER = set("GUacmnsvx")
_PASSED_OVER_WITH_VALUE = set("ABCLOXehop")
_PASSED_OVER_WITH_WORD = set("dq")  # a value stands in the same word, or there is none
_RETURNS = {"full": "FULL", "hdrs": "HDRS"}
_OTHER_PROGRAMS = {
    "a": "-ba talks ARPANET",
    "d": "-bd is the daemon: run sender serve",
    "D": "-bD is the daemon: run sender serve",
    "h": "-bh shows hosts: run sender lanes",
    "H": "-bH forgets hosts",
    "i": "-bi makes aliases, and sender has none",
    "l": "-bl is the daemon: run sender serve",
    "p": "-bp shows the queue: run sender queue",
    "P": "-bP counts the queue: run sender queue",
    "s": "-bs talks SMTP on standard input: connect to the daemon",
    "t": "-bt tests addresses",
    "v": "-bv verifies addresses",
}


class UsageError(Exception):
    """A command line that is not understood, or not for this program."""


@dataclass(slots=True)
class Wishes:
    """What a command line asks for."""

    rcpt_tos: list[str] = field(default_factory=list)
    mail_from: str | None = None
    full_name: str = ""
    from_headers: bool = False
    dot_ends: bool = True
    notify: str = ""
    returns: str = ""
    envelope_id: str = ""
    config: str | None = None
    help: bool = False


def parse(words: Sequence[str]) -> Wishes:
    """Read a command line. Raises UsageError."""
    wishes, rest = Wishes(), list(words)
    for word in rest:
        if sanitised(word) != word or "\n" in word or "\t" in word:
            raise UsageError(f"{word!r}: must have no control characters")
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        if word == "--help":
            wishes.help = True
        elif word == "--config" or word.startswith("--config="):
            wishes.config = word[9:] if "=" in word else _next(rest, word)
        elif word.startswith("--"):
            raise UsageError(f"{word}: no such option")
        elif word.startswith("-") and word != "-":
            _letters(wishes, word, rest)
        else:
            wishes.rcpt_tos.append(word)
    wishes.rcpt_tos += rest
    return wishes


def _letters(wishes: Wishes, word: str, rest: list[str]) -> None:
    """Take a word of letters; the first that has a value has the rest of it."""
    at = 1
    while at < len(word):
        letter, behind = word[at], word[at + 1 :]
        at += 1
        if letter == "t":
            wishes.from_headers = True
        elif letter == "i":
            wishes.dot_ends = False
        elif letter in _PASSED_OVER_WITH_WORD:
            return
        elif letter in _PASSED_OVER_WITH_VALUE or letter in _WITH_VALUE:
            value = behind or _next(rest, f"-{letter}")
            _WITH_VALUE.get(letter, _pass_over)(wishes, value)
            if letter == "o" and value == "i":
                wishes.dot_ends = False
            return
        elif letter not in _PASSED_OVER:
            raise UsageError(f"-{letter}: no such option")


def _next(rest: list[str], option: str) -> str:
    if not rest:
        raise UsageError(f"{option}: must have a value")
    return rest.pop(0)


def _pass_over(_wishes: Wishes, _value: str) -> None:
    """Do nothing."""


def _mode(_wishes: Wishes, value: str) -> None:
    if value != "m":
        raise UsageError(_OTHER_PROGRAMS.get(value, f"-b{value}: no such mode"))


def _mail_from(wishes: Wishes, value: str) -> None:
    wishes.mail_from = value


def _full_name(wishes: Wishes, value: str) -> None:
    wishes.full_name = value


def _notify(wishes: Wishes, value: str) -> None:
    try:
        wishes.notify = checked_notify(value)
    except DsnError as error:
        raise UsageError(f"-N {value}: {error.rule}") from error


def _returns(wishes: Wishes, value: str) -> None:
    if value.lower() not in _RETURNS:
        raise UsageError(f"-R {value}: must be full or hdrs")
    wishes.returns = _RETURNS[value.lower()]


def _envelope_id(wishes: Wishes, value: str) -> None:
    try:
        wishes.envelope_id = checked_envelope_id(encoded(value))
    except DsnError as error:
        raise UsageError(f"-V {value}: {error.rule}") from error


_WITH_VALUE: dict[str, Callable[[Wishes, str], None]] = {
    "F": _full_name,
    "N": _notify,
    "R": _returns,
    "V": _envelope_id,
    "b": _mode,
    "f": _mail_from,
    "r": _mail_from,
}
