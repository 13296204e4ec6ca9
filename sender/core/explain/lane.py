"""A lane explained: what its window is, why, what waits for what, and what comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sender.core.explain.rests import explain_rests
from sender.core.explain.words import BLOCKS, ago, by_whom, coming, count, hold, names, quote, suspension
from sender.core.quantity import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TAUGHT = {
    "refused": "with {open} open the next one was refused {by}",
    "refused_inside": "a session within the window was refused {by}, and again when it was tried once more",
    "throttled": "sessions at work were told {by} that they are too many",
    "slower": "messages took longer with more sessions, though none was refused",
    "overloaded": "the receiver said {by} that it has too much to do",
    "blocked": "the receiver refused us for our reputation {by}",
}
_ENDS = {
    "opening": "",
    "turn": " It is called when a session of theirs ends, or when one more may be opened.",
    "max_window": " More are not tried.",
    "max_sessions": " It goes on when one of them ends.",
    "spool": " It goes on when they can be.",
}
_WAYS = {
    "pipelining": "PIPELINING: it gets each command when the one before is answered",
    "overlapping": "an envelope that comes with the content before it: it gets that when the content is answered",
    "chunking": "CHUNKING: it gets content by DATA",
    "doubling": "two contents at once: it gets one after the other",
}
_TOLD = 6


def explain_lane(lane: Mapping[str, Any], now: float) -> list[str]:
    """Say what the window of a lane is, what taught it, what was tried since, what waits for what, and what comes next.

    `lane` is the lane's JSON with instants in seconds since 1970; `now` likewise.
    """
    return [
        *_introduction(lane),
        *_window(lane, now),
        *_pace(lane, now),
        *_state(lane, now),
        *explain_rests(lane, now),
        *(f"The receiver mishandles {_WAYS[way]}." for way in lane["mishandled"] if way in _WAYS),
        *_outlook(lane),
    ]


def _introduction(lane: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{lane['name']} has a window of {count(lane['window'], 'session')}: so many may be open at a time "
        f"(the configuration allows up to {lane['max_window']})."
    )
    waiting, deferred = lane["queued"], lane["deferred"]
    later = f", {'all' if deferred == waiting else f'{deferred:,}'} of them for a later attempt" if deferred else ""
    if lane["scheduled"]:
        later += f", {lane['scheduled']:,} that {'is' if lane['scheduled'] == 1 else 'are'} to be sent later"
    sessions = count(lane["sessions"], "session is", "sessions are")
    yield f"Now {sessions} open, and {count(waiting, 'recipient waits', 'recipients wait')}{later}."
    if lane["shared_with"]:
        yield (
            f"The window is shared with {names(lane['shared_with'])}: "
            f"together they have {count(lane['share_sessions'], 'session')} open."
        )


# why the window is what it is


def _window(lane: Mapping[str, Any], now: float) -> Iterator[str]:
    """Tell in the order of time: what taught the limit, what was tried since, and what the last change was."""
    taught, age_s = lane["taught"], lane["remembered_age_s"]
    changes = [entry for entry in lane["history"] if entry["to"] != entry["from"] or entry["act"]]
    last = changes[-1] if changes else None
    acts = [change for change in changes if change["act"]][-1:]
    if taught is None and last is None:
        yield "That is its starting value: no session has been refused yet."
    told = {change["at"]: _change(change, now) for change in acts}
    if taught is not None:
        told[taught["at"]] = _lesson(taught, now, lasting=last is None or taught["at"] >= last["at"])
    yield from (told[at] for at in sorted(told))
    yield from _tried(lane, now, began=not acts)
    if last is not None and last["at"] > max(told, default=0.0):
        yield _change(last, now)
    steps = [entry for entry in changes if entry["to"] != entry["from"]][-_TOLD:]
    if len(steps) > 2:  # noqa: PLR2004 - two are told already
        path = " → ".join([str(steps[0]["from"]), *(str(step["to"]) for step in steps)])
        yield f"Its last {len(steps)} changes: {path}."
    if age_s is not None:
        before = f"{duration_text(age_s)} before" if age_s >= 1 else "the moment before"
        yield f"This lane began to work {ago(lane['began_at'], now)}, with what was remembered from {before}."


def _lesson(taught: Mapping[str, Any], now: float, *, lasting: bool) -> str:
    """Tell which reply taught the limit. `lasting`: nothing has changed it since."""
    before, after = taught["from"], taught["to"]
    what = f"the window went down from {before} to {after}" if before != after else f"the limit of {after} was found"
    stays = ", where it has been since" if lasting else ""
    return _sentence(f"{ago(taught['at'], now)} {what}{stays}: {_cause(taught)}.")


def _change(change: Mapping[str, Any], now: float) -> str:
    before, after = change["from"], change["to"]
    moved = f"from {before} to {after}" if before != after else f"to {after}, which it was"
    if change["act"] == "forget":
        what = f"an operator had it forget what it had learned, and the window went {moved}"
    elif change["act"] == "import":
        what = f"an operator brought what had been learned, and the window went {moved}"
    elif change["cause"] == "operator":
        what = f"an operator set the window {moved}"
    elif change["cause"] == "taken":
        what = f"the window came to {after}, where it has been since"
    elif change["cause"] == "remembered" and after < before:
        what = (
            f"{before} was remembered as {after}, since receivers may count the sessions of an unclean stop for a while"
        )
    elif change["cause"] == "remembered":
        what = f"{before} was remembered as {after}, since what is remembered fades within a day"
    else:
        what = f"the window went {moved}: {_cause(change)}"
    return _sentence(f"{ago(change['at'], now)} {what}{quote(change['reason'])}.")


def _cause(entry: Mapping[str, Any]) -> str:
    by = by_whom(entry["stage"], entry["host"])
    text = _TAUGHT.get(entry["cause"], entry["cause"]).format(by=by, open=count(entry["to"], "session"))
    return " ".join(text.split()).replace(" ,", ",") + quote(entry["reply"])


def _tried(lane: Mapping[str, Any], now: float, *, began: bool) -> Iterator[str]:
    """Say what became of the tries to have more sessions since the limit was learned, or else since it `began`."""
    tried = lane["tried"]
    taken, refused = tried["taken"], tried["refused"]
    parts = []
    if taken:
        last = "" if taken == 1 else "the last "
        parts.append(f"{count(taken, 'session')} more {_was(taken)} taken, {last}{ago(tried['taken_at'], now)}")
    if refused:
        last = "" if refused == 1 else "the last "
        at = f"{last}{ago(tried['refused_at'], now)}{quote(tried['reply'])}"
        parts.append(f"{count(refused, 'try', 'tries')} of one session more {_was(refused)} refused, {at}")
    if parts and lane["taught"] is None and began:
        yield f"From {tried['taken_from']} on, {'; '.join(parts)}{'' if refused else '; none was refused'}."
    elif parts:
        yield f"Since then {'; '.join(parts)}."
    elif lane["taught"] is not None:
        yield "No more has been tried since."


def _pace(lane: Mapping[str, Any], now: float) -> Iterator[str]:
    per_second, paced = lane["messages_per_second"], lane["paced"]
    if per_second is None:
        return
    most = f"{per_second:.3g} messages per second" if per_second >= 1 else f"{60 * per_second:.3g} messages per minute"
    if paced is None:
        yield f"At most {most} are started, as was remembered."
    else:
        by = f"{by_whom(paced['stage'], paced['host'])} {ago(paced['at'], now)}"
        yield f"At most {most} are started, because more were refused {by}{quote(paced['reply'])}."
    yield "It rises step by step while nothing is refused for it."


# what holds it back, and what comes next


def _state(lane: Mapping[str, Any], now: float) -> Iterator[str]:
    by, at = lane["blocked_by"], lane["next_change_at"]
    when = coming(at, now) if at is not None else "when that has changed"
    why = f"Mail waits because {BLOCKS.get(by, by)}"
    if by == "suspended" or lane["suspension"] is not None:
        yield suspension(lane["suspension"], now)
    elif by == "":
        yield from _unblocked(lane, now)
    elif by == "asleep":
        idle = _due(lane) <= 0
        yield "No mail is due for it now." if idle else "Nobody serves it: its mail goes when a delivering daemon runs."
        yield f"This is what was known when it was last at work, {ago(lane['remembered_at'], now)}."
        yield "It fades within a day; the next mail begins with what is left of it."
    elif by == "window":
        yield f"{why}."
        yield from _next_try(lane, now)
    elif by == "hold":
        yield from _hold(lane, when)
    elif by == "retry":
        yield f"{why}. It is tried again {when}."
        yield (
            f"If it is taken, the window stays {lane['window']}; if it is refused again, the window becomes "
            f"what is open then ({lane['share_sessions']} now, but at least 1)."
        )
    elif by == "connect_failed":
        yield f"{why}: {lane['connect_failure'] or 'a fault on this side, which the log tells'}."
        yield f"It is tried again {when}; each time that it fails, the wait is doubled."
    else:
        yield f"{why}{'.' + _ENDS[by] if by in _ENDS else f'; it goes on {when}.'}"


def _hold(lane: Mapping[str, Any], when: str) -> Iterator[str]:
    why = hold(lane)
    yield f"Mail waits because {why}: nothing is sent until that is over, {when}."
    if lane["growing"]:
        yield "Then one session is tried; when it delivers, the window grows again."
    else:
        yield f"Then it goes on with up to {count(lane['window'], 'session')}."


def _unblocked(lane: Mapping[str, Any], now: float) -> Iterator[str]:
    if lane["connect_failure"]:
        at = lane["next_connect_at"]
        again = f" The next may be made {coming(at, now)}." if at is not None else ""
        yield f"The last attempt to connect ended so: {lane['connect_failure']}.{again}"
    yield "Nothing holds it back." if _due(lane) > 0 else "No mail is due for it now."
    if lane["growing"]:
        yield "While mail waits it opens one session after another, until one is refused."
    else:
        yield from _next_try(lane, now, full="when every session is in use and mail waits, ")


def _next_try(lane: Mapping[str, Any], now: float, *, full: str = "") -> Iterator[str]:
    """Say when one session more is tried, and what follows from it. `full`: that this is not so yet."""
    window, debt, at = lane["window"], lane["probe_debt"], lane["next_try_at"]
    if lane["growing"] or window >= lane["max_window"]:
        return
    if at is None or at <= now:
        when = "" if full else " in a moment"
    elif debt:
        sooner = f"as soon as {count(debt, 'more delivery has', 'more deliveries have')} made up for those refused"
        when = f" {coming(at, now)}, or sooner, {sooner}"
    else:
        when = f"{', at the earliest' if full else ''} {coming(at, now)}"
    yield _sentence(f"{full}one session more is tried{when}.")
    yield (
        f"If it is taken, the window becomes {window + 1} and goes on growing until one is refused; "
        f"if it is refused, the window stays {window} and the next try comes later."
    )


def _outlook(lane: Mapping[str, Any]) -> Iterator[str]:
    due, rate = _due(lane), lane["present_per_minute"]
    if lane["blocked_by"] in {"asleep", "suspended"} or lane["suspension"] is not None or due <= 0:
        return
    if not rate:
        yield "Nothing was delivered in the last minute."
        return
    yield f"At the present rate, {rate:,.4g} per minute, what is due is delivered in {duration_text(60 * due / rate)}."


def _due(lane: Mapping[str, Any]) -> int:
    due: int = lane["queued"] - lane["deferred"] - lane["scheduled"]
    return due


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"
