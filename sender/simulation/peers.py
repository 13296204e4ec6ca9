"""What others do: Postfix's feedback, and additive increase with multiplicative decrease."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from sender.core.outcome import Reason
from sender.core.schedule import RetryPolicy
from sender.core.window import Ticket

if TYPE_CHECKING:
    from collections.abc import Callable

    from sender.core.outcome import Verdict
    from sender.core.window import Change, Remembered
    from sender.simulation.controllers import Place
    from sender.simulation.mail import Message


class Peer(ABC):
    """What they have in common: a limit, sessions that are counted against it, and no memory."""

    parks: RetryPolicy | None = None
    allowed: Callable[[int, float], bool] | None = None

    def __init__(self, place: Place) -> None:
        self.most = place.table.max_window
        self.in_use = 0
        self.unproven = 0
        self.open = 0
        self._leaving = 0  # sessions that were told to end and have not yet
        self._messages_per_session = place.table.messages_per_session

    @property
    @abstractmethod
    def limit(self) -> int:
        """The sessions that it would have open."""

    def held_until(self, now: float) -> float:
        """Nothing holds a message back."""
        return now

    def obstacle(self, now: float) -> tuple[str, float | None] | None:  # noqa: ARG002 - of those that keep no time
        """Open no more sessions than the limit and the configuration allow."""
        return ("window", None) if self.in_use >= min(self.limit, self.most) else None

    def wants_session(self, now: float, *, waiting: int, idle: int) -> bool:
        """Open a session for each message that no session will take."""
        return waiting > idle + self.unproven and self.obstacle(now) is None

    def goes_on(self, transactions: int, now: float) -> bool:  # noqa: ARG002 - as above
        """End sessions beyond what is to be kept, and old ones."""
        stays = transactions < self._messages_per_session and self.in_use - self._leaving <= self._kept()
        self._leaving += not stays
        return stays

    def _kept(self) -> int:
        """The sessions that may stay."""
        return max(1, self.limit)

    def opening(self, now: float) -> Ticket:  # noqa: ARG002 - as above
        """Count it."""
        self.in_use += 1
        self.unproven += 1
        return Ticket(self.in_use)

    def started(self, now: float) -> None:  # noqa: B027 - none of them keeps a pace
        """A message was started."""

    def connected(self, ticket: Ticket) -> None:
        """The session is open."""
        ticket.open = True
        self.open += 1

    def no_session(self, ticket: Ticket, verdict: Verdict, now: float) -> bool:  # noqa: ARG002 - whatever it says
        """Take every refusal for one of the session."""
        self.ended(ticket, now, died=False)
        self._refused(now)
        return True

    def proven(self, ticket: Ticket, now: float) -> bool:  # noqa: ARG002 - as above
        """An envelope was dealt with."""
        news = not ticket.proven
        if news:
            ticket.proven = True
            self.unproven -= 1
        return news

    @abstractmethod
    def delivered(self, now: float, seconds: float) -> None:
        """A message was taken."""

    def throttle(self, ticket: Ticket, verdict: Verdict, now: float, *, transactions: int, usable: bool) -> bool:  # noqa: ARG002 - nobody counts them
        """Tell sessions that were refused from messages that were."""
        if verdict.reason is Reason.SESSION_MESSAGE_LIMIT:
            return False
        refused = not ticket.proven and verdict.reason is Reason.CONNECTION_LIMIT
        if refused:
            self.ended(ticket, now, died=False)
        if refused or not usable:
            self._refused(now)
        else:
            self._slowed(now)
        return refused

    def troubled(self, verdict: Verdict, now: float) -> None:  # noqa: ARG002 - whatever it says
        """A message was refused for the receiver's own sake."""
        self._slowed(now)

    def took(self, message: Message, now: float) -> None:  # noqa: B027 - most learn nothing from it
        """Draw nothing from it."""

    def unexplained(self, message: Message, now: float) -> None:  # noqa: ARG002 - whatever it was
        """A message was refused, perhaps for our pace."""
        self._slowed(now)

    def ended(self, ticket: Ticket, now: float, *, died: bool) -> None:  # noqa: ARG002 - as above
        """Stop counting it."""
        self.in_use -= 1
        self._leaving = max(0, self._leaving - 1)
        self.unproven -= not ticket.proven
        self.open -= ticket.open

    def changes(self) -> list[Change]:
        """Keep none."""
        return []

    def remember(self, now: float, *, clean: bool) -> Remembered | None:  # noqa: B027 - None is all that is kept
        """Keep nothing."""

    @abstractmethod
    def _refused(self, now: float) -> None:
        """A session was refused, or closed on us."""

    @abstractmethod
    def _slowed(self, now: float) -> None:
        """A message was refused on a session that stays open."""


