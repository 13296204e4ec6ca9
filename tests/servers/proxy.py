"""A way that takes time: a TCP proxy that hands on every byte a constant while after it came, in its order.

- The handshake of TCP costs nothing here, since the proxy accepts by itself; everything that is sent takes the way.
- The end of one direction takes the way too. A reset does not: it ends both directions at once.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Self, cast

from .process import LOOPBACK

if TYPE_CHECKING:
    from types import TracebackType

_HIGH_WATER = 4 * 2**20  # bytes under way in one direction


class DelayProxy:
    """Listens on a port of loopback and connects each visitor to `target`, `one_way_s` away."""

    def __init__(self, target: tuple[str, int], one_way_s: float) -> None:
        """Describe the way; it begins on entry."""
        self._target = target
        self._one_way_s = one_way_s
        self._directions: set[_Direction] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.connections = 0

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return LOOPBACK, self.port

    async def __aenter__(self) -> Self:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._visitor, LOOPBACK, 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for direction in tuple(self._directions):
            direction.abort()
        await self._server.wait_closed()

    def _visitor(self) -> _Direction:
        self.connections += 1
        there, back = _Direction(self, self._one_way_s), _Direction(self, self._one_way_s)
        there.opposite, back.opposite = back, there
        task = asyncio.get_running_loop().create_task(self._connect(there, back))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return there

    async def _connect(self, there: _Direction, back: _Direction) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: back, *self._target)
        except OSError:
            there.abort()

    def opened(self, direction: _Direction) -> None:
        """Hear that a direction has its connection."""
        self._directions.add(direction)

    def closed(self, direction: _Direction) -> None:
        """Hear that a direction has lost its connection."""
        self._directions.discard(direction)


class _Direction(asyncio.Protocol):
    """What comes in at one end, on its way to the other."""

    opposite: _Direction

    def __init__(self, proxy: DelayProxy, way_s: float) -> None:
        self._proxy = proxy
        self._way_s = way_s
        self._loop = asyncio.get_running_loop()
        self._under_way: deque[tuple[float, bytes]] = deque()  # empty bytes: the end
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._heard_end = False  # the visitor, or the target, sends no more
        self._told_end = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        link = transport.get_extra_info("socket")
        if link is not None:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._proxy.opened(self)
        self.opposite.hand_on()

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        self._put(data)
        if self._bytes > _HIGH_WATER and self.transport is not None:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._heard_end = True
        self._put(b"")
        self._close_if_done()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._proxy.closed(self)
        if exc is not None:
            self.opposite.abort()
        else:
            self._put(b"")

    def pause_writing(self) -> None:
        if self.opposite.transport is not None:
            self.opposite.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.opposite.transport is not None:
            self.opposite.transport.resume_reading()

    def end(self) -> None:
        """Tell this end that no more comes."""
        if self.transport is not None and not self._told_end:
            self._told_end = True
            with suppress(OSError):
                self.transport.write_eof()
            self._close_if_done()

    def _close_if_done(self) -> None:
        if self._heard_end and self._told_end and self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """End this end at once."""
        self._under_way.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.transport is not None:
            self.transport.abort()

    def hand_on(self) -> None:
        """Write to the other end what has been under way long enough."""
        self._timer = None
        to = self.opposite.transport
        now = self._loop.time()
        while to is not None and self._under_way and self._under_way[0][0] <= now:
            data = self._under_way.popleft()[1]
            if data:
                self._bytes -= len(data)
                to.write(data)
            else:
                self.opposite.end()
        if self._under_way and self._timer is None and to is not None:
            self._timer = self._loop.call_at(self._under_way[0][0], self.hand_on)
        if self._bytes <= _HIGH_WATER and self.transport is not None:
            self.transport.resume_reading()

    def _put(self, data: bytes) -> None:
        self._under_way.append((self._loop.time() + self._way_s, data))
        if self._timer is None and self.opposite.transport is not None:
            self._timer = self._loop.call_at(self._under_way[0][0], self.hand_on)
