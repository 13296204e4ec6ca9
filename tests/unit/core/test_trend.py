"""How a window is drawn small: values at even distances."""

from __future__ import annotations

from typing import Any

from sender.core.trend import POINTS, SPAN_S, trend

NOW = 1_800_000_000.0


def _change(at: float, before: int, after: int) -> dict[str, Any]:
    return {"at": at, "from": before, "to": after}


def test_without_changes_the_window_was_always_what_it_is() -> None:
    """A lane that has seen no change is a flat line over the whole span."""
    assert trend([], 5, began_at=None, now=NOW) == (NOW - SPAN_S, [5] * POINTS)


def test_a_young_lane_is_shown_since_it_began() -> None:
    """The line of a lane that began 39 seconds ago has a value for each second."""
    since, values = trend([_change(NOW - 20, 5, 3)], 3, began_at=NOW - 39, now=NOW)
    assert since == NOW - 39
    assert values == [5] * 19 + [3] * 21


def test_changes_between_two_instants_show_as_the_last_of_them() -> None:
    """Of several changes within one distance the line shows where they led."""
    history = [_change(NOW - 400, 5, 2), _change(NOW - 399, 2, 4), _change(NOW - 398, 4, 3)]
    _, values = trend(history, 3, began_at=None, now=NOW)
    assert set(values) == {5, 3}


def test_what_is_older_than_the_span_is_where_the_line_begins() -> None:
    """A change before the span gives its first value."""
    _, values = trend([_change(NOW - 5000, 9, 7), _change(NOW - 10, 7, 8)], 8, began_at=None, now=NOW)
    assert (values[0], values[-2], values[-1]) == (7, 7, 8)


def test_a_lane_that_begins_now_has_a_line_too() -> None:
    """Without any time to look back the line is the window of now."""
    assert trend([], 5, began_at=NOW, now=NOW) == (NOW, [5] * POINTS)
