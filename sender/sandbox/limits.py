"""What a receiver remembers to limit its peers: sessions, messages per time, greylisted recipients.

`now` is an argument, in seconds of any clock that does not go back. All memory is bounded.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

_TRIPLES_KEPT = 1_000_000


class Slots:
    """Sessions that count against the limit of their peer: open ones, and closed ones that are still held."""

    __slots__ = ("_held_until", "_open")

    def __init__(self) -> None:
        """Begin with none."""
        self._open: Counter[str] = Counter()
        self._held_until: dict[str, deque[float]] = {}

    def taken(self, peer: str, now: float) -> int:
        """Count the slots of a peer that are in use."""
        held = self._held_until.get(peer)
        if held is None:
            return self._open[peer]
        while held and held[0] <= now:
            held.popleft()
        if not held:
            del self._held_until[peer]
        return self._open[peer] + len(held)

    def take(self, peer: str) -> None:
        """Count one more open session."""
        self._open[peer] += 1

    def give_back(self, peer: str, now: float, hold_s: float) -> None:
        """Count one open session less, but hold its slot for `hold_s`."""
        self._open[peer] -= 1
        if not self._open[peer]:
            del self._open[peer]
        if hold_s > 0:
            self._held_until.setdefault(peer, deque()).append(now + hold_s)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Rates:
    """A token bucket for each peer."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        """Begin with full buckets."""
        self._buckets: dict[str, _Bucket] = {}

    def spend(self, peer: str, now: float, *, per_second: float, burst: int) -> bool:
        """Spend a token of the peer; False when it has none."""
        bucket = self._buckets.get(peer)
        if bucket is None:
            bucket = self._buckets[peer] = _Bucket(tokens=burst, at=now)
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) * per_second)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


@dataclass(frozen=True, slots=True)
class Counts:
    """What is counted for each peer; receivers of one provider may count together."""

    slots: Slots = field(default_factory=Slots)
    rates: Rates = field(default_factory=Rates)


class Greylist:
    """When each (peer, mail_from, rcpt) was first seen; past a million of them the oldest are forgotten."""

    __slots__ = ("_seen_at",)

    def __init__(self) -> None:
        """Begin with nobody known."""
        self._seen_at: dict[tuple[str, str, str], float] = {}

    def wait_s(self, triple: tuple[str, str, str], now: float, delay_s: float) -> float:
        """Tell how long a triple has still to wait; zero or less when it may pass."""
        seen_at = self._seen_at.setdefault(triple, now)
        if len(self._seen_at) > _TRIPLES_KEPT:
            del self._seen_at[next(iter(self._seen_at))]
        return seen_at + delay_s - now
