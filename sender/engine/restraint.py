"""The restraint of a lane: whom a throttle concerns, who rests for it, and until when.

A reply that names its scope decides; one that does not is weighed with what was taken and refused beside it
(`core/evidence.py`). Who rests pays no attempt, and delays no neighbour (`core/rests.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sender.core.address import domain_of
from sender.core.evidence import OTHERS, Evidence
from sender.core.identity import id_text
from sender.core.outcome import Outcome, Reason, Scope
from sender.core.rests import Kind, Rests, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sender.engine.delivery import Delivery, Judgement
    from sender.engine.results import Result
    from sender.engine.surroundings import Surroundings
    from sender.settings import RestSettings
    from sender.spool.contract import ClaimedMessage

_OF_IDENTITY = frozenset({Reason.IDENTITY_RATE, Reason.MESSAGE_RATE, Reason.DAILY_LIMIT, Reason.REPUTATION})
_OF_MAILBOX = frozenset({Reason.MAILBOX_RATE, Reason.DAILY_LIMIT})
_LANE = Subject(Kind.LANE, "")


def subjects_of(message: ClaimedMessage, rcpt_to: str) -> tuple[Subject, Subject, Subject]:
    """Give those whom a message for a recipient concerns: the mailbox, its domain, and who sends."""
    return (
        Subject(Kind.MAILBOX, rcpt_to.lower()),
        Subject(Kind.DOMAIN, domain_of(rcpt_to)),
        Subject(Kind.IDENTITY, domain_of(message.mail_from) if message.mail_from else ""),
    )


class Restraint:
    """See the module. `memory` is what the lane has kept; `lane_until` (steady clock): the whole lane goes on then."""

    def __init__(self, site: str, around: Surroundings, memory: Mapping[str, Any] | None) -> None:
        self.rests = Rests()
        self.lane_until = 0.0
        self._site = site
        self._clock, self._rng, self._settler = around.clock, around.rng, around.settler
        self._evidence = Evidence()
        self._suspect = ""  # the mailbox that was refused last, and nobody knows for whose sake
        self._before_it = 0  # messages for others that shall be tried before it
        self.reload(around.settings.rests)
        self.rests.restore((memory or {}).get("rests", ()))
        self._note_lane()

    def reload(self, settings: RestSettings) -> None:
        """Measure the rests that begin from now on by another configuration."""
        self.rests.first_s, self.rests.most_s = settings.first, settings.max
        self._doubtful_s = settings.doubtful

    def forget(self) -> None:
        """Let everybody be tried: an operator says so."""
        self.rests = Rests(first_s=self.rests.first_s, most_s=self.rests.most_s)
        self._evidence, self._before_it, self.lane_until = Evidence(), 0, 0.0

    def until(self, message: ClaimedMessage, rcpt_to: str, now: float) -> float | None:
        """Give the instant until which a recipient of a message rests; None where it may be tried."""
        return self.rests.until(subjects_of(message, rcpt_to), now) if self.rests else None

    def domain_until(self, domain: str, now: float) -> float | None:
        """Give the instant until which a whole domain rests."""
        return self.rests.until((Subject(Kind.DOMAIN, domain),), now) if self.rests else None

    def suspect(self) -> str | None:
        """Give the mailbox before which others shall be tried: where those are taken, the throttle is not the lane's.

        To be asked once for each message.
        """
        if not self._before_it:
            return None
        self._before_it -= 1
        return self._suspect

    def rest_lane(self, retry_after_s: float | None, reply: str) -> None:
        """Let everything wait: the receiver takes no more from us for a long time."""
        self.rests.begin(_LANE, self._clock.wall(), self._rng, retry_after_s=retry_after_s, reply=reply)
        self._note_lane()

    def _note_lane(self) -> None:
        wall = self._clock.wall()
        until = self.rests.until((_LANE,), wall)
        self.lane_until = 0.0 if until is None else self._clock.steady() + until - wall

    def weigh(self, delivery: Delivery, judgement: Judgement, now: float) -> bool:
        """Settle who rests, and whose time is over, in the judgement itself; tell whether anybody began to rest."""
        watched = bool(self._evidence or self.rests)
        if judgement.delivered == len(delivery.recipients) and not watched:
            return False
        message = delivery.message
        if watched:
            for result in judgement.settled:
                if result.verdict.outcome is Outcome.DELIVERED:
                    subjects = subjects_of(message, result.recipient.rcpt_to)
                    self._evidence.taken(subjects)
                    self.rests.taken(subjects, now)
                    if self._clock.steady() >= self.lane_until:
                        self.rests.taken((_LANE,), now)
        culprit = self._culprit(message, judgement, now)
        resting: list[Result] = []
        for results in (judgement.again, judgement.settled):
            for result in list(results):
                subject = self._throttled(message, result, culprit)
                if subject is not None:
                    results.remove(result)
                    resting.append(result._replace(rest_until=self._begin(subject, result, culprit, now)))
        judgement.settled += resting
        for result in [one for one in judgement.again if self._overdue(message, one, now)]:
            judgement.again.remove(result)
            judgement.settled.append(result)
        judgement.absolved = culprit is not None and culprit.kind is not Kind.LANE
        judgement.lane_suspected = culprit == _LANE
        return bool(resting)

    def _overdue(self, message: ClaimedMessage, result: Result, now: float) -> bool:
        return self._settler.overdue(message, result.recipient, self._site, now)

    def _culprit(self, message: ClaimedMessage, judgement: Judgement, now: float) -> Subject | None:
        """Let the first vague refusal of a transaction count as evidence: its others are no new ones."""
        vague = next((result for result in (*judgement.again, *judgement.settled) if _is_vague(result)), None)
        if vague is None:
            return None
        subjects = subjects_of(message, vague.recipient.rcpt_to)
        culprit = self.rests.again(subjects, now) or self._evidence.refused(subjects, now)
        self._suspect, self._before_it = vague.recipient.rcpt_to, OTHERS if culprit is None else 0
        return culprit

    def _throttled(self, message: ClaimedMessage, result: Result, culprit: Subject | None) -> Subject | None:
        """Give the subject for whose sake a recipient was throttled; None where that is the lane, or nobody."""
        verdict = result.verdict
        if verdict.outcome is not Outcome.DEFERRED or result.ours:
            return None
        mailbox, _, identity = subjects = subjects_of(message, result.recipient.rcpt_to)
        if verdict.scope is Scope.RECIPIENT and verdict.reason in _OF_MAILBOX:
            return mailbox
        if verdict.scope is Scope.IDENTITY and verdict.reason in _OF_IDENTITY:
            return identity
        if verdict.scope is Scope.MESSAGE and verdict.reason is Reason.MESSAGE_RATE and not verdict.vague:
            return Subject(Kind.MESSAGE, id_text(message.id))
        return culprit if culprit in subjects and _is_vague(result) else None

    def _begin(self, subject: Subject, result: Result, culprit: Subject | None, now: float) -> float:
        return self.rests.begin(
            subject,
            now,
            self._rng,
            retry_after_s=result.verdict.retry_after_s,
            reply=result.text,
            first_s=self._doubtful_s if subject == culprit else None,
        )


def _is_vague(result: Result) -> bool:
    return result.verdict.vague and result.verdict.outcome is Outcome.DEFERRED and not result.ours
