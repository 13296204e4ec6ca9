"""Lanes in half a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from sender.core.explain import explain_shortly
from sender.core.explain.words import BLOCKS

from .figures import NOW, lane


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "no mail is due"),
        ({"queued": 5, "deferred": 5}, "no mail is due"),
        ({"queued": 5}, "opens one session after another, until one is refused"),
        ({"queued": 5, "growing": False}, "nothing holds it back"),
        ({"queued": 5, "connect_failure": "refused"}, "the last connection failed: refused"),
        ({"blocked_by": "asleep"}, "no mail is due"),
        ({"blocked_by": "asleep", "queued": 5}, "no process serves it"),
        (
            {"blocked_by": "window", "window": 3, "next_change_at": NOW + 12},
            "all 3 sessions that the receiver allows are in use; one more is tried in 12s",
        ),
        ({"blocked_by": "window", "window": 1}, "the one session that the receiver allows is in use"),
        (
            {"blocked_by": "connect_failed", "connect_failure": "timed out", "next_change_at": NOW + 40},
            "no connection: timed out; tried again in 40s",
        ),
        ({"blocked_by": "hold", "next_change_at": NOW + 30}, "the receiver asked for a rest; that ends in 30s"),
        ({"blocked_by": "spool"}, "outcomes cannot be recorded, so nothing is sent"),
        (
            {"blocked_by": "suspended", "suspension": {"reason": "they asked", "until": NOW + 5}},
            'suspended ("they asked"), it goes on by itself in 5s',
        ),
        ({"blocked_by": "suspended", "suspension": {"reason": "", "until": None}}, "suspended, until it is resumed"),
        ({"blocked_by": "", "suspension": {"reason": "", "until": None}}, "suspended, until it is resumed"),
        (
            {"blocked_by": "hold", "taught": {"cause": "blocked"}, "next_change_at": NOW + 30},
            "the receiver refused us for our reputation; that ends in 30s",
        ),
        ({"blocked_by": "suspended"}, "suspended, until it is resumed"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value.get("blocked_by", "open")),
)
def test_it_says_what_holds_a_lane_back_and_when_that_ends(facts: dict[str, Any], text: str) -> None:
    """Whoever reads a table need not open the lane."""
    assert explain_shortly(lane(**facts), NOW) == text


@pytest.mark.parametrize("by", sorted(BLOCKS))
def test_everything_that_can_hold_a_lane_back_has_words(by: str) -> None:
    """No word of the code is shown."""
    text = explain_shortly(lane(blocked_by=by, queued=1, next_change_at=NOW + 9), NOW)
    assert "_" not in text.replace("delivery.max_sessions", "")
