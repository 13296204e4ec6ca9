"""First turns and retries."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sender.core.schedule import HEAD_START_S, RetryPolicy, first_turn_at
from sender.core.wait import honoured

_SCHEDULE = (120.0, 300.0, 900.0, 3600.0)
_POLICY = RetryPolicy(schedule_s=_SCHEDULE, jitter=0.1, max_age_s=86400.0)
_rngs = st.integers().map(Random)


@given(st.integers(1, 100), st.floats(min_value=0, max_value=4e9), _rngs)
def test_the_next_attempt_follows_the_schedule_within_its_jitter(attempts: int, now: float, rng: Random) -> None:
    """After attempt n the n-th wait passes, 10 % more or less; the last wait repeats."""
    wait_s = _POLICY.next_attempt_at(attempts=attempts, now=now, rng=rng) - now
    expected_s = _SCHEDULE[min(attempts, 4) - 1]
    assert 0.9 * expected_s - 1e-3 <= wait_s <= 1.1 * expected_s + 1e-3


@given(st.integers(1, 100), st.floats(min_value=0, max_value=1e6), _rngs)
def test_a_wait_that_the_reply_named_is_never_cut_short(attempts: int, retry_after_s: float, rng: Random) -> None:
    """A named wait takes the place of the schedule, and jitter only lengthens it."""
    wait_s = _POLICY.next_attempt_at(attempts=attempts, now=0.0, rng=rng, retry_after_s=retry_after_s)
    assert honoured(retry_after_s) <= wait_s <= 1.1 * honoured(retry_after_s) + 1e-6


def test_without_jitter_the_schedule_is_exact() -> None:
    """A jitter of 0 gives the configured waits themselves."""
    policy = RetryPolicy(schedule_s=_SCHEDULE, jitter=0.0, max_age_s=1.0)
    waits = [policy.next_attempt_at(attempts=n, now=0.0, rng=Random(1)) for n in range(1, 7)]
    assert waits == [120, 300, 900, 3600, 3600, 3600]


def test_jitter_spreads_recipients_that_fail_together() -> None:
    """Two hundred recipients that fail at one instant are not tried again at one instant."""
    rng = Random(1)
    assert len({_POLICY.next_attempt_at(attempts=1, now=0.0, rng=rng) for _ in range(200)}) == 200


def test_a_message_expires_at_its_greatest_age() -> None:
    """The last attempt is made `max_age_s` after acceptance."""
    assert _POLICY.expires_at(1000.0) == 87400.0


@given(st.floats(min_value=1e9, max_value=4e9), st.integers(0, 100_000), st.integers(0, 10**9))
def test_new_mail_is_due_at_once(accepted_at: float, position: int, size: int) -> None:
    """No size and no number of recipients puts a first turn into the future."""
    assert accepted_at - HEAD_START_S <= first_turn_at(accepted_at=accepted_at, position=position, size=size)
    assert first_turn_at(accepted_at=accepted_at, position=position, size=size) <= accepted_at


def test_a_small_message_passes_the_late_recipients_of_a_large_one() -> None:
    """A message accepted 10 s later goes before the thousandth recipient of an earlier one, not before its first."""
    late = first_turn_at(accepted_at=1010.0, position=0, size=1000)
    assert first_turn_at(accepted_at=1000.0, position=1000, size=1000) > late
    assert first_turn_at(accepted_at=1000.0, position=0, size=1000) < late
    assert first_turn_at(accepted_at=1000.0, position=0, size=25_000_000) > late
