"""Events per minute over the last minute."""

from __future__ import annotations

SPAN_S = 60
_SHORTEST_S = 3  # less says nothing about a minute


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

    def present(self, now: float) -> float:
        """Give the rate per minute at which events come: over the last minute, or since they began within it."""
        self._advance(int(now))
        began_s = next((age for age in range(SPAN_S, 0, -1) if self._counts[(self._second - age + 1) % SPAN_S]), SPAN_S)
        return self._sum * SPAN_S / max(began_s, _SHORTEST_S)

    def _advance(self, second: int) -> None:
        if second - self._second >= SPAN_S:
            self._counts = [0] * SPAN_S
            self._sum = 0
            self._second = second
        while self._second < second:
            self._second += 1
            self._sum -= self._counts[self._second % SPAN_S]
            self._counts[self._second % SPAN_S] = 0
