"""What receivers count with: buckets, windows, boxes, and the other senders that share a cap."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


class TokenBucket:
    """Tokens come at a steady rate, up to `burst` of them; whoever comes takes one."""

    def __init__(self, per_second: float, burst: float) -> None:
        self.per_second = per_second
        self._burst = burst
        self._tokens = burst
        self._at = 0.0

    def change(self, per_second: float, now: float) -> None:
        """Let tokens come at another rate from now on."""
        self._refill(now)
        self.per_second = per_second

    def take(self, now: float) -> bool:
        """Take a token, where there is one."""
        self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def next_at(self, now: float) -> float:
        """Give the instant from which there is a token."""
        self._refill(now)
        return now if self._tokens >= 1 else now + (1 - self._tokens) / self.per_second + 1e-9

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now


class CountingWindow:
    """So many in a span that begins with its first one; then none until it is over.

    Some receivers count those too that they have refused (Postfix's anvil does).
    """

    def __init__(self, quota: int, span_s: float, *, counts_refused: bool) -> None:
        self._quota = quota
        self._span_s = span_s
        self._counts_refused = counts_refused
        self._over_at = -math.inf
        self._count = 0

    def take(self, now: float) -> bool:
        """Take a place, where there is one."""
        if now >= self._over_at:
            self._over_at, self._count = now + self._span_s, 0
        taken = self._count < self._quota
        if taken or self._counts_refused:
            self._count += 1
        return taken

    def left(self, now: float) -> int:
        """Count the places that are left."""
        return self._quota if now >= self._over_at else max(0, self._quota - self._count)

    def next_at(self, now: float) -> float:
        """Give the instant from which there is a place."""
        return now if self.left(now) else self._over_at


class PenaltyBox:
    """Too many refusals within a span close the door; every knock at the closed door keeps it closed for longer."""

    def __init__(self, refusals: int, within_s: float, lasts_s: float) -> None:
        self._refusals = refusals
        self._within_s = within_s
        self._lasts_s = lasts_s
        self._times: deque[float] = deque()
        self._until = -math.inf

    def closed(self, now: float) -> bool:
        """Tell whether the door is closed."""
        return now < self._until

    def knocked(self, now: float) -> None:
        """Somebody came to the closed door."""
        self._until = max(self._until, now + self._lasts_s / 2)

    def refused(self, now: float) -> None:
        """Somebody was refused."""
        self._times.append(now)
        while self._times[0] < now - self._within_s:
            self._times.popleft()
        if len(self._times) > self._refusals:
            self._until = now + self._lasts_s
            self._times.clear()


class Crowd:
    """Other senders on the same cap: a wave around a mean, with noise that has a memory of its own."""

    _PERSISTENCE = 0.95
    _COMES, _GOES = 0.5, 0.2  # how much of what it wants a crowd moves in a second

    def __init__(self, *, sessions: float, amplitude: float, period_s: float, noise: float, rng: Random) -> None:
        self.sessions = 0
        self._mean = sessions
        self._amplitude = amplitude
        self._period_s = period_s
        self._step = noise * math.sqrt(1 - self._PERSISTENCE**2)
        self._rng = rng
        self._drift = 0.0

    def move(self, now: float, free: int) -> None:
        """Let a second pass: come as far as there is room, or go."""
        self._drift = self._PERSISTENCE * self._drift + self._rng.gauss(0, self._step)
        wave = self._amplitude * math.sin(2 * math.pi * now / self._period_s)
        wanted = max(0.0, self._mean + wave + self._drift)
        if wanted > self.sessions:
            self.sessions += max(0, min(math.ceil((wanted - self.sessions) * self._COMES), free))
        else:
            self.sessions -= math.ceil((self.sessions - wanted) * self._GOES)
