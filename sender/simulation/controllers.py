"""What a simulated lane asks what it may do: the product's own controller, and what each controller must answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sender.core.backoff import Backoff
from sender.core.evidence import Evidence
from sender.core.governor import Governor
from sender.core.outcome import Reason
from sender.core.pace import Pace
from sender.core.rests import Kind, Rests, Subject
from sender.core.window import Window
from sender.settings import RestSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from sender.core.outcome import Verdict
    from sender.core.schedule import RetryPolicy
    from sender.core.window import Change, Remembered, Ticket
    from sender.simulation.mail import Message
    from sender.simulation.receiver import Receiver
    from sender.simulation.scenario import SenderTable

_DOUBTFUL_S = RestSettings().doubtful


class Controller(Protocol):
    """What may be done, what is done, and what came of it."""

    parks: RetryPolicy | None  # a message that meets a throttle is deferred by it; None: it costs the message nothing

    @property
    def limit(self) -> int:
        """The sessions that it would have open."""

    @property
    def allowed(self) -> Callable[[int, float], bool] | None:
        """Whether a domain's mail may be started at an instant; None: all may."""

    def held_until(self, now: float) -> float:
        """Give the instant from which a message may be started."""

    def obstacle(self, now: float) -> tuple[str, float | None] | None:
        """Tell what forbids another session, and until when."""

    def wants_session(self, now: float, *, waiting: int, idle: int) -> bool:
        """Tell whether another session should be opened."""

    def goes_on(self, transactions: int, now: float) -> bool:
        """Tell whether a session shall do more."""

    def opening(self, now: float) -> Ticket:
        """A session begins."""

    def started(self, now: float) -> None:
        """A message was started."""

    def connected(self, ticket: Ticket) -> None:
        """The session is open."""

    def no_session(self, ticket: Ticket, verdict: Verdict, now: float) -> bool:
        """The session was not opened; tell whether that ended the ticket."""

    def proven(self, ticket: Ticket, now: float) -> bool:
        """An envelope was dealt with on this session; tell whether that is news."""

    def delivered(self, now: float, seconds: float) -> None:
        """A message was taken; that took `seconds`."""

    def throttle(self, ticket: Ticket, verdict: Verdict, now: float, *, transactions: int, usable: bool) -> bool:
        """A message met a throttle; tell whether the session itself was refused: its ticket has ended."""

    def troubled(self, verdict: Verdict, now: float) -> None:
        """The receiver as a whole has too much to do, or does not trust us."""

    def took(self, message: Message, now: float) -> None:
        """A message was taken: that speaks for those whom it concerned."""

    def unexplained(self, message: Message, now: float) -> float | None:
        """A message was deferred in words that leave open whether it was one too many; tell until when it rests."""

    def ended(self, ticket: Ticket, now: float, *, died: bool) -> None:
        """A session has ended whose ticket has not; `died`: without a word to the receiver."""

    def changes(self) -> list[Change]:
        """Give the changes of the limit since the last call, where it keeps them."""

    def remember(self, now: float, *, clean: bool) -> Remembered | None:
        """Give what is kept over a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a controller starts to work."""

    table: SenderTable
    receiver: Receiver  # for one who sees everything
    now: float
    rng: Random
    remembered: Remembered | None = None


