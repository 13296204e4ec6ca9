"""What a lane remembers of extensions that receivers mishandle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.smtp.habits import KEPT_S, Habits, Way

_NOW = 1_790_000_000.0


class _Trier:
    """A session, as habits see it."""

    def __init__(self) -> None:
        self.trying = True


def _coping() -> Habits:
    habits = Habits()
    for way in Way:
        habits.worked(way)
    return habits


def _open(habits: Habits) -> set[Way]:
    """Give the ways that a session which has tried nothing may go."""
    return {way for way in Way if habits.may(way, _Trier())}


def test_a_way_is_tried_by_one_session_until_it_has_worked() -> None:
    """Who asked first may try, nobody else while it can still find out; when it has worked, everybody may."""
    habits, first, second = Habits(), _Trier(), _Trier()
    assert [habits.may(Way.OVERLAPPING, trier) for trier in (first, second, first)] == [True, False, True]
    first.trying = False
    assert [habits.may(Way.OVERLAPPING, trier) for trier in (second, first)] == [True, False]
    habits.worked(Way.OVERLAPPING)
    assert all(habits.may(Way.OVERLAPPING, trier) for trier in (first, second, _Trier()))


def test_a_whole_envelope_at_once_needs_no_trial() -> None:
    """PIPELINING as everybody uses it is open to all from the beginning."""
    assert _open(Habits()) == {Way.PIPELINING, Way.OVERLAPPING, Way.CHUNKING}
    habits = Habits()
    assert all(habits.may(Way.PIPELINING, _Trier()) for _ in range(3))


def test_two_at_once_are_tried_when_each_half_has_worked() -> None:
    """Two contents under way presume that an envelope ahead and a chunk have worked."""
    for missing in (Way.OVERLAPPING, Way.CHUNKING):
        habits = Habits()
        for way in {Way.OVERLAPPING, Way.CHUNKING} - {missing}:
            habits.worked(way)
        assert not habits.may(Way.DOUBLING, _Trier())
        habits.worked(missing)
        assert habits.may(Way.DOUBLING, _Trier())


@pytest.mark.parametrize(
    ("way", "left"),
    [
        (Way.PIPELINING, set()),
        (Way.OVERLAPPING, {Way.PIPELINING, Way.CHUNKING}),
        (Way.CHUNKING, {Way.PIPELINING, Way.OVERLAPPING}),
        (Way.DOUBLING, {Way.PIPELINING, Way.OVERLAPPING, Way.CHUNKING}),
    ],
)
def test_what_presumes_a_way_ends_with_it(way: Way, left: set[Way]) -> None:
    """A way that is mishandled or forbidden closes those that build on it, and no other."""
    mishandled, forbidden = _coping(), _coping()
    mishandled.failed(way, "503")
    forbidden.forbid([way])
    assert _open(mishandled) == _open(forbidden) == left
    forbidden.forbid([])
    assert _open(forbidden) == set(Way)


def test_what_is_mishandled_is_remembered_for_a_while() -> None:
    """A restart keeps it with its instant; after three days it is tried again."""
    habits = _coping()
    assert (habits.news, habits.remember(_NOW)) == (False, {})
    habits.failed(Way.CHUNKING, "502")
    assert habits.news
    assert habits.mishandled == ["chunking"]
    kept = habits.remember(_NOW)
    assert (kept, habits.news) == ({"chunking": _NOW}, False)
    assert habits.remember(_NOW + 100) == kept
    later = Habits("lane", (), kept, _NOW + KEPT_S - 1)
    assert later.remember(_NOW + KEPT_S) == kept
    assert not later.may(Way.CHUNKING, _Trier())
    assert Habits("lane", (), kept, _NOW + KEPT_S).may(Way.CHUNKING, _Trier())


def test_what_another_version_remembered_is_no_trouble() -> None:
    """A word that is not known is left out."""
    assert Habits("lane", (), {"telepathy": _NOW}, _NOW).mishandled == []


def test_a_session_that_only_ended_is_one_of_two_strikes() -> None:
    """One end may have another reason; two in a row, or one that has none, close the way."""
    habits = Habits()
    habits.doubted(Way.OVERLAPPING, "closed")
    assert habits.mishandled == []
    habits.doubted(Way.OVERLAPPING, "closed")
    assert habits.mishandled == ["overlapping"]
    habits = Habits()
    habits.doubted(Way.OVERLAPPING, "silence", strikes=2)
    assert habits.mishandled == ["overlapping"]


def test_a_way_that_has_worked_is_doubted_no_more() -> None:
    """Receivers that worked and went away went away; only evidence closes a way that has worked."""
    habits = Habits()
    habits.doubted(Way.OVERLAPPING, "closed")
    habits.worked(Way.OVERLAPPING)
    for _ in range(5):
        habits.doubted(Way.OVERLAPPING, "closed", strikes=2)
    assert habits.mishandled == []
    habits.failed(Way.OVERLAPPING, "503")
    assert habits.mishandled == ["overlapping"]


@given(
    st.lists(st.tuples(st.sampled_from(["worked", "failed", "doubted", "forbid"]), st.sampled_from(Way)), max_size=12)
)
def test_no_way_is_open_without_those_that_it_presumes(steps: list[tuple[str, Way]]) -> None:
    """Whatever has happened: who may send two contents may chunk and overlap, who may do these may pipeline."""
    habits = Habits()
    for step, way in steps:
        match step:
            case "worked":
                habits.worked(way)
            case "forbid":
                habits.forbid([way])
            case "failed":
                habits.failed(way, "")
            case _:
                habits.doubted(way, "")
    ways = _open(habits)
    assert Way.DOUBLING not in ways or {Way.OVERLAPPING, Way.CHUNKING} <= ways
    assert Way.PIPELINING in ways or not ways
    assert not ways & {Way(name) for name in habits.mishandled}
