"""Figures drawn in text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.cli.sparks import ASCII, BLOCKS, can_show, chart, sparkline, spread

_VALUES = st.lists(st.integers(0, 500), min_size=1, max_size=60)


def test_a_sparkline_rises_from_nothing_to_the_largest() -> None:
    """Each value has its step of eight, the largest is full, and what is not nothing is seen."""
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7, 8], 40) == BLOCKS
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7, 8], 40, blocks=False) == ASCII
    assert sparkline([1, 1000], 40) == "▁█"


def test_what_does_not_change_is_a_level_line() -> None:
    """A window that has stayed does not fill its row."""
    assert sparkline([7] * 40, 5) == "▄▄▄▄▄"
    assert sparkline([7] * 3, 5, blocks=False) == "==="


def test_a_chart_is_read_from_above() -> None:
    """The largest value fills every line, half of it the lower half."""
    assert chart([4, 2, 0], 2) == ["█  ", "██ "]


@given(_VALUES, st.integers(1, 60))
def test_what_is_chosen_ends_with_now(values: list[int], width: int) -> None:
    """However little room there is, the last value is the last one shown, and all are where they fit."""
    shown = spread(values, width)
    assert len(shown) == min(width, len(values))
    assert shown[-1] == values[-1]


@given(_VALUES, st.integers(1, 8), st.booleans())
def test_a_larger_value_never_looks_smaller(values: list[int], height: int, blocks: bool) -> None:  # noqa: FBT001
    """Bars are in the order of their values, and the largest one fills the chart."""
    steps = BLOCKS if blocks else ASCII
    lines = chart(values, height, blocks=blocks)
    bars = [sum(steps.index(line[place]) for line in lines) for place in range(len(values))]
    assert all(
        a <= b for (v, a) in zip(values, bars, strict=True) for (w, b) in zip(values, bars, strict=True) if v < w
    )
    assert max(bars) == (height * 8 if max(values) else 0)


@pytest.mark.parametrize(("encoding", "can"), [("utf-8", True), ("cp437", False), ("ascii", False), (None, False)])
def test_blocks_are_drawn_where_the_encoding_has_them(encoding: str | None, can: bool) -> None:  # noqa: FBT001
    """A terminal that cannot write all of them gets none."""
    assert can_show(encoding) is can
