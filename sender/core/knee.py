"""The knee of a receiver: from some number of sessions on it refuses nothing, but each message takes longer.

The first messages of a lane tell what one takes; later ones are compared with them, as logarithms, so that a few slow
ones weigh little. While the window is held and no knee was met, the comparison follows the receiver within minutes: a
slow hour at the receiver is no knee.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import exp, log, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sender.core.window_rules import WindowRules

_SHORTEST_S = 0.001


@dataclass(slots=True)
class Knee:
    """What messages took at first and what they take now."""

    rules: WindowRules
    met: bool = False  # since then the window grows one session after another, each looked at
    _count: int = 0  # messages in the mean, up to `knee_messages`
    _mean: float = 0.0
    _variance: float = 0.0
    _recent: deque[float] = field(default_factory=deque)
    _sum: float = 0.0  # of the recent ones
    _at: float = 0.0

    def answered(self, now: float, seconds: float, *, held: bool) -> None:
        """A message took `seconds`, in a window that is `held` or grows."""
        taken = log(max(_SHORTEST_S, seconds))
        if self._count < self.rules.knee_messages:
            self._count += 1
            off = taken - self._mean
            self._mean += off / self._count
            self._variance += (off * (taken - self._mean) - self._variance) / self._count
        else:
            self._recent.append(taken)
            self._sum += taken
            if len(self._recent) > self.rules.knee_messages:
                self._sum -= self._recent.popleft()
            if held:
                follow_s = self.rules.knee_met_s if self.met else self.rules.knee_follow_s
                self._mean += min(0.05, (now - self._at) / follow_s) * (taken - self._mean)
        self._at = now

    def look_again(self) -> None:
        """The window has changed: what messages took before says nothing about it."""
        self._recent.clear()
        self._sum = 0.0

    @property
    def slower(self) -> bool:
        """Tell whether messages take longer than before, or, once a knee was met, whether that is not known yet."""
        if self.met and len(self._recent) < self.rules.knee_look:
            return True
        return self._excess(self.rules.knee_look, 2.0, self.rules.knee_hesitate) > 0.0

    def share(self) -> float | None:
        """Give the share of the window that is enough, where messages clearly take longer than before."""
        excess = self._excess(self.rules.knee_messages, 4.0, self.rules.knee)
        if not excess:
            return None
        self.met = True
        self.look_again()
        return exp(-excess / 2)

    def _excess(self, least: int, sigmas: float, factor: float) -> float:
        """Give by how much the last messages took longer, in logarithms; 0 where not by `factor`, or by chance."""
        count = len(self._recent)
        if count < least or self._count < self.rules.knee_messages:
            return 0.0
        recent = self._sum / count
        excess = recent - self._mean
        if excess <= log(factor):
            return 0.0
        if exp(recent) - exp(self._mean) < self.rules.knee_least_s:
            return 0.0  # so little may be ourselves
        return excess if excess > sigmas * sqrt(self._variance * (1 / count + 1 / self._count)) else 0.0
