"""Which lanes need attention. What running lanes suffer from is shown in `tests/scenes/test_console.py`."""

from __future__ import annotations

from typing import Any

from sender.engine.listing import Candidate
from sender.engine.overview import OLD_S, Trouble, troubles


def _asleep(name: str, *, queued: int = 1, oldest_age_s: float = OLD_S) -> Candidate:
    row: dict[str, Any] = {"queued": queued, "in_flight": 0, "oldest_age_s": oldest_age_s}
    return Candidate(name, None, {"limit": 1}, [row])


def test_old_mail_is_told_whatever_its_lane_does() -> None:
    """A lane that sleeps on mail of an hour needs attention; with younger mail, or none, it does not."""
    lanes = [_asleep("a"), _asleep("b", oldest_age_s=OLD_S - 1), _asleep("c", queued=0)]
    assert troubles(lanes, 0.0) == {Trouble.OLD: (1, [lanes[0]])}


def test_of_many_the_fullest_are_named() -> None:
    """All are counted, and three are named, those with the most mail first."""
    lanes = [_asleep(f"lane{number}", queued=number) for number in range(1, 6)]
    count, named = troubles(lanes, 0.0)[Trouble.OLD]
    assert (count, [lane.name for lane in named]) == (5, ["lane5", "lane4", "lane3"])


def test_where_all_is_well_nothing_is_told() -> None:
    """No trouble has an empty entry."""
    assert troubles([], 0.0) == {}