class Ours(Governor):
    """The product's own window, pace and governor, and about them what a lane does (`engine/lane.py`)."""

    parks: RetryPolicy | None = None

    def __init__(
        self, place: Place, *, window: Callable[..., Window] = Window, pace: Callable[..., Pace] = Pace
    ) -> None:
        table, now = place.table, place.now
        super().__init__(
            window(
                start=table.start_window,
                ceiling=table.max_window,
                now=now,
                rng=place.rng,
                remembered=place.remembered,
            ),
            pace(now),
        )
        self.dialing = Backoff(now, first_s=table.connect_backoff, most_s=table.connect_backoff_max)
        self.messages_per_session = self._most_messages = table.messages_per_session
        self._rng = place.rng
        self._evidence, self._rests = Evidence(), Rests()

    @property
    def limit(self) -> int:
        """The measured limit."""
        return self.window.limit

    def obstacle(self, now: float) -> tuple[str, float | None] | None:
        """Tell what forbids another session: no connection a moment ago, or the window."""
        if now < self.dialing.until:
            return "connect_failed", self.dialing.until
        return self.window.obstacle(now)

    def wants_session(self, now: float, *, waiting: int, idle: int) -> bool:
        """Open a session for each message that none will take, neither an idle one nor one that is to prove itself."""
        return waiting > idle + self.window.unproven and self.obstacle(now) is None

    def goes_on(self, transactions: int, now: float) -> bool:
        """Keep a session beyond its age while none could be opened, unless the age is the receiver's own."""
        if self.window.surplus():
            return False
        if transactions < self.messages_per_session:
            return True
        theirs = self.messages_per_session < self._most_messages
        return not theirs and not self.window.may_retire(now)

    def opening(self, now: float) -> Ticket:
        """A session begins."""
        return self.window.opening(now)

    def started(self, now: float) -> None:
        """A message was started."""
        self.pace.started(now)

    def connected(self, ticket: Ticket) -> None:
        """The session is open."""
        self.window.taken(ticket)
        self.dialing.succeeded()

    def no_session(self, ticket: Ticket, verdict: Verdict, now: float) -> bool:
        """Wait longer and longer where there is no connection at all."""
        refused = self.not_connected(ticket, verdict, now, others=self.window.proven > 0)
        if not refused:
            self.dialing.failed(now, self._rng)
        return refused

    def throttle(self, ticket: Ticket, verdict: Verdict, now: float, *, transactions: int, usable: bool) -> bool:
        """Learn how many messages a session takes; leave the rest to the governor."""
        if verdict.reason is Reason.SESSION_MESSAGE_LIMIT and transactions > 1:
            self.messages_per_session = transactions - 1
            return False
        return self.throttled(ticket, verdict, now, usable=usable)

    def ended(self, ticket: Ticket, now: float, *, died: bool) -> None:
        """A session has ended whose ticket has not; `died`: without a word to the receiver."""
        self.window.closed(ticket, now, died=died)

    @property
    def allowed(self) -> Callable[[int, float], bool] | None:
        """Leave out the domains that rest."""
        return self._allowed if self._rests else None

    def _allowed(self, domain: int, now: float) -> bool:
        return self._rests.until((Subject(Kind.DOMAIN, str(domain)),), now) is None

    def took(self, message: Message, now: float) -> None:
        """Let it count as evidence, where there is a suspicion."""
        if self._evidence or self._rests:
            self._evidence.taken(_subjects(message))
            self._rests.taken(_subjects(message), now)

    def unexplained(self, message: Message, now: float) -> float | None:
        """Let evidence say who is to blame (`engine/restraint.py`)."""
        subjects = _subjects(message)
        culprit = self._rests.again(subjects, now) or self._evidence.refused(subjects, now)
        if culprit is None:
            return None
        if culprit.kind is Kind.LANE:
            self.pace.pause(now)
            return None
        self.pace.forgive(now)
        return self._rests.begin(culprit, now, self._rng, first_s=_DOUBTFUL_S)

    def changes(self) -> list[Change]:
        """Take the changes of the window out, as a lane does."""
        changes, self.window.changes = self.window.changes, []
        return changes

    def remember(self, now: float, *, clean: bool) -> Remembered | None:
        """Give what a lane keeps of its window."""
        return self.window.remember(now, clean=clean)


def _subjects(message: Message) -> tuple[Subject, Subject, Subject]:
    """Give those whom a message concerns: each is to a mailbox of its own, and all are from one domain."""
    return (
        Subject(Kind.MAILBOX, str(message.number)),
        Subject(Kind.DOMAIN, str(message.domain)),
        Subject(Kind.IDENTITY, "us"),
    )
