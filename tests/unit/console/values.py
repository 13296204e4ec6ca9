"""What the calls answer with, where every text that comes from others is `text`."""

from __future__ import annotations

from typing import Any

NOW = 1_790_000_000.0
AT = "2026-09-21T14:13:20.000Z"  # NOW
EARLIER = "2026-09-21T13:43:20.000Z"  # half an hour before
Json = dict[str, Any]


def change(at: str = EARLIER, before: int = 5, after: int = 3, cause: str = "refused", text: str = "421 no") -> Json:
    """Give a change of a window."""
    return {
        "at": at,
        "from": before,
        "to": after,
        "cause": cause,
        "stage": "banner",
        "host": text,
        "reply": text,
        "times": 1,
        "act": "",
        "reason": text,
    }


def lane(text: str = "x", **facts: Any) -> Json:  # noqa: ANN401 - any fact of a lane
    """Give a lane."""
    return {
        "name": f"default/{text}",
        "source": "default",
        "site": text,
        "window": 3,
        "max_window": 100,
        "sessions": 2,
        "queued": 10,
        "deferred": 4,
        "scheduled": 0,
        "oldest_age_s": 75.0,
        "delivered_per_minute": 60,
        "present_per_minute": 60.0,
        "deferrals_per_minute": 2,
        "state": "throttled",
        "blocked_by": "window",
        "next_change_at": AT,
        "why": text,
        "explanation": [text],
        "history": [change(text=text)],
        "trend": {"since": EARLIER, "until": AT, "windows": [5] * 20 + [3] * 20},
        "suspension": {"what": f"site {text}", "since": EARLIER, "until": None, "reason": text},
        "rests": [{"kind": "mailbox", "name": text, "until": AT, "reply": text}],
        "domains": [
            {
                "domain": text,
                "site": text,
                "queued": 6,
                "deferred": 4,
                "scheduled": 0,
                "suspended": 0,
                "in_flight": 0,
                "oldest_age_s": 75.0,
                "last_reply": text,
            }
        ],
        **facts,
    }


def overview(*lanes: Json, **facts: Any) -> Json:  # noqa: ANN401 - any fact of it
    """Give what the first page is made of."""
    return {
        "lanes": list(lanes),
        "matching": len(lanes),
        "all": len(lanes),
        "totals": {"accepted": 1234567, "delivered": 1200000, "expired": 1},
        "queue": {
            "queued": 10,
            "due": 6,
            "deferred": 4,
            "scheduled": 0,
            "suspended": 3,
            "in_flight": 2,
            "oldest_age_s": 75.0,
        },
        "troubles": [],
        "held": 0,
        "suspensions": 0,
        "failing": False,
        **facts,
    }


def message(text: str = "x", recipients: int = 1, state: str = "deferred") -> Json:
    """Give a message."""
    record = {"at": EARLIER, "outcome": "deferred", "stage": "rcpt", "host": text, "reply": text, "reason": text}
    return {
        "id": "06chyk9v4k000",
        "mail_from": text,
        "stream": text,
        "accepted_at": EARLIER,
        "expires_at": AT,
        "size": 1234,
        "campaign": text,
        "metadata": {text: text},
        "recipients": [
            {
                "rcpt_to": f"{number}{text}",
                "state": state,
                "in_flight": False,
                "attempts": 1,
                "ahead": None,
                "next_attempt_at": AT if state == "deferred" else None,
                "expected_at": None,
                "expires_at": AT,
                "waiting_for": text,
                "site": text,
                "lane": f"default/{text}",
                "history": [record | {"rule": text}, {}],
            }
            for number in range(recipients)
        ],
    }


def ages(text: str = "x") -> Json:
    """Give recipients by age."""
    due, deferred = [1, 0, 0, 4, 0, 0, 0, 0, 0, 70], [0] * 10
    domain = {"domain": text, "site": text, "due": due, "deferred": deferred}
    return {
        "minutes": [5, 10, 20, 40, 80, 160, 320, 640, 1280],
        "due": due,
        "deferred": deferred,
        "domains": [domain],
        "took_s": 0.01,
    }


def found(text: str = "x") -> Json:
    """Give what was looked for."""
    row = {
        "rcpt_to": text,
        "id": "06chyk9v4k000",
        "state": "queued",
        "attempts": 0,
        "next_attempt_at": AT,
        "domain": text,
        "site": text,
        "stream": text,
        "mail_from": text,
        "accepted_at": AT,
        "ended_at": None,
    }
    return {"recipients": [row], "complete": False}


def suspension(text: str = "x", kind: str = "domain") -> Json:
    """Give something that is held."""
    return {"id": 1, "kind": kind, "value": text, "since": EARLIER, "until": None, "reason": text}
