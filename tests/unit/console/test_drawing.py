"""The pictures."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.console.drawing import LEVELS, heat, sparkline, timeline, window_chart

from .values import AT, EARLIER, NOW, change, lane, message

_WINDOWS = st.lists(st.integers(0, 2000), min_size=1, max_size=60)


def _drawn(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own


def _path(svg: str, kind: str = "line") -> list[tuple[str, list[float]]]:
    path = re.search(rf'class="{kind}" d="([^"]+)"', svg)
    assert path is not None
    return [(word[0], [float(part) for part in word[1:].split()]) for word in re.findall(r"[MHV][^MHVZ]*", path[1])]


@given(_WINDOWS)
def test_a_sparkline_stays_in_its_box_and_ends_at_the_last_value(values: list[int]) -> None:
    """Every step lies within, the top is the largest value, and the dot at the end is the last one."""
    svg = sparkline(values, width=120, height=24)
    for word, numbers in _path(svg):
        most = 120 if word == "H" else 24 if word == "V" else 120
        assert all(0 <= number <= most for number in numbers)
    heights = [numbers[-1] for word, numbers in _path(svg) if word != "H"]
    assert min(heights) == (2.0 if max(values) else 22.0)
    end = _drawn(svg)[-1]
    assert float(end.attrib["cy"]) == heights[-1]
    assert f"from {values[0]} to {values[-1]}, at least {min(values)}, at most {max(values)}" in svg


@given(_WINDOWS)
def test_a_sparkline_has_a_step_for_each_change_only(values: list[int]) -> None:
    """What stays costs nothing: a page has many of them."""
    changes = sum(before != after for before, after in pairwise(values))
    assert sum(word == "V" for word, _ in _path(sparkline(values))) == changes


def test_nothing_is_drawn_of_nothing() -> None:
    """A lane without a past has a picture all the same."""
    assert _drawn(sparkline([])).attrib["class"] == "spark"


def _chart(history: list[dict[str, Any]], span_s: float | None = None, **facts: Any) -> str:  # noqa: ANN401
    return window_chart(lane(history=history, **facts), now=NOW, span_s=span_s)


def test_each_refusal_has_a_mark_with_its_reply() -> None:
    """A mark can be focused and tells when, from what to what, and the words; what was taken has none."""
    svg = _chart([change(), change(AT, 3, 4, "taken"), change(AT, 4, 4, "throttled", '421 <b> & "no"')])
    marks = [element for element in _drawn(svg) if element.attrib.get("class") == "mark bad"]
    told = [mark.attrib["data-told"] for mark in marks]
    assert told == [
        "13:43:20 UTC, 5 → 3, one more was refused: 421 no",
        '14:13:20 UTC, 4 → 4, sessions at work were throttled: 421 <b> & "no"',
    ]
    assert all(
        (mark.attrib["tabindex"], mark.attrib["aria-label"]) == ("0", text)
        for mark, text in zip(marks, told, strict=True)
    )


def test_what_was_before_the_span_is_where_it_begins() -> None:
    """A chart of the last quarter of an hour begins with the window that there was then."""
    history = [change(), change(AT, 3, 7, "taken")]
    whole, part = _path(_chart(history)), _path(_chart(history, 900.0))
    assert [word for word, _ in whole] == ["M", "H", "V", "H", "V", "H"]
    assert [word for word, _ in part] == ["M", "H", "V", "H"]
    assert "mark bad" not in _chart(history, 900.0)
    assert part[0][1][1] == whole[2][1][0]  # the window that the refusal left


@given(st.lists(st.tuples(st.integers(1, 500), st.sampled_from(["taken", "refused", "operator"])), max_size=50))
def test_a_chart_is_well_formed_and_within_its_box(steps: list[tuple[int, str]]) -> None:
    """Whatever a window has been through, its picture can be read."""
    history = [change(before=value, after=value + 1, cause=cause) for value, cause in steps]
    svg = _chart(history)
    _drawn(svg)
    for word, numbers in _path(svg):
        most = 940 if word == "H" else 252 if word == "V" else 940
        assert all(0 <= number <= most for number in numbers)


@pytest.mark.parametrize(
    ("span_s", "label"), [(60, "14:13:10"), (900, "14:10"), (86400, "12:00"), (30 * 86400, "09-17")], ids=str
)
def test_the_axis_has_round_instants(span_s: float, label: str) -> None:
    """Seconds, minutes, hours or days, as the span is."""
    texts = [element.text for element in _drawn(_chart([], span_s)) if element.tag == "text"]
    assert label in texts
    assert len(texts) <= 11


def test_a_timeline_tells_every_attempt_and_the_next() -> None:
    """Each attempt is a mark with its reply, and what comes is where it will be."""
    (recipient,) = message("450 <later>")["recipients"]
    recipient["next_attempt_at"] = "2026-09-21T14:23:20.000Z"
    svg = _drawn(timeline(recipient, accepted=NOW - 1800, now=NOW))
    marks = [element for element in svg if "mark" in element.attrib["class"]]
    assert [mark.attrib["data-told"] for mark in marks] == ["13:43:20 UTC, deferred: 450 <later>"]
    where = {element.attrib["class"]: element for element in svg}
    assert float(where["next"].attrib["cx"]) == 590.0
    assert where["now"].attrib["d"] == "M445.0 4V24"


def test_a_timeline_that_has_ended_waits_for_nothing() -> None:
    """What was delivered has no now and no next."""
    recipient = {
        **message(state="delivered")["recipients"][0],
        "history": [{"at": EARLIER, "outcome": "delivered", "reply": "250 ok"}],
    }
    kinds = {element.attrib["class"] for element in _drawn(timeline(recipient, accepted=NOW - 3600, now=NOW))}
    assert "mark good" in kinds
    assert not kinds & {"now", "next"}


@given(st.lists(st.integers(0, 10**9), min_size=1))
def test_heat_rises_with_the_count(counts: list[int]) -> None:
    """None is cold, one is not, the most is hottest, and more is never colder."""
    levels = heat(counts, max(counts))
    assert all(
        (level == 0) == (count == 0) and 0 <= level <= LEVELS for count, level in zip(counts, levels, strict=True)
    )
    assert not max(counts) or max(levels) == LEVELS
    ordered = sorted(zip(counts, levels, strict=True))
    assert [level for _, level in ordered] == sorted(levels)
