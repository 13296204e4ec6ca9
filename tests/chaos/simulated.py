"""The faulty receivers of `faultsink.py` in memory, in time that passes by itself: hours of silence cost nothing.

What is between is a pipe that holds so many bytes, as the kernels do: what does not fit stays with the sender.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sender.core.errors import SessionError
from sender.settings import DeliverySettings
from sender.smtp.opening import Target, open_session
from sender.smtp.session import Session
from tests.dialogs.peer import Link, Visit
from tests.dialogs.session.model import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from sender.settings import Tls
    from tests.dialogs.peer import Step

T = TypeVar("T")


class MemoryLink(Link):
    """The receiver's end of a connection in memory."""

    def __init__(self, protocol: asyncio.Protocol, visit: Visit, room: int) -> None:
        self.visit = visit
        self.buffer = b""
        self.room = room
        self.came = bytearray()  # and was not read yet
        self.transport = _Transport(self, protocol)
        self._open = True
        self._event = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Tell whether it was not closed from here."""
        return self._open

    async def send(self, wire: bytes) -> None:
        """Send; it arrives at once."""
        if self.transport.over:
            raise ConnectionResetError
        self.transport.protocol.data_received(wire)

    async def receive(self, most: int = 65536) -> None:
        """Read what comes next."""
        while not self.came:
            if self.transport.over:
                raise ConnectionResetError
            self._event.clear()
            await self._event.wait()
        self.buffer += bytes(self.came[:most])
        del self.came[:most]
        self.transport.move()

    def wake(self) -> None:
        """Look again: something came, or the other side is gone."""
        self._event.set()

    def close(self, *, abort: bool = False) -> None:
        """Close both directions."""
        if self._open:
            self._open = False
            self.transport.lost(ConnectionResetError("reset by the script") if abort else None)

    def half_close(self) -> None:
        """Send no more."""
        self.transport.protocol.eof_received()


class _Transport(asyncio.Transport):
    """The sender's end."""

    _start_tls_compatible = True

    def __init__(self, link: MemoryLink, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.over = False
        self.going = bytearray()  # that found no room yet
        self._link = link
        self._paused = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Take bytes."""
        if not self.over:
            self.going += data
            self.move()

    def move(self) -> None:
        """Hand on what there is room for; pause while there is not."""
        room = self._link.room - len(self._link.came)
        if self.going and room > 0:
            self._link.came += self.going[:room]
            del self.going[:room]
            self._link.wake()
        if bool(self.going) is not self._paused:
            self._paused = bool(self.going)
            (self.protocol.pause_writing if self._paused else self.protocol.resume_writing)()

    def lost(self, error: Exception | None) -> None:
        """End, and tell both."""
        if not self.over:
            self.over = True
            self.going.clear()
            if error is None:
                self.protocol.eof_received()
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, error)
            self._link.wake()

    def abort(self) -> None:
        """End at once."""
        if not self.over:
            self.over = True
            self.going.clear()
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)
            self._link.wake()

    def close(self) -> None:
        """End; who needs what is buffered to arrive does not close."""
        self.abort()

    def _force_close(self, _: BaseException | None) -> None:
        self.abort()

    def is_closing(self) -> bool:
        """Tell whether it is over."""
        return self.over

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another one hear: TLS, of which no script says a word."""
        self.protocol = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give who hears."""
        return self.protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Pause at the first byte, as asked."""

    def get_write_buffer_size(self) -> int:
        """Count what waits."""
        return len(self.going)

    def pause_reading(self) -> None:
        """Nobody asks for it but TLS."""

    def resume_reading(self) -> None:
        """See above."""


class Simulated(Loop):
    """A loop in which every connection is one to the next script; None is a host that does not answer at all."""

    def __init__(self, *scripts: Sequence[Step] | None, room: int = 65536) -> None:
        super().__init__()
        self._scripts = scripts
        self._room = room
        self._tasks: set[asyncio.Task[None]] = set()
        self.links: list[MemoryLink] = []

    async def create_connection(  # type: ignore[override]
        self, factory: Callable[[], asyncio.Protocol], *_: object, **__: object
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Connect."""
        script = self._scripts[min(len(self.links), len(self._scripts) - 1)]
        if script is None:
            await asyncio.Event().wait()
            raise AssertionError
        protocol = factory()
        link = MemoryLink(protocol, Visit(), self._room)
        self.links.append(link)
        protocol.connection_made(link.transport)
        self._tasks.add(asyncio.create_task(link.follow(script)))
        return link.transport, protocol

    async def end(self) -> None:
        """Call the scripts off."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def simulate(work: Callable[[Simulated], Coroutine[Any, Any, T]], loop: Simulated) -> tuple[T, float]:
    """Run something in a simulated loop; give its result, and the seconds that it took."""

    async def run() -> tuple[T, float]:
        began_at = loop.time()
        try:
            return await work(loop), loop.time() - began_at
        finally:
            await loop.end()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(run())
    assert loop.failures == []
    return result


async def connect(tls: Tls = "none") -> Session | None:
    """Open a session with default times, where that is possible."""
    target = Target(host="mx.test", address="192.0.2.1", port=25, source_address="", helo="sender.test", tls=tls)
    try:
        opened = await open_session(target, DeliverySettings())
    except SessionError:
        return None
    return opened if isinstance(opened, Session) else None
