"""A budget that refills."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sender.core.bucket import Bucket


def test_a_minute_of_the_rate_may_be_used_at_once() -> None:
    """What is left is then had at the rate; a wait is named exactly, and nothing is taken meanwhile."""
    bucket = Bucket(2.0)
    assert [bucket.take(5.0) for _ in range(120)] == [0.0] * 120
    assert bucket.take(5.0) == 0.5
    assert bucket.take(5.25) == 0.25
    assert bucket.take(5.5) == 0.0
    assert bucket.take(5.5, 3) == 1.5


def test_a_slow_rate_has_a_few_at_once() -> None:
    """One message in an hour may still have ten recipients."""
    bucket = Bucket(1 / 3600)
    assert bucket.take(1.0, 10) == 0.0
    assert bucket.take(1.0) == 3600.0


def test_more_than_the_whole_budget_is_given_once_and_owed() -> None:
    """A large message is not refused for ever; what follows waits until it is paid."""
    bucket = Bucket(1.0)
    assert bucket.take(1.0, 90) == 0.0
    assert bucket.take(1.0) == 31.0
    assert bucket.take(32.0) == 0.0


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 50)), max_size=60), st.floats(0.1, 50))
def test_no_more_is_given_than_the_rate_and_one_budget(asked: list[tuple[float, int]], rate: float) -> None:
    """Whatever is asked for, what is given over any time is bounded."""
    bucket, now, given_out = Bucket(rate), 1.0, 0
    for pause, count in asked:
        now += pause
        given_out += count if bucket.take(now, count) == 0 else 0
    assert given_out <= max(10, 60 * rate) + (now - 1.0) * rate + 50
