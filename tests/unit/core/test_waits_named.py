"""The waits that replies name, in the forms and languages in which they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.wait import LONGEST_S, SHORTEST_S, honoured, wait_named_in

_NOON_S = 20000 * 86400 + 12 * 3600.0


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("try again in 300 seconds", 300),
        ("retry after 5 minutes", 300),
        ("please wait 2 hours", 7200),
        ("come back in 1h", 3600),
        ("greylisted for 10 min.", 600),
        ("retry in 45s", 45),
        ("please retry after 00:05:00", 300),
        ("wait 5 minutes and 30 seconds", 330),
        ("try again in 1 hour, 30 minutes", 5400),
        ("greylisted (120 seconds)", 120),
        ("300 seconds remaining", 300),
        ("Retry-After: 90", 90),
        ("blocked for 1 day", 86400),
        ("bitte in 5 Minuten erneut, nicht früher: warten 5 Minuten", 300),
        ("bitte warten Sie 30 Sekunden", 30),
        ("veuillez réessayer dans 10 minutes", 600),
        ("attendez 2 heures", 7200),
        ("intente de nuevo en 15 minutos", 900),
        ("espere 20 segundos", 20),
        ("tente novamente em 5 minutos", 300),
        ("riprova tra 10 minuti", 600),
        ("probeer het opnieuw over 5 minuten", 300),
        ("spróbuj ponownie za 3 minuty", 180),
        ("повторите попытку через 5 минут", 300),
        ("请在60秒后重试", 60),
        ("come back in an hour", 3600),
        ("retry in five minutes", 300),
        ("wait half an hour", 1800),
        ("bitte in einer Stunde erneut", 3600),
        ("réessayez dans une heure", 3600),
        ("riprova tra un'ora", 3600),
        ("retry-after=120", 120),
        ("請等待 5 分鐘", 300),
    ],
)
def test_a_wait_is_read_in_its_unit_and_language(words: str, seconds: float) -> None:
    """Seconds, minutes, hours, days and clocks, behind the words that ask one to come back."""
    assert wait_named_in(words) == seconds


@pytest.mark.parametrize(
    "words",
    [
        "try again later",
        "too many messages in the last 10 minutes",
        "100 messages per 60 minutes are allowed",
        "you have sent 500 messages in 24 hours",
        "more messages than we allow in an hour",
        "try again in a few minutes",
        "see RFC 5321 section 4",
        "try again. Our limit is 20 minutes of patience",
    ],
)
def test_what_is_measured_is_no_wait(words: str) -> None:
    """A figure that says how much was too much does not say when to come back."""
    assert wait_named_in(words) is None


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("try again at 14:30", 9000),
        ("try again after 11:00", 23 * 3600),
        ("blocked until 12:10 UTC", 600),
        ("retry at 14:00 +0100", 3600),
        ("retry at 1:30 pm", 5400),
    ],
)
def test_a_time_of_day_is_counted_from_now(words: str, seconds: float) -> None:
    """It is the next such time, in UTC or in the zone that is given; without a clock it is not honoured."""
    assert wait_named_in(words, _NOON_S) == seconds
    assert wait_named_in(words) is None


@given(st.floats(min_value=0, max_value=1e9))
def test_a_wait_is_honoured_with_a_tenth_more_within_bounds(seconds: float) -> None:
    """What is waited is 10 % more than was asked, and never less than a second or more than six hours."""
    assert SHORTEST_S <= honoured(seconds) <= LONGEST_S
    if SHORTEST_S < seconds < LONGEST_S / 2:
        assert honoured(seconds) == pytest.approx(seconds * 1.1)


@given(st.text())
def test_any_text_has_a_wait_or_none(words: str) -> None:
    """No text makes the reader of waits fail, and no wait is negative."""
    wait_s = wait_named_in(words, _NOON_S)
    assert wait_s is None or wait_s >= 0
