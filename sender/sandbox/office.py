"""What the sessions of one receiver share: its behaviour, its limits, and what has arrived.

A session asks here whether it may, and says here what it did; the tally is changed by the office and its sessions only.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sender.sandbox import ledger
from sender.sandbox.behaviour import Behaviour, Script
from sender.sandbox.content import Content
from sender.sandbox.limits import Counts, Greylist
from sender.sandbox.syntax import NO_PARAMETERS
from sender.sandbox.voice import Voice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sender.sandbox.ledger import Store


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a receiver has seen so far.

    `sessions_opened` counts every connection, `sessions_open` those not refused at the banner.
    `recipients` and `bytes` count in accepted messages, `lost` the sessions that the peer ended without QUIT.
    `uninvited` counts reads with several commands in one although PIPELINING is not offered, and reads with content
    that was not asked for yet. `ahead` counts the messages that began before the one before them was answered.
    """

    sessions_opened: int = 0
    sessions_open: int = 0
    sessions_peak: int = 0
    sessions_refused: int = 0
    messages: int = 0
    recipients: int = 0
    rejected_recipients: int = 0
    quits: int = 0
    lost: int = 0
    uninvited: int = 0
    ahead: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message that was accepted, as the peer meant it: dots unstuffed, chunks joined."""

    at: datetime
    peer: str
    helo: str
    mail_from: str
    rcpt_tos: tuple[str, ...]
    content: bytes
    tls: bool
    parameters: Mapping[str, str]
    rcpt_parameters: tuple[Mapping[str, str], ...]


@dataclass(slots=True)
class Guest:
    """A peer in one session; `has_slot` says whether the session counts against the limit of its address."""

    peer: str
    has_slot: bool = False
    helo: str = ""
    tls: bool = False
    messages: int = 0
    errors: int = 0


@dataclass(slots=True)
class Transaction:
    """From MAIL to the reply after the end of data; `content` is there once data has been asked for."""

    mail_from: str
    parameters: Mapping[str, str]
    rcpt_tos: list[str] = field(default_factory=list)
    rcpt_parameters: list[Mapping[str, str]] = field(default_factory=list)
    content: Content | None = None


class Office:
    """The state that the sessions of a receiver share."""

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        store: Store | None = None,
        keep_arrivals: bool = False,
        counts: Counts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing seen, but for `counts` of others; `clock` gives the seconds of every limit."""
        self.tally = Tally()
        self.arrivals: list[Arrival] = []
        self._store = store
        self._keep_arrivals = keep_arrivals
        self._clock = clock
        counts = counts or Counts()
        self._slots, self._rates = counts.slots, counts.rates
        self._greylist = Greylist()
        self._behaviour = behaviour
        self.script = Script(behaviour.scripted)
        self.voice = Voice(behaviour)

    @property
    def behaviour(self) -> Behaviour:
        """What the receiver does now."""
        return self._behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        """Do something else from the next command on; a script goes on where it was if it is the same object."""
        if behaviour.scripted is not self._behaviour.scripted:
            self.script = Script(behaviour.scripted)
        self._behaviour = behaviour
        self.voice = Voice(behaviour)

    def admits(self, guest: Guest) -> bool:
        """Give the session a slot if it has none and its peer has one free."""
        limit = self._behaviour.max_sessions
        if not guest.has_slot and (limit is None or self._slots.taken(guest.peer, self._clock()) < limit):
            guest.has_slot = True
            self._slots.take(guest.peer)
        return guest.has_slot

    def dismiss(self, guest: Guest) -> None:
        """Take the slot back, after the delay that the behaviour asks for."""
        if guest.has_slot:
            guest.has_slot = False
            self._slots.give_back(guest.peer, self._clock(), self._behaviour.release_delay_s)

    def allows_message(self, guest: Guest) -> bool:
        """Spend one of the messages that the peer may send now."""
        behaviour = self._behaviour
        return behaviour.messages_per_second is None or self._rates.spend(
            guest.peer, self._clock(), per_second=behaviour.messages_per_second, burst=behaviour.burst
        )

    def greylisted_s(self, guest: Guest, mail_from: str, rcpt_to: str) -> float:
        """Tell how long this recipient has still to wait; zero or less when it may pass."""
        delay_s = self._behaviour.greylist_s
        if delay_s is None:
            return 0.0
        return self._greylist.wait_s((guest.peer, mail_from, rcpt_to), self._clock(), delay_s)

    def blank(self) -> Content:
        """Give room for the content of one message: no more than is wanted of it."""
        if self._keep_arrivals:
            limit = self._behaviour.max_size
            return Content(sys.maxsize if limit is None else limit + 1)
        return Content(ledger.HEADER_ROOM if self._store is not None else 0)

    def take(self, guest: Guest, transaction: Transaction, content: Content) -> None:
        """Record a message and count it; OSError when the store failed and nothing has arrived."""
        if self._store is not None:
            self._store.record(ledger.lines(transaction.mail_from, transaction.rcpt_tos, content.kept()))
        guest.messages += 1
        tally = self.tally
        tally.messages += 1
        tally.recipients += len(transaction.rcpt_tos)
        tally.bytes += content.size
        if self._keep_arrivals:
            self.arrivals.append(
                Arrival(
                    at=datetime.now(UTC),
                    peer=guest.peer,
                    helo=guest.helo,
                    mail_from=transaction.mail_from,
                    rcpt_tos=tuple(transaction.rcpt_tos),
                    content=content.kept(),
                    tls=guest.tls,
                    parameters=transaction.parameters or NO_PARAMETERS,
                    rcpt_parameters=tuple(transaction.rcpt_parameters),
                )
            )
