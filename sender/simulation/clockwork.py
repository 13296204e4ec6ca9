"""Simulated time: events happen in the order of their instants, and at one instant in the order they were set in."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Clockwork:
    """`now` is in seconds since the start. An event that was set for the past happens now."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._stopped = False

    def at(self, at: float, call: Callable[..., None], *arguments: object) -> None:
        """Let something happen at an instant."""
        self._count += 1
        heapq.heappush(self._events, (max(at, self.now), self._count, call, arguments))

    def after(self, seconds: float, call: Callable[..., None], *arguments: object) -> None:
        """Let something happen when some time has passed."""
        self._count += 1
        heapq.heappush(self._events, (self.now + seconds, self._count, call, arguments))

    def run(self, until: float) -> None:
        """Let everything happen that is due up to an instant, or to the first call of `stop`."""
        events = self._events
        while events and events[0][0] <= until and not self._stopped:
            self.now, _, call, arguments = heapq.heappop(events)
            call(*arguments)
        if not self._stopped:
            self.now = until

    def stop(self) -> None:
        """End `run` after the event that is happening."""
        self._stopped = True
