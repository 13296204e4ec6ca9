"""Events on their way to the webhook: files in one folder, that outlast the process, and are bounded.

- A process appends to a segment of its own, `NAME.jsonl`, and holds its lock: no other appends to it. A full one is
  left, and another begun. The lock is the system's, so it ends with the process, however that ends.
- One process sends, whichever has the lock of the folder. It reads all segments, the oldest first, and removes those
  that are read to their end and that nobody writes to. `NAME.taken` says how far a segment is taken, and where the
  batch ends that was begun behind that: it is written and synced before the batch is sent for the first time, so a
  batch has the same id and the same events however often it is sent, by whichever process.
- A segment is never written to by a second process, and has a name that no other gets: no id stands for two batches.
- Where there is no room, the oldest segments that nobody writes to are removed, unread.

`append` is called in the event loop, everything else in one thread beside it. What was appended outlasts a killed
process; a power cut takes at most what was appended since the last `sync`.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

log = logging.getLogger(__name__)
_SEGMENTS = 16  # that a full buffer has
_SEGMENT_MAX = 4 * 2**20  # bytes: as much is read in the event loop to count what is dropped
_BODY_MAX = 2**20  # bytes of a batch, unless one event is longer
_SCAN_EVERY_S = 1.0
_SEGMENT, _TAKEN = ".jsonl", ".taken"
_LOCK = "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Events that are sent together: those from `start` to `end` of a segment."""

    segment: str
    start: int
    end: int
    lines: tuple[bytes, ...]

    @property
    def id(self) -> str:
        """Name it: the same each time that it is sent, and no other batch."""
        return f"evt_{self.segment}-{self.start}"


class Tail:
    """Where a process appends. `wanted` are the kinds of events that are kept; None: all. Raises OSError."""

    def __init__(self, folder: Path, most: int, *, on_dropped: Callable[[int], None]) -> None:
        self.wanted: frozenset[bytes] | None = None
        self._folder = folder
        self._most = most
        self._limit = min(_SEGMENT_MAX, most // _SEGMENTS)  # bytes of a segment
        self._on_dropped = on_dropped
        self._segment: int | None = None
        self._size = 0
        self._left: deque[int] = deque()  # full ones, to be synced and closed
        self._is_new = False  # the folder is to be synced too
        self._is_gone = False  # somebody has removed it
        self._failing = False
        self._overflows = False
        _make_folder(folder)

    def append(self, lines: bytes) -> int:
        """Append whole lines; give how many could not be written and are dropped."""
        if self.wanted is not None:
            lines = b"".join(line for line in lines.splitlines(keepends=True) if kind(line) in self.wanted)
        if not lines:
            return 0
        written = 0
        try:
            if self._segment is None or self._is_gone or self._size + len(lines) > self._limit:
                self._begin(len(lines))
            assert self._segment is not None  # noqa: S101 - tells the type checker
            while written < len(lines):
                written += os.write(self._segment, memoryview(lines)[written:])
        except OSError as error:
            written = lines.rfind(b"\n", 0, written) + 1
            self._cut(self._size + written)
            self._size += written
            if not self._failing:
                log.error("%s: events for the webhook cannot be written and are dropped: %s", self._folder, error)  # noqa: TRY400
            self._failing = True
            return lines.count(b"\n", written)
        self._size += written
        self._failing = False
        return 0

    def _cut(self, size: int) -> None:
        """Take back what was written of a line."""
        if self._segment is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._segment, size)

    def _begin(self, length: int) -> None:
        """Begin a segment, and make room for it."""
        self._leave()
        _make_folder(self._folder)
        self._make_room(max(self._limit, length))
        while self._segment is None:
            name = self._folder / f"{time.time_ns():020}{secrets.token_hex(4)}{_SEGMENT}"
            segment = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            try:
                # Before we have its lock, the sending process may have found it empty and left, and removed it.
                if _lock(segment) and os.fstat(segment).st_nlink:
                    _give(name)
                    self._segment, self._size, self._is_new, self._is_gone = segment, 0, True, False
            finally:
                if self._segment is None:
                    os.close(segment)
                    name.unlink(missing_ok=True)

    def _leave(self) -> None:
        """Write no more to a segment: whoever sends may remove it, whoever makes room too."""
        if self._segment is not None:
            fcntl.flock(self._segment, fcntl.LOCK_UN)
            self._left.append(self._segment)
            self._segment = None

    def _make_room(self, needed: int) -> None:
        """Remove the oldest segments that nobody writes to, until there is room."""
        segments = _segments(self._folder)
        used = sum(size for _, size in segments)
        dropped = 0
        for path, size in segments:
            if used + needed <= self._most:
                break
            count = _removed(path)
            if count is not None:
                used -= size
                dropped += count
        if dropped:
            self._on_dropped(dropped)
            if not self._overflows:
                log.error(
                    "%s: the webhook takes too little: its buffer is full, the oldest events are dropped", self._folder
                )
        self._overflows = dropped > 0

    def sync(self) -> None:
        """Have everything that was appended on disk, and leave a segment that somebody has removed. Raises OSError."""
        while self._left:
            segment = self._left.popleft()
            try:
                os.fdatasync(segment)
            finally:
                os.close(segment)
        current, is_new, self._is_new = self._segment, self._is_new, False
        if current is not None:
            os.fdatasync(current)
            self._is_gone = not os.fstat(current).st_nlink
        if is_new and not self._is_gone:
            _sync_folder(self._folder)

    def close(self) -> None:
        """Let the segment go."""
        self._leave()
        with contextlib.suppress(OSError):
            self.sync()


