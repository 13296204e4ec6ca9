"""What is remembered of a limit: written as JSON with the spool, read back with its age taken into account.

What was learned a day ago says nothing any more. Until then the window comes from what is remembered towards its
starting value (`core/window.py`), and a pace grows, as it does while it is used: twice as fast after half a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sender.core.errors import Problem
from sender.core.window import Cause, Remembered
from sender.core.window_rules import WindowRules

if TYPE_CHECKING:
    from collections.abc import Mapping

FADE_S = WindowRules().fade_s
KEEP_S = 30 * FADE_S  # how long the history of a lane is kept that has no mail
_CHANGE = {"at", "from", "to", "cause"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What was known at the instant `at` (seconds since 1970); `limit` None: nothing about the window."""

    at: float
    limit: int | None = None
    clean: bool = True  # every session had said QUIT
    held_until: float | None = None  # seconds since 1970; the receiver asked us to wait, or blocked us
    per_second: float | None = None
    messages_per_session: int | None = None
    max_recipients: int | None = None
    sized_at: float = 0.0  # when the last of these two was learned

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Memory:
        """Read what `problems` has found nothing wrong with; what it does not know it leaves."""
        return cls(
            at=row["at"],
            limit=row.get("limit"),
            clean=row.get("clean", True),
            held_until=row.get("held_until"),
            per_second=row.get("per_second"),
            messages_per_session=row.get("messages_per_session"),
            max_recipients=row.get("max_recipients"),
            sized_at=row.get("sized_at") or 0.0,
        )

    def window(self, *, wall: float, steady: float) -> Remembered | None:
        """Give it as a window takes it, at an instant of both clocks."""
        if self.limit is None:
            return None
        held_until = None if self.held_until is None else steady + self.held_until - wall
        return Remembered(self.limit, steady - self.age_s(wall), self.clean, held_until)

    def pace(self, wall: float) -> float | None:
        """Give the pace, in messages per second, that may be begun with."""
        share = self._faded(wall)
        return self.per_second / (1 - share) if self.per_second is not None and share < 1 else None

    def sizes(self, wall: float) -> tuple[int | None, int | None]:
        """Give the messages of a session and the recipients of a message that were found to be too many."""
        fresh = wall - self.sized_at < FADE_S
        return (self.messages_per_session, self.max_recipients) if fresh else (None, None)

    def age_s(self, wall: float) -> float:
        """Give how long ago this was known."""
        return max(0.0, wall - self.at)

    def _faded(self, wall: float) -> float:
        return min(1.0, self.age_s(wall) / FADE_S)


def problems(place: str, name: str, row: object) -> list[Problem]:
    """Find what is wrong with a memory that a person has written or brought."""
    if not isinstance(row, dict):
        return [Problem(place, name, row, "must be an object")]
    found = []
    for key, rule, good in (
        ("at", "must be seconds since 1970", _is_number(row.get("at")) and row["at"] > 0),
        ("limit", "must be a whole number, 1 or more, or null", _is_count(row.get("limit"))),
        ("clean", "must be true or false", isinstance(row.get("clean", True), bool)),
        ("held_until", "must be seconds since 1970, or null", _is_number(row.get("held_until") or 0)),
        ("per_second", "must be more than 0, or null", _is_rate(row.get("per_second"))),
        ("messages_per_session", "must be a whole number, 1 or more", _is_count(row.get("messages_per_session"))),
        ("max_recipients", "must be a whole number, 1 or more", _is_count(row.get("max_recipients"))),
        ("sized_at", "must be seconds since 1970", _is_number(row.get("sized_at", 0))),
        ("history", "must be an array of changes, each with at, from, to and cause", _is_history(row.get("history"))),
    ):
        if not good:
            found.append(Problem(place, f"{name}.{key}", row.get(key), rule))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1)


def _is_rate(value: object) -> bool:
    return value is None or (_is_number(value) and float(str(value)) > 0)


def _is_history(value: object) -> bool:
    return value is None or (
        isinstance(value, list)
        and all(
            isinstance(entry, dict)
            and entry.keys() >= _CHANGE
            and _is_number(entry["at"])
            and isinstance(entry["from"], int)
            and isinstance(entry["to"], int)
            and entry["cause"] in set(Cause)
            for entry in value
        )
    )
