"""The mailboxes in a field of addresses such as `To` (RFC 5322 section 3.4): taken as they are written, or refused.

Display names, comments and groups are passed over. What could be read in more than one way is refused: an address that
is guessed reaches a stranger.
"""

from __future__ import annotations

import re

from sender.core.errors import AddressError

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(
    rf'(?P<space>[ \t\r\n]+)|(?P<word>{_QUOTED}|\[[^\[\]\\]*\]|[^\s"()<>\[\]:;,\\]+)|(?P<mark>[(<,:;])', re.DOTALL
)
_ANGLE = re.compile(rf'<[ \t\r\n]*((?:{_QUOTED}|\[[^\[\]\\]*\]|[^\s"()<>\[\],;\\])+)[ \t\r\n]*>', re.DOTALL)
_IN_COMMENT = re.compile(r"[^()\\]+|\\.|[()]", re.DOTALL)
_SHOWN = 80  # characters of what cannot be read


def mailboxes(field: str) -> list[str]:
    """Give the mailboxes of a field; those without a domain as they are. Raises AddressError."""
    return _Reading(field).mailboxes()


def qualified(mailbox: str, domain: str) -> str:
    """Give a mailbox with a domain; one that has its own keeps it."""
    return mailbox if "@" in mailbox and not mailbox.endswith('"') else f"{mailbox}@{domain}"


class _Reading:
    """One field while it is read."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._at = 0
        self._began = 0  # where the mailbox begins that is being read
        self._words: list[str] = []  # of a display name, or of a mailbox that has none
        self._apart = True  # the next word does not belong to the last one
        self._angle: str | None = None  # what stands in angle brackets
        self._in_group = False
        self._found: list[str] = []

    def mailboxes(self) -> list[str]:
        """Read it to its end."""
        while self._at < len(self._field):
            match = _TOKEN.match(self._field, self._at)
            if match is None:
                raise self._refusal("must be an address")
            if match["space"]:
                self._at, self._apart = match.end(), True
            elif match["word"]:
                self._at = match.end()
                self._take_word(match["word"])
            else:
                self._take_mark(match["mark"])
        if self._in_group:
            raise self._refusal("must be a group that ends in a semicolon")
        self._end_mailbox()
        return self._found

    def _take_word(self, word: str) -> None:
        if self._angle is not None:
            raise self._refusal("must be one address between commas")
        if self._apart:
            self._words.append(word)
        else:
            self._words[-1] += word
        self._apart = False

    def _take_mark(self, mark: str) -> None:
        if mark == "(":
            self._pass_comment()
        elif mark == "<":
            self._take_angle()
        elif mark == ":":
            self._begin_group()
        else:
            if mark == ";" and not self._in_group:
                raise self._refusal("must be addresses with commas between them")
            self._end_mailbox()
            self._at += 1
            self._began = self._at
            self._in_group = self._in_group and mark != ";"

    def _pass_comment(self) -> None:
        depth = 0
        while match := _IN_COMMENT.match(self._field, self._at):
            self._at = match.end()
            depth += {"(": 1, ")": -1}.get(match[0], 0)
            if not depth:
                self._apart = True
                return
        raise self._refusal("must have a closing parenthesis for each opening one")

    def _take_angle(self) -> None:
        match = _ANGLE.match(self._field, self._at)
        if match is None or self._angle is not None:
            raise self._refusal("must be one address in angle brackets")
        self._angle, self._at, self._apart = match[1], match.end(), True

    def _begin_group(self) -> None:
        named = self._words and not any("@" in word and not word.startswith('"') for word in self._words)
        if self._in_group or self._angle is not None or not named:
            raise self._refusal("must be an address, or a group with a name before its colon")
        self._at += 1
        self._began = self._at
        self._in_group, self._words, self._apart = True, [], True

    def _end_mailbox(self) -> None:
        if self._angle is not None:
            self._found.append(self._angle)
        elif len(self._words) > 1:
            raise self._refusal("must be one address between commas")
        else:
            self._found += self._words
        self._words, self._angle, self._apart = [], None, True

    def _refusal(self, rule: str) -> AddressError:
        return AddressError(self._field[self._began :].strip()[:_SHOWN], rule)
