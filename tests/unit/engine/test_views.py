"""What operators see of the queue and of a message."""

from __future__ import annotations

from typing import Any

import pytest

from sender.core.selection import Kind, Selection
from sender.engine.views import held_by, message_view, queue_view
from sender.spool.contract import Suspension

_AT = 1_790_000_000.0


def _row(domain: str, **figures: Any) -> dict[str, Any]:  # noqa: ANN401 - figures of a queue
    counts = dict.fromkeys(("queued", "due", "deferred", "scheduled", "held", "in_flight"), 0)
    place = {"domain": domain, "site": f"mx.{domain}", "stream": "default", "last_reply": "", "oldest_age_s": 0.0}
    return {**place, **counts, **figures}


def test_scheduled_mail_is_queued_and_told_apart() -> None:
    """By domain and in all it is counted in what is queued, and by itself."""
    rows = [_row("a.test", queued=5, due=2, scheduled=3), _row("b.test", queued=4, scheduled=4)]
    view = queue_view(rows, lambda _: False)
    assert [view[name] for name in ("queued", "due", "scheduled")] == [9, 2, 7]
    assert [(each["domain"], each["queued"], each["scheduled"]) for each in view["domains"]] == [
        ("a.test", 5, 3),
        ("b.test", 4, 4),
    ]


def test_scheduled_mail_that_is_held_is_suspended() -> None:
    """What an operator holds is neither queued nor scheduled."""
    held = Suspension(id=1, selection=Selection(Kind.DOMAIN, "a.test"), since=_AT, until=None, reason="")
    rows = [_row("a.test", queued=5, scheduled=3), _row("b.test", queued=4, scheduled=4)]
    view = queue_view(rows, held_by([held]))
    assert [view[name] for name in ("queued", "suspended", "scheduled")] == [4, 5, 4]
    assert {each["domain"]: each["scheduled"] for each in view["domains"]} == {"a.test": 0, "b.test": 4}


def test_a_queue_tells_whose_mail_waits() -> None:
    """By stream everything that has not ended is counted, the oldest first."""
    rows = [
        _row("a.test", stream="news", queued=5, deferred=2, oldest_age_s=9.0),
        _row("b.test", stream="news", held=1, in_flight=1, oldest_age_s=3.0),
        _row("a.test", stream="orders", queued=1, oldest_age_s=20.0),
    ]
    assert queue_view(rows, lambda _: False)["streams"] == [
        {"stream": "orders", "waiting": 1, "oldest_age_s": 20.0},
        {"stream": "news", "waiting": 7, "oldest_age_s": 9.0},
    ]


@pytest.mark.parametrize("asked", [{}, {"send_at": _AT, "campaign": "spring", "metadata": {"paid_at": 5, "at": [1]}}])
def test_a_message_shows_what_its_client_asked_for(asked: dict[str, Any]) -> None:
    """Instants of ours are written as text; what is the client's own is shown as it came."""
    report = {
        "id": "06chyk9v4k000",
        "mail_from": "me@a.test",
        "stream": "default",
        "priority": 1,
        "accepted_at": _AT,
        "size": 5,
        "expires_at": None,
        **asked,
        "recipients": [{"rcpt_to": "left out here"}],
    }
    view = message_view(report, [], _AT)
    told = {name: view.pop(name) for name in asked}
    assert view == {
        "id": "06chyk9v4k000",
        "mail_from": "me@a.test",
        "stream": "default",
        "accepted_at": "2026-09-21T14:13:20.000Z",
        "size": 5,
        "expires_at": None,
        "recipients": [],
    }
    assert told == {**asked, **({"send_at": "2026-09-21T14:13:20.000Z"} if asked else {})}
