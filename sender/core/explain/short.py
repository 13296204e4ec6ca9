"""A lane in half a sentence, for tables: what holds it back, and when that ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sender.core.explain.words import BLOCKS, coming, count, hold
from sender.core.selection import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping


def explain_shortly(lane: Mapping[str, Any], now: float) -> str:
    """Say what holds a lane back and when that ends, or what it does. Instants are seconds since 1970."""
    by, at = lane["blocked_by"], lane["next_change_at"]
    when = coming(at, now) if at is not None else ""
    if by == "suspended" or lane["suspension"] is not None:
        return _suspended(lane["suspension"], now)
    if by == "":
        return _unblocked(lane)
    if by == "asleep":
        return "no mail is due" if _due(lane) <= 0 else "no process serves it"
    if by == "window":
        one = lane["window"] == 1
        sessions = "the one session" if one else f"all {count(lane['window'], 'session')}"
        used = f"{sessions} that the receiver allows {'is' if one else 'are'} in use"
        return f"{used}; one more is tried {when}" if when else used
    if by == "connect_failed":
        return f"no connection: {lane['connect_failure'] or 'a fault on this side'}" + (
            f"; tried again {when}" if when else ""
        )
    why = hold(lane) if by == "hold" else BLOCKS.get(by, by)
    return f"{why}; that ends {when}" if when else why


def _unblocked(lane: Mapping[str, Any]) -> str:
    if lane["connect_failure"]:
        return f"the last connection failed: {lane['connect_failure']}"
    if _due(lane) <= 0 and not lane["sessions"]:
        return "no mail is due"
    if lane["growing"]:
        return "opens one session after another, until one is refused"
    return "nothing holds it back"


def _suspended(of: Mapping[str, Any] | None, now: float) -> str:
    if of is None:
        return "suspended, until it is resumed"
    reason = f' ("{of["reason"]}")' if of["reason"] and Fault.of(of["reason"]) is None else ""
    until = "until it is resumed" if of["until"] is None else f"it goes on by itself {coming(of['until'], now)}"
    return f"suspended{reason}, {until}"


def _due(lane: Mapping[str, Any]) -> int:
    due: int = lane["queued"] - lane["deferred"] - lane["scheduled"]
    return due
