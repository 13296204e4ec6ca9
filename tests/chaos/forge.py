"""The test's side of `foundry.py`: daemons that begin within some tens of milliseconds, and may have a trap in them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.servers.process import until

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from tests.chaos.faults import Trap

_CHECKOUT = Path(__file__).parents[2]


class Forged:
    """One `sender serve`. See `tests.scenes.processes.Served`, which it is like."""

    def __init__(self, pid: int, log: Path, begins_at: int, code: asyncio.Future[int]) -> None:
        self.pid = pid
        self._log = log
        self._from = begins_at
        self._code = code

    @property
    def log(self) -> str:
        """What this process has said."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")

    @property
    def running(self) -> bool:
        """Tell whether it has not ended."""
        return not self._code.done()

    async def says(self, words: str) -> bool:
        """Wait until its log has these words; False where it has ended before that."""
        await until(f"the daemon says {words!r}", lambda: words in self.log or not self.running, deadline_s=30.0)
        return words in self.log

    async def ready(self) -> bool:
        """Wait until it is ready; False where it has ended before that."""
        return await self.says("ready: role")

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def ended(self, *, deadline_s: float = 30.0) -> int:
        """Wait for its end; give the exit code, or the signal as a negative number."""
        async with asyncio.timeout(deadline_s):
            return await asyncio.shield(self._code)


class Forge:
    """Forks daemons within its block; what is left of them is killed at its end."""

    def __init__(self) -> None:
        self._process: Process
        self._begun: asyncio.Queue[tuple[int, asyncio.Future[int]]] = asyncio.Queue()
        self._codes: dict[int, asyncio.Future[int]] = {}
        self._reader: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": str(_CHECKOUT), "PYTHONWARNINGS": "error::ResourceWarning"}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.chaos.foundry",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "begun" in told:
                code = self._codes[told["begun"]] = asyncio.get_running_loop().create_future()
                self._begun.put_nowait((told["begun"], code))
            else:
                self._codes.pop(told["ended"]).set_result(told["code"])

    async def serve(self, config: Path, *words: str, trap: Trap | None = None) -> Forged:
        """Begin one."""
        assert self._process.stdin is not None
        log = config.with_name("forged.log")
        log.touch()
        begins_at = log.stat().st_size
        order = {
            "words": ["serve", "--config", str(config), *words],
            "log": str(log),
            "trap": None if trap is None else asdict(trap),
        }
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        pid, code = await self._begun.get()
        return Forged(pid, log, begins_at, code)

    async def kill(self, forged: Forged) -> None:
        """Kill one, and wait for its end."""
        forged.signal(signal.SIGKILL)
        await forged.ended()

    async def clear(self) -> None:
        """Kill all that still run."""
        for pid, code in tuple(self._codes.items()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            await code
