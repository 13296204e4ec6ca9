"""The arguments of MAIL and RCPT: taken verbatim, or refused (RFC 5321 section 4.1.2)."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sender.core.address import split_mailbox
from sender.core.errors import AddressError
from sender.core.notify import DsnError, checked_envelope_id, checked_notify, checked_original
from sender.core.notify import parameters as dsn_parameters
from sender.core.options import NO_OPTIONS, OptionError, Options, checked_times
from sender.core.reply import sanitised
from sender.intake.instants import parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BY = re.compile(r"([+-]?[0-9]{1,9});([RNrn])[Tt]?")  # RFC 2852 section 4
_SECONDS = re.compile(r"[0-9]{1,9}")  # RFC 4865 section 4
_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 section 6
_BDAT = re.compile(r"([0-9]{1,19})(?: +(LAST))?", re.IGNORECASE)
_PATH = re.compile(r"<([^<>\s]*|\"[^\x00-\x1f]*\"@[^<>\s]*)>(?: +(.*))?")


class RefusedCommandError(Exception):
    """A command that is not taken. `reply` is the whole SMTP reply; `reason`, for metrics, may be empty."""

    def __init__(self, reply: str, reason: str = "") -> None:
        super().__init__(reply)
        self.reply = reply
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """What MAIL says. The null sender has an empty path."""

    path: str
    smtputf8: bool = False
    expires_at: float | None = None
    options: Options = NO_OPTIONS


@dataclass(frozen=True, slots=True)
class Rcpt:
    """What RCPT says. `dsn` has NOTIFY and ORCPT, as they go on."""

    path: str
    dsn: str = ""


def parse_mail(argument: str, *, max_size: int, max_hold_s: float, now: float, secure: bool) -> Mail:
    """Read `FROM:<path> parameters`. `secure`: REQUIRETLS may be asked for. Raises RefusedCommandError."""
    path, parameters = _split(argument, "MAIL", "FROM", "5.1.7")
    asked = _MailParameters(max_size=max_size, now=now, secure=secure)
    for keyword, value in _each(parameters):
        take = _MailParameters.KNOWN.get(keyword.upper())
        if take is None:
            raise RefusedCommandError(f"555 5.5.4 Parameter {_shown(keyword)} is not known")
        with _refusing(keyword):
            take(asked, value)
    with _refusing("HOLDFOR, HOLDUNTIL or BY:"):
        checked_times(send_at=asked.options.get("send_at"), expires_at=asked.expires_at, now=now, max_hold_s=max_hold_s)
    return Mail(path=path, smtputf8=asked.smtputf8, expires_at=asked.expires_at, options=Options(**asked.options))


class _MailParameters:
    """What the parameters of MAIL ask for. Each is a method that raises RefusedCommandError or OptionError."""

    def __init__(self, *, max_size: int, now: float, secure: bool) -> None:
        self.smtputf8 = False
        self.expires_at: float | None = None
        self.options: dict[str, Any] = {}
        self._max_size = max_size
        self._now = now
        self._secure = secure

    def size(self, value: str) -> None:
        """RFC 1870."""
        if not _SIZE.fullmatch(value):
            raise OptionError("must be a number of bytes")
        if int(value) > self._max_size:
            raise RefusedCommandError(f"552 5.3.4 Message is larger than {self._max_size} bytes", "too_large")

    def body(self, value: str) -> None:
        """RFC 6152."""
        if value.upper() not in {"7BIT", "8BITMIME"}:
            raise OptionError("must be 7BIT or 8BITMIME")

    def utf8(self, value: str) -> None:
        """RFC 6531."""
        _without_value(value)
        self.smtputf8 = True

    def auth(self, _value: str) -> None:
        """RFC 4954 section 5: it may be ignored."""

    def returns(self, value: str) -> None:
        """RFC 3461 section 4.3."""
        if value.upper() not in {"FULL", "HDRS"}:
            raise OptionError("must be FULL or HDRS")
        self.options["returns"] = value.upper()

    def envelope_id(self, value: str) -> None:
        """RFC 3461 section 4.4."""
        self.options["envelope_id"] = checked_envelope_id(value)

    def deliver_by(self, value: str) -> None:
        """RFC 2852 section 4: return it, or tell the sender, if no receiver has taken it by then."""
        match = _BY.fullmatch(value)
        if match is None or (match[2].upper() == "R" and int(match[1]) <= 0):
            raise OptionError("must be seconds and a mode, such as 3600;R; more than 0 in mode R")
        if match[2].upper() == "R":
            self.expires_at = self._now + int(match[1])
        else:
            self.options["warn_at"] = self._now + int(match[1])

    def hold_for(self, value: str) -> None:
        """RFC 4865."""
        if not _SECONDS.fullmatch(value):
            raise OptionError("must be seconds")
        self.options["send_at"] = self._now + int(value)

    def hold_until(self, value: str) -> None:
        """RFC 4865."""
        self.options["send_at"] = parse_instant(value.upper())

    def require_tls(self, value: str) -> None:
        """RFC 8689."""
        _without_value(value)
        if not self._secure:
            raise RefusedCommandError("530 5.7.0 REQUIRETLS needs TLS itself")
        self.options["require_tls"] = True

    KNOWN: ClassVar[dict[str, Callable[[_MailParameters, str], None]]] = {
        "SIZE": size,
        "BODY": body,
        "SMTPUTF8": utf8,
        "AUTH": auth,
        "RET": returns,
        "ENVID": envelope_id,
        "BY": deliver_by,
        "HOLDFOR": hold_for,
        "HOLDUNTIL": hold_until,
        "REQUIRETLS": require_tls,
    }


def _without_value(value: str) -> None:
    if value:
        raise OptionError("takes no value")


def parse_rcpt(argument: str) -> Rcpt:
    """Read `TO:<path> parameters`. Raises RefusedCommandError."""
    path, parameters = _split(argument, "RCPT", "TO", "5.1.3")
    if not path:
        raise RefusedCommandError("501 5.1.3 A recipient cannot be empty")
    notify = original = ""
    for keyword, value in _each(parameters):
        with _refusing(keyword):
            match keyword.upper():
                case "NOTIFY":
                    notify = checked_notify(value)
                case "ORCPT":
                    original = checked_original(value)
                case _:
                    raise RefusedCommandError(f"555 5.5.4 Parameter {_shown(keyword)} is not known")
    return Rcpt(path, dsn_parameters(notify=notify, original=original))


def parse_bdat(argument: str) -> tuple[int, bool]:
    """Read `size [LAST]` (RFC 3030): how much follows, and whether it is the last. Raises RefusedCommandError."""
    match = _BDAT.fullmatch(argument)
    if match is None:
        raise RefusedCommandError("501 5.5.4 Syntax: BDAT size [LAST]")
    return int(match[1]), match[2] is not None


def _each(parameters: list[str]) -> Iterator[tuple[str, str]]:
    """Give keywords and values; none may stand twice."""
    seen: set[str] = set()
    for parameter in parameters:
        keyword, _, value = parameter.partition("=")
        if keyword.upper() in seen:
            raise RefusedCommandError(f"501 5.5.4 Parameter {_shown(keyword)} must stand once")
        seen.add(keyword.upper())
        yield keyword, value


@contextlib.contextmanager
def _refusing(keyword: str) -> Iterator[None]:
    """Refuse a command for a value that breaks a rule."""
    try:
        yield
    except (DsnError, OptionError) as error:
        raise RefusedCommandError(f"501 5.5.4 {_shown(keyword)} {error.rule}") from error


def _split(argument: str, command: str, keyword: str, status: str) -> tuple[str, list[str]]:
    match = None
    if argument.upper().startswith(f"{keyword}:"):
        match = _PATH.fullmatch(argument[len(keyword) + 1 :].strip(" "))
    if match is None:
        raise RefusedCommandError(f"501 {status} Syntax: {command} {keyword}:<address>")
    path = match[1]
    try:
        path.encode()
        if path:
            split_mailbox(path)
    except UnicodeEncodeError as error:
        raise RefusedCommandError(f"553 {status} Address must be UTF-8") from error
    except AddressError as error:
        raise RefusedCommandError(f"553 {status} Address {error.rule}") from error
    return path, (match[2] or "").split()


def _shown(keyword: str) -> str:
    return sanitised(keyword)[:64].encode("ascii", "replace").decode()
