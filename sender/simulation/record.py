"""What happened in a simulated lane: a sample each second, the instant of each refusal, the changes of the window."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sender.core.outcome import Reason
    from sender.core.window import Change
    from sender.simulation.answers import Answer

WITHOUT_CAP = -1


class Record:
    """Columns of one length, a row for each second: `at`, `open`, `limit`, `room`, and two totals until then."""

    def __init__(self) -> None:
        self.delivered = 0
        self.throttles = 0  # refusals that mean our pace
        self.sessions_refused = 0
        self.reasons: Counter[Reason] = Counter()  # of what was counted as a throttle
        self.throttled_at = array("d")
        self.changes: list[Change] = []
        self.at = array("d")
        self.open = array("l")
        self.limit = array("l")
        self.room = array("l")  # what the receiver allowed us; WITHOUT_CAP where it has none
        self.delivered_until = array("l")
        self.throttles_until = array("l")

    def sample(self, now: float, *, open_: int, limit: int, room: int | None) -> None:
        """Add a row."""
        self.at.append(now)
        self.open.append(open_)
        self.limit.append(limit)
        self.room.append(WITHOUT_CAP if room is None else room)
        self.delivered_until.append(self.delivered)
        self.throttles_until.append(self.throttles)

    def refused(self, now: float, answer: Answer) -> None:
        """A session was refused."""
        self.sessions_refused += 1
        self.throttled(now, answer)

    def throttled(self, now: float, answer: Answer) -> None:
        """A session or message was refused because of our pace, or ours among others."""
        self.throttles += 1
        self.throttled_at.append(now)
        if answer.verdict.reason is not None:
            self.reasons[answer.verdict.reason] += 1

    def note(self, changes: list[Change]) -> None:
        """Add what the controller says of its window."""
        self.changes += changes
