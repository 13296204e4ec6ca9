"""Time that passes only when a test says so."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        """Begin at an arbitrary instant."""
        self.now = 1000.0

    def __call__(self) -> float:
        """Give the seconds."""
        return self.now


class Alarm:
    """A timer that can be cancelled."""

    def __init__(self, callback: Callable[[], None]) -> None:
        """Wait to be rung."""
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not ring."""
        self._callback = None

    def ring(self) -> None:
        """Call back, unless cancelled."""
        if self._callback is not None:
            self._callback()


class TimerLoop:
    """The timers of an event loop, and nothing else of it."""

    def __init__(self) -> None:
        """Begin with no timer."""
        self._now = 1000.0
        self._order = count()
        self._alarms: list[tuple[float, int, Alarm]] = []

    def time(self) -> float:
        """Give the seconds."""
        return self._now

    def call_at(self, when: float, callback: Callable[[], None], /) -> Alarm:
        """Set a timer."""
        alarm = Alarm(callback)
        heapq.heappush(self._alarms, (when, next(self._order), alarm))
        return alarm

    def pass_s(self, seconds: float) -> None:
        """Let time pass, and ring what becomes due, in order."""
        until = self._now + seconds
        while self._alarms and self._alarms[0][0] <= until:
            self._now, _, alarm = heapq.heappop(self._alarms)
            alarm.ring()
        self._now = until
