"""Steps of the wall clock: it is set, or was wrong. Measured against the steady clock, which does not step.

What waits goes on waiting as long as it had to, and for a while nothing expires: who has set a clock wrong has time to
put it right before mail comes back for its age.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sender.clock import Clock

LEAST_S = 300.0  # less is a clock that is kept
CALM_S = 3600.0


class Steps:
    """Changed by `seen` only, but for what a clock that is kept is corrected by."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._apart()
        self._began_at = clock.steady()
        self._stepped_at: float | None = None

    def _apart(self) -> float:
        return self._clock.wall() - self._clock.steady()

    def look(self) -> float:
        """Tell by how many seconds the wall clock has stepped and nobody has seen it yet; 0 where that is little."""
        offset = self._apart()
        if abs(offset - self._offset) >= LEAST_S:
            return offset - self._offset
        self._offset = offset
        return 0.0

    def seen(self, step_s: float) -> None:
        """Hear that a step is dealt with."""
        self._offset += step_s
        self._stepped_at = self._clock.steady()

    @property
    def unseen(self) -> bool:
        """Tell whether there is one that is not dealt with: instants are not what they were meant to be."""
        return abs(self._apart() - self._offset) >= LEAST_S

    @property
    def lately(self) -> bool:
        """Tell whether there was one within the last hour."""
        recent = self._stepped_at is not None and self._clock.steady() - self._stepped_at < CALM_S
        return recent or self.unseen

    @property
    def calm(self) -> bool:
        """Tell whether this process has run for an hour without one: before, what was not tried does not expire."""
        return not self.lately and self._clock.steady() - self._began_at >= CALM_S
