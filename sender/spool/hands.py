"""Which messages a delivering process has in hand: known to the next one, however this one ends.

A file beside the spool that is mapped into memory, with a slot of eight bytes for each message. To write there costs no
call of the system, and what is written outlives the process. A power cut may leave it wrong: it decides about no mail
but how often a message was in hand when a process ended.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import TYPE_CHECKING

from sender.core.errors import SpoolError

if TYPE_CHECKING:
    from pathlib import Path

_SLOTS = 32_768  # messages at the same time; of more those beyond are not known
_SIZE = 8 * _SLOTS


class Hands:
    """Used by one thread. `left` are the messages that the process before had in hand when it ended."""

    def __init__(self, spool: Path) -> None:
        """Open or make the file. Raises SpoolError."""
        path = spool.with_name(spool.name + "-hands")
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            with contextlib.closing(os.fdopen(file, "r+b")) as opened:
                # Room on the disk, and not a hole: a write to a mapped hole on a full disk would end the process.
                os.posix_fallocate(file, 0, _SIZE)
                self._map = mmap.mmap(opened.fileno(), _SIZE)
        except OSError as error:
            raise SpoolError("open", error) from error
        self._slots = memoryview(self._map).cast("Q")
        self.left = frozenset(filter(None, self._slots))
        self._free: list[int] = [*range(_SLOTS - 1, -1, -1)]

    def forget_left(self) -> None:
        """Forget what the process before had in hand, once that is recorded."""
        self._map[:] = bytes(_SIZE)

    def take(self, message_id: int) -> int | None:
        """Take a message in hand; gives the place to put it down from."""
        if not self._free:
            return None
        slot = self._free.pop()
        self._slots[slot] = message_id
        return slot

    def put_down(self, slot: int | None) -> None:
        """Have a message in hand no more."""
        if slot is not None:
            self._slots[slot] = 0
            self._free.append(slot)

    def close(self) -> None:
        """Let go of the file, with what is still in hand."""
        self._slots.release()
        self._map.close()
