"""Who goes next where several lanes share one window: who has fewest sessions, then who has waited longest.

One that waits is given a session of another that has two more than it. Where they do not come out even, what is
over goes round: a lane that has none gets one after `SLICE_S`, one that has one less after `ROUND_S`, in which it has
waited and the other has had the session; who has had one for longest gives first.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

SLICE_S, ROUND_S = 5.0, 30.0
PROMISE_S = 10.0  # a session that is ended for somebody is gone by then, or the promise was not kept

Member = TypeVar("Member")


class Sharing(Generic[Member]):
    """Counts the sessions of each, and keeps the line of those who wait. Changed by the calls below only."""

    def __init__(self) -> None:
        self._sessions: dict[Member, int] = {}  # of those who have any
        self._opened_at: dict[Member, float] = {}  # the last one of each of them
        self._waiting: dict[Member, float] = {}  # since when
        self._line: dict[int, dict[Member, None]] = {}  # by the number of sessions, in the order of coming
        self._promised: dict[Member, float] = {}  # until when

    def __bool__(self) -> bool:
        """Tell whether anybody waits."""
        return bool(self._waiting)

    @property
    def first(self) -> Member | None:
        """Who goes next."""
        return next(self._in_order(), None)

    def next_few(self, most: int) -> list[Member]:
        """Who goes next, and after that."""
        return list(islice(self._in_order(), most))

    @property
    def holders(self) -> list[Member]:
        """Those who have sessions."""
        return list(self._sessions)

    def opened(self, who: Member, now: float) -> None:
        """A session begins."""
        self._promised.pop(who, None)
        self._opened_at[who] = now
        self._count(who, 1, now)

    def closed(self, who: Member, now: float) -> None:
        """A session has ended."""
        self._count(who, -1, now)

    def waits(self, who: Member, now: float) -> None:
        """Somebody wants one session more; saying so again keeps the place."""
        if who not in self._waiting:
            self._waiting[who] = now
            self._line.setdefault(self._sessions.get(who, 0), {})[who] = None

    def content(self, who: Member) -> None:
        """Somebody wants no more."""
        if who in self._waiting:
            del self._waiting[who]
            self._promised.pop(who, None)
            self._leave_line(who, self._sessions.get(who, 0))

    def gives(self, who: Member, now: float, *, idle: bool = False) -> bool:
        """Tell whether somebody shall end one session now for one that waits, which is promised then.

        `idle`: it has nothing to do.
        """
        waiter = next((other for other in self._in_order() if self._promised.get(other, now) <= now), None)
        if waiter is None or waiter is who:
            return False
        mine, theirs = self._sessions.get(who, 0), self._sessions.get(waiter, 0)
        if idle or mine >= theirs + 2 or (mine > theirs and self._round_is_over(who, waiter, now)):
            self._promised[waiter] = now + PROMISE_S
            return True
        return False

    def _round_is_over(self, who: Member, waiter: Member, now: float) -> bool:
        """Tell whether both have had their time, and `who` the longest of all, or nobody else has given meanwhile."""
        round_s = SLICE_S if waiter not in self._sessions else ROUND_S
        had_s, waited_s = now - self._opened_at.get(who, now), now - self._waiting[waiter]
        if min(had_s, waited_s) < round_s:
            return False
        least = self._sessions.get(waiter, 0) + 1
        others = (at for other, at in self._opened_at.items() if self._sessions[other] >= least)
        return waited_s >= 2 * round_s or now - had_s <= min(others)

    def _in_order(self) -> Iterator[Member]:
        for sessions in sorted(self._line):
            yield from self._line[sessions]

    def _count(self, who: Member, change: int, now: float) -> None:
        before = self._sessions.get(who, 0)
        after = before + change
        if after:
            self._sessions[who] = after
        else:
            del self._sessions[who]
            del self._opened_at[who]
        if who in self._waiting:
            self._waiting[who] = now  # with as many as it has now
            self._leave_line(who, before)
            self._line.setdefault(after, {})[who] = None

    def _leave_line(self, who: Member, sessions: int) -> None:
        rank = self._line[sessions]
        del rank[who]
        if not rank:
            del self._line[sessions]
