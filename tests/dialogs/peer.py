"""A receiver that follows a list of steps and nothing else: what the sandbox would never do, this does."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE_S = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
OFFER = b"250-peer.test\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
OFFER_CHUNKING = (
    b"250-peer.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
)
OFFER_PIPELINING = b"250-peer.test\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"


@dataclass
class Visit:
    """What one connection brought."""

    commands: list[bytes] = field(default_factory=list)
    content: bytes = b""  # with its stuffing and its end
    rest: bytes = b""  # what came after the last step
    gone: bool = False  # the other side has closed or reset
    wrong: str = ""

    @property
    def complete(self) -> bool:
        """The end of a message has come, whether it was waited for or not."""
        return b"\r\n.\r\n" in self.content + self.rest


class Link:
    """One connection, as the steps see it."""

    def __init__(self, connection: socket.socket, visit: Visit) -> None:
        self.connection = connection
        self.visit = visit
        self.buffer = b""
        self._loop = asyncio.get_running_loop()

    async def follow(self, script: Sequence[Step]) -> None:
        """Do each step, then keep what comes until the other side is gone."""
        try:
            for step in script:
                await step.play(self)
            while self.is_open:
                self.visit.rest += self.taken()
                await self.receive()
        except ConnectionError:
            self.visit.gone = True
        finally:
            self.close()

    @property
    def is_open(self) -> bool:
        """Tell whether it was not closed from here."""
        return self.connection.fileno() >= 0

    async def send(self, wire: bytes) -> None:
        """Send."""
        await self._loop.sock_sendall(self.connection, wire)

    async def receive(self, most: int = 65536) -> None:
        """Read what comes next; ConnectionError when the other side has closed."""
        data = await self._loop.sock_recv(self.connection, most)
        if not data:
            raise ConnectionResetError
        self.buffer += data

    def close(self, *, abort: bool = False) -> None:
        """Close both directions, with `abort` by a reset."""
        if abort:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.connection.close()

    def half_close(self) -> None:
        """Send no more."""
        self.connection.shutdown(socket.SHUT_WR)

    def taken(self, end: int | None = None) -> bytes:
        """Take from the buffer."""
        end = len(self.buffer) if end is None else end
        taken, self.buffer = self.buffer[:end], self.buffer[end:]
        return taken


class Step(Protocol):
    """One thing that a peer does."""

    async def play(self, link: Link) -> None:
        """Do it."""


@dataclass(frozen=True)
class Send:
    """Send these bytes, in one write."""

    wire: bytes

    async def play(self, link: Link) -> None:
        """Send them."""
        await link.send(self.wire)


@dataclass(frozen=True)
class Drip:
    """Send these bytes one by one, so many seconds apart."""

    wire: bytes
    every_s: float

    async def play(self, link: Link) -> None:
        """Send them."""
        for index in range(len(self.wire)):
            await link.send(self.wire[index : index + 1])
            await asyncio.sleep(self.every_s)


@dataclass(frozen=True)
class Expect:
    """Read one command, which must begin like this."""

    verb: bytes

    async def play(self, link: Link) -> None:
        """Read it."""
        while b"\r\n" not in link.buffer:
            await link.receive()
        line = link.taken(link.buffer.index(b"\r\n") + 2)
        link.visit.commands.append(line[:-2])
        if not line.startswith(self.verb):
            link.visit.wrong = f"{line!r} came in place of {self.verb!r}"


@dataclass(frozen=True)
class Content:
    """Read content up to its end."""

    async def play(self, link: Link) -> None:
        """Read it; the line end of DATA counts as the first."""
        while b"\r\n.\r\n" not in b"\r\n" + link.buffer:
            await link.receive()
        link.visit.content = link.taken((b"\r\n" + link.buffer).index(b"\r\n.\r\n") + 3)


@dataclass(frozen=True)
class Chunk:
    """Read BDAT with LAST, and its octets."""

    async def play(self, link: Link) -> None:
        """Read them."""
        await Expect(b"BDAT ").play(link)
        command = link.visit.commands[-1]
        if not command.endswith(b" LAST"):
            link.visit.wrong = f"{command!r} came in place of the last chunk"
        size = int(command.split()[1])
        while len(link.buffer) < size:
            await link.receive()
        link.visit.content = link.taken(size)


@dataclass(frozen=True)
class Take:
    """Read until this many bytes have come, and no more."""

    count: int

    async def play(self, link: Link) -> None:
        """Read them."""
        while len(link.buffer) < self.count:
            await link.receive(min(65536, self.count - len(link.buffer)))
        link.visit.content += link.taken(self.count)


@dataclass(frozen=True)
class Pause:
    """Be slow."""

    length_s: float

    async def play(self, link: Link) -> None:
        """Read nothing meanwhile."""
        await asyncio.sleep(self.length_s)


@dataclass(frozen=True)
class HalfClose:
    """Send no more, and go on reading."""

    async def play(self, link: Link) -> None:
        """Close the one direction."""
        link.half_close()


@dataclass(frozen=True)
class Close:
    """Close; with `abort` by a reset."""

    abort: bool = False

    async def play(self, link: Link) -> None:
        """Close both directions."""
        link.close(abort=self.abort)


@dataclass(frozen=True)
class Wait:
    """Wait until the test allows to go on."""

    gate: asyncio.Event

    async def play(self, link: Link) -> None:
        """Wait."""
        await self.gate.wait()


def greeting(offer: bytes = OFFER) -> list[Step]:
    """Make the steps up to the answer to EHLO."""
    return [Send(b"220 peer.test\r\n"), Expect(b"EHLO"), Send(offer)]


def said(verb: str, reply: bytes) -> list[Step]:
    """Expect a command and answer it."""
    return [Expect(verb.encode()), Send(reply)]


def envelope(rcpts: int = 1) -> list[Step]:
    """Take MAIL, so many RCPT, and DATA."""
    steps = said("MAIL", b"250 ok\r\n")
    for _ in range(rcpts):
        steps += said("RCPT", b"250 ok\r\n")
    return [*steps, *said("DATA", b"354 go\r\n")]


class Peer:
    """A listener; its n-th connection follows the n-th list of steps, the last list serves all others."""

    def __init__(
        self,
        *scripts: Sequence[Step],
        receive_buffer: int | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self._scripts = scripts
        self._receive_buffer = receive_buffer
        self._address = address
        self._tasks: set[asyncio.Task[None]] = set()
        self.visits: list[Visit] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        """Listen."""
        self._socket = socket.socket()
        if self._receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(self._address)
        self._socket.listen(100)
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self._accepting = asyncio.create_task(self._accept())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; a step that was not met is an error of the test."""
        for task in (self._accepting, *self._tasks):
            task.cancel()
        await asyncio.gather(self._accepting, *self._tasks, return_exceptions=True)
        self._socket.close()
        assert [visit.wrong for visit in self.visits if visit.wrong] == []

    async def ended(self) -> None:
        """Wait until every connection has done its steps and the other side is gone."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*self._tasks)

    @property
    def visit(self) -> Visit:
        """The only connection."""
        (visit,) = self.visits
        return visit

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._socket)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            script = self._scripts[min(len(self.visits), len(self._scripts) - 1)]
            visit = Visit()
            self.visits.append(visit)
            self._tasks.add(asyncio.create_task(Link(connection, visit).follow(script)))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that the event loop brings about."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)
