"""Where a lane stands: what holds it back, since when, and the alarm for the instant at which that ends by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sender.core.window import Obstacle

if TYPE_CHECKING:
    from sender.engine.lane import Lane

_HELD_BY_RECEIVER = frozenset({"hold", "retry", "pace", "window", "connect_failed", "turn", "daily_limit"})


class Standing:
    """`blocked_by` is empty where nothing waits or all is well. Changed by `look` and `count` only."""

    def __init__(self, lane: Lane) -> None:
        self.blocked_by = ""
        self._held_until: float | None = None  # steady clock; None: until something happens
        self._lane = lane
        self._around = lane.around
        self._counted_at = lane.around.clock.steady()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def state(self) -> str:
        """Say `open`, `throttled` (by the receiver) or `suspended` (by an operator)."""
        if self._lane.suspended:
            return "suspended"
        return "throttled" if self.blocked_by in _HELD_BY_RECEIVER else "open"

    @property
    def next_change_at(self) -> float | None:
        """The instant (steady clock) at which what holds the lane back ends, or else what would hold it back."""
        if self.blocked_by:
            return self._held_until
        lane, now = self._lane, self._around.clock.steady()
        window = lane.window
        times = [lane.restraint.lane_until, window.hold_until, window.retry_at, lane.dialing.until]
        times.append(lane.allowance.next_start_at(lane, now))
        if window.in_use >= window.limit and not window.growing:
            times.append(window.next_try_at)
        return min((at for at in times if at > now), default=None)

    def look(self, now: float) -> None:
        """Note what holds the lane back, and have it pumped again when that ends."""
        by, until = self._blocked(now)
        if by != self.blocked_by:
            self.count(now)
            self.blocked_by = by
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._held_until = until
        if until is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.001, until - now), self._lane.pump)

    def count(self, now: float) -> None:
        """Add the time since the last count to what holds the lane back."""
        if self.blocked_by:
            self._lane.metrics.blocked(self.blocked_by, now - self._counted_at)
        self._counted_at = now

    def _blocked(self, now: float) -> tuple[str, float | None]:
        lane = self._lane
        held: tuple[str, float | None] = ("", None)
        next_start_at = lane.allowance.next_start_at(lane, now)
        if not (lane.stock.waiting or lane.stock.turns) or lane.crew.stopping:
            pass
        elif lane.suspended:
            held = "suspended", None
        elif self._around.committer.failing:
            held = "spool", None
        elif now < lane.restraint.lane_until:
            held = "daily_limit", lane.restraint.lane_until
        elif now < lane.window.hold_until:
            held = Obstacle.HOLD, lane.window.hold_until
        elif next_start_at > now:
            held = "pace", next_start_at
        elif (obstacle := lane.obstacle(now)) is not None:
            held = obstacle
        elif self._around.budget.used >= self._around.budget.most:
            held = "max_sessions", None
        return held
