"""Figures of lanes and recipients, as `engine/views.py` gives them, and the instants that the texts are read at."""

from __future__ import annotations

from typing import Any

NOW = 1_790_000_000.0 - 1_790_000_000.0 % 86400 + 9.5 * 3600  # half past nine, UTC
MINUTE, HOUR = 60.0, 3600.0
TOO_MANY = "421 4.7.0 mx1.example.org too many connections"

Figures = dict[str, Any]


def change(before: int, after: int, at: float, cause: str = "refused", **facts: Any) -> Figures:  # noqa: ANN401
    """Write a change of a window as a diary does; a refusal came at the banner of mx1.example.org."""
    taught = cause not in {"taken", "remembered", "operator"}
    return {
        "at": at,
        "from": before,
        "to": after,
        "cause": cause,
        "stage": "banner" if taught else "",
        "host": "mx1.example.org" if taught else "",
        "reply": TOO_MANY if taught else "",
        "times": 1,
        "act": "",
        "reason": "",
        **facts,
    }


def lane(**facts: Any) -> Figures:  # noqa: ANN401 - any fact of a lane
    """Give the figures of a lane that has just begun, with some of them as a test wants them."""
    tried = {"taken": 0, "taken_from": None, "taken_at": None, "refused": 0, "refused_at": None, "reply": ""}
    return {
        "name": "default/mx.example.org",
        "window": 5,
        "max_window": 100,
        "growing": True,
        "sessions": 0,
        "queued": 0,
        "deferred": 0,
        "scheduled": 0,
        "present_per_minute": 0,
        "blocked_by": "",
        "next_change_at": None,
        "next_try_at": None,
        "probe_debt": 0,
        "messages_per_second": None,
        "paced": None,
        "connect_failure": "",
        "next_connect_at": None,
        "mishandled": [],
        "suspension": None,
        "shared_with": [],
        "share_sessions": facts.get("sessions", 0),
        "began_at": NOW - 2 * HOUR,
        "remembered_age_s": None,
        "remembered_at": None,
        "rests": [],
        "history": [],
        "taught": None,
        **facts,
        "tried": {**tried, **facts.get("tried", {})},
    }


def recipient(**facts: Any) -> Figures:  # noqa: ANN401 - any fact of a recipient
    """Give the figures of a recipient that is due, with some of them as a test wants them."""
    return {
        "state": "queued",
        "rcpt_to": "Ann@example.org",
        "domain": "example.org",
        "mail_from": "news@shop.example",
        "history": [],
        "due_at": NOW - 1,
        "attempts": 0,
        "ahead": None,
        "send_at": None,
        "expires_at": None,
        "suspension": None,
        **facts,
    }
