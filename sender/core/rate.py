"""How many events there were: per minute over the last minute, and by name in an hour."""

from __future__ import annotations

SPAN_S = 60
HOUR_S = 3600.0
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


class PerHour:
    """Counts for each of many names; an hour begins with the first event that is counted in it.

    Of more names than `most_names` those are forgotten whose hour began first.
    """

    __slots__ = ("_hours", "_most_names")

    def __init__(self, most_names: int = 10_000) -> None:
        self._hours: dict[str, tuple[float, int]] = {}  # in the order in which they began
        self._most_names = most_names

    def add(self, name: str, now: float) -> int:
        """Count an event at `now` (seconds of a clock that never steps back); give how many that makes in its hour."""
        began_at, count = self._hours.get(name, (now, 0))
        if now - began_at >= HOUR_S:
            del self._hours[name]
            began_at, count = now, 0
        self._hours[name] = began_at, count + 1
        if len(self._hours) > self._most_names:
            del self._hours[next(iter(self._hours))]
        return count + 1
