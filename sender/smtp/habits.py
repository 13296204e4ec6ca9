"""What the receivers of a site have shown of the ways to save round trips. The sessions of a lane share it.

An extension that is announced need not work. A way is tried by one session alone until it has worked once; one that a
receiver mishandles is not gone again until that has been forgotten. A message that was sent on such a way pays nothing.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

log = logging.getLogger(__name__)
NOTHING: Mapping[str, float] = MappingProxyType({})
KEPT_S = 3 * 86400.0  # receivers are repaired: after this a way is tried again
STRIKES = 2  # failures in a row that might have another cause


class Way(StrEnum):
    """A way to save round trips; each presumes those that it names."""

    PIPELINING = "pipelining"  # an envelope is one write (RFC 2920)
    OVERLAPPING = "overlapping"  # and goes with the content of the message before
    CHUNKING = "chunking"  # PIPELINING, and the content goes with the envelope, by BDAT (RFC 3030)
    DOUBLING = "doubling"  # OVERLAPPING and CHUNKING: two contents go unanswered


_PRESUMED = {
    Way.PIPELINING: (),
    Way.OVERLAPPING: (Way.PIPELINING,),
    Way.CHUNKING: (Way.PIPELINING,),
    Way.DOUBLING: (Way.PIPELINING, Way.OVERLAPPING, Way.CHUNKING),
}
_WAYS = frozenset(way.value for way in Way)


class Trier(Protocol):
    """Who tries a way."""

    @property
    def trying(self) -> bool:
        """Tell whether it may still find out, or has not told yet what it found."""


class Habits:
    """See the module. `remembered` is what `remember` gave, `now` is of the wall clock."""

    def __init__(
        self,
        name: str = "",
        forbidden: Collection[Way] = (),
        remembered: Mapping[str, float] = NOTHING,
        now: float = 0.0,
    ) -> None:
        self.news = False  # there is something to remember
        self._name = name  # of whose receivers these are the habits, for people
        self._forbidden = frozenset(forbidden)  # by the configuration
        # Since when (wall clock); None: since lately.
        self._mishandled: dict[Way, float | None] = {
            Way(way): since for way, since in remembered.items() if way in _WAYS and now - since < KEPT_S
        }
        self._worked = {Way.PIPELINING}  # every client sends envelopes so: nobody need try it alone
        self._open: set[Way] = set()  # what has worked and is allowed
        self._strikes: dict[Way, int] = {}
        self._triers: dict[Way, Trier] = {}
        self._settle()

    def forbid(self, ways: Collection[Way]) -> None:
        """Go none of these ways, and none that presumes one of them, whatever a receiver announces."""
        self._forbidden = frozenset(ways)
        self._settle()

    @property
    def mishandled(self) -> list[str]:
        """Name the ways that are not gone, because a receiver mishandles them."""
        return sorted(self._mishandled)

    def remember(self, now: float) -> dict[str, float]:
        """Give what is worth keeping. `now` is of the wall clock."""
        since = {way: now if at is None else at for way, at in self._mishandled.items()}
        self._mishandled = {**since}
        self.news = False
        return {way.value: at for way, at in since.items()}

    def may(self, way: Way, trier: Trier) -> bool:
        """Tell whether a session may go a way; while it is not known whether it works, one session alone tries it."""
        if way in self._open:
            return True
        if not self._allowed(way) or not self._open.issuperset(_PRESUMED[way]):
            return False
        other = self._triers.get(way)
        if other is None or not other.trying:
            self._triers[way] = trier
            return True
        return other is trier

    def worked(self, way: Way) -> None:
        """A receiver has dealt with it as it should."""
        if way not in self._worked:
            self._worked.add(way)
            self._strikes.pop(way, None)
            self._settle()

    def failed(self, way: Way, why: str) -> None:
        """A receiver has shown that it mishandles it."""
        if way not in self._mishandled:
            log.warning("%s: %s is mishandled and not used any more: %s", self._name, way, why)
            self._mishandled[way] = None
            self.news = True
            self._settle()

    def doubted(self, way: Way, why: str, *, strikes: int = 1) -> None:
        """A session ended on a way that has not worked yet: for so many of the STRIKES that are too many."""
        if way not in self._worked:
            self._strikes[way] = self._strikes.get(way, 0) + strikes
            if self._strikes[way] >= STRIKES:
                self.failed(way, why)

    def _allowed(self, way: Way) -> bool:
        ways = {way, *_PRESUMED[way]}
        return ways.isdisjoint(self._mishandled) and ways.isdisjoint(self._forbidden)

    def _settle(self) -> None:
        self._open = {way for way in self._worked if self._allowed(way)}
