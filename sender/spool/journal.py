"""Deliveries that the database cannot record now: a file whose room on the disk is taken beforehand keeps them.

It is written only while the database fails, and given to the database when it is opened the next time, so that what was
delivered is not sent again. Other outcomes do not stand there: they are found out again.

    header   the mark below
    record   length of what follows, CRC-32 of it; JSON: the owner's token, and a row for each settlement
    end      a length of 0, or a record whose CRC-32 is wrong: it was being written
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from typing import TYPE_CHECKING

import orjson

from sender.core.errors import SpoolError
from sender.spool.contract import Settlement, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_SIZE = 4 * 2**20  # bytes: some ten thousand deliveries
_MARK = b"sender deliveries 1\n"
_HEAD = struct.Struct(">II")
_END = bytes(_HEAD.size)


class Journal:
    """One process writes it. Every call may wait for the disk, and raises SpoolError."""

    def __init__(self, spool: Path) -> None:
        """Open the file, or make it."""
        self._path = spool.with_name(spool.name + "-deliveries")
        self._at = len(_MARK)
        self._closed = False
        self._busy = threading.Lock()  # whoever waits for a write may be called off, but not the write
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise SpoolError("open", error) from error
        try:
            os.posix_fallocate(self._file, 0, _SIZE)
            if os.pread(self._file, len(_MARK), 0) != _MARK:
                os.pwrite(self._file, _MARK + _END, 0)
                os.fsync(self._file)
        except OSError as error:
            self.close()
            raise SpoolError("open", error) from error

    def read(self) -> Iterator[tuple[int, list[Settlement]]]:
        """Give what was written and not forgotten: the token of the owner, and its settlements."""
        try:
            content = os.pread(self._file, _SIZE, 0)
        except OSError as error:
            raise SpoolError("read", error) from error
        at = len(_MARK)
        while at + _HEAD.size <= len(content):
            length, checksum = _HEAD.unpack_from(content, at)
            record = content[at + _HEAD.size : at + _HEAD.size + length]
            if not length or len(record) < length or zlib.crc32(record) != checksum:
                return
            token, rows = orjson.loads(record)
            yield (
                token,
                [
                    Settlement(recipient_id, message_id, State.DELIVERED, due_at, attempts, orjson.dumps(record))
                    for recipient_id, message_id, due_at, attempts, record in rows
                ],
            )
            at += _HEAD.size + length

    def write(self, token: int, settlements: Sequence[Settlement]) -> None:
        """Keep deliveries durably."""
        rows = [(s.recipient_id, s.message_id, s.due_at, s.attempts, orjson.Fragment(s.record)) for s in settlements]
        record = orjson.dumps((token, rows))
        with self._busy:
            if self._at + _HEAD.size + len(record) + len(_END) > _SIZE:
                raise SpoolError("keep deliveries", f"{self._path} is full")
            self._put(_HEAD.pack(len(record), zlib.crc32(record)) + record + _END)
            self._at += _HEAD.size + len(record)

    def forget(self) -> None:
        """Forget everything: the database has it."""
        with self._busy:
            # Also where this fails: a record that came behind an end would not be read.
            self._at = len(_MARK)
            self._put(_END)

    def _put(self, content: bytes) -> None:
        if self._closed:
            raise SpoolError("keep deliveries", "the spool is closed")
        try:
            os.pwrite(self._file, content, self._at)
            os.fdatasync(self._file)
        except OSError as error:
            raise SpoolError("keep deliveries", error) from error

    def close(self) -> None:
        """Let go of the file, after a write that is under way: another file may have its number then."""
        with self._busy, contextlib.suppress(OSError):
            self._closed = True
            os.close(self._file)
