"""Which lanes are shown, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from sender.engine.listing import Candidate, Listing, Order, chosen

LANES = {"default/mx.a.test": (3, 5, 60.0), "default/mx.b.test": (0, 50, 10.0), "default/MX.c.test": (9, 0, 0.0)}


def _candidates() -> list[Candidate]:
    """Lanes that sleep: window, recipients, age of the oldest."""

    def rows(queued: int, oldest_age_s: float) -> list[dict[str, Any]]:
        return [{"queued": queued, "in_flight": 0, "oldest_age_s": oldest_age_s}]

    return [
        Candidate(name, None, {"limit": window}, rows(queued, oldest_s))
        for name, (window, queued, oldest_s) in LANES.items()
    ]


def _names(listing: Listing) -> str:
    shown, _ = chosen(_candidates(), listing, 0.0)
    return "".join(candidate.name[len("default/mx.")] for candidate in shown)


@pytest.mark.parametrize(
    ("order", "names"),
    [(Order.NAME, "cab"), (Order.WINDOW, "cab"), (Order.QUEUED, "bac"), (Order.BUSY, "bac"), (Order.OLDEST, "abc")],
    ids=str,
)
def test_lanes_are_ordered(order: Order, names: str) -> None:
    """Names go up, windows, counts and ages go down."""
    assert _names(Listing(order=order)) == names
    assert _names(Listing(order=order, limit=2)) == names[:2]
    assert _names(Listing(order=order, start=1, limit=1)) == names[1]


@pytest.mark.parametrize("order", [*Order], ids=str)
def test_every_order_gives_every_lane_once(order: Order) -> None:
    """No order loses a lane."""
    assert sorted(_names(Listing(order=order))) == ["a", "b", "c"]


def test_the_count_tells_of_those_beyond_the_limit() -> None:
    """The second value counts all that were asked for."""
    assert chosen(_candidates(), Listing(match="mx.", limit=1), 0.0)[1] == 3
    assert chosen(_candidates(), Listing(match="mx.C", limit=0), 0.0) == ([], 1)


def test_names_match_in_any_case() -> None:
    """A part of a name is found in upper and lower case."""
    assert _names(Listing(match="MX.")) == "cab"
    assert _names(Listing(match="mx.c")) == "c"


def test_a_lane_that_sleeps_is_open() -> None:
    """Nothing holds back a lane that has nothing to do."""
    assert _names(Listing(state="open")) == "cab"
    assert _names(Listing(state="throttled")) == ""
