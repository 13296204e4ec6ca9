"""What operators see, as JSON values: from the running lanes and the spool, or from the spool alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sender.core.explain import explain_lane, explain_recipient
from sender.observe.events import instant
from sender.spool.contract import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sender.clock import Clock
    from sender.engine.lane import Lane
    from sender.spool.contract import Suspension

Row = dict[str, Any]


def lane_figures(lane: Lane, rows: Iterable[Row], clock: Clock) -> Row:
    """Give the figures of a running lane; instants are seconds since 1970."""
    now = clock.steady()
    next_change_at = lane.next_change_at
    mine = list(rows)
    window = lane.window
    return {
        "name": lane.name,
        "source": lane.source,
        "site": lane.site,
        "window": window.limit,
        "max_window": window.ceiling,
        "growing": window.growing,
        "sessions": lane.sessions,
        "queued": sum(row["queued"] + row["in_flight"] for row in mine),
        "deferred": sum(row["deferred"] for row in mine),
        "oldest_age_s": max((row["oldest_age_s"] for row in mine), default=0.0),
        "delivered_per_minute": lane.delivered.value(now),
        "deferrals_per_minute": lane.deferrals.value(now),
        "state": lane.state,
        "blocked_by": lane.blocked_by,
        "next_change_at": None if next_change_at is None else clock.wall_at(next_change_at),
        "probe_debt": window.owed,
        "messages_per_second": lane.pace.per_second,
        "messages_per_session": lane.messages_per_session,
        "max_recipients": lane.max_recipients,
        "mishandled": lane.habits.mishandled,
        "connect_failure": lane.connect_failure,
        "last_refusal": {"stage": lane.diary.stage, "reply": lane.diary.reply} if lane.diary.reply else None,
        "history": lane.diary.entries(),
    }


def remembered_figures(name: str, memory: Mapping[str, Any], rows: Iterable[Row]) -> Row:
    """Give the figures of a lane that no process serves now."""
    source, _, site = name.partition("/")
    mine = list(rows)
    return {
        "name": name,
        "source": source,
        "site": site,
        "window": memory["limit"],
        "max_window": memory["limit"],
        "growing": False,
        "sessions": 0,
        "queued": sum(row["queued"] + row["in_flight"] for row in mine),
        "deferred": sum(row["deferred"] for row in mine),
        "oldest_age_s": max((row["oldest_age_s"] for row in mine), default=0.0),
        "delivered_per_minute": 0,
        "deferrals_per_minute": 0,
        "state": "open",
        "blocked_by": "asleep",
        "next_change_at": None,
        "probe_debt": 0,
        "messages_per_second": memory.get("per_second"),
        "messages_per_session": memory.get("messages_per_session"),
        "max_recipients": None,
        "mishandled": sorted(memory.get("mishandled", ())),
        "connect_failure": "",
        "last_refusal": None,
        "history": list(memory.get("history", [])),
    }


def shown_lane(figures: Row, now: float) -> Row:
    """Put the explanation beside the figures, and write instants as text."""
    at = figures["next_change_at"]
    return {
        **figures,
        "next_change_at": None if at is None else instant(at),
        "history": [{**change, "at": instant(change["at"])} for change in figures["history"]],
        "explanation": explain_lane(figures, now),
    }


def queue_view(rows: Sequence[Row], held: Callable[[Row], bool]) -> Row:
    """Sum the spool's figures up, by domain and in all."""
    domains: dict[str, Row] = {}
    total = {"queued": 0, "due": 0, "deferred": 0, "suspended": 0, "in_flight": 0, "oldest_age_s": 0.0}
    for row in rows:
        suspended = row["held"] + (row["queued"] if held(row) else 0)
        queued = 0 if held(row) else row["queued"]
        total["queued"] += queued
        total["due"] += 0 if held(row) else row["due"]
        total["deferred"] += row["deferred"]
        total["suspended"] += suspended
        total["in_flight"] += row["in_flight"]
        total["oldest_age_s"] = max(total["oldest_age_s"], row["oldest_age_s"])
        domain = domains.setdefault(
            row["domain"],
            {
                "domain": row["domain"],
                "site": row["site"],
                "queued": 0,
                "deferred": 0,
                "suspended": 0,
                "in_flight": 0,
                "oldest_age_s": 0.0,
                "last_reply": row["last_reply"],
            },
        )
        domain["queued"] += queued
        domain["deferred"] += row["deferred"]
        domain["suspended"] += suspended
        domain["in_flight"] += row["in_flight"]
        domain["oldest_age_s"] = max(domain["oldest_age_s"], row["oldest_age_s"])
    by_size = sorted(domains.values(), key=lambda domain: (-domain["queued"] - domain["suspended"], domain["domain"]))
    return {**total, "domains": by_size}


def held_by(suspensions: Sequence[Suspension]) -> Callable[[Row], bool]:
    """Give the test whether a queue is suspended as a whole."""

    def held(row: Row) -> bool:
        return any(
            suspension.selection.covers(domain=row["domain"], site=row["site"], source=None, stream=row["stream"])
            for suspension in suspensions
        )

    return held


def message_view(report: Row, *, held: Callable[[Row], bool], lane_of: Callable[[Row], Row | None], now: float) -> Row:
    """Show a message: each recipient with its state, history, and what it waits for."""
    return {
        **report,
        "accepted_at": instant(report["accepted_at"]),
        "expires_at": None if report["expires_at"] is None else instant(report["expires_at"]),
        "recipients": [_recipient_view(row, report, held, lane_of(row), now) for row in report["recipients"]],
    }


def _recipient_view(row: Row, report: Row, held: Callable[[Row], bool], lane: Row | None, now: float) -> Row:
    waits = row["state"] is State.QUEUED
    state = row["state"].word
    if waits and held({**row, "stream": report["stream"]}):
        state = "suspended"
    elif waits and row["attempts"] and row["due_at"] > now:
        state = "deferred"
    elif row["state"] is State.CLAIMED:
        state = "in_flight"
    figures = {**row, "state": state}
    return {
        "rcpt_to": row["rcpt_to"],
        # `in_flight` is a state of ours; the others read it as queued.
        "state": "queued" if state == "in_flight" else state,
        "in_flight": state == "in_flight",
        "attempts": row["attempts"],
        "next_attempt_at": instant(row["due_at"]) if waits and state != "suspended" else None,
        "waiting_for": explain_recipient(figures, lane, now),
        "site": row["site"],
        "lane": None if lane is None else lane["name"],
        "history": row["history"],
    }
