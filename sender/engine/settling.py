"""From an attempt to what is recorded of it: settlement, history, event, and the notice to the sender.

All recipients of one transaction are settled together, so that those who fail share one bounce.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sender.core.address import domain_of
from sender.core.bounce import Action, Failure, Notice, compose, headers_of, status_for
from sender.core.identity import id_text
from sender.core.outcome import Outcome, Reason, Scope, Verdict
from sender.core.reply import sanitised
from sender.core.schedule import first_turn_at
from sender.engine.chronicle import Chronicle
from sender.spool.contract import NewMessage, Settlement, State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from sender.clock import Clock
    from sender.core.reply import Reply
    from sender.core.schedule import RetryPolicy
    from sender.core.stage import Stage
    from sender.engine.committer import Committer
    from sender.observe.metrics import LaneMetrics, Metrics
    from sender.settings import Settings
    from sender.spool.contract import ClaimedMessage, ClaimedRecipient
    from sender.spool.sqlite import SqliteSpool


PATIENCE = 2  # what was never tried for a fault that is not its own gets this many times the age of other mail


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How an attempt went: the same for all recipients of a transaction. Empty where it did not come that far."""

    site: str = ""
    source: str = "default"
    host: str = ""
    address: str = ""
    tls: str = ""
    session_s: float = 0.0


class Result(NamedTuple):
    """What one recipient got."""

    recipient: ClaimedRecipient
    verdict: Verdict
    stage: Stage | None = None
    reply: Reply | None = None
    detail: str = ""  # our own words, where there is no reply
    status: str | None = None  # enhanced code for the bounce, where there is no reply
    ours: bool = False  # the receiver did not say it
    rest_until: float | None = None  # it pays no attempt, and comes back when its rest is over

    @property
    def text(self) -> str:
        """The reply, or our words, in one line."""
        return str(self.reply) if self.reply is not None else sanitised(self.detail)


