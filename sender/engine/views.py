"""What operators see, as JSON values: from the running lanes and the spool, or from the spool alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sender.core.explain import expected_at, explain_lane, explain_recipient, explain_shortly
from sender.core.selection import Kind
from sender.core.trend import trend
from sender.engine.diary import Diary
from sender.observe.events import instant
from sender.spool.contract import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sender.clock import Clock
    from sender.engine.lane import Lane
    from sender.spool.contract import Suspension

Row = dict[str, Any]
_INSTANTS = {"since", "until"}
_LONG = {"history", "taught", "tried", "paced", "last_refusal"}


def lane_figures(lane: Lane, rows: Iterable[Row], clock: Clock, suspension: Row | None = None) -> Row:
    """Give the figures of a running lane; instants are seconds since 1970. `suspension` is what holds all of it."""
    now = clock.steady()
    window, allowance, diary = lane.window, lane.allowance, lane.allowance.diary
    next_change_at = lane.standing.next_change_at
    return {
        "name": lane.name,
        "source": lane.source,
        "site": lane.site,
        "window": min(window.limit, window.ceiling),
        "max_window": min(window.ceiling, lane.ceiling),
        "growing": window.growing,
        "sessions": lane.sessions,
        **_queued(rows),
        "delivered_per_minute": lane.delivered.value(now),
        "present_per_minute": round(lane.delivered.present(now), 1),
        "deferrals_per_minute": lane.deferrals.value(now),
        "state": lane.standing.state,
        "blocked_by": lane.standing.blocked_by,
        "next_change_at": None if next_change_at is None else clock.wall_at(next_change_at),
        "next_try_at": None if window.growing else clock.wall_at(window.next_try_at),
        "probe_debt": window.owed,
        "messages_per_second": lane.pace.per_second,
        "messages_per_session": lane.sizes.messages_per_session,
        "max_recipients": lane.sizes.max_recipients,
        "mishandled": lane.dialing.habits.mishandled,
        "connect_failure": lane.dialing.failure,
        "next_connect_at": clock.wall_at(lane.dialing.until) if now < lane.dialing.until else None,
        "suspension": suspension,
        "share": "" if allowance.name == lane.name else allowance.name,
        "shared_with": sorted(name for name in allowance.lanes if name != lane.name),
        "share_sessions": window.in_use,
        "began_at": allowance.began_at,
        "remembered_age_s": allowance.remembered_s,
        "remembered_at": None,
        "last_refusal": {"stage": diary.stage, "host": diary.host, "reply": diary.reply} if diary.reply else None,
        "rests": lane.restraint.rests.remember(clock.wall()),
        **diary.memory(),
    }


def remembered_figures(
    name: str, memory: Mapping[str, Any], rows: Iterable[Row], now: float, *, start: int, ceiling: int
) -> Row:
    """Give the figures of a lane that no process serves now; `start` is the window of one that knows nothing."""
    source, _, site = name.partition("/")
    window = memory.get("limit") or start
    diary = Diary(memory)
    return {
        "name": name,
        "source": source,
        "site": site,
        "window": window,
        "max_window": ceiling,
        "growing": False,
        "sessions": 0,
        **_queued(rows),
        "delivered_per_minute": 0,
        "present_per_minute": 0.0,
        "deferrals_per_minute": 0,
        "state": "open",
        "blocked_by": "asleep",
        "next_change_at": None,
        "next_try_at": None,
        "probe_debt": 0,
        "messages_per_second": memory.get("per_second"),
        "messages_per_session": memory.get("messages_per_session"),
        "max_recipients": memory.get("max_recipients"),
        "mishandled": sorted(memory.get("mishandled", ())),
        "connect_failure": "",
        "next_connect_at": None,
        "suspension": None,
        "share": memory.get("shares", ""),
        "shared_with": sorted(other for other in memory.get("shared_by", ()) if other != name),
        "share_sessions": 0,
        "began_at": None,
        "remembered_age_s": None,
        "remembered_at": memory["at"],
        "last_refusal": None,
        "rests": [rest for rest in memory.get("rests", ()) if rest["until"] > now],
        **diary.memory(),
    }


def _queued(rows: Iterable[Row]) -> Row:
    mine = list(rows)
    return {
        "queued": sum(row["queued"] + row["in_flight"] for row in mine),
        "deferred": sum(row["deferred"] for row in mine),
        "scheduled": sum(row["scheduled"] for row in mine),
        "oldest_age_s": max((row["oldest_age_s"] for row in mine), default=0.0),
    }


def shown_lane(figures: Row, now: float) -> Row:
    """Put the trend and the explanation beside the figures, and write instants as text."""
    words = {"why": explain_shortly(figures, now), "explanation": explain_lane(figures, now)}
    return {**_dated({**figures, "trend": _trend(figures, now)}), **words}


def brief_lane(figures: Row, now: float) -> Row:
    """Leave out how it came about, but for the trend: several lanes may share a long history."""
    brief = {key: value for key, value in figures.items() if key not in _LONG}
    return {**_dated({**brief, "trend": _trend(figures, now)}), "why": explain_shortly(figures, now)}


def _trend(figures: Row, now: float) -> Row:
    """Give the window at even distances, the last value is that of now."""
    since, windows = trend(figures["history"], figures["window"], began_at=figures["began_at"], now=now)
    return {"since": since, "until": now, "windows": windows}


def _dated(value: Row) -> Row:
    """Write the instants in figures as text, however deep they lie."""
    return {key: _shown(key, item) for key, item in value.items()}


def _shown(key: str, item: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(item, dict):
        return _dated(item)
    if isinstance(item, list):
        return [_dated(each) if isinstance(each, dict) else each for each in item]
    return instant(item) if item is not None and (key == "at" or key in _INSTANTS or key.endswith("_at")) else item


def queue_view(rows: Sequence[Row], held: Callable[[Row], bool]) -> Row:
    """Sum the spool's figures up, by domain, by stream and in all."""
    domains: dict[str, Row] = {}
    streams: dict[str, Row] = {}
    total: Row = {**dict.fromkeys(("queued", "due", "deferred", "scheduled", "suspended", "in_flight"), 0)}
    total["oldest_age_s"] = 0.0
    for row in rows:
        suspended = row["held"] + (row["queued"] if held(row) else 0)
        queued, scheduled = (0, 0) if held(row) else (row["queued"], row["scheduled"])
        total["queued"] += queued
        total["due"] += 0 if held(row) else row["due"]
        total["deferred"] += row["deferred"]
        total["scheduled"] += scheduled
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
                "scheduled": 0,
                "suspended": 0,
                "in_flight": 0,
                "oldest_age_s": 0.0,
                "last_reply": row["last_reply"],
            },
        )
        domain["queued"] += queued
        domain["deferred"] += row["deferred"]
        domain["scheduled"] += scheduled
        domain["suspended"] += suspended
        domain["in_flight"] += row["in_flight"]
        domain["oldest_age_s"] = max(domain["oldest_age_s"], row["oldest_age_s"])
        stream = streams.setdefault(row["stream"], {"stream": row["stream"], "waiting": 0, "oldest_age_s": 0.0})
        stream["waiting"] += queued + suspended + row["in_flight"]
        stream["oldest_age_s"] = max(stream["oldest_age_s"], row["oldest_age_s"])
    by_age = sorted(streams.values(), key=lambda stream: (-stream["oldest_age_s"], stream["stream"]))
    by_size = sorted(domains.values(), key=lambda domain: (-domain["queued"] - domain["suspended"], domain["domain"]))
    return {**total, "streams": by_age, "domains": by_size}


