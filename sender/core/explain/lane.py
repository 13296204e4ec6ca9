"""A lane explained: what its window is, why, what waits for what, and what comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sender.core.explain.words import BLOCKS, ago, by_whom, coming, count, names, quote, suspension
from sender.core.quantity import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TAUGHT = {
    "refused": "with {open} open the next one was refused {by}",
    "refused_inside": "a session within the window was refused {by}, and again when it was tried once more",
    "throttled": "sessions at work were told {by} that they are too many",
    "overloaded": "the receiver said {by} that it has too much to do",
    "blocked": "the receiver refused us for our reputation {by}",
}
_TOLD = 6


def explain_lane(lane: Mapping[str, Any], now: float) -> list[str]:
    """Say what the window of a lane is, what taught it, what was tried since, what waits for what, and what comes next.

    `lane` is the lane's JSON with instants in seconds since 1970; `now` likewise.
    """
    return [*_introduction(lane), *_window(lane, now), *_pace(lane, now), *_state(lane, now), *_outlook(lane)]


def _introduction(lane: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{lane['name']} has a window of {count(lane['window'], 'session')}: so many may be open at a time, "
        f"and never more than {lane['max_window']} (configuration)."
    )
    later = f", {lane['deferred']:,} of them until a later attempt" if lane["deferred"] else ""
    yield (
        f"{count(lane['sessions'], 'session is', 'sessions are')} open now, "
        f"and {count(lane['queued'], 'recipient waits', 'recipients wait')}{later}."
    )
    if lane["shared_with"]:
        yield (
            f"The window is shared with {names(lane['shared_with'])}: "
            f"together they have {count(lane['share_sessions'], 'session')} open."
        )


# why the window is what it is


def _window(lane: Mapping[str, Any], now: float) -> Iterator[str]:
    history: Sequence[Mapping[str, Any]] = lane["history"]
    taught = lane["taught"]
    changes = [entry for entry in history if entry["to"] != entry["from"] or entry["act"]]
    if changes:
        yield _change(changes[-1], now)
    if taught is not None and not (changes and _same(taught, changes[-1])):
        yield _lesson(taught, now)
    if taught is None and not changes:
        yield "That is its starting value: the receiver has refused nothing yet."
    else:
        yield from _tried(lane, now)
    steps = [entry for entry in changes if entry["to"] != entry["from"]][-_TOLD:]
    if len(steps) > 2:  # noqa: PLR2004 - two are told already
        path = " → ".join([str(steps[0]["from"]), *(str(step["to"]) for step in steps)])
        yield f"Its last {len(steps)} changes: {path}."
    age_s = lane["remembered_age_s"]
    if age_s is not None:
        since = f"{duration_text(age_s)} before" if age_s >= 1 else "the moment before"
        yield f"This lane began its work {ago(lane['began_at'], now)}, with what was remembered from {since}."


def _change(change: Mapping[str, Any], now: float) -> str:
    before, after, at = change["from"], change["to"], ago(change["at"], now)
    moved = f"from {before} to {after}" if before != after else f"to {after}, which it was"
    cause, act = change["cause"], change["act"]
    if act == "forget":
        return f"An operator had it forget what it had learned ({before} → {after}) {at}{quote(change['reason'])}."
    if act == "import":
        return f"An operator brought what had been learned ({before} → {after}) {at}{quote(change['reason'])}."
    if cause == "operator":
        return f"An operator set the window {moved}, {at}{quote(change['reason'])}."
    if cause == "taken":
        return f"The window grew {moved} {at}, when one session more was taken."
    if cause == "remembered":
        why = (
            "receivers may count the sessions of an unclean stop for a while"
            if after < before
            else "what is remembered fades within a day"
        )
        return f"The window went {moved} when it was remembered, {at}: {why}."
    return f"The window went {moved} {at}, because {_cause(change)}."


def _lesson(taught: Mapping[str, Any], now: float) -> str:
    at = ago(taught["at"], now)
    if taught["from"] == taught["to"]:
        return f"The limit was found {at}: {_cause(taught)}."
    return f"It was last lowered {at}, from {taught['from']} to {taught['to']}, because {_cause(taught)}."


def _cause(entry: Mapping[str, Any]) -> str:
    by = by_whom(entry["stage"], entry["host"])
    text = _TAUGHT.get(entry["cause"], entry["cause"]).format(by=by, open=count(entry["to"], "session"))
    return " ".join(text.split()).replace(" ,", ",") + quote(entry["reply"])


def _tried(lane: Mapping[str, Any], now: float) -> Iterator[str]:
    """Say what became of the tries to have more sessions since the limit was learned."""
    tried = lane["tried"]
    taken, refused = tried["taken"], tried["refused"]
    parts = []
    if taken == 1:
        parts.append(f"one session more was taken, {ago(tried['taken_at'], now)}")
    elif taken:
        parts.append(f"{taken} sessions more were taken, the last {ago(tried['taken_at'], now)}")
    if refused == 1:
        parts.append(f"one try of one more was refused, {ago(tried['refused_at'], now)}{quote(tried['reply'])}")
    elif refused:
        last = f"{ago(tried['refused_at'], now)}{quote(tried['reply'])}"
        parts.append(f"{refused} tries of one more were refused, the last {last}")
    if parts:
        yield f"Since then {'; '.join(parts)}."
    elif lane["taught"] is not None:
        yield "Nothing beyond it has been tried since."


def _pace(lane: Mapping[str, Any], now: float) -> Iterator[str]:
    per_second, paced = lane["messages_per_second"], lane["paced"]
    if per_second is None:
        return
    most = f"{per_second:.3g} messages per second" if per_second >= 1 else f"{60 * per_second:.3g} messages per minute"
    if paced is None:
        yield f"At most {most} are started, as was remembered."
    else:
        by = by_whom(paced["stage"], paced["host"])
        yield f"At most {most} are started, because more were refused {by} {ago(paced['at'], now)}{quote(paced['reply'])}."
    yield "That rises every half minute while nothing is refused for it."


# what holds it back, and what comes next


def _state(lane: Mapping[str, Any], now: float) -> Iterator[str]:
    by, at = lane["blocked_by"], lane["next_change_at"]
    when = coming(at, now) if at is not None else "when that has changed"
    why = f"Mail waits because {BLOCKS.get(by, by)}"
    if by == "":
        yield from _unblocked(lane, now)
    elif by == "asleep":
        yield f"No mail goes this way now. This is what was known when some last did, {ago(lane['remembered_at'], now)}."
        yield "It fades within a day; the next mail begins with what is left of it."
    elif by == "suspended":
        yield suspension(lane["suspension"], now)
    elif by == "window":
        yield f"{why}."
        yield from _next_try(lane, now)
    elif by == "hold":
        yield f"{why}: nothing is sent until that is over, {when}."
        yield (
            "Then one session is tried; when it delivers, the window grows again."
            if lane["growing"]
            else f"Then it goes on with at most {count(lane['window'], 'session')}."
        )
    elif by == "retry":
        yield f"{why}. It is tried again {when}."
        yield (
            f"If it is taken, the window stays {lane['window']}; if it is refused again, the window becomes "
            f"what is open then ({lane['share_sessions']} now, but at least 1)."
        )
    elif by == "connect_failed":
        yield f"{why}: {lane['connect_failure'] or 'a fault on this side, which the log tells'}."
        yield f"It is tried again {when}; each time that it fails, the wait is doubled."
    elif by == "max_window":
        yield f"{why}. More are not tried."
    else:
        yield f"{why}; it goes on {when}."


def _unblocked(lane: Mapping[str, Any], now: float) -> Iterator[str]:
    if lane["connect_failure"]:
        yield f"The last attempt to connect ended so: {lane['connect_failure']}."
    yield "Nothing holds it back." if lane["queued"] > lane["deferred"] else "No mail is due for it now."
    if lane["growing"]:
        yield "While mail waits it opens one session after another, until one is refused."
    else:
        yield from _next_try(lane, now, full="when every session is in use and mail waits, ")


def _next_try(lane: Mapping[str, Any], now: float, *, full: str = "") -> Iterator[str]:
    """Say when one session more is tried, and what follows from it. `full`: that this is not so yet."""
    window, debt, at = lane["window"], lane["probe_debt"], lane["next_try_at"]
    if lane["growing"] or window >= lane["max_window"]:
        return
    paid = (
        f", or sooner, as soon as {count(debt, 'more delivery has', 'more deliveries have')} made up for those refused"
    )
    waits = at is not None and at > now
    when = (coming(at, now) + (paid if debt else "")) if waits else "in a moment"
    first = f"{full}one session more is tried {'from then on, ' if full and waits and not debt else ''}{when}"
    if full and not waits:
        first = f"{full}one more is tried"
    yield f"{first[0].upper()}{first[1:]}."
    yield (
        f"If it is taken, the window becomes {window + 1} and goes on growing until one is refused; "
        f"if it is refused, the window stays {window} and the next try comes later."
    )


def _outlook(lane: Mapping[str, Any]) -> Iterator[str]:
    due, rate = lane["queued"] - lane["deferred"], lane["delivered_per_minute"]
    if lane["blocked_by"] in {"asleep", "suspended"} or due <= 0:
        return
    if not rate:
        yield "Nothing was delivered in the last minute."
        return
    yield (
        f"{count(rate, 'recipient was', 'recipients were')} delivered in the last minute; "
        f"at that rate what is due is delivered in {duration_text(60 * due / rate)}."
    )


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one["at"] == other["at"] and one["to"] == other["to"])