class Settler:
    """Turns results into the committer's batch."""

    def __init__(
        self,
        settings: Settings,
        spool: SqliteSpool,
        committer: Committer,
        clock: Clock,
        rng: Random,
        metrics: Metrics,
        *,
        events: bool,
    ) -> None:
        self._spool = spool
        self._committer = committer
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._events = events
        self.reload(settings)

    def reload(self, settings: Settings) -> None:
        """Settle by another configuration from now on."""
        self._settings = settings
        self._metrics.streams = settings.streams
        self._policy = settings.retry.policy()
        self._policies = {
            name: destination.retry.policy() for name, destination in settings.destinations.items() if destination.retry
        }

    @property
    def longest_max_age_s(self) -> float:
        """The age that no mail exceeds, whatever destination it is for."""
        return max(policy.max_age_s for policy in (self._policy, *self._policies.values()))

    def policy(self, domain: str, site: str) -> RetryPolicy:
        """Give the retry rules for a domain at a site."""
        return (
            (self._policies.get(domain) or self._policies.get(site) or self._policy) if self._policies else self._policy
        )

    def expires_at(self, accepted_at: float, stated_at: float | None, domain: str, site: str) -> float:
        """Give the instant from which a failed attempt is the last one; `stated_at` is the message's own."""
        expires_at = self.policy(domain, site).expires_at(accepted_at)
        return expires_at if stated_at is None else min(expires_at, stated_at)

    def settle(self, message: ClaimedMessage, results: Sequence[Result], way: Way, metrics: LaneMetrics) -> None:
        """Record what became of recipients of one message."""
        now = self._clock.wall()
        chronicle = Chronicle(message, way, now)
        failed: list[Result] = []
        delayed: list[Result] = []
        for result in results:
            outcome = result.verdict.outcome
            metrics.attempt(outcome)
            if outcome is Outcome.DELIVERED:
                self._metrics.delivered(message.stream, max(0.0, now - message.accepted_at))
                self._ended(message, result, chronicle, State.DELIVERED)
            elif outcome is Outcome.BOUNCED:
                self._ended(message, result, chronicle, State.BOUNCED)
                metrics.bounced(result.verdict.reason or Reason.UNCLASSIFIED)
                failed.append(result)
            elif self._deferred(message, result, way, chronicle, metrics, now) is State.EXPIRED:
                failed.append(result)
            elif self._is_late(message, result, way, now):
                delayed.append(result)
        if failed:
            self._notify(message, failed, way, Action.FAILED, now)
        if delayed:
            self._notify(message, delayed, way, Action.DELAYED, now)
        self._committer.note()

    def remove(self, message: ClaimedMessage, reason: str) -> None:
        """Record that an operator took recipients out; nobody is told."""
        chronicle = Chronicle(message, Way(), self._clock.wall())
        for recipient in message.recipients:
            verdict = Verdict(outcome=Outcome.BOUNCED, scope=Scope.MESSAGE, reason=Reason.REMOVED)
            self._ended(message, Result(recipient, verdict, detail=reason), chronicle, State.REMOVED)
        self._committer.note()

    def expire(self, message: ClaimedMessage, metrics: LaneMetrics, why: str) -> None:
        """Record that recipients have waited too long, and tell the sender."""
        now = self._clock.wall()
        verdict = Verdict(outcome=Outcome.DEFERRED, scope=Scope.MESSAGE, reason=Reason.EXPIRED)
        results = [Result(recipient, verdict, detail=why) for recipient in message.recipients]
        chronicle = Chronicle(message, Way(), now)
        for result in results:
            self._ended(message, result, chronicle, State.EXPIRED)
            metrics.bounced(Reason.EXPIRED)
        self._notify(message, results, Way(), Action.FAILED, now)
        self._committer.note()

    def _ended(self, message: ClaimedMessage, result: Result, chronicle: Chronicle, state: State) -> None:
        recipient = result.recipient
        batch = self._committer.batch
        batch.ended[recipient.queue_id] = batch.ended.get(recipient.queue_id, 0) + 1
        tried = state is not State.REMOVED and result.stage is not None
        self._record(message, result, chronicle, state, recipient.due_at, recipient.attempts + tried)

    def _deferred(
        self,
        message: ClaimedMessage,
        result: Result,
        way: Way,
        chronicle: Chronicle,
        metrics: LaneMetrics,
        now: float,
    ) -> State:
        """Give the recipient its next attempt, or let it expire where its time is over."""
        recipient, verdict = result.recipient, result.verdict
        domain = domain_of(recipient.rcpt_to)
        policy = self.policy(domain, way.site)
        expires_at = self._expires_at(message, recipient, way)
        metrics.deferred(verdict.reason or Reason.UNCLASSIFIED)
        self._committer.batch.last_replies[domain] = result.text
        if now >= expires_at and (result.rest_until is None or self.overdue(message, recipient, way.site, now)):
            metrics.bounced(Reason.EXPIRED)
            self._ended(message, result, chronicle, State.EXPIRED)
            return State.EXPIRED
        attempts = recipient.attempts + (result.rest_until is None)
        due_at = result.rest_until or policy.next_attempt_at(
            attempts=attempts, now=now, rng=self._rng, retry_after_s=verdict.retry_after_s
        )
        if result.rest_until is None or message.expires_at is not None:
            # The last attempt is made when the time is over, not after it.
            due_at = min(due_at, max(expires_at, now + 1.0))
        self._committer.batch.requeued.append((recipient.queue_id, due_at))
        late = self._is_late(message, result, way, now)
        self._record(message, result, chronicle, State.QUEUED, due_at, attempts, warned=late)
        return State.QUEUED

    def overdue(self, message: ClaimedMessage, recipient: ClaimedRecipient, site: str, now: float) -> bool:
        """Tell whether a message that has only been throttled has waited too long: twice the time of another."""
        if message.expires_at is not None and now >= message.expires_at:
            return True
        max_age_s = self.policy(domain_of(recipient.rcpt_to), site).max_age_s
        return now >= message.accepted_at + PATIENCE * max_age_s

    def _expires_at(self, message: ClaimedMessage, recipient: ClaimedRecipient, way: Way) -> float:
        return self.expires_at(message.accepted_at, message.expires_at, domain_of(recipient.rcpt_to), way.site)

    def _is_late(self, message: ClaimedMessage, result: Result, way: Way, now: float) -> bool:
        after_s = self.policy(domain_of(result.recipient.rcpt_to), way.site).delay_warning_s
        return after_s is not None and not result.recipient.warned and now - message.accepted_at >= after_s

    def _record(
        self,
        message: ClaimedMessage,
        result: Result,
        chronicle: Chronicle,
        state: State,
        due_at: float,
        attempts: int,
        *,
        warned: bool = False,
    ) -> None:
        recipient, batch = result.recipient, self._committer.batch
        record, event = chronicle.write(result, state, due_at=due_at, attempts=attempts, event=self._events)
        warned |= recipient.warned
        batch.settlements.append(Settlement(recipient.id, message.id, state, due_at, attempts, record, warned))
        if event is not None:
            batch.events.append(event)

    def _notify(self, message: ClaimedMessage, results: Sequence[Result], way: Way, action: Action, now: float) -> None:
        """Queue a notice in the commit that records the failures; never one about a notice."""
        if not message.mail_from:
            return
        notice_id = self._spool.ids.next(now)
        content = compose(
            Notice(
                action=action,
                hostname=self._settings.hostname,
                message_id=id_text(notice_id),
                original_id=id_text(message.id),
                mail_from=message.mail_from,
                accepted_at=message.accepted_at,
                now=now,
                failures=[self._failure(result, way, action) for result in results],
                headers=headers_of(message.content),
                retry_until=min(self._expires_at(message, result.recipient, way) for result in results),
            )
        )
        self._committer.batch.notices.append(
            NewMessage(
                id=notice_id,
                mail_from="",
                rcpt_tos=(message.mail_from,),
                domains=(domain_of(message.mail_from),),
                content=content,
                size=len(content),
                accepted_at=now,
                due_ats=(first_turn_at(accepted_at=now, position=0, size=len(content)),),
                eight_bit=not content.isascii(),
                smtputf8=not message.mail_from.isascii(),
                listener="notice",
            )
        )

    @staticmethod
    def _failure(result: Result, way: Way, action: Action) -> Failure:
        expired = result.verdict.outcome is Outcome.DEFERRED and action is Action.FAILED
        enhanced = result.reply.enhanced if result.reply is not None else result.status
        text = result.text
        if expired:
            enhanced = "5.4.7"
            text = f"not delivered in time; the last answer was: {text}"
        return Failure(
            rcpt_to=result.recipient.rcpt_to,
            status=status_for(enhanced, action=action),
            diagnostic=text,
            remote_host=way.host if result.reply is not None and not result.ours else "",
        )
