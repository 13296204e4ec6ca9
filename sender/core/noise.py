"""Throttles on sessions that work: a few are noise, a share of the answers is not."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sender.core.window_rules import WindowRules


@dataclass(slots=True)
class Noise:
    """The throttles of the last minute, and since the first of them the other answers."""

    rules: WindowRules
    _throttles: deque[float] = field(default_factory=deque)
    _answers: deque[float] = field(default_factory=deque)

    def answered(self, now: float) -> None:
        """A message was answered for its own sake."""
        if self._throttles:
            self._answers.append(now)

    def throttled(self, now: float) -> bool:
        """A session was told that there are too many; tell whether that is more than noise. Then all begins anew."""
        self._throttles.append(now)
        for times in (self._throttles, self._answers):
            while times and times[0] < now - self.rules.soft_span_s:
                times.popleft()
        count = len(self._throttles)
        more = count >= self.rules.soft_count and count > self.rules.soft_share * (count + len(self._answers))
        if more:
            self._throttles.clear()
        return more
