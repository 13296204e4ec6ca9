"""A receiver: whom it lets in, which messages it takes, what it says to the others, and how long it takes for it.

It counts as real ones do: late, on several nodes, or with sessions that have been gone for half an hour. What it says
is a verdict, as if `core/classify.py` had read its words.
"""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from sender.core.outcome import Reason, Scope
from sender.simulation.answers import (
    BLOCKED,
    GREYLISTED,
    LATER,
    LOST,
    MISREAD,
    OVERLOADED,
    SESSION_FULL,
    Answer,
    said,
)
from sender.simulation.meters import CountingWindow, Crowd, PenaltyBox, TokenBucket

if TYPE_CHECKING:
    from sender.simulation.clockwork import Clockwork
    from sender.simulation.mail import Message
    from sender.simulation.scenario import ChangeTable, ReceiverTable

_ENVELOPE_ROUND_TRIPS = 3  # MAIL, RCPT and DATA, one after the other


class Visit:
    """A session as the receiver sees it."""

    __slots__ = ("admitted", "messages")

    def __init__(self) -> None:
        self.messages = 0  # begun
        self.admitted = False  # past the point where too many are refused


class Receiver:
    """See the module. `knock` and `leave` are about sessions, `mail` and `done` about transactions."""

    def __init__(self, table: ReceiverTable, *, clockwork: Clockwork, domains: int, seed: str) -> None:
        self.cap = table.connections
        self.counted = 0  # sessions, those included that have gone and are not known to
        self.active = 0  # transactions
        self.round_trip_s = table.round_trip
        self.envelope_s = _ENVELOPE_ROUND_TRIPS * table.round_trip  # until the envelope is answered
        self.greeting_s = table.banner_delay + 2 * table.round_trip + table.tls_time  # banner, EHLO, STARTTLS, EHLO
        self.refusal_s = table.banner_delay + table.round_trip
        self.announced = 0  # connections on their way of those who see everything
        self._table = table
        self._clockwork = clockwork
        self._inside = 0  # sessions that are there, past the point where too many are refused
        self._snapshot = 0
        self._blocked = False
        self._service_s = table.service_time
        self._overloaded_above = table.overloaded_above
        sigma = math.sqrt(math.log(1 + table.service_variation**2))
        self._service = (-sigma * sigma / 2, sigma)
        # Each kind of chance has its own stream: what one controller is dealt, another one is dealt too.
        self._service_rng = Random(f"{seed}/service")
        self._node_rng = Random(f"{seed}/nodes")
        self._grey_rng = Random(f"{seed}/greylisting")
        self._loss_rng = Random(f"{seed}/losses")
        self._rate = _bucket(table.rate, table.burst)
        self._quota = CountingWindow(table.quota, table.quota_span, counts_refused=False) if table.quota else None
        self._knocks = (
            CountingWindow(table.connection_quota, table.connection_span, counts_refused=True)
            if table.connection_quota
            else None
        )
        penalty = table.penalty
        self._penalty = PenaltyBox(penalty.refusals, penalty.within, penalty.lasts) if penalty else None
        self._domain_blocked = [False] * domains
        self._domain_rate: list[TokenBucket | None] = [None] * domains
        for domain in table.domains:
            self._domain_blocked[domain.number] = domain.blocked
            self._domain_rate[domain.number] = _bucket(domain.rate, domain.burst)
        self._full = Answer(verdict=said(Reason.CONNECTION_LIMIT, Scope.LANE, table.names_wait), closes=True)
        self._fast = Answer(verdict=said(Reason.MESSAGE_RATE, Scope.LANE, table.names_wait))
        self._crowd = self._make_crowd(seed)
        for change in table.changes:
            clockwork.at(change.at, self._change, change)
        if table.counts_every:
            clockwork.at(0.0, self._tell_counts)

    # sessions

    def knock(self, visit: Visit) -> Answer | None:
        """Somebody connects: None, and it is counted, or why it may not come in."""
        now = self._clockwork.now
        self.announced = max(0, self.announced - 1)
        if self._blocked:
            return BLOCKED
        if self._penalty is not None and self._penalty.closed(now):
            self._penalty.knocked(now)
            return self._full
        if self._knocks is not None and not self._knocks.take(now):
            return replace(self._full, verdict=replace(self._full.verdict, retry_after_s=None))
        if self._table.broken_nodes and self._node_rng.random() < self._table.broken_nodes:
            return self._full
        if self._table.refuses_at == "banner" and self.is_full(1):
            if self._penalty is not None:
                self._penalty.refused(now)
            return self._full
        self.counted += 1
        if self._table.refuses_at == "banner":
            self._admit(visit)
        return None

    def leave(self, visit: Visit, *, clean: bool = True) -> None:
        """A session is over: its place is free when the receiver has noticed."""
        self._inside -= visit.admitted
        delay_s = self._table.release_delay if clean else self._table.abandoned_for
        if delay_s > 0:
            self._clockwork.after(delay_s, self._released)
        else:
            self._released()

    def is_full(self, more: int) -> bool:
        """Tell whether so many more sessions are more than the cap allows, as far as it has heard."""
        if self.cap is None:
            return False
        known = self._snapshot if self._table.counts_every else self.counted
        return known + self.crowd + more > self.cap

    def _admit(self, visit: Visit) -> None:
        visit.admitted = True
        self._inside += 1

    @property
    def _over_cap(self) -> bool:
        return self.cap is not None and self._inside + self.crowd > self.cap

    # transactions

    def mail(self, visit: Visit, message: Message) -> Answer | None:
        """A transaction begins: None where the message will be taken, or what is said instead."""
        self.active += 1
        if self._blocked:
            return BLOCKED
        answer = self._session_answer(visit) or self._message_answer(message)
        if not visit.admitted and (answer is None or answer.proves):
            self._admit(visit)
        return answer

    def seconds(self, answer: Answer | None) -> float:
        """Give the time that the transaction takes until the last reply."""
        if answer is not None and answer is not LOST:
            return self.envelope_s
        mean_s, load = self._service_s, self.active + self.crowd
        knee = self._table.knee
        if knee is not None and load > knee:
            mean_s *= (load / knee) ** self._table.knee_exponent
        return mean_s * math.exp(self._service_rng.gauss(*self._service))

    def done(self) -> None:
        """A transaction is over."""
        self.active -= 1

    def _session_answer(self, visit: Visit) -> Answer | None:
        """Say what is wrong with the session, if anything."""
        table = self._table
        if table.refuses_at == "mail" and not visit.admitted and self.is_full(0):
            return self._full
        if table.when_lowered == "kill" and visit.messages and self._over_cap:
            return self._full
        if table.messages_per_connection is not None and visit.messages >= table.messages_per_connection:
            return SESSION_FULL
        visit.messages += 1
        return None

    def _message_answer(self, message: Message) -> Answer | None:  # noqa: PLR0911 - one for each thing that can be wrong
        """Say what is wrong with the message, or with its being one too many, if anything."""
        now, table = self._clockwork.now, self._table
        if self._overloaded_above is not None and self.active > self._overloaded_above:
            return OVERLOADED
        if table.greylisted and self._greylists(message, now):
            misread = table.greylisting_misread and self._grey_rng.random() < table.greylisting_misread
            return MISREAD if misread else GREYLISTED
        if self._domain_blocked[message.domain]:
            return LATER
        domain_rate = self._domain_rate[message.domain]
        if domain_rate is not None and not domain_rate.take(now):
            return LATER
        if self._rate is not None and not self._rate.take(now):
            return self._fast
        if self._quota is not None and not self._quota.take(now):
            return self._fast
        if table.lost and self._loss_rng.random() < table.lost:
            return LOST
        return None

    def _greylists(self, message: Message, now: float) -> bool:
        if message.known_at is None:
            message.known_at = now if self._grey_rng.random() < self._table.greylisted else -math.inf
        return now < message.known_at + self._table.greylisted_for

    # what one sees who sees everything

    @property
    def crowd(self) -> int:
        """The sessions of other senders."""
        return self._crowd.sessions if self._crowd is not None else 0

    @property
    def room(self) -> int | None:
        """The sessions that we may have; None: as many as we like."""
        return None if self.cap is None else max(0, self.cap - self.crowd)

    @property
    def best_window(self) -> int | None:
        """The sessions beyond which more of them bring nothing; None: there is no such number."""
        bounds = [bound for bound in (self._best_load(), self._overloaded_above) if bound is not None]
        return min(bounds, default=None)

    def _best_load(self) -> int | None:
        """Give our share of the load at which most of our mail goes through: the top of n / (n + crowd) ** exponent."""
        knee, exponent = self._table.knee, self._table.knee_exponent
        if knee is None or exponent < 1 or (exponent == 1 and self.crowd):
            return None
        beyond = round(self.crowd / (exponent - 1)) if exponent > 1 else 0
        return max(1, knee - self.crowd, beyond)

    @property
    def ends_sessions(self) -> bool:
        """Tell whether sessions beyond the cap are closed while they work."""
        return self._table.when_lowered == "kill"

    def would_take(self, more: int) -> bool:
        """Tell whether another session would be let in now, after `more` others that are on their way."""
        now = self._clockwork.now
        if self._blocked or (self._penalty is not None and self._penalty.closed(now)):
            return False
        if self._knocks is not None and self._knocks.left(now) <= more:
            return False
        return self.cap is None or max(self.counted, self._snapshot) + self.crowd + more + 1 <= self.cap

    def next_message_at(self) -> float:
        """Give the instant from which a message would not be one too many, or one to look again."""
        now = self._clockwork.now
        if self._blocked:
            return now + 1.0
        rate_at = now if self._rate is None else self._rate.next_at(now)
        return rate_at if self._quota is None else max(rate_at, self._quota.next_at(now))

    def would_take_for(self, domain: int) -> bool:
        """Tell whether a message to a domain would not be one too many for it."""
        now, rate = self._clockwork.now, self._domain_rate[domain]
        return not self._domain_blocked[domain] and (rate is None or rate.next_at(now) <= now)

    # what happens by itself

    def _released(self) -> None:
        self.counted -= 1

    def _make_crowd(self, seed: str) -> Crowd | None:
        others = self._table.others
        if others is None:
            return None
        self._clockwork.at(0.0, self._move_crowd)
        return Crowd(
            sessions=others.sessions,
            amplitude=others.amplitude,
            period_s=others.period,
            noise=others.noise,
            rng=Random(f"{seed}/others"),
        )

    def _move_crowd(self) -> None:
        if self._crowd is not None and self.cap is not None:
            self._crowd.move(self._clockwork.now, self.cap - self.counted - self._crowd.sessions)
        self._clockwork.after(1.0, self._move_crowd)

    def _tell_counts(self) -> None:
        self._snapshot = self.counted
        self._clockwork.after(self._table.counts_every, self._tell_counts)

    def _change(self, change: ChangeTable) -> None:
        if change.connections is not None:
            self.cap = change.connections
        if change.rate is not None and self._rate is not None:
            self._rate.change(change.rate, self._clockwork.now)
        if change.service_time is not None:
            self._service_s = change.service_time
        if change.overloaded_above is not None:
            self._overloaded_above = change.overloaded_above
        if change.blocked is not None:
            self._blocked = change.blocked


def _bucket(rate: float | None, burst: int | None) -> TokenBucket | None:
    return None if rate is None else TokenBucket(rate, burst or max(1.0, rate))
