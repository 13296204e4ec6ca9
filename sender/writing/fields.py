"""Header fields, written from what a client gives: nothing can stand in one that would end it, or begin another.

A value that fits goes out as it is. What is not ASCII, or reads like an encoded word, is encoded (RFC 2047); what is
long is folded where it has a space. Addresses are never changed.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from email.header import Header
from typing import TYPE_CHECKING

from sender.core.address import split_mailbox
from sender.core.errors import AddressError, SenderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VALUE_LIMIT = 8000  # characters
DISPLAY_LIMIT = 200
_LINE = 78  # characters; RFC 5322 section 2.1.1
_WORD = 500  # characters without a space that go out as they are
_ENCODED = 75  # of an encoded word; RFC 2047 section 2
_NAME = re.compile(r"[!-9;-~]{1,70}")  # RFC 5322 section 3.6.8
# C0 but for the tab, DEL, C1, the line ends of Unicode, and halves of characters.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONG_WORD = re.compile(rf"[^ \t]{{{_WORD},}}")
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\- ]*")  # atoms, which need no quotes (RFC 5322 section 3.2.5)
_FOLD = re.compile(r"[ \t](?=[^ \t])")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


class RefusedFieldError(SenderError):
    """Something that a client gave cannot be used. `field` is its path, `rule` says what it must be."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(field, rule)
        self.field = field
        self.rule = rule

    def __str__(self) -> str:
        return f"{self.field}: {self.rule}"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address, and perhaps the name that is shown for it."""

    address: str
    display: str = ""

    @property
    def written(self) -> str:
        """Give it as it stands in a field."""
        if not self.display:
            return f"<{self.address}>"
        return f"{_phrase(self.display)} <{self.address}>"


def checked_field_name(name: str, field: str) -> str:
    """Give the name of a field as it was written. Raises RefusedFieldError."""
    if not _NAME.fullmatch(name):
        raise RefusedFieldError(field, "must be named with 1 to 70 printable ASCII characters without space and colon")
    return name


def checked_value(value: str, field: str) -> str:
    """Give a value without the space around it. Raises RefusedFieldError."""
    if _UNPRINTABLE.search(value):
        raise RefusedFieldError(field, "must have no line ends and no control characters")
    if len(value) > VALUE_LIMIT:
        raise RefusedFieldError(field, f"must be at most {VALUE_LIMIT} characters")
    return value.strip(" \t")


def checked_address(address: str, field: str) -> str:
    """Give an address as it was written. Raises RefusedFieldError."""
    try:
        split_mailbox(address)
    except AddressError as error:
        raise RefusedFieldError(field, error.rule) from error
    return address


def parse_mailbox(text: str, field: str) -> Mailbox:
    """Read one mailbox: `ann@example.com`, `Ann Lee <ann@example.com>`. Raises RefusedFieldError."""
    text = checked_value(text, field)
    if not text.endswith(">"):
        return Mailbox(checked_address(text, field))
    display, _, address = text[:-1].rpartition("<")
    display = display.strip(" \t")
    if quoted := _QUOTED.fullmatch(display):
        display = re.sub(r"\\(.)", r"\1", quoted[1])
    if len(display) > DISPLAY_LIMIT:
        raise RefusedFieldError(field, f"must have at most {DISPLAY_LIMIT} characters before the address")
    return Mailbox(checked_address(address, field), display)


def unstructured(name: str, value: str) -> bytes:
    """Write a field whose value is text; both have been checked."""
    if value.isascii() and "=?" not in value and not _LONG_WORD.search(value):
        line = f"{name}: {value}"
        if len(line) > _LINE:
            line = "\r\n".join(_folded(line, len(name) + 2))
        return f"{line}\r\n".encode()
    return f"{name}: {_encoded(value, len(name) + 2)}\r\n".encode()


def of_mailboxes(name: str, mailboxes: Iterable[Mailbox]) -> bytes:
    """Write a field of mailboxes, each on a line of its own where one line is too short for them."""
    written = [mailbox.written for mailbox in mailboxes]
    line = f"{name}: {', '.join(written)}"
    if len(line) > _LINE:
        line = f"{name}: " + ",\r\n ".join(written)
    return f"{line}\r\n".encode()


def _phrase(display: str) -> str:
    if not display.isascii() or "=?" in display:
        return _encoded(display, _ENCODED // 2)
    if _PHRASE.fullmatch(display) and "  " not in display:
        return display
    escaped = display.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


def _encoded(value: str, column: int) -> str:
    """Write encoded words; the first begins in a column of its line."""
    data = value.encode()
    word = f"=?utf-8?b?{binascii.b2a_base64(data, newline=False).decode()}?="
    if len(word) <= min(_ENCODED, _LINE - column):
        return word
    return Header(value, "utf-8", maxlinelen=_ENCODED, header_name="x" * (column - 2)).encode(linesep="\r\n")


def _folded(line: str, begin: int) -> Iterator[str]:
    """Break a line before spaces, where it can be; nothing is added but line ends."""
    start, fit = 0, -1
    for match in _FOLD.finditer(line, begin):
        if match.start() - start > _LINE and fit > start:
            yield line[start:fit]
            start = fit
        fit = match.start()
    if len(line) - start > _LINE and fit > start:
        yield line[start:fit]
        start = fit
    yield line[start:]
