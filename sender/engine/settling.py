"""From an attempt to what is recorded of it: settlement, history, event, and the notice to the sender.

All recipients of one transaction are settled together, so that those who fail share one notice. The age of mail counts
from its acceptance or, where it was to wait, from the instant that it was to wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.core.address import domain_of
from sender.core.bounce import Action
from sender.core.outcome import Outcome, Reason, Scope, Verdict
from sender.engine.chronicle import Chronicle
from sender.engine.notices import Notices, is_wanted
from sender.engine.results import Result, Way
from sender.engine.steps import Steps
from sender.spool.contract import Settlement, State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from sender.clock import Clock
    from sender.core.schedule import RetryPolicy
    from sender.engine.committer import Committer
    from sender.observe.metrics import Metrics
    from sender.observe.series import LaneMetrics
    from sender.settings import Settings
    from sender.spool.contract import ClaimedMessage, ClaimedRecipient
    from sender.spool.sqlite import SqliteSpool


PATIENCE = 2  # what was never tried for a fault that is not its own gets this many times the age of other mail


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
        self.steps = Steps(clock)
        self._committer = committer
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._events = events
        self._notices = Notices(spool, clock, metrics)
        self.reload(settings)

    def reload(self, settings: Settings) -> None:
        """Settle by another configuration from now on."""
        self._notices.reload(settings)
        self._longest_rest_s = settings.rests.max
        self._policy = settings.retry.policy()
        self._policies = {
            name: destination.retry.policy() for name, destination in settings.destinations.items() if destination.retry
        }

    @property
    def longest_wait_s(self) -> float:
        """The time that no recipient waits for its next attempt, but to be sent when it was to be sent."""
        waits = (policy.longest_wait_s for policy in (self._policy, *self._policies.values()))
        return max(self._longest_rest_s, *waits)

    @property
    def longest_max_age_s(self) -> float:
        """The age that no mail exceeds, whatever destination it is for."""
        return max(policy.max_age_s for policy in (self._policy, *self._policies.values()))

    def policy(self, domain: str, site: str) -> RetryPolicy:
        """Give the retry rules for a domain at a site."""
        return (
            (self._policies.get(domain) or self._policies.get(site) or self._policy) if self._policies else self._policy
        )

    def expires_at(self, began_at: float, stated_at: float | None, domain: str, site: str) -> float:
        """Give the instant from which a failed attempt is the last one; `stated_at` is the message's own."""
        expires_at = self.policy(domain, site).expires_at(began_at)
        return expires_at if stated_at is None else min(expires_at, stated_at)

    def settle(self, message: ClaimedMessage, results: Sequence[Result], way: Way, metrics: LaneMetrics) -> None:
        """Record what became of recipients of one message: all of it with the notices about it, or nothing."""
        batch = self._committer.batch
        mark = batch.mark
        try:
            self._settle(message, results, way, metrics)
        except BaseException:
            ended = batch.back_to(mark)
            for result in results:
                if result.recipient.id in ended:
                    batch.ended[result.recipient.queue_id] -= 1
            raise
        self._committer.note()

    def _settle(self, message: ClaimedMessage, results: Sequence[Result], way: Way, metrics: LaneMetrics) -> None:
        now = self._clock.wall()
        chronicle = Chronicle(message, way, now)
        told: dict[Action, list[Result]] = {}
        for result in results:
            outcome = result.verdict.outcome
            metrics.attempt(outcome)
            if outcome is Outcome.DELIVERED:
                self._metrics.stream(message.stream).delivered(max(0.0, now - message.began_at), message.id)
                self._ended(message, result, chronicle, State.DELIVERED)
                if result.recipient.dsn and not way.tells:
                    told.setdefault(Action.RELAYED, []).append(result)
            elif outcome is Outcome.BOUNCED:
                self._ended(message, result, chronicle, State.BOUNCED)
                metrics.bounced(result.verdict.reason or Reason.UNCLASSIFIED, message.id)
                told.setdefault(Action.FAILED, []).append(result)
            elif self._deferred(message, result, way, chronicle, metrics, now) is State.EXPIRED:
                told.setdefault(Action.FAILED, []).append(result)
            elif self._is_late(message, result, way, now):
                told.setdefault(Action.DELAYED, []).append(result)
        for action, of in told.items():
            self._notify(action, message, of, way)

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
        self._notify(Action.FAILED, message, results, Way())  # first: where none can be written, nobody ends
        for result in results:
            self._ended(message, result, chronicle, State.EXPIRED)
            metrics.bounced(Reason.EXPIRED, message.id)
        self._committer.note()

    def _ended(self, message: ClaimedMessage, result: Result, chronicle: Chronicle, state: State) -> None:
        recipient = result.recipient
        batch = self._committer.batch
        batch.ended[recipient.queue_id] = batch.ended.get(recipient.queue_id, 0) + 1
        self._metrics.stream(message.stream).count(state.word)
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
        metrics.deferred(verdict.reason or Reason.UNCLASSIFIED, message.id)
        self._committer.batch.last_replies[domain] = result.text
        may_expire = not self.steps.lately
        over = now >= expires_at and (result.rest_until is None or self.overdue(message, recipient, way.site, now))
        if may_expire and over:
            metrics.bounced(Reason.EXPIRED, message.id)
            self._ended(message, result, chronicle, State.EXPIRED)
            return State.EXPIRED
        attempts = recipient.attempts + (result.rest_until is None)
        due_at = result.rest_until or policy.next_attempt_at(
            attempts=attempts, now=now, rng=self._rng, retry_after_s=verdict.retry_after_s
        )
        if may_expire and (result.rest_until is None or message.expires_at is not None):
            # The last attempt is made when the time is over, not after it.
            due_at = min(due_at, max(expires_at, now + 1.0))
        warn_at = message.options.warn_at
        if warn_at is not None and now < warn_at and result.rest_until is None and self._may_warn(recipient):
            due_at = min(due_at, max(warn_at, now + 1.0))
        self._committer.batch.requeued.append((recipient.queue_id, due_at))
        late = self._is_late(message, result, way, now)
        self._record(message, result, chronicle, State.QUEUED, due_at, attempts, warned=late)
        return State.QUEUED

    def overdue(self, message: ClaimedMessage, recipient: ClaimedRecipient, site: str, now: float) -> bool:
        """Tell whether a message that has only been throttled has waited too long: twice the time of another."""
        if self.steps.lately:
            return False
        if message.expires_at is not None and now >= message.expires_at:
            return True
        max_age_s = self.policy(domain_of(recipient.rcpt_to), site).max_age_s
        return now >= message.began_at + PATIENCE * max_age_s

    def _expires_at(self, message: ClaimedMessage, recipient: ClaimedRecipient, way: Way) -> float:
        return self.expires_at(message.began_at, message.expires_at, domain_of(recipient.rcpt_to), way.site)

    def _is_late(self, message: ClaimedMessage, result: Result, way: Way, now: float) -> bool:
        """Tell whether the sender is to hear of a delay now: once, by the message's own wish or by our rule."""
        recipient, warn_at = result.recipient, message.options.warn_at
        after_s = self.policy(domain_of(recipient.rcpt_to), way.site).delay_warning_s
        late = (after_s is not None and now - message.began_at >= after_s) or (warn_at is not None and now >= warn_at)
        return late and self._may_warn(recipient)

    @staticmethod
    def _may_warn(recipient: ClaimedRecipient) -> bool:
        return not recipient.warned and is_wanted(Action.DELAYED, recipient.dsn)

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

    def _notify(self, action: Action, message: ClaimedMessage, results: Sequence[Result], way: Way) -> None:
        """Queue a notice in the commit that records what it tells of."""
        retry_until = min(self._expires_at(message, result.recipient, way) for result in results)
        notice = self._notices.write(action, message, results, way, retry_until=retry_until)
        if notice is not None:
            self._committer.batch.notices.append(notice)
            self._metrics.took(notice.listener, notice.stream, len(notice.rcpt_tos))
