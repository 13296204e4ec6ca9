"""What a session still has to send, in order, each thing when its time has come.

Work is serial: what takes time keeps back all that follows.
The way is parallel: everything spends it, nothing waits for it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Timers(Protocol):
    """What is needed of an event loop."""

    def time(self) -> float:
        """Give the seconds."""

    def call_at(self, when: float, callback: Callable[[], None], /) -> Timer:
        """Call back at that time."""


class Timer(Protocol):
    """What is needed of a timer handle."""

    def cancel(self) -> None:
        """Do not call back."""


class Outgoing:
    """The replies and acts of one session that are on their way."""

    __slots__ = ("_due", "_idle_at", "_last_at", "_loop", "_timer", "transport")

    def __init__(self, loop: Timers, transport: asyncio.WriteTransport) -> None:
        """Begin with nothing under way."""
        self.transport = transport
        self._loop = loop
        self._due: deque[tuple[float, bytes | Callable[[], None]]] = deque()
        self._timer: Timer | None = None
        self._idle_at = 0.0
        self._last_at = 0.0

    @property
    def backlog(self) -> int:
        """How many things are under way."""
        return len(self._due)

    def send(self, reply: bytes, *, way_s: float = 0.0, work_s: float = 0.0) -> None:
        """Send a reply after `work_s` of work and `way_s` on the way; at once when nothing keeps it back."""
        if way_s or work_s or self._due:
            self._put(reply, way_s, work_s)
        else:
            self.transport.write(reply)

    def then(self, act: Callable[[], None], *, way_s: float = 0.0) -> None:
        """Act when everything before has been sent."""
        if way_s or self._due:
            self._put(act, way_s, 0.0)
        else:
            act()

    def drop(self) -> None:
        """Forget what is under way."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _put(self, item: bytes | Callable[[], None], way_s: float, work_s: float) -> None:
        self._idle_at = max(self._idle_at, self._loop.time()) + work_s
        self._last_at = max(self._last_at, self._idle_at + way_s)
        self._due.append((self._last_at, item))
        if self._timer is None:
            self._timer = self._loop.call_at(self._last_at, self._run)

    def _run(self) -> None:
        self._timer = None
        if not self._due:
            return
        until = max(self._loop.time(), self._due[0][0])
        while self._due and self._due[0][0] <= until:
            item = self._due.popleft()[1]
            if isinstance(item, bytes):
                self.transport.write(item)
            else:
                item()
        if self._due and self._timer is None:
            self._timer = self._loop.call_at(self._due[0][0], self._run)
