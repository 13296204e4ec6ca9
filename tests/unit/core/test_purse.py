"""The purse: what refused tries cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sender.core.purse import Purse
from sender.core.window_rules import USUAL


def test_deliveries_pay_for_refused_tries_and_for_none_in_advance() -> None:
    """However many messages were delivered before, a refused try is to be paid for by those that come after it."""
    purse = Purse(USUAL, 0.0, 0)
    for _ in range(10 * USUAL.price):
        purse.delivered()
    purse.pay(0.0, 10, 1.0)
    assert purse.debt == USUAL.price
    purse.delivered()
    assert purse.debt == USUAL.price - 1


def test_one_try_may_be_paid_for_in_advance() -> None:
    """A debt below zero is no more than that: deliveries add nothing to it."""
    purse = Purse(USUAL, 0.0, -USUAL.price)
    purse.delivered()
    assert purse.debt == -USUAL.price
    purse.pay(0.0, 10, 1.0)
    assert purse.debt == 0


def test_a_refusal_below_a_level_that_is_taken_is_given_back_once() -> None:
    """What a try at ten cost comes back with the eleventh session, and only once."""
    purse = Purse(USUAL, 0.0, 0)
    purse.pay(0.0, 9, 1.0)
    purse.pay(0.0, 10, 1.0)
    purse.taken(10)
    assert purse.debt == 2 * USUAL.price
    purse.taken(11)
    purse.taken(12)
    assert purse.debt == USUAL.price


@given(st.lists(st.one_of(st.none(), st.tuples(st.integers(1, 50), st.sampled_from([0.2, 1.0]))), max_size=300))
def test_a_debt_never_grows_beyond_four_tries(events: list[tuple[int, float] | None]) -> None:
    """Whatever happens, a lane owes at most four tries."""
    purse = Purse(USUAL, 0.0, 0)
    for event in events:
        if event is None:
            purse.delivered()
        else:
            purse.pay(0.0, *event)
        assert 0 <= purse.debt <= 4 * USUAL.price
