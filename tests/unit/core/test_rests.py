"""Rests: who is throttled by itself is left alone for a while."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.rests import FIRST_S, FORGOTTEN_S, KEPT, MOST_S, REMEMBERED, SPREAD, Kind, Rests, Subject

_NOW = 1_790_000_000.0
_ANN = Subject(Kind.MAILBOX, "ann@example.org")
_EXAMPLE = Subject(Kind.DOMAIN, "example.org")
_BOB = Subject(Kind.MAILBOX, "bob@example.org")


class _Exact(Random):
    """Jitters nothing."""

    def uniform(self, a: float, b: float) -> float:
        """Give the lower end."""
        return a


def _begin(rests: Rests, subject: Subject, now: float, retry_after_s: float | None = None) -> float:
    return rests.begin(subject, now, _Exact(), retry_after_s=retry_after_s) - now


def test_a_rest_doubles_up_to_a_day_while_it_goes_on() -> None:
    """Refused again after each rest, a mailbox rests for 10, 20, 40 ... minutes, and never for more than a day."""
    rests, now, lengths = Rests(), _NOW, []
    for _ in range(10):
        lengths.append(_begin(rests, _ANN, now))
        now += lengths[-1]
    assert lengths == [min(MOST_S, FIRST_S * 2**number) for number in range(10)]


def test_a_refusal_during_a_rest_does_not_lengthen_it() -> None:
    """What was under way when the rest began, and is refused too, is the same event."""
    rests = Rests()
    _begin(rests, _ANN, _NOW)
    assert _begin(rests, _ANN, _NOW + 5) == FIRST_S - 5
    assert rests.until([_ANN], _NOW + FIRST_S) is None


def test_a_wait_that_was_named_decides() -> None:
    """A reply that names 5 minutes makes a rest of those and 10 %, and the next one without a wait is 20 minutes."""
    rests = Rests()
    assert _begin(rests, _ANN, _NOW, 300.0) == pytest.approx(330.0)
    assert _begin(rests, _ANN, _NOW + 331) == 2 * FIRST_S


def test_a_message_that_is_taken_ends_it() -> None:
    """When a mailbox takes a message it rests no more."""
    rests = Rests()
    _begin(rests, _ANN, _NOW)
    rests.taken([_ANN], _NOW + 1)
    assert rests.until([_ANN], _NOW + 1) is None


def test_who_is_refused_again_soon_after_a_message_was_taken_rests_for_the_same_time() -> None:
    """Twice as long only where nothing was taken since; after as long a calm as the rest was, it is the first again."""
    rests = Rests()
    _begin(rests, _ANN, _NOW)
    second_at = _NOW + 2 * FIRST_S
    assert _begin(rests, _ANN, second_at) == 2 * FIRST_S
    third_at = second_at + 3 * FIRST_S
    rests.taken([_ANN], third_at)
    assert rests.again([_ANN, _EXAMPLE], third_at + 1) == _ANN
    assert _begin(rests, _ANN, third_at + 1) == 2 * FIRST_S
    fourth_at = third_at + 4 * FIRST_S
    rests.taken([_ANN], fourth_at)
    assert rests.again([_ANN], fourth_at + 2 * FIRST_S) is None
    assert _begin(rests, _ANN, fourth_at + 2 * FIRST_S) == FIRST_S


def test_who_has_rested_and_is_refused_again_is_to_blame() -> None:
    """The narrowest of those whom a message concerns; who never rested is not, nor who rested a day ago."""
    rests = Rests()
    until = _begin(rests, _EXAMPLE, _NOW) + _NOW
    assert rests.again([_ANN, _EXAMPLE], until + 1) == _EXAMPLE
    assert rests.again([_ANN], until + 1) is None
    assert rests.again([_EXAMPLE], until + 2 * 86400) is None


def test_a_rest_of_long_ago_says_nothing() -> None:
    """A day after a rest has ended the next one is the first again."""
    rests = Rests()
    _begin(rests, _ANN, _NOW)
    assert _begin(rests, _ANN, _NOW + FIRST_S + FORGOTTEN_S + 1) == FIRST_S


def test_neighbours_do_not_rest() -> None:
    """Of two mailboxes only the one that was refused rests; whoever concerns both waits for the later end."""
    rests = Rests()
    _begin(rests, _ANN, _NOW)
    assert rests.until([_BOB], _NOW) is None
    _begin(rests, Subject(Kind.DOMAIN, "example.org"), _NOW + 60)
    assert rests.until([_BOB, Subject(Kind.DOMAIN, "example.org")], _NOW + 60) == _NOW + 60 + FIRST_S


@given(st.floats(0, 1e6), st.integers(0, 2**32))
def test_rests_are_spread(wait_s: float, seed: int) -> None:
    """A rest is never shorter than what was named, and at most a tenth longer than that and its own tenth."""
    until = Rests().begin(_ANN, _NOW, Random(seed), retry_after_s=wait_s)
    assert min(max(wait_s, 1.0), 6 * 3600) <= until - _NOW + 1e-6
    assert until - _NOW <= max(wait_s * 1.1, 1.0) * (1 + SPREAD) + 1e-6


def test_what_is_remembered_goes_on() -> None:
    """Rests over a restart end when they would have, and grow from where they were; a message's is not kept."""
    rests, after = Rests(), Rests()
    _begin(rests, _ANN, _NOW)
    _begin(rests, Subject(Kind.MESSAGE, "m1"), _NOW)
    kept = rests.remember(_NOW + 60)
    assert [row["name"] for row in kept] == ["ann@example.org"]
    after.restore(kept)
    assert after.until([_ANN], _NOW + 60) == _NOW + FIRST_S
    assert _begin(after, _ANN, _NOW + FIRST_S) == 2 * FIRST_S


def test_memory_is_bounded() -> None:
    """Of very many rests the oldest are forgotten, and over a restart only the latest are kept."""
    rests = Rests()
    for number in range(KEPT + 10):
        _begin(rests, Subject(Kind.MAILBOX, f"{number}@example.org"), _NOW)
    assert len(rests.now(_NOW)) == KEPT
    kept = rests.remember(_NOW)
    assert len(kept) == REMEMBERED
    assert kept[-1]["name"] == f"{KEPT + 9}@example.org"
