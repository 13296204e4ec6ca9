"""Numbers and instants as the console writes them."""

from __future__ import annotations

import datetime as dt

from sender.core.quantity import duration_text


def count(number: float) -> str:
    """Write a number with its thousands apart."""
    return f"{number:,.10g}"


def age(seconds: float) -> str:
    """Write an age; below a second it is none."""
    return duration_text(seconds) if seconds >= 1 else "0s"


def seconds(at: str) -> float:
    """Read an instant (RFC 3339), in seconds since 1970."""
    return dt.datetime.fromisoformat(at).timestamp()


def instant(at: float) -> str:
    """Write an instant to the second, in UTC."""
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def moment(at: str, now: str) -> str:
    """Write an instant for people, in UTC: the time of day, with the date where it is not today's."""
    return at[11:19] if at[:10] == now[:10] else f"{at[:10]} {at[11:19]}"
