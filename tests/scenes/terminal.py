"""A command in a terminal of its own: what it draws, keys for it, and whether it leaves the terminal as it was."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.servers.process import until

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping

_CHECKOUT = Path(__file__).parents[2]


class Terminal:
    """One command of `sender` in a pseudo-terminal of `rows` and `columns`; leaving the block kills what is left."""

    def __init__(
        self, *words: str, rows: int = 24, columns: int = 80, environment: Mapping[str, str] | None = None
    ) -> None:
        self._words = words
        self._size = struct.pack("HHHH", rows, columns, 0, 0)
        self._environment = environment or {}
        self._process: Process
        self.drawn = b""

    async def __aenter__(self) -> Self:
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, self._size)
        self.modes = self._modes()
        asyncio.get_running_loop().add_reader(self._ours, self._read)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sender", *self._words),
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(_CHECKOUT), "TERM": "xterm-256color", **self._environment},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.signal(signal.SIGKILL)
        await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        os.close(self._theirs)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            self.drawn += os.read(self._ours, 65536)

    def _modes(self) -> list[object]:
        return termios.tcgetattr(self._theirs)

    @property
    def restored(self) -> bool:
        """Whether its modes are those of before, and what was on it shows again."""
        return self._modes() == self.modes and self.drawn.count(b"\x1b[?1049h") == self.drawn.count(b"\x1b[?1049l")

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._ours, keys)

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def draws(self, words: bytes) -> None:
        """Wait until it draws something; an end before that is an error."""

        def drawn() -> bool:
            assert words in self.drawn or self._process.returncode is None, self.drawn
            return words in self.drawn

        await until(f"it draws {words!r}", drawn, deadline_s=30.0, poll_s=0.02)

    async def ended(self) -> int:
        """Wait for its end; give the exit code."""
        async with asyncio.timeout(30.0):
            return await self._process.wait()