class Head:
    """Where the process that sends reads. Raises OSError."""

    def __init__(self, folder: Path, *, on_dropped: Callable[[int], None]) -> None:
        self.bytes = 0  # that wait, when last looked
        self._folder = folder
        self._on_dropped = on_dropped
        self._lock: int | None = None
        self._segments: deque[Path] = deque()
        self._scanned_at = -_SCAN_EVERY_S

    def take_over(self) -> bool:
        """Tell whether this process is the one that sends; it stays so."""
        if self._lock is None:
            lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            if not _lock(lock):
                os.close(lock)
                return False
            self._lock = lock
        return True

    def look(self) -> None:
        """Count what waits."""
        self.bytes = sum(max(0, size - _Taken.read(path).start) for path, size in _segments(self._folder))

    def next(self, most: int) -> Batch | None:
        """Begin a batch of at most so many events, or give again the one that was begun; None where nothing waits."""
        looked = time.monotonic() - self._scanned_at > _SCAN_EVERY_S
        if looked:
            self._scan()
        while True:
            while self._segments:
                batch = self._batch(self._segments[0], most)
                if batch is not None:
                    return batch
                self._segments.popleft()
            if looked:
                return None
            looked = True  # another segment may have been begun since the last time
            self._scan()

    def _scan(self) -> None:
        self._scanned_at = time.monotonic()
        segments = [path for path, _ in _segments(self._folder)]
        self._segments = deque(segments)
        for stray in {path for path, _ in _named(self._folder, _TAKEN)}.difference(
            path.with_suffix(_TAKEN) for path in segments
        ):
            stray.unlink(missing_ok=True)

    def _batch(self, path: Path, most: int) -> Batch | None:
        """Give the next batch of a segment; one that is read to its end is removed if nobody writes to it."""
        try:
            file = path.open("rb")
        except FileNotFoundError:  # there was no room for it
            return None
        with file:
            taken = _Taken.read(path)
            begun = taken.end > taken.start
            file.seek(taken.start)
            data = file.read(taken.end - taken.start) if begun else _whole_lines(file, most)
            if not data:
                if _lock(file.fileno()):
                    if _whole_lines(file, 1):  # its writer has ended since we looked
                        return self._batch(path, most)
                    _remove(path)
                return None
            end = taken.start + len(data)
            if not begun:
                os.fdatasync(file.fileno())
                _Taken(taken.start, end).write(path)
        lines = data.splitlines()
        good = tuple(line for line in lines if _is_good(line))
        if len(good) < len(lines):
            self._on_dropped(len(lines) - len(good))
        return Batch(segment=path.stem, start=taken.start, end=end, lines=good)

    def taken(self, batch: Batch) -> None:
        """Go on behind a batch."""
        path = self._folder / f"{batch.segment}{_SEGMENT}"
        if path.exists():
            _Taken(batch.end, batch.end).write(path, sync=False)  # what is lost of this is sent again

    def close(self) -> None:
        """Let another process send."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@dataclass(frozen=True, slots=True)
class _Taken:
    """How far a segment is taken, and where the batch ends that was begun there."""

    start: int = 0
    end: int = 0

    @classmethod
    def read(cls, segment: Path) -> _Taken:
        """Read what stands beside a segment."""
        try:
            start, end = segment.with_suffix(_TAKEN).read_bytes().split()
            return cls(int(start), int(end))
        except (FileNotFoundError, ValueError):
            return cls()

    def write(self, segment: Path, *, sync: bool = True) -> None:
        """Write it there: always as many bytes, in one piece."""
        file = os.open(segment.with_suffix(_TAKEN), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(file, b"%020d %020d\n" % (self.start, self.end), 0)
            if sync:
                os.fdatasync(file)
        finally:
            os.close(file)
        if sync and not self.start:
            _sync_folder(segment.parent)


def kind(line: bytes) -> bytes:
    """Give the kind of an event, whose line begins with `at` and `event`."""
    return line.split(b'"', 8)[7]


def _is_good(line: bytes) -> bool:
    """Tell whether a line is one as it was appended: a power cut may have left something else."""
    return line.startswith(b"{") and line.endswith(b"}") and b"\0" not in line


def _whole_lines(file: BinaryIO, most: int) -> bytes:
    """Read at most so many lines, and about as many bytes as a batch may have; not one that has no end yet."""
    lines: list[bytes] = []
    size = 0
    while len(lines) < most and size < _BODY_MAX and (line := file.readline()).endswith(b"\n"):
        lines.append(line)
        size += len(line)
    return b"".join(lines)


def _named(folder: Path, suffix: str) -> Iterator[tuple[Path, int]]:
    """Find the files of a suffix, with their sizes."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(suffix):
                with contextlib.suppress(FileNotFoundError):
                    yield folder / entry.name, entry.stat().st_size


def _segments(folder: Path) -> list[tuple[Path, int]]:
    """List the segments, the oldest first."""
    return sorted(_named(folder, _SEGMENT))


def _lock(file: int) -> bool:
    """Take the lock of a file until it is closed, if nobody has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _removed(segment: Path) -> int | None:
    """Remove a segment; give how many events were neither sent nor begun to be. None: somebody writes to it."""
    try:
        with segment.open("rb") as file:
            if not _lock(file.fileno()):
                return None
            file.seek(_Taken.read(segment).end)
            count = file.read().count(b"\n")
            _remove(segment)
            return count
    except FileNotFoundError:
        return 0


def _remove(segment: Path) -> None:
    """Remove a segment, and only then what tells how far it was taken."""
    segment.unlink(missing_ok=True)
    segment.with_suffix(_TAKEN).unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _give(folder)


def _give(path: Path) -> None:
    """Have what root makes, by a command, belong to whom its folder belongs: the daemon reads it."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
