"""What answers mean to a window and a pace: which of the two is told of what, and whether a session was refused by it.

The lanes of the daemon and those of the simulation tell it the same things, and so learn the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.core.outcome import Outcome, Reason

if TYPE_CHECKING:
    from sender.core.outcome import Verdict
    from sender.core.pace import Pace
    from sender.core.window import Ticket, Window


class Governor:
    """One window with its pace. A call that tells that a session was refused has ended its ticket."""

    def __init__(self, window: Window, pace: Pace) -> None:
        self.window = window
        self.pace = pace

    def held_until(self, now: float) -> float:
        """Give the instant from which a message may be started on a session; not after `now` when it may at once."""
        return max(self.window.hold_until, self.pace.next_start_at(now))

    def proven(self, ticket: Ticket, now: float) -> bool:
        """The receiver dealt with an envelope on this session; tell whether that is news: the next one may follow."""
        news = not ticket.proven
        self.window.prove(ticket, now)
        return news

    def delivered(self, now: float, seconds: float) -> None:
        """A message was taken; that took `seconds`."""
        self.pace.delivered(now, seconds)
        self.window.answered(now, seconds)

    def not_connected(self, ticket: Ticket, verdict: Verdict, now: float, *, others: bool) -> bool:
        """A session was not opened; tell whether it was refused, and did not fail. `others`: some are open."""
        if verdict.throttles or others:
            # Others are open and this one is not: that is a limit, whatever it calls itself.
            self.window.refused(ticket, now, verdict.retry_after_s)
            return True
        if verdict.reason is Reason.REPUTATION:
            self.window.blocked(now, verdict.retry_after_s)
        return False

    def throttled(self, ticket: Ticket, verdict: Verdict, now: float, *, usable: bool) -> bool:
        """A message met a throttle on an open session; tell whether the session has ended with it, and its ticket.

        `usable`: the receiver left the session open. How many messages and recipients it takes is not asked here.
        """
        if verdict.reason is Reason.MESSAGE_RATE:
            self.pace.throttled(now, verdict.retry_after_s)
        elif not ticket.proven:
            self.window.refused(ticket, now, verdict.retry_after_s)
            return True
        elif usable:
            self.window.throttled(now)
        else:
            self.window.cut(ticket, now)
            return True
        return False

    def troubled(self, verdict: Verdict, now: float) -> None:
        """The receiver as a whole has too much to do, or does not trust us."""
        if verdict.outcome is not Outcome.DEFERRED:
            return
        if verdict.reason is Reason.REPUTATION:
            self.window.blocked(now, verdict.retry_after_s)
        else:
            self.window.overloaded(now)
