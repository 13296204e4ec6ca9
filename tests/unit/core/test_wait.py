"""Waits that replies name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.wait import LONGEST_S, SHORTEST_S, honoured, wait_named_in


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 300 seconds", 300),
        ("retry after 5 minutes", 300),
        ("Retry in 1 hour.", 3600),
        ("come back in 2 days", 172800),
        ("greylisted for 120s", 120),
        ("wait 10 min and resend", 600),
        ("please try later (15 mins)", 900),
        ("Greylisted, try again after 00:05:30", 330),
        ("TRY AGAIN IN 30 SECS", 30),
        ("please wait at least 45 seconds", 45),
    ],
)
def test_a_wait_is_found_in_its_usual_wordings(words: str, seconds: float) -> None:
    """A wait with its unit, or as hours, minutes and seconds, is read in seconds."""
    assert wait_named_in(words) == seconds


@pytest.mark.parametrize(
    "words",
    [
        "",
        "try again later",
        "mailbox is limited to 25 messages",
        "size limit for messages is 30 megabytes",
        "blocked since 3 days",
        "see https://example.org/errors/300",
        "4 minutes",
    ],
)
def test_a_number_that_is_no_wait_is_not_taken_for_one(words: str) -> None:
    """Sizes, counts and addresses name no wait."""
    assert wait_named_in(words) is None


@given(st.floats(min_value=0, max_value=1e9))
def test_a_wait_is_honoured_with_ten_percent_more_within_bounds(seconds: float) -> None:
    """What is waited is 10 % more than was asked, but never under a second or over six hours."""
    waited = honoured(seconds)
    assert SHORTEST_S <= waited <= LONGEST_S
    if 1 <= seconds <= 5 * 3600:
        assert waited == pytest.approx(seconds * 1.1)
