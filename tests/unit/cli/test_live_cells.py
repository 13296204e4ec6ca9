"""A lane as a row of the live view: it fits, and nothing in it moves the cursor."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sender.cli.live.cells import head, held_by, layout, row, style_of, totals
from sender.engine.listing import Order

_NOW = "2026-12-01T08:00:00.000Z"
_WINDOWS = [5] * 20 + [3] * 20


def _lane(**facts: Any) -> dict[str, Any]:  # noqa: ANN401 - any fact of a lane
    return {
        "name": "default/mx.example.org",
        "window": 3,
        "max_window": 100,
        "sessions": 3,
        "queued": 1200,
        "deferred": 30,
        "delivered_per_minute": 240,
        "deferrals_per_minute": 2,
        "oldest_age_s": 7500.0,
        "state": "open",
        "blocked_by": "",
        "next_change_at": None,
        "suspension": None,
        "trend": {"since": "2026-12-01T07:45:00.000Z", "until": _NOW, "windows": _WINDOWS},
        **facts,
    }


def _row(width: int, **facts: Any) -> str:  # noqa: ANN401 - as above
    return row(_lane(**facts), layout(width), blocks=True)


def test_a_wide_row_has_every_figure() -> None:
    """Window and maximum, sessions, queued, deferred, both rates, the oldest age, the state, and what holds it back."""
    words = _row(140, state="throttled", blocked_by="window", next_change_at="2026-12-01T08:00:12.500Z").split()
    assert words == [
        *("default/mx.example.org", "█████████▅▅▅▅▅▅▅▅▅", "3/100", "3", "1,200", "30", "240", "2", "2h"),
        *("throttled", "12s:", "limit", "reached"),
    ]


def test_a_narrow_row_leaves_out_what_can_be_spared() -> None:
    """Of 80 columns, deferred, the rate of deferrals and a state that has its reason beside it take none."""
    assert _row(80, state="throttled", blocked_by="window").split() == [
        *("mx.example.org", "████▅▅▅▅", "3/100", "3", "1,200", "240", "2h", "limit", "reached")
    ]
    assert "throttled" in _row(80, state="throttled")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, ""),
        ({"blocked_by": "opening"}, "opening a session"),
        ({"blocked_by": "pace", "next_change_at": "2026-12-01T08:00:00.400Z"}, "limited rate"),
        ({"blocked_by": "what comes later"}, "what comes later"),
        ({"suspension": {"reason": "", "until": None}}, "suspended"),
        ({"suspension": {"reason": "they\nasked", "until": "2026-12-01T09:00:00.000Z"}}, "1h: they asked"),
    ],
    ids=["free", "no end", "in a moment", "unknown", "suspended", "for a time"],
)
def test_what_holds_a_lane_back_is_said_in_few_words(facts: dict[str, Any], words: str) -> None:
    """The time that is left stands first, then what it is, or an operator's reason."""
    assert held_by(_lane(**facts)) == words


@given(st.integers(40, 250), st.text(max_size=80), st.integers(0, 10**9), st.booleans())
def test_a_row_is_as_wide_as_its_head(width: int, text: str, number: int, blocks: bool) -> None:  # noqa: FBT001
    """Whatever names and reasons contain, the columns stand below their heads, and no control character is left."""
    lane = _lane(name=text, queued=number, suspension={"reason": text, "until": None})
    cells = layout(width)
    line = row(lane, cells, blocks=blocks)
    assert cell_len(line) == cell_len(head(cells, Order.QUEUED, blocks=blocks)) <= max(width, 70)
    assert not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in line)


def test_states_have_their_colours() -> None:
    """Throttled is yellow, suspended blue, open plain; what was seen earlier is dim."""
    colours = {state: style_of(_lane(state=state), dim=False).color for state in ("open", "throttled", "suspended")}
    assert {state: colour and colour.name for state, colour in colours.items()} == {
        "open": None,
        "throttled": "yellow",
        "suspended": "bright_blue",
    }
    assert style_of(_lane(), dim=True).dim


def test_what_has_not_ended_is_queued() -> None:
    """The line of totals counts what waits from what was accepted and what has ended."""
    answer = {"totals": {"accepted": 2000, "delivered": 1500, "removed": 7}, "matching": 2, "all": 1234}
    assert totals(answer) == "493 queued  2 of 1,234 lanes  2,000 accepted 1,500 delivered 0 bounced 0 expired"
