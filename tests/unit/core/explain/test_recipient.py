"""Whole explanations of recipients: figures in, sentences out."""

from __future__ import annotations

from typing import Any

import pytest

from sender.core.explain import expected_at, explain_recipient

from .figures import HOUR, NOW, lane, recipient

_BUSY = lane(window=4, growing=False, queued=120, present_per_minute=60, blocked_by="window", next_change_at=NOW + 30)
_HELD = {"what": "message 06chyk9v4k000", "since": NOW - 30, "until": None}
_DOWN = lane(queued=8, blocked_by="connect_failed", next_change_at=NOW + 100)


@pytest.mark.parametrize(
    ("figures", "served_by", "text"),
    [
        (
            recipient(ahead=119, expires_at=NOW + 3 * 86400),
            _BUSY,
            (
                "It is due, and waits for its turn in default/mx.example.org. 119 recipients go before it; "
                "at the present rate, 60 per minute, it goes in 1m 59s (09:31 UTC). "
                "In that lane every session that the receiver allows is in use; one more is tried in 30s. "
                "If it has not been delivered in 3d, it is returned to its sender."
            ),
        ),
        (
            recipient(ahead=7),
            _DOWN,
            (
                "It is due, and waits for its turn in default/mx.example.org. 7 recipients go before it; "
                "none was delivered in the last minute. "
                "That lane waits because no connection to the receiver can be made; that ends in 1m 40s (09:31 UTC)."
            ),
        ),
        (
            recipient(ahead=0),
            lane(queued=1),
            "It is due, and waits for its turn in default/mx.example.org. No other goes before it.",
        ),
        (recipient(), None, "It is due, and goes as soon as a lane serves it."),
        (
            recipient(
                due_at=NOW + 90,
                attempts=2,
                ahead=1000,
                expires_at=NOW + 2 * HOUR,
                history=[{"host": "mx1.example.org", "reply": "450 4.2.0 later"}],
            ),
            _BUSY,
            (
                "It waits until its next attempt, in 1m 30s (09:31 UTC), because attempt 2 was deferred. "
                "1,000 recipients go before it; at the present rate, 60 per minute, it goes in 16m 40s (09:46 UTC). "
                "In that lane every session that the receiver allows is in use; one more is tried in 30s. "
                "If it has not been delivered in 2h (11:30 UTC), it is returned to its sender. "
                "The last answer from mx1.example.org was: 450 4.2.0 later"
            ),
        ),
        (
            recipient(due_at=NOW + 90),
            None,
            "It waits until its next attempt, in 1m 30s (09:31 UTC), because it was scheduled so.",
        ),
        (
            recipient(attempts=9, expires_at=NOW - 1),
            None,
            "It is due, and goes as soon as a lane serves it. Its time is over: the next attempt is the last one.",
        ),
        (recipient(state="in_flight"), _BUSY, "It is being tried right now."),
        (recipient(state="in_flight", ahead=3), None, "It is being tried right now."),
        (
            recipient(state="in_flight", ahead=3, expires_at=NOW + 30),
            _BUSY,
            (
                "It is among the next in default/mx.example.org. 3 recipients go before it; "
                "at the present rate, 60 per minute, it goes in 3s. "
                "In that lane every session that the receiver allows is in use; one more is tried in 30s. "
                "If it has not been delivered in 30s, it is returned to its sender."
            ),
        ),
        (
            recipient(state="bounced", history=[{"host": "", "reply": "550 5.1.1 no such user"}]),
            None,
            "It is bounced; nothing more happens. The last answer was: 550 5.1.1 no such user",
        ),
        (recipient(state="suspended"), None, "An operator holds it; it goes when it is resumed."),
        (
            recipient(
                state="suspended",
                suspension={"what": "domain example.org", "since": NOW - 30, "until": None, "reason": ""},
            ),
            None,
            "An operator suspended domain example.org 30s ago; it goes when it is resumed.",
        ),
        (
            recipient(
                state="suspended",
                suspension={**_HELD, "reason": "damaged: it has no content"},
            ),
            None,
            (
                "It has been held since it was found to be damaged, 30s ago: it has no content. "
                "It is tried again when it is resumed, and ends when it is bounced or deleted."
            ),
        ),
        (
            recipient(
                state="suspended",
                suspension={**_HELD, "reason": "poison: ValueError('x')"},
            ),
            None,
            (
                "It has been held since it was found to make the daemon fail, 30s ago: ValueError('x'). "
                "It is tried again when it is resumed, and ends when it is bounced or deleted."
            ),
        ),
        (
            recipient(due_at=NOW + HOUR, send_at=NOW + HOUR, expires_at=NOW + 25 * HOUR),
            None,
            (
                "It is to be sent at Mon, 21 Sep 2026 10:30:00 GMT, in 1h (10:30 UTC). "
                "If it has not been delivered in 1d 1h, it is returned to its sender."
            ),
        ),
        (recipient(send_at=NOW + HOUR), None, "It is due, and goes as soon as a lane serves it."),
        (
            recipient(due_at=NOW + 90, send_at=NOW - HOUR, attempts=1, history=[{"reply": "450 4.2.0 later"}]),
            None,
            (
                "It waits until its next attempt, in 1m 30s (09:31 UTC), because attempt 1 was deferred. "
                "The last answer was: 450 4.2.0 later"
            ),
        ),
        (
            recipient(state="removed", history=[{"at": "2026-09-21T09:00:00.000Z"}]),
            None,
            "It is removed; nothing more happens. The last answer was: ",
        ),
    ],
)
def test_a_recipient_says_why_it_is_where_it_is_and_when_it_goes(
    figures: dict[str, Any], served_by: dict[str, Any] | None, text: str
) -> None:
    """The state, who goes first and how fast, what holds the lane back, and the end of its time are sentences."""
    assert explain_recipient(figures, served_by, NOW) == text


@pytest.mark.parametrize(
    ("figures", "served_by", "at"),
    [
        (recipient(ahead=120), _BUSY, NOW + 120),
        (recipient(ahead=1, due_at=NOW + HOUR), _BUSY, NOW + HOUR),
        (recipient(ahead=0), lane(), NOW),
        (recipient(ahead=0, due_at=NOW + 9), lane(), NOW + 9),
        (recipient(ahead=0), _DOWN, None),
        (recipient(ahead=3), lane(), None),
        (recipient(ahead=3), lane(present_per_minute=60, blocked_by="suspended"), None),
        (recipient(ahead=None), _BUSY, None),
        (recipient(ahead=3), None, None),
    ],
)
def test_the_estimate_is_the_place_in_line_at_the_present_rate(
    figures: dict[str, Any], served_by: dict[str, Any] | None, at: float | None
) -> None:
    """A recipient goes when it is due and those before it have gone; where the rate is unknown nothing is promised."""
    assert expected_at(figures, served_by, NOW) == at
