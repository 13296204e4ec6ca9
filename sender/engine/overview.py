"""What needs somebody's attention now: of many lanes, those that do not do what they should."""

from __future__ import annotations

import heapq
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sender.engine.lane import Lane
    from sender.engine.listing import Candidate

OLD_S = 3600.0  # mail that waits longer than this is shown, whatever its lane does
_NAMED = 3  # lanes of each kind, those with the most mail


class Trouble(StrEnum):
    """What is wrong with a lane, the worst first. A lane has one trouble."""

    BLOCKED = "hold"  # the receiver asked for a rest, or blocks us
    UNREACHABLE = "connect_failed"
    LIMITED = "daily_limit"
    NARROW = "narrow"  # it has come down to one session
    OLD = "old"


def troubles(candidates: Iterable[Candidate], now: float) -> dict[Trouble, tuple[int, list[Candidate]]]:
    """Give how many lanes have each trouble, and a few of them. `now` is of the steady clock."""
    found: dict[Trouble, list[tuple[int, str, Candidate]]] = {}
    for candidate in candidates:
        queued = sum(row["queued"] + row["in_flight"] for row in candidate.rows)
        trouble = _trouble(candidate, queued, now)
        if trouble is not None:
            found.setdefault(trouble, []).append((-queued, candidate.name, candidate))
    return {
        trouble: (len(found[trouble]), [candidate for _, _, candidate in heapq.nsmallest(_NAMED, found[trouble])])
        for trouble in Trouble
        if trouble in found
    }


def _trouble(candidate: Candidate, queued: int, now: float) -> Trouble | None:
    if not queued:
        return None
    lane = candidate.lane
    trouble = None if lane is None else _trouble_of(lane, now)
    # What waits for its instant has no age, and what an operator holds may be old.
    old = any(row["oldest_age_s"] >= OLD_S for row in candidate.rows) and (lane is None or not lane.suspended)
    return trouble or (Trouble.OLD if old else None)


def _trouble_of(lane: Lane, now: float) -> Trouble | None:
    """Say what a running lane suffers from."""
    if now < lane.window.hold_until:
        return Trouble.BLOCKED
    if lane.dialing.failure and not lane.sessions:
        return Trouble.UNREACHABLE
    if now < lane.restraint.lane_until:
        return Trouble.LIMITED
    narrow = lane.window.limit == 1 < lane.window.ceiling and not lane.window.growing
    return Trouble.NARROW if narrow else None
