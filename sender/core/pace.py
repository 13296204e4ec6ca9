"""The pace of a lane: messages that it may start per second, once the receiver has said that they are too many.

There is no pace until a rate throttle is seen. Then: stop for the wait that was named, or 1 s doubling to 60 s while
nothing gets through; go on at 97 % of what the receiver had taken; grow 5 %, 10 %, 20 %... per half minute while
nothing is refused.
"""

from __future__ import annotations

from collections import deque

from sender.core.wait import honoured

PAUSE_S, PAUSE_MAX_S = 1.0, 60.0
SHARE = 0.97
SPAN_MIN_S, SPAN_MAX_S = 1.0, 60.0
CUT_APART_S = 15.0  # throttles this close together are one
STEP, STEP_MAX = 0.05, 1.0
STEP_AFTER_S, STEP_EVERY_S = 60.0, 30.0
SLOWEST_PER_S = 0.05
_KEPT = 4000


class Pace:
    """The measured rate of one lane. `per_second` is None while nothing is known to limit it."""

    def __init__(self, now: float, per_second: float | None = None) -> None:
        self.per_second = per_second
        self.stopped_until = now
        self._next_at = now
        self._pause_s = PAUSE_S
        self._step = STEP
        self._step_at = now + STEP_AFTER_S
        self._cut_at = -1e12
        self._before_cut: float | None = None
        self._delivered: deque[float] = deque(maxlen=_KEPT)

    def next_start_at(self, now: float) -> float:
        """Give the instant from which a message may be started; not after `now` when it may go at once."""
        if self.per_second is None:
            return self.stopped_until
        return max(self.stopped_until, self._next_at) if now < self._next_at else self.stopped_until

    def started(self, now: float) -> None:
        """A message was started."""
        if self.per_second is not None:
            # Small steady steps: what was not used is not saved up for a burst.
            self._next_at = max(self._next_at, now - 1 / self.per_second) + 1 / self.per_second

    def delivered(self, now: float) -> None:
        """A message was taken."""
        self._delivered.append(now)
        self._pause_s = PAUSE_S
        if self.per_second is not None and now >= self._step_at:
            self.per_second *= 1 + self._step
            self._step = min(STEP_MAX, self._step * 2)
            self._step_at = now + STEP_EVERY_S

    def throttled(self, now: float, retry_after_s: float | None = None) -> None:
        """A message was refused because there were too many."""
        if now < self.stopped_until:
            return
        self.pause(now, retry_after_s)
        self._step = STEP
        # Since the last throttle, and not longer than the lane has been at work: a rest before is no slowness.
        recent = [at for at in self._delivered if at > max(now - SPAN_MAX_S, self._cut_at)]
        if recent and now - self._cut_at > CUT_APART_S:
            span_s = max(SPAN_MIN_S, now - recent[0])
            taken_per_s = len(recent) / span_s
            known = taken_per_s if self.per_second is None else min(taken_per_s, self.per_second)
            self._before_cut, self.per_second = self.per_second, max(SLOWEST_PER_S, SHARE * known)
            self._cut_at = now
            self._step_at = now + STEP_AFTER_S
            self._next_at = self.stopped_until

    def pause(self, now: float, retry_after_s: float | None = None) -> None:
        """Start nothing for a while, longer each time while nothing gets through; the rate stays as it is."""
        self.stopped_until = now + (self._pause_s if retry_after_s is None else honoured(retry_after_s))
        self._pause_s = min(PAUSE_MAX_S, self._pause_s * 2)

    def forgive(self, now: float) -> None:
        """Go on as before the last throttle: it was not the lane's."""
        self.stopped_until = self._next_at = now
        if now - self._cut_at < SPAN_MAX_S:
            self.per_second, self._cut_at = self._before_cut, -1e12
