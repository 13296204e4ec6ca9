"""What is said of those who rest."""

from __future__ import annotations

import pytest

from sender.core.explain.lane import explain_lane
from sender.core.explain.recipient import explain_recipient

from .figures import HOUR, MINUTE, NOW, Figures, lane, recipient

_BUSY = "450 4.2.1 receives mail at a rate that is too high"


def _rest(kind: str, name: str, until: float = NOW + 10 * MINUTE) -> Figures:
    return {"kind": kind, "name": name, "until": until, "length_s": 600.0, "reply": _BUSY, "times": 1}


def test_a_lane_says_who_rests() -> None:
    """One sentence for each kind: how many, who, when they are tried again, and what the receiver said."""
    rests = [_rest("mailbox", f"r{number}@example.org") for number in range(7)]
    text = explain_lane(lane(rests=[*rests, _rest("identity", "", NOW + HOUR)]), NOW)
    assert (
        "7 mailboxes rest, while others go on: r2@example.org (tried in 10m (09:40 UTC)), r3@example.org (tried in 10m "
        "(09:40 UTC)), r4@example.org (tried in 10m (09:40 UTC)), r5@example.org (tried in 10m (09:40 UTC)), "
        "r6@example.org (tried in 10m (09:40 UTC)) and 2 more; the last reply to one was: "
        f'"{_BUSY}".'
    ) in text
    assert (
        "1 sending domain rests, while others go on: <> (tried in 1h (10:30 UTC)); the last reply to one was: "
        f'"{_BUSY}".'
    ) in text


@pytest.mark.parametrize(
    ("kind", "name", "who"),
    [
        ("mailbox", "ann@example.org", "mailbox ann@example.org"),
        ("domain", "example.org", "domain example.org"),
        ("identity", "shop.example", "sending domain shop.example"),
    ],
)
def test_a_recipient_says_for_whose_sake_it_waits(kind: str, name: str, who: str) -> None:
    """A recipient whose mailbox, domain or sender rests says so, with the reply."""
    waits = recipient(due_at=NOW + 10 * MINUTE)
    text = explain_recipient(waits, lane(rests=[_rest(kind, name)]), NOW)
    assert f'because {who} rests since the receiver said: "{_BUSY}".' in text
    assert "rests" not in explain_recipient(waits, lane(rests=[_rest(kind, "other")]), NOW)