def held_by(suspensions: Sequence[Suspension]) -> Callable[[Row], bool]:
    """Give the test whether a queue is suspended as a whole."""
    return lambda row: holding(suspensions, row) is not None


def holding(suspensions: Iterable[Suspension], row: Row, message_id: str = "") -> Suspension | None:
    """Find what holds a queue, or a message of it."""
    for suspension in suspensions:
        selection = suspension.selection
        if selection.covers(domain=row["domain"], site=row["site"], source=None, stream=row["stream"]):
            return suspension
        if selection.kind is Kind.MESSAGE and selection.value == message_id:
            return suspension
    return None


def found_view(found: Row, suspensions: Sequence[Suspension], now: float) -> Row:
    """Show recipients that were looked for."""
    shown = []
    for row in found["recipients"]:
        held = row["state"] is State.SUSPENDED or holding(suspensions, row, message_id=row["id"]) is not None
        state = recipient_state(row, now, held=held)
        waits = state in {"queued", "deferred"}
        one = {key: value for key, value in row.items() if key != "due_at"}
        next_at = row["due_at"] if waits else None
        shown.append(_dated({**one, "state": "queued" if state == "in_flight" else state, "next_attempt_at": next_at}))
    return {**found, "recipients": shown}


def message_view(report: Row, recipients: Iterable[tuple[Row, Row | None]], now: float) -> Row:
    """Show a message: each recipient with its state, history, and what it waits for.

    With each recipient comes the lane that it waits for; both are figures, with instants in seconds since 1970.
    """
    return {
        **_dated({key: value for key, value in report.items() if key not in {"priority", "recipients"}}),
        **({"metadata": report["metadata"]} if "metadata" in report else {}),
        "recipients": [_recipient_view(figures, lane, now) for figures, lane in recipients],
    }


def recipient_state(row: Row, now: float, *, held: bool) -> str:
    """Say the state of a recipient as people see it; `in_flight` is one that a lane has claimed."""
    if row["state"] is State.CLAIMED:
        return "in_flight"
    if row["state"] is not State.QUEUED:
        return str(row["state"].word)
    if held:
        return "suspended"
    return "deferred" if row["attempts"] and row["due_at"] > now else "queued"


def _recipient_view(figures: Row, lane: Row | None, now: float) -> Row:
    state = figures["state"]
    waits = state in {"queued", "deferred"}
    at = expected_at(figures, lane, now) if waits or state == "in_flight" else None
    return {
        "rcpt_to": figures["rcpt_to"],
        # `in_flight` is a state of ours; the others read it as queued.
        "state": "queued" if state == "in_flight" else state,
        "in_flight": state == "in_flight",
        "attempts": figures["attempts"],
        "next_attempt_at": instant(figures["due_at"]) if waits else None,
        "ahead": figures["ahead"],
        "expected_at": None if at is None else instant(at),
        "expires_at": None if figures["expires_at"] is None else instant(figures["expires_at"]),
        "waiting_for": explain_recipient(figures, lane, now),
        "site": figures["site"],
        "lane": None if lane is None else lane["name"],
        "history": figures["history"],
    }


def suspension_figures(suspension: Suspension) -> Row:
    """Give a suspension as figures."""
    return {
        "what": str(suspension.selection),
        "since": suspension.since,
        "until": suspension.until,
        "reason": suspension.reason,
    }
