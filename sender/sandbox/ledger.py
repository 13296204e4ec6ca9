"""A durable record of what arrived, for tests that kill the sender.

A line is on file before the reply leaves, so that every delivery that a sender may believe in is there.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HEADER_ROOM = 64 * 1024
"""Octets of a message in which its identity is looked for."""

_IDENTITY = re.compile(rb"^(X-Ledger|Message-ID):[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_FIELD_BREAK = re.compile(rb"[\t\r\n]")


class Store(Protocol):
    """Where a receiver records its arrivals."""

    def record(self, arrival_header: bytes) -> None:
        """Keep the lines of one message; it is taken only if this does not raise OSError."""


class Ledger:
    """A file with one line `mail_from<TAB>rcpt_to<TAB>identity` for each delivered recipient.

    Lines are appended with one write for each message, and nothing is buffered in the process.
    """

    def __init__(self, path: Path | str) -> None:
        """Open the file, or create it."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def record(self, arrival_header: bytes) -> None:
        """Append the lines of one message."""
        rest = memoryview(arrival_header)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def close(self) -> None:
        """Close the file; twice does no harm."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __enter__(self) -> Self:
        """Give the open ledger."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def identity(head: bytes) -> bytes:
    """Find the X-Ledger, else the Message-ID of a message; empty when it has neither."""
    header = head.partition(b"\r\n\r\n")[0]
    found = {match[1].lower(): match[2].strip() for match in _IDENTITY.finditer(header)}
    return found.get(b"x-ledger") or found.get(b"message-id") or b""


def lines(mail_from: str, rcpt_tos: Iterable[str], head: bytes) -> bytes:
    """Write the lines of one message, one for each recipient."""
    value = identity(head)
    return b"".join(
        b"\t".join(_FIELD_BREAK.sub(b" ", each) for each in (mail_from.encode(), rcpt.encode(), value)) + b"\n"
        for rcpt in rcpt_tos
    )
