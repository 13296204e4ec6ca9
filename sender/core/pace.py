"""The pace of a lane: messages that it may start per second, once the receiver has said that they are too many.

There is no pace until a rate throttle is seen. Then: stop for the wait that was named, or 1 s doubling to 60 s while
nothing gets through, and feel with single messages. What was taken from one throttle to the next is what the receiver
allows: go on at 97 % of it. After a minute without a refusal, and only as often as deliveries have earned it, grow by
5 %, 10 %, 20 %... until the next; a refused step doubles the wait.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sender.core.wait import honoured


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceRules:
    """The figures of the rules."""

    pause_s: float = 1.0  # after a throttle; doubles while nothing gets through
    pause_most_s: float = 60.0
    feel_s: float = 1.0  # between messages until one that was started after the stop is delivered
    first_share: float = 0.5  # of the speed before the first throttle: much of that was a burst
    first_span_s: float = 5.0  # that is looked at
    first_least_s: float = 0.5  # and at least: less tells nothing
    first_least_per_s: float = 1.0  # little traffic is no measure
    over: float = 1.1  # of a guess
    share: float = 0.97  # of what was taken from throttle to throttle
    exact: int = 20  # messages from throttle to throttle that measure a rate
    exact_s: float = 3.0  # and the least time that they take
    step: float = 0.05  # the first step up; doubles
    step_unmeasured: float = 0.25  # where the rate is only guessed
    step_most: float = 1.0
    step_every_s: float = 20.0
    step_messages: int = 30  # and messages at least before the next step, though not for more than this:
    hold_most_s: float = 60.0
    burst: float = 1.2  # of the largest burst that is known: what more than that was taken is no burst
    risen: float = 1.1  # steps that took so many times the rate before, and the burst: the rate has risen
    wait_s: float = 60.0  # from a throttle to the first step; doubles with each step that is refused
    wait_most_s: float = 480.0
    price: int = 700  # deliveries that pay for a refused step
    unpaid_s: float = 600.0  # a step that is not paid for may be made after this
    used: float = 0.7  # share of a rate that must be used before it grows: what was not tried is not known
    window_pause_s: float = 4.0  # when so long a pause was not enough, the receiver counts by windows
    window_s: float = 60.0  # then each step is held so long
    suspicion_s: float = 300.0  # throttles that come so soon after each other may be those of one mailbox or domain
    slowest_per_s: float = 0.05


USUAL = PaceRules()
_LONG_S = 1e12
_KEPT = 4000


class Pace:
    """The measured rate of one lane. `per_second` is None while nothing is known to limit it."""

    def __init__(self, now: float, per_second: float | None = None, *, rules: PaceRules = USUAL) -> None:
        self.rules = rules
        self.per_second = per_second
        self.stopped_until = now
        self._next_at = now
        self._pause_s = rules.pause_s
        self._feeling = False
        self._doubtful = False  # stopped, and nobody said for what
        self._starts: deque[float] = deque(maxlen=_KEPT)  # only until the first throttle
        self._taken = 0  # messages started and not throttled since the last measure
        self._measured_at = now
        self._base: float | None = None  # the rate before the steps that are under way
        self._step = rules.step
        self._wait_s = rules.wait_s
        self._rungs = [(now, 0)]  # when each step began, the present rate last, and `_taken` then
        self._survived = 0.0  # the rate before the last step
        self._exact = per_second is not None
        self._burst: float | None = None  # the most that refused steps took beyond the rate before them
        self._windows = False  # whether the receiver counts by windows: for some time nothing got through at all
        self._shut_at = now
        self._step_at = now + rules.wait_s
        self._owed = 0
        self._throttled_at = -_LONG_S
        self._before = per_second  # the rate before the last throttles, which may turn out not to be the lane's

    def next_start_at(self, now: float) -> float:
        """Give the instant from which a message may be started; not after `now` when it may go at once."""
        return max(self.stopped_until, self._next_at) if now < self._next_at else self.stopped_until

    def started(self, now: float) -> None:
        """A message was started."""
        self._taken += 1
        if self.per_second is None:
            self._starts.append(now)
            return
        # Small steady steps: what was not used is not saved up for a burst.
        apart_s = 1 / self.per_second
        self._next_at = max(self._next_at, now - apart_s) + apart_s
        if self._feeling:
            self._next_at = max(self._next_at, now + min(self.rules.feel_s, self.rules.exact * apart_s))

    def delivered(self, now: float, seconds: float = 0.0) -> None:
        """A message was taken; that took `seconds`."""
        self._owed = max(0, self._owed - 1)
        if self._doubtful:
            self.stopped_until = min(self.stopped_until, now)
        if self._doubtful or now - seconds >= self.stopped_until:
            self._pause_s, self._feeling, self._doubtful = self.rules.pause_s, False, False
        paid = not self._owed or now >= self._throttled_at + self.rules.unpaid_s
        if self.per_second is not None and now >= self._step_at and paid:
            self._grow(now, self.per_second)

    def _grow(self, now: float, per_second: float) -> None:
        rules = self.rules
        began_at, taken = self._rungs[-1]
        if self._taken - taken >= rules.used * per_second * (now - began_at):
            if self._base is None:
                self._base = per_second
                self._rungs.clear()
            self._survived = per_second
            self.per_second = per_second * (1 + self._step)
            self._step = rules.step if self._windows else min(rules.step_most, self._step * 2)
        else:
            self._rungs.pop()
        self._rungs.append((now, self._taken))
        hold_s = rules.window_s if self._windows else rules.step_every_s
        self._step_at = now + self._hold_s(hold_s, per_second)

    def _hold_s(self, least_s: float, per_second: float) -> float:
        """Seconds that a rate is held at least: some messages tell more than time, but not for ever."""
        return max(least_s, min(self.rules.hold_most_s, self.rules.step_messages / per_second))

    def throttled(self, now: float, retry_after_s: float | None = None) -> None:
        """A message was refused because there were too many."""
        self._taken = max(0, self._taken - 1)
        if now < self.stopped_until:
            return
        if self._pause_s == self.rules.pause_s:
            self._shut_at = now
        elif self._pause_s > self.rules.window_pause_s:
            self._windows = True
        if now - self._throttled_at > self.rules.suspicion_s:
            self._before = self.per_second
        self._measure(now)
        self._throttled_at = now
        self._feeling, self._doubtful = True, False
        # Not longer than some messages take, for what a bucket does not hold is lost, and one message at least.
        apart_s = 1 / (self.per_second or 1.0)
        first = self._pause_s == self.rules.pause_s
        pause_s = max(apart_s, min(self._pause_s, self.rules.exact * apart_s) if first else self._pause_s)
        self.stopped_until = now + (pause_s if retry_after_s is None else honoured(retry_after_s))
        self._pause_s = min(max(self.rules.pause_most_s, (now - self._shut_at) / 3), self._pause_s * 2)
        self._next_at = self.stopped_until
        self._rungs = [(self.stopped_until, self._taken)]
        self._step_at = self.stopped_until + self._hold_s(self._wait_s, self.per_second or 1.0)

    def pause(self, now: float) -> None:
        """Start nothing for a while, for it may be that there were too many; the first message that is taken ends it.

        Longer each time while nothing gets through; the rate stays as it is.
        """
        if now < self.stopped_until:
            return
        self.stopped_until, self._doubtful = now + self._pause_s, True
        self._pause_s = min(self.rules.pause_most_s, self._pause_s * 2)

    def forgive(self, now: float) -> None:
        """Go on as before the last throttles: they were not the lane's."""
        self._throttled_at = -_LONG_S
        self.stopped_until = self._next_at = now
        self._pause_s, self._feeling, self._doubtful = self.rules.pause_s, False, False
        self.per_second, self._base = self._before, None
        self._measured_at, self._taken, self._rungs = now, 0, [(now, 0)]

    def _measure(self, now: float) -> None:
        """Draw from this throttle what the receiver allows."""
        rules = self.rules
        span_s = max(now - self._measured_at, 1e-3)
        if self.per_second is None:
            if not self._taken:
                return  # nothing was taken yet: there is nothing to measure
            recent = [at for at in self._starts if at > now - rules.first_span_s]
            speed = len(recent) / max(rules.first_least_s, now - recent[0]) if recent else 0.0
            rate = max(rules.first_least_per_s, rules.first_share * speed)
            self._starts.clear()
            self._exact, self._wait_s = False, rules.step_every_s
        elif (
            self._base is None and (self._taken < rules.exact or span_s < rules.exact_s) and span_s < rules.hold_most_s
        ):
            # Too soon to measure: no more than that, and go on counting.
            if self._taken:
                self.per_second = max(rules.slowest_per_s, min(self.per_second, (self._taken + 1) / span_s))
            return
        elif self._base is None:
            rate = min(self.per_second, rules.share * self._taken / span_s)
            self._exact, self._wait_s = True, rules.wait_s
        elif not self._exact:
            # Steps that began too low: go a little over, so that the next throttle measures it.
            rate = min(self.per_second, rules.over * max(self._taken / span_s, self._survived))
            self._wait_s = rules.step_every_s
        else:
            stepped = rules.share * self._stepped(now, self._base)
            rate = max(self._base, min(self.per_second, max(rules.share * self._taken / span_s, stepped)))
            if stepped > rules.risen * self._base and not self._windows:
                self._exact, self._wait_s = False, rules.step_every_s
            else:
                self._owed += rules.price
                self._wait_s = min(rules.wait_most_s, max(rules.wait_s, 2 * self._wait_s))
        self.per_second = max(rules.slowest_per_s, rate)
        self._base, self._step = None, rules.step if self._exact else rules.step_unmeasured
        self._measured_at, self._taken = now, 0

    def _stepped(self, now: float, base: float) -> float:
        """Give what the steps show that is taken per second, beyond a burst."""
        if self._windows:  # steps that outlived a window; but the last of them began within one
            return self._survived / (1 + self.rules.step) / self.rules.share
        began_at, taken = self._rungs[0]
        excess = self._taken - taken - base * (now - began_at)
        if self._burst is None:
            self._burst = excess
        burst = self.rules.burst * self._burst
        most = max((self._taken - taken - burst) / max(1.0, now - at) for at, taken in self._rungs)
        if most < self.rules.risen * base:
            self._burst = max(self._burst, excess)
        return most
