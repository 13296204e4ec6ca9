"""Daemons as processes of their own: started by the command, stopped by signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.scenes.programs import NOTHING
from tests.servers.process import until

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Mapping, Sequence

_CHECKOUT = Path(__file__).parents[2]


class Served:
    """One `sender serve`; leaving the block kills what is left of it."""

    def __init__(
        self,
        config: Path,
        *words: str,
        environment: Mapping[str, str] = NOTHING,
        log: Path | None = None,
        under: Sequence[str] = (),
    ) -> None:
        """Set how it is called; `under` is what another program that runs it is called with."""
        self._command = (*under, sys.executable, "-m", "sender", "serve", "--config", str(config), *words)
        self._log = log or config.with_name(f"serve-{'-'.join(word.strip('-') for word in words)}.log")
        self._from = self._log.stat().st_size if self._log.exists() else 0
        self._environment = environment
        self._process: Process

    async def __aenter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": str(_CHECKOUT), "PYTHONWARNINGS": "error::ResourceWarning"}
        environment |= self._environment
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL, env=environment
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.signal(signal.SIGKILL)
        await self._process.wait()

    @property
    def log(self) -> str:
        """What this process has said."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")

    async def ready(self) -> None:
        """Wait until it says that it is ready."""
        await self.says("ready: role")

    async def says(self, words: str) -> None:
        """Wait until its log has these words; an end before that is an error."""

        def said() -> bool:
            assert words in self.log or self._process.returncode is None, self.log
            return words in self.log

        await until(f"the daemon says {words!r}", said, deadline_s=30.0, poll_s=0.02)

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def memory_kb(self) -> int:
        """The memory that it has now."""
        return self._status("VmRSS")

    @property
    def peak_kb(self) -> int:
        """The most memory that it has had."""
        return self._status("VmHWM")

    @property
    def descriptors(self) -> int:
        """How many descriptors it has open."""
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

    async def ended(self, *, deadline_s: float = 30.0) -> int:
        """Wait for its end; give the exit code."""
        async with asyncio.timeout(deadline_s):
            return await self._process.wait()
