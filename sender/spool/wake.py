"""How processes on one spool wake the delivering one: a named pipe beside the database."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


_EVERY_S = 1.0


def wake(pipe: Path) -> None:
    """Wake the delivering process, if there is one. It looks by itself too, so nothing depends on this."""
    try:
        descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # nobody listens, or this process has no descriptor left
        return
    try:
        with contextlib.suppress(OSError):  # the pipe is full: it will wake all the same
            os.write(descriptor, b".")
    finally:
        os.close(descriptor)


class Waker:
    """Listens on the pipe in the event loop and calls back; also when nothing has come for a while."""

    def __init__(self, pipe: Path, callback: Callable[[], None]) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkfifo(pipe, 0o600)
        self._callback = callback
        # Read and write: the pipe never reports an end of file when a writer leaves.
        self._descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._woken)
        self._timer = self._loop.call_later(_EVERY_S, self._look)

    def _look(self) -> None:
        self._callback()
        self._timer = self._loop.call_later(_EVERY_S, self._look)

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 65536)
        self._callback()

    def close(self) -> None:
        """Stop listening."""
        self._timer.cancel()
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
