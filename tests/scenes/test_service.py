"""What a daemon tells the service manager: a test listens in systemd's place, on a socket of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Self

from sender.sandbox import Behaviour, Hang
from tests.scenes.processes import Served
from tests.scenes.world import ORIGIN
from tests.servers.process import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scenes.world import World

_WATCHDOG_S = 1.0
_DEADLINE_S = 30.0
_PING = "WATCHDOG=1"


class Listener:
    """Listens on a socket as systemd does; keeps each datagram with its instant."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self.heard: list[tuple[float, str]] = []

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a service finds in its environment."""
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(int(_WATCHDOG_S * 1e6))}

    @property
    def pings(self) -> list[float]:
        """When pings came."""
        return [at for at, text in self.heard if text == _PING]

    @property
    def words(self) -> list[str]:
        """What came beside pings."""
        return [text for _, text in self.heard if text != _PING]

    async def hears(self, pattern: str) -> str:
        """Wait for a datagram of a form; give it."""
        await until(
            f"it says {pattern}",
            lambda: any(re.fullmatch(pattern, text) for text in self.words),
            deadline_s=_DEADLINE_S,
            poll_s=0.01,
        )
        return next(text for text in self.words if re.fullmatch(pattern, text))

    async def pinged(self, count: int = 3) -> None:
        """Wait until pings have come anew."""
        enough = len(self.pings) + count
        await until(f"{count} more pings", lambda: len(self.pings) >= enough, deadline_s=_DEADLINE_S, poll_s=0.01)

    async def silent(self) -> None:
        """Wait until no ping has come for so long that systemd would restart the service."""
        await until(
            "no pings", lambda: time.monotonic() - self.pings[-1] > _WATCHDOG_S, deadline_s=_DEADLINE_S, poll_s=0.01
        )

    def _hear(self) -> None:
        self.heard.append((time.monotonic(), self._socket.recv(4096).decode()))


async def test_a_daemon_tells_how_it_is_from_start_to_stop(world: World) -> None:
    """Ready once it works, pings in time, a reload and what is wrong with one, and a stop that takes longer."""
    await world.site("stuck.test", Behaviour(scripted={"end_of_data": [Hang()]}))
    config = world.configure()
    (world.folder / "message").write_bytes(world.message().content)
    words = ("--from", ORIGIN, "--to", "user@stuck.test", str(world.folder / "message"))
    assert (await world.command("enqueue", *words))[0] == 0
    with Listener(world.folder) as listener:
        async with Served(config, environment=listener.environment) as served:
            await listener.hears(r"READY=1\nSTATUS=recipients queued: (1|not counted yet), sessions open: \d")
            await listener.pinged()
            pings = listener.pings
            assert max(later - earlier for earlier, later in pairwise(pings)) < _WATCHDOG_S
            await listener.hears(r"(READY=1\n)?STATUS=recipients queued: 1, sessions open: 1")
            served.signal(signal.SIGHUP)
            began = int((await listener.hears(r"RELOADING=1\nMONOTONIC_USEC=\d+")).rpartition("=")[2])
            assert 0 <= time.monotonic() - began / 1e6 < 10
            await until("it is ready again", lambda: listener.words[-1].startswith("READY=1"))
            (world.folder / "sender.toml").write_text("[window]\nmax = 0\n")
            served.signal(signal.SIGHUP)
            await listener.hears(r"READY=1\nSTATUS=.*; the configuration is not reloaded: .*window.max = 0.*")
            served.signal(signal.SIGTERM)
            await listener.hears(r"STOPPING=1\nSTATUS=stopping; recipients queued: 1, sessions open: 1; the conf.*")
            await listener.hears("EXTEND_TIMEOUT_USEC=30000000")
            await listener.pinged()
            served.signal(signal.SIGHUP)
            served.signal(signal.SIGTERM)
            assert await served.ended() == 0, served.log
        last = listener.words[listener.words.index("EXTEND_TIMEOUT_USEC=30000000") :]
        assert "READY" not in "".join(last)


async def test_a_commit_that_hangs_ends_the_pings(world: World) -> None:
    """While another holds the write lock of the spool nothing is answered: no ping, and /healthz is 503."""
    with Listener(world.folder) as listener:
        config = world.configure({"http": {"health_timeout": "200ms"}})
        async with Served(config, environment=listener.environment) as served:
            await served.ready()
            await listener.hears(r"READY=1\nSTATUS=nothing is queued, sessions open: 0")
            await listener.pinged()
            assert (await world.command("health"))[0] == 0
            with _locked(world):
                await listener.silent()
                status, body = await world.get("/healthz")
                assert (status, b"the spool does not answer" in body) == (503, True)
                code, text = await world.command("health")
                assert (code, text) == (1, "sender: not alive: the spool does not answer\n")
            await listener.pinged()
            assert (await world.command("health", "--ready")) == (0, "ready\n")
            assert "ERROR" not in served.log


async def test_an_event_loop_that_hangs_ends_the_pings(world: World) -> None:
    """Here in a line for a log that nobody reads; pings come again when it goes on."""
    log = world.folder / "log"
    os.mkfifo(log)
    reading = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    with closing(os.fdopen(reading, "rb", buffering=0)) as reader, Listener(world.folder) as listener:
        async with Served(world.configure(), environment=listener.environment, log=log) as served:
            await listener.pinged()
            _fill(log)
            served.signal(signal.SIGHUP)  # of which a line tells
            await listener.silent()
            reader.read(1 << 20)
            await listener.pinged()


async def test_a_process_that_only_accepts_is_watched_too(world: World) -> None:
    """Its spool's thread answers; while that is kept from committing there is no ping."""
    with Listener(world.folder) as listener:
        async with Served(world.configure(), "--role", "intake", environment=listener.environment) as served:
            await listener.hears(r"READY=1\nSTATUS=mail is accepted")
            await listener.pinged()
            with _locked(world):
                await listener.silent()
            await listener.pinged()
            served.signal(signal.SIGTERM)
            assert await served.ended() == 0, served.log


@contextmanager
def _locked(world: World) -> Iterator[None]:
    """Hold the spool's write lock."""
    with closing(world.database(writes=True)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def _fill(pipe: Path) -> None:
    """Write until nothing more goes in."""
    writing = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    try:
        for size in (4096, 1):
            while True:
                try:
                    os.write(writing, b"\n" * size)
                except BlockingIOError:
                    break
    finally:
        os.close(writing)
