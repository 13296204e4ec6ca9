"""What a disk may hold after a power cut: of what was not synced anything, in sectors, and not in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING

from tests.chaos.tracing import FailedSync, Said, Sync, Truncate, Unlink, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tests.chaos.tracing import Step

_SECTOR = 512


class Cut(StrEnum):
    """What becomes of what was written and not synced."""

    DROPPED = "all of it is gone"
    KEPT = "all of it is there"
    MIXED = "some sectors are there"
    TORN = "the last write is there in part"


@dataclass(slots=True)
class File:
    """One file: what is on the disk for certain, and what was written since."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate | Unlink] = field(default_factory=list)

    def sync(self) -> None:
        """Have everything on the disk."""
        for change in self.pending:
            _apply(self.synced, change)
        self.pending.clear()

    def sync_name(self) -> None:
        """Have on the disk that it was removed, where it was."""
        removals = [number for number, change in enumerate(self.pending) if isinstance(change, Unlink)]
        if removals:
            self.synced.clear()
            del self.pending[: removals[-1] + 1]

    def lose(self, cut: Cut, rng: Random) -> None:
        """Have of what was written what a failed sync leaves: the rest is not tried again, though it can be read."""
        self.synced[:] = self.after(cut, rng)
        self.pending.clear()

    def after(self, cut: Cut, rng: Random) -> bytes:
        """Give what is there after a power cut."""
        content = bytearray(self.synced)
        if cut is Cut.DROPPED:
            return bytes(content)
        for number, change in enumerate(self.pending):
            last = number == len(self.pending) - 1
            if isinstance(change, Truncate | Unlink):
                if cut is not Cut.MIXED or rng.random() < 0.5:
                    _apply(content, change)
            elif cut is Cut.KEPT or (cut is Cut.TORN and not last):
                _apply(content, change)
            elif cut is Cut.TORN:
                _apply(
                    content, Write(change.path, change.offset, change.content[: rng.randrange(len(change.content) + 1)])
                )
            else:
                for sector in _sectors(change):
                    if rng.random() < 0.5:
                        _apply(content, sector)
        return bytes(content)


def _sectors(write: Write) -> Iterator[Write]:
    at = 0
    while at < len(write.content):
        length = min(_SECTOR - (write.offset + at) % _SECTOR, len(write.content) - at)
        yield Write(write.path, write.offset + at, write.content[at : at + length])
        at += length


def _apply(content: bytearray, change: Write | Truncate | Unlink) -> None:
    if isinstance(change, Unlink):
        content.clear()
        return
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    end = change.offset + len(change.content)
    content.extend(bytes(max(0, end - len(content))))
    content[change.offset : end] = change.content


class Disk:
    """The files of some names, as a trace goes on."""

    def __init__(self, names: Iterable[str], *, failed: Cut = Cut.DROPPED, rng: Random | None = None) -> None:
        """Begin with empty files; `failed` is what becomes of what a failed sync was to bring to the disk."""
        self._failed, self._rng = failed, rng or Random(0)
        self.files = {name: File() for name in names}
        self.said = bytearray()  # to clients, so far

    def take(self, step: Step) -> bool:
        """Take one step; tell whether it has changed what is on the disk for certain."""
        if isinstance(step, Said):
            self.said += step.content
            return False
        file = self.files.get(step.path)
        if file is None:
            if isinstance(step, Sync):  # of a folder, perhaps
                for path, one in self.files.items():
                    if path.rpartition("/")[0] == step.path:
                        one.sync_name()
            return False
        match step:
            case Sync():
                changed = bool(file.pending)
                file.sync()
                return changed
            case FailedSync():
                file.lose(self._failed, self._rng)
            case Write() | Truncate() | Unlink():
                file.pending.append(step)
        return False

    def image(self, cut: Cut, rng: Random) -> Mapping[str, bytes]:
        """Give what the files have after a power cut."""
        return {name: file.after(cut, rng) for name, file in self.files.items()}


def write(folder: Path, image: Mapping[str, bytes]) -> None:
    """Put an image where a spool is looked for; a file without content is not there."""
    for name, content in image.items():
        path = folder / name.rpartition("/")[2]
        path.unlink(missing_ok=True)
        if content:
            path.write_bytes(content)
