"""The words that explanations share: counts, instants, what holds a lane back, and who said so."""

from __future__ import annotations

import email.utils
from typing import TYPE_CHECKING, Any

from sender.core.quantity import duration_text
from sender.core.selection import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MINUTE_S, _DAY_S = 60, 86400
_NAMED = 3  # of several names

BLOCKS = {
    "max_window": "every session that the configuration allows is in use",
    "hold": "the receiver asked for a rest",
    "retry": "a session within the window was just refused",
    "opening": "a session is being opened, and the next one follows when the receiver has taken it",
    "slower": "messages take longer than before, so no more sessions are opened for now",
    "window": "every session that the receiver allows is in use",
    "turn": "another lane that shares the window goes first",
    "daily_limit": "the receiver takes no more from us for now",
    "pace": "the receiver takes only so many messages per second",
    "connect_failed": "no connection to the receiver can be made",
    "max_sessions": "all sessions of this daemon (delivery.max_sessions) are in use",
    "suspended": "an operator has suspended it",
    "spool": "outcomes cannot be recorded, so nothing is sent",
}
BRIEFLY = {  # the same, for a column
    "max_window": "configured limit",
    "hold": "asked for a rest",
    "retry": "just refused",
    "opening": "opening a session",
    "slower": "slows down",
    "window": "limit reached",
    "turn": "another lane's turn",
    "daily_limit": "takes no more now",
    "pace": "limited rate",
    "connect_failed": "no connection",
    "max_sessions": "all sessions in use",
    "suspended": "suspended",
    "spool": "cannot record",
    "asleep": "asleep",
}
_HOLDS = {
    "overloaded": "the receiver said that it has too much to do",
    "blocked": "the receiver refused us for our reputation",
}
_FOUND = {Fault.DAMAGED: "to be damaged", Fault.POISON: "to make the daemon fail"}
_HELD = "It is tried again when it is resumed, and ends when it is bounced or deleted."
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


def count(number: int, one: str, many: str = "") -> str:
    """Write a number with its noun."""
    return f"{f'{number:,}' if number else 'no'} {one if number in {0, 1} else many or one + 's'}"


def ago(at: float, now: float) -> str:
    """Write an instant of the past: how long ago and, where that helps, the time of day."""
    passed_s = now - at
    if passed_s < 1:
        return "just now"
    text = f"{duration_text(passed_s)} ago"
    return f"{text} ({time_of_day(at)})" if _MINUTE_S <= passed_s < _DAY_S else text


def coming(at: float, now: float) -> str:
    """Write an instant to come, likewise."""
    wait_s = at - now
    if wait_s < 1:
        return "in a moment"
    text = f"in {duration_text(wait_s)}"
    return f"{text} ({time_of_day(at)})" if _MINUTE_S <= wait_s < _DAY_S else text


def time_of_day(at: float) -> str:
    """Write the time of day in UTC."""
    minutes = int(at % _DAY_S) // _MINUTE_S
    return f"{minutes // 60:02}:{minutes % 60:02} UTC"


def instant(at: float) -> str:
    """Write a day and its time in UTC."""
    return email.utils.formatdate(at, usegmt=True)


def quote(text: str) -> str:
    """Quote what somebody said, after a colon; nothing where nothing was said."""
    return f': "{text}"' if text else ""


def by_whom(stage: str, host: str) -> str:
    """Say where in the dialogue something was said, and by which host."""
    return " ".join(filter(None, (_PLACES.get(stage, ""), f"by {host}" if host else "")))


def names(those: Sequence[str]) -> str:
    """List a few names, and count the others."""
    more = len(those) - _NAMED
    shown = [*those[:_NAMED], *([f"{more} more"] if more > 0 else [])]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def hold(lane: Mapping[str, Any]) -> str:
    """Say why a receiver wants to be left alone."""
    return _HOLDS.get((lane["taught"] or {}).get("cause", ""), BLOCKS["hold"])


def suspension(of: Mapping[str, Any] | None, now: float) -> str:
    """Say what an operator holds, or what is held for a fault of its own, since when, why, and until when."""
    if of is None:
        return "An operator holds it; it goes when it is resumed."
    fault = Fault.of(of["reason"])
    if fault is not None:
        why = of["reason"].removeprefix(fault.reason(""))
        return f"It has been held since it was found {_FOUND[fault]}, {ago(of['since'], now)}: {why}. {_HELD}"
    reason = f' ("{of["reason"]}")' if of["reason"] else ""
    text = f"An operator suspended {of['what']} {ago(of['since'], now)}{reason}"
    return f"{text}; it goes when it is resumed" + (
        "." if of["until"] is None else f", and by itself {coming(of['until'], now)}."
    )
