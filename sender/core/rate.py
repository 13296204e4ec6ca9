"""Events per minute over the last minute."""

from __future__ import annotations

SPAN_S = 60


class PerMinute:
    """Counts in a bucket per second; what is older than a minute is forgotten."""

    __slots__ = ("_counts", "_second", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * SPAN_S
        self._second = 0
        self._sum = 0

    def add(self, now: float, count: int = 1) -> None:
        """Count events at `now` (seconds of a clock that never steps back)."""
        self._advance(int(now))
        self._counts[self._second % SPAN_S] += count
        self._sum += count

    def value(self, now: float) -> int:
        """Give the events of the last minute."""
        self._advance(int(now))
        return self._sum

    def _advance(self, second: int) -> None:
        if second - self._second >= SPAN_S:
            self._counts = [0] * SPAN_S
            self._sum = 0
            self._second = second
        while self._second < second:
            self._second += 1
            self._sum -= self._counts[self._second % SPAN_S]
            self._counts[self._second % SPAN_S] = 0
