"""The words of a window: what changes it, what stands in its way, what is kept of it, and one session in its eyes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """What changed a window."""

    TAKEN = "taken"  # a session beyond the limit was taken
    REFUSED = "refused"  # a session at the limit was refused
    REFUSED_INSIDE = "refused_inside"  # refused below the limit, twice
    THROTTLED = "throttled"  # working sessions were told that they are too many
    SLOWER = "slower"  # messages took longer with more sessions
    OVERLOADED = "overloaded"
    BLOCKED = "blocked"
    REMEMBERED = "remembered"
    OPERATOR = "operator"


class Obstacle(StrEnum):
    """What stands between a lane and one more session."""

    MAX_WINDOW = "max_window"  # the configured ceiling
    HOLD = "hold"  # blocked or overloaded
    RETRY = "retry"  # refused inside the limit a moment ago
    OPENING = "opening"  # others are being opened; they have not been taken yet
    SLOWER = "slower"  # messages take longer than before with more sessions
    WINDOW = "window"  # the limit is reached, the next try has its time


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the limit, or, where it stays, a refusal that confirmed it."""

    at: float
    before: int
    after: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is kept of a window over a restart."""

    limit: int
    at: float
    clean: bool
    held_until: float | None = None  # the receiver asked us to wait, or blocks us


@dataclass(slots=True, eq=False)
class Ticket:
    """One session in the eyes of its window."""

    level: int  # how many were in use when it began, itself included
    began_at: float = 0.0
    open: bool = False
    proven: bool = False
