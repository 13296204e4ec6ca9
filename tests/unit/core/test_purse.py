"""The purse: what refused tries cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sender.core.purse import Purse
from sender.core.window_rules import USUAL


def test_what_is_paid_in_advance_is_bounded() -> None:
    """However many messages are delivered, they pay for two refused tries."""
    purse = Purse.filled(USUAL, 0.0)
    for _ in range(10 * USUAL.price):
        purse.delivered()
    assert purse.debt == -2 * USUAL.price


def test_a_refusal_below_a_level_that_is_taken_is_given_back_once() -> None:
    """What a try at ten cost comes back with the eleventh session, and only once."""
    purse = Purse.filled(USUAL, 0.0)
    before = purse.debt
    purse.pay(0.0, 10, 1.0)
    purse.taken(10)
    assert purse.debt == before + USUAL.price
    purse.taken(11)
    purse.taken(12)
    assert purse.debt == before


@given(st.lists(st.one_of(st.none(), st.tuples(st.integers(1, 50), st.sampled_from([0.2, 1.0]))), max_size=300))
def test_a_debt_never_grows_beyond_four_tries(events: list[tuple[int, float] | None]) -> None:
    """Whatever happens, a lane owes at most four tries and has credit for at most what it was given."""
    purse = Purse.filled(USUAL, 0.0)
    for event in events:
        if event is None:
            purse.delivered()
        else:
            purse.pay(0.0, *event)
        assert -2 * USUAL.price <= purse.debt <= 4 * USUAL.price
