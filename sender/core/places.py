"""Places at a receiver that sessions of ours have left: some receivers count a session for a while after its end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sender.core.window_rules import WindowRules


@dataclass(slots=True)
class Places:
    """Slots that we left and that the receiver may still count: whether and how long they rest before they are used."""

    rules: WindowRules
    rest_s: float = 0.0
    _late: float = 0.0  # whether places that were just left are refused: from never to always
    _clean_opens: int = 0
    _doubted_at: float | None = None  # when a place was left that we were refused
    _left: deque[float] = field(default_factory=lambda: deque(maxlen=200))

    def left(self, now: float) -> None:
        """A session was closed."""
        self._left.append(now)

    def just_left(self, now: float) -> bool:
        """Tell whether a session that begins now takes a place that was just left."""
        return bool(self._left) and now - self._left[-1] < self.rest_s + self.rules.soon_s

    def left_lately(self, now: float) -> int:
        """Count the places that were left so lately that they may be filled at once."""
        while self._left and self._left[0] < now - self.rules.refill_span_s:
            self._left.popleft()
        return len(self._left)

    def rests_until(self, now: float, free: int) -> float | None:
        """Tell until when all of `free` places rest, or None where one may be used."""
        resting = sum(left_at + self.rest_s > now for left_at in self._left)
        return self._left[-resting] + self.rest_s if resting and resting >= free else None

    def taken(self) -> None:
        """A session was taken in a place that had just been left."""
        self._late = max(self._late - self.rules.taken_soon, -self.rules.late)
        self._clean_opens += 1
        if self._clean_opens >= self.rules.clean_opens:
            self._clean_opens = 0
            self.rest_s = self.rest_s * 0.9 if self.rest_s > self.rules.rest_s else 0.0

    def refused(self) -> None:
        """A session was refused in a place that had just been left: once is chance."""
        self._clean_opens = 0
        self._doubted_at = self._left[-1] if self._left else None

    def taken_after_all(self, began_at: float) -> None:
        """The refused place was taken by a session that began then: so long may such a place rest."""
        if self._doubted_at is not None:
            lasted_s = began_at - self._doubted_at
            if lasted_s <= self.rules.rest_most_s:  # no place rests longer: then something else stood in the way
                if self._late > 0:  # once is chance
                    self.rest_s = max(self.rest_s, lasted_s)
                self._late = min(self._late + 1, self.rules.late)
            self._doubted_at = None
