"""A reply of an SMTP server as a value (RFC 5321 section 4.2, RFC 2034, RFC 3463).

A reply stays structured until it is printed; `str` gives it in one line that is safe for logs, events and bounces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?=\s|$|[:;,-])\s?")
_LINE = re.compile(r"([2-5][0-9]{2})(?:[ -]|$)(.*)", re.DOTALL)
# C0 without tab and line feed, DEL, and C1: what could move a terminal's cursor or forge a log line.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
# What moves a terminal's cursor, ends a line, or turns the direction of writing: C0, DEL, C1 and their like in Unicode.
_IN_LINES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
TEXT_LIMIT = 2048


def sanitised(text: str) -> str:
    """Replace the control characters of a peer's text by question marks."""
    return _CONTROLS.sub("?", text)


def escaped(text: str) -> str:
    """Write the control characters of a text as Python does, so that it stays one line, and what it looks like."""
    return _IN_LINES.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply: its code, and its lines without their codes, joined by line feeds."""

    code: int
    text: str

    @classmethod
    def parse(cls, raw: str) -> Reply:
        """Read a reply as people write it: lines that each begin with the code, or a bare text after one code.

        Raises ValueError where no line begins with a code from 200 to 599.
        """
        code: int | None = None
        lines = []
        for line in raw.strip().splitlines():
            match = _LINE.match(line)
            if match is None:
                lines.append(line)
            else:
                code = int(match[1])
                lines.append(match[2])
        if code is None:
            raise ValueError(f"{raw!r}: must begin with a reply code from 200 to 599")
        return cls(code, "\n".join(lines))

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code of the first line that has one, such as `4.7.0`."""
        match = _ENHANCED.match(self.text)
        if match is None and "\n" in self.text:
            match = next(filter(None, map(_ENHANCED.match, self.text.split("\n"))), None)
        return match[1] if match is not None else None

    @property
    def words(self) -> str:
        """The text alone: enhanced codes taken off, lines joined by spaces."""
        return " ".join(_ENHANCED.sub("", line, count=1).strip() for line in self.text.split("\n"))

    @property
    def positive(self) -> bool:
        """2yz: the first digit decides (RFC 5321 section 4.2.1)."""
        return 200 <= self.code < 300  # noqa: PLR2004

    @property
    def transient(self) -> bool:
        """4yz."""
        return 400 <= self.code < 500  # noqa: PLR2004

    @property
    def permanent(self) -> bool:
        """5yz."""
        return self.code >= 500  # noqa: PLR2004

    def __str__(self) -> str:
        return sanitised(f"{self.code} {' '.join(self.text.split())}")[:TEXT_LIMIT].rstrip()
