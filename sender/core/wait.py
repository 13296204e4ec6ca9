"""The wait that a reply names: "try again in 300 seconds", "retry after 5 minutes"."""

from __future__ import annotations

import re

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WAIT = re.compile(
    r"(?:\b(?:in|after|for|wait|within|retry|later)\b[^0-9.]{0,25}|\()"
    r"(?:(?P<clock>\d{1,2}:\d{2}:\d{2})|(?P<number>\d{1,6})\s*(?P<unit>s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?)\b)",
    re.IGNORECASE,
)
SHORTEST_S, LONGEST_S = 1.0, 6 * 3600.0
MARGIN = 1.1  # waiting a little longer than asked costs less than coming too early


def wait_named_in(words: str) -> float | None:
    """Find the wait in seconds that a text asks for, or None."""
    match = _WAIT.search(words)
    if match is None:
        return None
    if match["clock"]:
        hours, minutes, seconds = map(int, match["clock"].split(":"))
        return float(hours * 3600 + minutes * 60 + seconds)
    return int(match["number"]) * _UNITS_S[match["unit"][0].lower()]


def honoured(retry_after_s: float) -> float:
    """Give the seconds to wait for a wait that was named: 10 % more, from 1 second to 6 hours."""
    return min(max(retry_after_s * MARGIN, SHORTEST_S), LONGEST_S)
