"""The budget of sessions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sender.engine.surroundings import Budget


def _nothing() -> None:
    """Wait for nothing."""


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_no_more_sessions_are_out_than_there_are(most: int, steps: list[bool]) -> None:
    """Sessions are given until all are out, and again when one came back."""
    budget, out = Budget(most), 0
    for taking in steps:
        if taking:
            assert budget.take(_nothing) is (out < most)
            out = min(most, out + 1)
        elif out:
            budget.give_back()
            out -= 1
        assert budget.used == out <= most


def test_who_found_none_is_called_in_turn_when_one_comes_back() -> None:
    """Each session that comes back wakes the one that has waited longest, once."""
    budget, woken = Budget(1), list[str]()
    assert budget.take(_nothing)

    def first() -> None:
        woken.append("first")

    def second() -> None:
        woken.append("second")

    for waiting in (first, second, first):
        assert not budget.take(waiting)
    budget.give_back()
    assert woken == ["first"]
    assert budget.take(_nothing)
    budget.give_back()
    assert woken == ["first", "second"]
    assert budget.take(_nothing)
    budget.give_back()
    assert woken == ["first", "second"]


def test_a_session_that_comes_back_may_be_taken_by_the_one_that_is_woken() -> None:
    """Whoever is woken finds the session that came back."""
    budget, got = Budget(1), list[bool]()
    budget.take(_nothing)
    budget.take(lambda: got.append(budget.take(_nothing)))
    budget.give_back()
    assert got == [True]
    assert budget.used == 1
