"""The file of events: lines are appended whole, and it makes room for a new one when it is full.

Several processes may write to one file. Each line goes out by one write to a file that is open for appending, so lines
do not mix. Who finds the file full takes the lock beside it, and renames; who does not get the lock goes on in the old
one. Every write looks first whether the file still has its name, and goes to the new one where it has not.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)


class EventFile:
    """`max_size` in bytes, beyond which it becomes `NAME.1`, and so on to `NAME.keep`. Raises OSError."""

    def __init__(self, path: Path, *, max_size: int | None = None, keep: int = 10) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._max_size = max_size
        self._keep = keep
        self._file = _opened(path)
        self._rest = b""  # of a line that was begun when the disk was full: it goes before the next one
        self._failing = False
        self._cannot_turn = False

    def append(self, lines: bytes) -> int:
        """Append whole lines; give how many could not be written and are dropped."""
        data, written = self._rest + lines, 0
        try:
            if self._max_size is not None and not self._rest:
                self._turn(self._max_size - len(lines))
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError as error:
            begun = bool(self._rest) if not written else data[written - 1 : written] != b"\n"
            self._rest = data[written : data.index(b"\n", written) + 1] if begun else b""
            if not self._failing:
                log.error("%s: events cannot be written and are dropped: %s", self._path, error)  # noqa: TRY400
            self._failing = True
            return data.count(b"\n", written) - begun
        self._rest = b""
        self._failing = False
        return 0

    def _turn(self, room_from: int) -> None:
        """Begin a new file where this one has more than `room_from` bytes, or has been renamed."""
        now = None
        with contextlib.suppress(FileNotFoundError):
            now = self._path.stat()
        ours = os.fstat(self._file.fileno())
        if now is None or (now.st_dev, now.st_ino) != (ours.st_dev, ours.st_ino):
            self.reopen()
        elif ours.st_size and ours.st_size > room_from and not self._cannot_turn:
            try:
                self._rename(ours)
                self.reopen()
            except BlockingIOError:  # another process is about it
                pass
            except OSError as error:
                self._cannot_turn = True
                log.error("%s: cannot be renamed, and grows until the next SIGHUP: %s", self._path, error)  # noqa: TRY400

    def _rename(self, ours: os.stat_result) -> None:
        path = self._path.resolve()
        with _locked(path.with_name(f"{path.name}.lock")):
            if path.stat().st_ino != ours.st_ino:
                return
            names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, self._keep + 1))]
            free = next((number for number, name in enumerate(names) if not name.exists()), self._keep)
            for number in range(free, 0, -1):
                names[number - 1].replace(names[number])

    def reopen(self) -> None:
        """Go on in a new file, after the old one was moved away."""
        file = _opened(self._path)
        if self._rest:
            with contextlib.suppress(OSError):
                self._file.write(self._rest)
            self._rest = b""
        self._file.close()
        self._file = file
        self._cannot_turn = False

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _opened(path: Path) -> BinaryIO:
    """Open a file for the owner to write and the group to read: it tells who got mail from whom."""
    return open(path, "ab", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o640))


@contextlib.contextmanager
def _locked(name: Path) -> Iterator[None]:
    """Hold a lock. Raises BlockingIOError where another process has it."""
    lock = os.open(name, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)
