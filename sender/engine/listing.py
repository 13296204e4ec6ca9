"""Which lanes are shown and in which order. Of many lanes only those that are shown are looked at in full."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sender.engine.lane import Lane

Row = dict[str, Any]
_STATES = {"suspended": 0, "throttled": 1, "open": 2}


class Order(StrEnum):
    """By what lanes are put in order: names go up, ages and counts go down."""

    NAME = "name"
    BUSY = "busy"  # those with sessions first, then those with mail
    STATE = "state"  # what is held back first
    WINDOW = "window"
    SESSIONS = "sessions"
    QUEUED = "queued"
    OLDEST = "oldest"
    DELIVERED = "delivered"
    DEFERRALS = "deferrals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is asked for; `brief`: without history and explanation."""

    match: str = ""  # part of the name, in any case
    state: str = ""  # open | throttled | suspended
    order: Order = Order.NAME
    start: int = 0  # lanes that are left out before the first
    limit: int | None = None
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A lane that may be shown: awake, or else by what it remembers; with its queues in the spool."""

    name: str
    lane: Lane | None
    memory: Row | None
    rows: list[Row]


def chosen(candidates: Iterable[Candidate], listing: Listing, now: float) -> tuple[list[Candidate], int]:
    """Give those that are shown, in order, and how many there are in all. `now` is of the steady clock."""
    match = listing.match.lower()
    found = [
        candidate
        for candidate in candidates
        if match in candidate.name.lower() and listing.state in ("", _state(candidate))
    ]
    key = _key(listing.order, now)
    if listing.limit is None:
        shown = sorted(found, key=key)
    else:
        shown = heapq.nsmallest(listing.start + listing.limit, found, key=key)
    return shown[listing.start :], len(found)


def _state(candidate: Candidate) -> str:
    return candidate.lane.standing.state if candidate.lane else "open"


def _key(order: Order, now: float) -> Callable[[Candidate], tuple[Any, ...]]:
    def sessions(candidate: Candidate) -> int:
        return candidate.lane.sessions if candidate.lane else 0

    def queued(candidate: Candidate) -> int:
        return sum(row["queued"] + row["in_flight"] for row in candidate.rows)

    def window(candidate: Candidate) -> int:
        if candidate.lane is not None:
            return candidate.lane.window.limit
        return int((candidate.memory or {}).get("limit") or 0)

    def largest(of: Callable[[Candidate], float]) -> Callable[[Candidate], tuple[Any, ...]]:
        return lambda candidate: (-of(candidate), candidate.name)

    return {
        Order.NAME: lambda candidate: (candidate.name,),
        Order.BUSY: lambda candidate: (-sessions(candidate), -queued(candidate), candidate.name),
        Order.STATE: lambda candidate: (_STATES[_state(candidate)], -queued(candidate), candidate.name),
        Order.WINDOW: largest(window),
        Order.SESSIONS: largest(sessions),
        Order.QUEUED: largest(queued),
        Order.OLDEST: largest(lambda candidate: max((row["oldest_age_s"] for row in candidate.rows), default=0.0)),
        Order.DELIVERED: largest(lambda candidate: candidate.lane.delivered.value(now) if candidate.lane else 0),
        Order.DEFERRALS: largest(lambda candidate: candidate.lane.deferrals.value(now) if candidate.lane else 0),
    }[order]
