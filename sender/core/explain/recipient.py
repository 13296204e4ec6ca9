"""A recipient of a message explained: why it is where it is, when it goes, and when it is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sender.core.explain.rests import why_it_rests
from sender.core.explain.words import BLOCKS, coming, count, instant, suspension

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def expected_at(recipient: Mapping[str, Any], lane: Mapping[str, Any] | None, now: float) -> float | None:
    """Estimate when a waiting recipient is tried: it is due, and those ahead of it have gone at the present rate.

    None where nothing can be said: an operator holds it, or its lane has delivered nothing in the last minute.
    """
    ahead = recipient["ahead"]
    if lane is None or ahead is None or lane["blocked_by"] == "suspended":
        return None
    due_at: float = max(now, recipient["due_at"])
    rate: float = lane["present_per_minute"]
    free = ahead == 0 and not lane["blocked_by"]
    if not free and not rate:
        return None
    return due_at if free else max(due_at, now + 60 * ahead / rate)


def explain_recipient(recipient: Mapping[str, Any], lane: Mapping[str, Any] | None, now: float) -> str:
    """Say why one recipient is where it is, when it goes next, and when it is given up."""
    state, history = recipient["state"], recipient["history"]
    sentences: list[str]
    if state == "suspended":
        sentences = [suspension(recipient["suspension"], now)]
    elif state == "in_flight" and (lane is None or recipient["ahead"] is None):
        sentences = ["It is being tried right now."]
    elif state in {"queued", "deferred", "in_flight"}:
        sentences = [_wait(recipient, lane, now), *_line(recipient, lane, now), *_end(recipient, now)]
    else:
        sentences = [f"It is {state}; nothing more happens."]
    if history:
        last = history[-1]
        host = f" from {last['host']}" if last.get("host") else ""
        sentences.append(f"The last answer{host} was: {last.get('reply', '')}")
    return " ".join(sentences)


def _wait(recipient: Mapping[str, Any], lane: Mapping[str, Any] | None, now: float) -> str:
    if lane is not None and recipient["state"] == "in_flight":
        return f"It is among the next in {lane['name']}."
    if (at := recipient["send_at"]) is not None and at > now and recipient["due_at"] >= at:
        return f"It is to be sent at {instant(at)}, {coming(at, now)}."
    if recipient["due_at"] > now:
        why = why_it_rests(recipient, lane) or _why_later(recipient)
        return f"It waits until its next attempt, {coming(recipient['due_at'], now)}, because {why}."
    if lane is None:
        return "It is due, and goes as soon as a lane serves it."
    return f"It is due, and waits for its turn in {lane['name']}."


def _why_later(recipient: Mapping[str, Any]) -> str:
    if recipient["attempts"]:
        return f"attempt {recipient['attempts']} was deferred"
    return "it was throttled, which counts as no attempt" if recipient["history"] else "it was scheduled so"


def _line(recipient: Mapping[str, Any], lane: Mapping[str, Any] | None, now: float) -> Iterator[str]:
    """Say who goes before it in the lane, at which rate, and what holds the lane back."""
    if lane is None:
        return
    ahead, rate, by = recipient["ahead"], lane["present_per_minute"], lane["blocked_by"]
    at = expected_at(recipient, lane, now)
    if ahead:
        goes = f"{count(ahead, 'recipient goes', 'recipients go')} before it"
        rated = f"at the present rate, {rate:,.4g} per minute, it goes {coming(at, now)}" if at is not None else ""
        yield f"{goes}; {rated or 'none was delivered in the last minute'}."
    elif ahead == 0:
        yield "No other goes before it."
    next_at = lane["next_change_at"]
    when = f" {coming(next_at, now)}" if next_at is not None else ""
    if by == "window":
        yield f"In that lane {BLOCKS[by]}" + (f"; one more is tried{when}." if when else ".")
    elif by and by != "asleep":
        yield f"That lane waits because {BLOCKS.get(by, by)}" + (f"; that ends{when}." if when else ".")


def _end(recipient: Mapping[str, Any], now: float) -> Iterator[str]:
    at = recipient["expires_at"]
    if at is not None and at <= now:
        yield "Its time is over: the next attempt is the last one."
    elif at is not None:
        yield f"If it has not been delivered {coming(at, now)}, it is returned to its sender."