class Postfix(Peer):
    """The concurrency feedback of `qmgr_queue.c` (Postfix 3.7), with its defaults.

    A destination whose failures add up to a window full (a "pseudo cohort") is dead for `minimal_backoff_time`.
    """

    INITIAL = 5  # initial_destination_concurrency
    DEAD_S = 300.0  # minimal_backoff_time
    # The wait doubles from minimal_backoff_time to maximal_backoff_time, for maximal_queue_lifetime.
    parks: RetryPolicy | None = RetryPolicy(
        schedule_s=(300.0, 600.0, 1200.0, 2400.0, 4000.0), jitter=0.0, max_age_s=5 * 86400.0
    )

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._window = self.INITIAL
        self._highest = min(20, self.most)  # default_destination_concurrency_limit
        self._cohort_limit = 1.0  # default_destination_concurrency_failed_cohort_limit
        self._success = 0.0
        self._failure = 0.0
        self._failed_cohorts = 0.0
        self._dead_until = 0.0

    @property
    def limit(self) -> int:
        """The window; 0 while the destination is dead."""
        return self._window

    def obstacle(self, now: float) -> tuple[str, float | None] | None:
        """Wait while the destination is dead."""
        if self._window == 0:
            if now < self._dead_until:
                return "hold", self._dead_until
            self._revive()
        return super().obstacle(now)

    def _kept(self) -> int:
        """Let sessions that work go on while the destination is dead to new ones."""
        return self.in_use if self._window == 0 else self._window

    def delivered(self, now: float, seconds: float) -> None:  # noqa: ARG002 - Postfix keeps no time here
        """Grow by one when the positive feedback adds up to a half."""
        self._failed_cohorts = 0.0
        if self._window == 0:
            self._revive()
        elif self._window < self._highest and self._window < self.open + self.INITIAL:
            feedback = self._feedback()
            self._success += feedback
            while self._success + feedback / 2 >= 1:
                self._window += 1
                self._success -= 1
                self._failure = 0.0
            self._window = min(self._window, self._highest)

    def _feedback(self) -> float:
        """Positive and negative feedback: default_destination_concurrency_{positive,negative}_feedback."""
        return 1.0

    def _revive(self) -> None:
        self._window = self.open or self.INITIAL
        self._success = self._failure = self._failed_cohorts = 0.0

    def _refused(self, now: float) -> None:
        if self._window == 0:
            return
        self._failed_cohorts += 1 / self._window
        if self._failed_cohorts >= self._cohort_limit:
            self._window, self._dead_until = 0, now + self.DEAD_S
            return
        feedback = self._feedback()
        self._failure -= feedback
        while self._failure - feedback / 2 < 0:
            self._window -= 1
            self._success = 0.0
            self._failure += 1
        self._window = max(1, self._window)

    def _slowed(self, now: float) -> None:
        # A 4yz to MAIL or RCPT leaves the destination as it is: the delivery agent got through.
        self.delivered(now, 0.0)


class TunedPostfix(Postfix):
    """Postfix tuned for large sites: feedback 1/N, the configured maximum, patience with failures."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._highest = self.most
        self._cohort_limit = 10.0

    def _feedback(self) -> float:
        return 1 / max(1, self._window)


class Aimd(Peer):
    """One more for each window of successes, half for any refusal, at most once a second."""

    INITIAL, SHARE = 2.0, 0.5
    APART_S = 1.0  # between cuts; a refused session is not tried again sooner either

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._window = self.INITIAL
        self._cut_at = -math.inf
        self._resting: deque[float] = deque()

    @property
    def limit(self) -> int:
        """The whole part of the window."""
        return int(self._window)

    def obstacle(self, now: float) -> tuple[str, float | None] | None:
        """Leave the place of a refused session empty for a while."""
        while self._resting and self._resting[0] <= now:
            self._resting.popleft()
        if self._resting and self.in_use + len(self._resting) >= min(self.limit, self.most):
            return "rest", self._resting[0]
        return super().obstacle(now)

    def delivered(self, now: float, seconds: float) -> None:  # noqa: ARG002 - successes count, not time
        """Grow where the window is used."""
        if self.open * 2 >= self._window:
            self._window = min(float(self.most), self._window + 1 / self._window)

    def _refused(self, now: float) -> None:
        self._resting.append(now + self.APART_S)
        self._slowed(now)

    def _slowed(self, now: float) -> None:
        if now - self._cut_at >= self.APART_S:
            self._window = max(1.0, self._window * self.SHARE)
            self._cut_at = now
