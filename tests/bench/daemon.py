"""This daemon as the benches run it: a process of its own, in a folder of its own, on a spool that they fill."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sender.core.schedule import first_turn_at
from sender.spool.contract import BLOCK, NewMessage, Priority
from sender.spool.sqlite import Role, open_spool

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

_DEADLINE_S = 600.0
_FILL_AT_ONCE = 2000
_READY = re.compile(rb" ready: .*HTTP on port (\d+)")


class Folder:
    """The folder of one daemon: `sender.toml`, `spool.db`, `events.jsonl`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = path / "events.jsonl"
        self.spool = path / "spool.db"

    def configure(self, to: tuple[str, int], more: str = "") -> None:
        """Write a configuration that sends everything to one receiver; `more` are further tables."""
        (self.path / "sender.toml").write_text(configuration(to, more))

    async def fill(
        self,
        messages: int,
        size: int,
        *,
        domains: int = 1,
        stream: str = "default",
        priority: Priority = Priority.NORMAL,
    ) -> None:
        """Queue messages of `size` bytes to `domains` domains, as many to each."""
        await fill(self.spool, messages, size, domains=domains, stream=stream, priority=priority)

    @asynccontextmanager
    async def serving(self, *options: str) -> AsyncIterator[Serving]:
        """Run the daemon from its line "ready" until it has stopped, at the latest at the end of the block."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sender", "serve", "--config", str(self.path / "sender.toml"), *options),
            stderr=asyncio.subprocess.PIPE,
        )
        reading: asyncio.Task[None] | None = None
        try:
            assert process.stderr is not None
            while (ready := _READY.search(line := await process.stderr.readline())) is None:
                if not line:
                    raise RuntimeError(f"sender serve exited with {await process.wait()}")
            serving = Serving(process, int(ready[1]))
            reading = asyncio.create_task(serving.follow(process.stderr))
            yield serving
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            if reading is not None:
                await reading


class Serving:
    """A daemon that runs. `port`: of its HTTP interface."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.port = port
        self._ready_at = time.perf_counter()
        self._emptied_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def follow(self, log: asyncio.StreamReader) -> None:
        """Read what the daemon logs, to its end: a pipe that nobody reads would stop it."""
        async for line in log:
            if line.endswith(b": stopping\n"):
                self._emptied_at.set_result(time.perf_counter())

    async def emptied(self, deadline_s: float = _DEADLINE_S) -> float:
        """Wait until its queue is empty and every outcome recorded; give the seconds since its line "ready".

        It was told to stop then; so it does.
        """
        async with asyncio.timeout(deadline_s):
            if await self.process.wait() != 0:
                raise RuntimeError(f"sender serve exited with {self.process.returncode}")
            return await self._emptied_at - self._ready_at

    async def stop(self) -> None:
        """Let the daemon stop as an operator does."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        await self.process.wait()

    @property
    def peak_mb(self) -> float:
        """The most memory that the daemon has had, in 2**20 bytes."""
        return self._status("VmHWM")

    @property
    def memory_mb(self) -> float:
        """The memory that the daemon has now, in 2**20 bytes."""
        return self._status("VmRSS")

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


@asynccontextmanager
async def folder() -> AsyncIterator[Folder]:
    """Make a folder for one daemon, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sender-bench-") as path:
        yield Folder(Path(path))


async def fill(
    path: Path,
    messages: int,
    size: int,
    *,
    domains: int = 1,
    stream: str = "default",
    priority: Priority = Priority.NORMAL,
) -> None:
    """Queue messages of `size` bytes to `domains` domains, as many to each."""
    spool = await open_spool(path, Role.INTAKE, now=time.time())
    header = b"From: a@bench.test\r\nSubject: bench\r\n\r\n"
    content = (header + (b"x" * 70 + b"\r\n") * (size // 72 + 1))[: size - 2] + b"\r\n"
    first, *blocks = [content[start : start + BLOCK] for start in range(0, size, BLOCK)]

    async def accept(number: int, now: float) -> None:
        message = NewMessage(
            id=spool.ids.next(now),
            mail_from="a@bench.test",
            rcpt_tos=(f"user{number}@d{number % domains}.bench.test",),
            domains=(f"d{number % domains}.bench.test",),
            content=first,
            blocks=1 + len(blocks),
            size=size,
            accepted_at=now,
            due_ats=(first_turn_at(accepted_at=now, position=0, size=size),),
            stream=stream,
            priority=priority,
            dotted=False,  # as the intake would find
        )
        for place, block in enumerate(blocks, 1):
            await spool.put_block(message.id, place, block)
        await spool.accept(message)

    for start in range(0, messages, _FILL_AT_ONCE):
        now = time.time()
        numbers = range(start, min(start + _FILL_AT_ONCE, messages))
        await asyncio.gather(*(accept(number, now) for number in numbers))
    await spool.close(clean=True)


def configuration(to: tuple[str, int], more: str = "") -> str:
    """Write a configuration that sends everything to one receiver; `more` are further tables."""
    host, port = to
    return f"""
hostname = "sender.bench.test"
[spool]
url = "sqlite:spool.db"
[http]
listen = "127.0.0.1:0"
intake_listen = "127.0.0.1:0"
[routes]
"*" = "{host}:{port}"
{more}"""


def fixed_window(sessions: int) -> str:
    """Give the tables of a daemon that opens so many sessions at once, and writes events."""
    return f'[window]\nstart = {sessions}\nmax = {sessions}\n[events]\nfile = "events.jsonl"\n'
