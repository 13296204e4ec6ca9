"""A budget that refills steadily: so many at once, and so many per second after that."""

from __future__ import annotations

_LEAST = 10.0  # a budget of less would refuse a message for its recipients and not for its rate
_SPAN_S = 60.0  # what was not used within it may be used at once


class Bucket:
    """Instants are seconds of a clock that never steps back."""

    __slots__ = ("_at", "_left", "_most", "_per_second")

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._most = max(_LEAST, per_second * _SPAN_S)
        self._left = self._most
        self._at = 0.0

    def take(self, now: float, count: int = 1) -> float:
        """Take so many, if they are there: 0; else give the seconds until they will be, and take none.

        What is more than the whole budget is given when the budget is full, and owed.
        """
        if self._at:
            self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        needed = min(count, self._most)
        if self._left < needed:
            return (needed - self._left) / self._per_second
        self._left -= count
        return 0.0
