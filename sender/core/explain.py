"""Plain sentences about a lane or a message, from the same figures that the JSON shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sender.core.quantity import duration_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CAUSES = {
    "taken": "one more session was taken",
    "refused": "the next session was refused {where}",
    "refused_inside": "a session inside the limit was refused {where}, twice",
    "throttled": "working sessions were told {where} that they are too many",
    "overloaded": "the receiver said {where} that it has too much to do",
    "blocked": "the receiver refused us for our reputation {where}",
    "remembered": "it was remembered from before the last stop",
    "operator": "an operator set it",
}
_PLACES = {
    "connect": "while connecting",
    "banner": "at the banner",
    "ehlo": "in reply to EHLO",
    "starttls": "in reply to STARTTLS",
    "mail": "in reply to MAIL FROM",
    "rcpt": "in reply to RCPT TO",
    "data": "in reply to DATA",
    "end_of_data": "in reply to the end of data",
}
_BLOCKS = {
    "max_window": "the window has reached its configured maximum, and every session is in use",
    "hold": "the lane rests, because the receiver asked for it",
    "retry": "a session was refused; it is tried again in a moment",
    "opening": "a session is being opened; the next one follows when it is taken",
    "rest": "a session has just been closed, and the receiver may still count it",
    "window": "every session that the receiver allows is in use",
    "pace": "the receiver takes only so many messages per second",
    "connect_failed": "no connection to the receiver can be made",
    "max_sessions": "all sessions of this daemon (delivery.max_sessions) are in use",
    "suspended": "an operator has suspended it",
    "spool": "outcomes cannot be recorded, so nothing is sent",
}
_WAYS = {
    "pipelining": "PIPELINING: it gets each command when the one before is answered",
    "overlapping": "an envelope that comes with the content before it: it gets that when the content is answered",
    "chunking": "CHUNKING: it gets content by DATA",
    "doubling": "two contents at once: it gets one after the other",
}
_TOLD = 5


def explain_lane(lane: Mapping[str, Any], now: float) -> list[str]:
    """Say what the window of a lane is, what taught it, what is blocked by what, and what comes next.

    `lane` is the lane's JSON with instants in seconds since 1970; `now` likewise.
    """
    sentences = [
        (
            f"{lane['name']} has a window of {_count(lane['window'], 'session')} (at most {lane['max_window']}), "
            f"{lane['sessions']} in use, and {_count(lane['queued'], 'recipient')} queued."
        )
    ]
    history: Sequence[Mapping[str, Any]] = lane["history"]
    changes = [entry for entry in history if entry["to"] != entry["from"]]
    if changes:
        sentences += _changes(changes, now)
    elif not history:
        sentences.append("It is at its starting value: nothing was refused yet.")
    if history and history[-1]["to"] == history[-1]["from"]:
        last = history[-1]
        times = "" if last["times"] == 1 else f" {last['times']} times, the last time"
        sentences.append(f"The limit of {last['to']} was confirmed{times} {_ago(now - last['at'])}: {_cause(last)}.")
    sentences.append(_state(lane, now))
    sentences += [f"The receiver mishandles {_WAYS[way]}." for way in lane.get("mishandled", ()) if way in _WAYS]
    if lane.get("connect_failure"):
        sentences.append(f"The last attempt to connect ended so: {lane['connect_failure']}.")
    return sentences


def _changes(changes: Sequence[Mapping[str, Any]], now: float) -> list[str]:
    """Say what moved the window last, what lowered it last, and the way it has gone."""
    last = changes[-1]
    sentences = [
        f"The window went from {last['from']} to {last['to']} {_ago(now - last['at'])} because {_cause(last)}."
    ]
    lowered = [change for change in changes if change["to"] < change["from"]]
    if lowered and lowered[-1] is not last:
        change = lowered[-1]
        sentences.append(
            f"It was last lowered {_ago(now - change['at'])}, from {change['from']} to {change['to']}, "
            f"because {_cause(change)}."
        )
    if len(changes) > 1:
        steps = changes[-_TOLD:]
        path = " → ".join([str(steps[0]["from"]), *(str(change["to"]) for change in steps)])
        sentences.append(f"Its last {_count(len(steps), 'change')}: {path}.")
    return sentences


def _state(lane: Mapping[str, Any], now: float) -> str:
    blocked_by = lane["blocked_by"]
    at = lane["next_change_at"]
    coming = f", {_in(at - now)}" if at is not None else ""
    if blocked_by == "asleep":
        return "No mail goes this way now; what it has learned is remembered."
    if not blocked_by:
        if lane["growing"]:
            return "It opens one session after another while mail waits, until one is refused."
        debt = lane["probe_debt"]
        paid = (
            f", once {_count(debt, 'more delivery has', 'more deliveries have')} paid for the last refused try"
            if debt > 0
            else ""
        )
        return f"Nothing holds it back; when all sessions are in use, one more is tried{coming}{paid}."
    if blocked_by == "window":
        debt = lane["probe_debt"]
        sooner = f" (sooner, after {_count(debt, 'more delivery', 'more deliveries')})" if debt > 0 else ""
        return f"Mail waits because {_BLOCKS[blocked_by]}; one more is tried{coming or ' soon'}{sooner}."
    return f"Mail waits because {_BLOCKS.get(blocked_by, blocked_by)}; it goes on{coming or ' when that has changed'}."


def explain_recipient(recipient: Mapping[str, Any], lane: Mapping[str, Any] | None, now: float) -> str:
    """Say why one recipient is where it is, and when it goes next."""
    state, history = recipient["state"], recipient["history"]
    last = history[-1] if history else None
    said = f" The last answer{_from(last)} was: {last['reply']}" if last else ""
    if state == "suspended":
        return "An operator holds it; it goes when it is resumed." + said
    if state not in {"queued", "deferred", "in_flight"}:
        return f"It is {state}; nothing more happens." + said
    if state == "in_flight":
        return "It is being tried right now, or is about to be." + said
    due_in_s = recipient["due_at"] - now
    if due_in_s > 0:
        why = f"attempt {recipient['attempts']} was deferred" if recipient["attempts"] else "it was scheduled so"
        return f"It waits until its next attempt, {_in(due_in_s)}, because {why}.{said}"
    return f"It is due and goes as soon as its lane takes it{_lane_wait(lane, now)}.{said}"


def _lane_wait(lane: Mapping[str, Any] | None, now: float) -> str:
    if lane is None:
        return "; no lane serves it yet"
    text = f": {lane['name']}, with {_count(lane['queued'], 'recipient')} queued"
    if lane["delivered_per_minute"]:
        minutes = lane["queued"] / lane["delivered_per_minute"]
        text += f" and {lane['delivered_per_minute']} delivered per minute, so within {duration_text(60 * minutes)}"
    if lane["blocked_by"]:
        at = lane["next_change_at"]
        coming = f", and goes on {_in(at - now)}" if at is not None else ""
        text += f"; it waits because {_BLOCKS.get(lane['blocked_by'], lane['blocked_by'])}{coming}"
    return text


def _cause(change: Mapping[str, Any]) -> str:
    where = _PLACES.get(change["stage"], "")
    text = " ".join(_CAUSES.get(change["cause"], change["cause"]).format(where=where).split())
    return f'{text} ("{change["reply"]}")' if change["reply"] else text


def _from(record: Mapping[str, Any] | None) -> str:
    return f" from {record['host']}" if record and record.get("host") else ""


def _ago(seconds: float) -> str:
    return f"{duration_text(seconds)} ago" if seconds >= 1 else "just now"


def _in(seconds: float) -> str:
    return f"in {duration_text(seconds)}" if seconds >= 1 else "in a moment"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
