"""Waits after failures of a whole."""

from __future__ import annotations

from random import Random

from sender.core.backoff import Backoff


def test_each_failure_doubles_the_wait_up_to_the_longest() -> None:
    """Failures wait for 15, 30, 60 ... 600 s, a fifth more or less."""
    backoff, now, rng = Backoff(0.0, first_s=15.0, most_s=600.0), 0.0, Random(1)
    for expected_s in (15, 30, 60, 120, 240, 480, 600, 600):
        backoff.failed(now, rng)
        assert 0.8 * expected_s <= backoff.until - now <= 1.2 * expected_s + 1e-9
        now = backoff.until


def test_a_success_begins_with_short_waits_again() -> None:
    """After a success the next failure waits as the first one did."""
    backoff, rng = Backoff(0.0, first_s=15.0, most_s=600.0), Random(1)
    for _ in range(5):
        backoff.failed(0.0, rng)
    backoff.succeeded()
    backoff.failed(1000.0, rng)
    assert backoff.until <= 1018.0


def test_a_pause_for_another_cause_never_shortens_a_wait_and_teaches_nothing() -> None:
    """A fault of our own makes a lane wait for its time, and the waits after failures stay as they were."""
    backoff, rng = Backoff(0.0, first_s=15.0, most_s=600.0), Random(1)
    backoff.failed(0.0, rng)
    until = backoff.until
    backoff.pause(0.0, 1.0)
    assert backoff.until == until
    backoff.pause(100.0, 1.0)
    assert backoff.until == 101.0
    backoff.failed(200.0, rng)
    assert 224.0 <= backoff.until <= 236.0


def test_whoever_says_that_it_works_again_is_believed_at_once() -> None:
    """A wait that is forgotten is over, and the next one is short."""
    backoff, rng = Backoff(0.0, first_s=15.0, most_s=600.0), Random(1)
    for _ in range(5):
        backoff.failed(0.0, rng)
    backoff.forget(1.0)
    assert backoff.until == 1.0
    backoff.failed(1.0, rng)
    assert backoff.until <= 19.0
