"""A delivery: one message for those of its recipients that share a transaction, and what their answers mean."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from sender.core.address import domain_of
from sender.core.classify import classify_trouble
from sender.core.identity import id_text
from sender.core.outcome import Outcome, Reason, Scope, Trouble, Verdict
from sender.core.stage import Stage
from sender.engine.results import Result, Way
from sender.smtp.session import Outgoing
from sender.spool.contract import DamagedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sender.core.classify import Classifier
    from sender.smtp.session import Answer, Session
    from sender.spool.contract import ClaimedMessage, ClaimedRecipient, Spool

_NOT_UNDERSTOOD = frozenset({500, 502, 503, 504})  # RFC 5321 section 4.2.3: about a command; ours are right


@dataclass(slots=True, eq=False)
class Delivery:
    """Claimed, and waiting for a session or being tried on one."""

    message: ClaimedMessage
    recipients: list[ClaimedRecipient]
    reconnected: bool = False  # a session died under it before it had begun: that happens once for nothing

    def outgoing(self, spool: Spool) -> Outgoing:
        """Give it as a session takes it."""
        message = self.message
        return Outgoing(
            mail_from=message.mail_from,
            rcpt_tos=[recipient.rcpt_to for recipient in self.recipients],
            size=message.size,
            eight_bit=message.eight_bit,
            smtputf8=message.smtputf8,
            first=message.content,
            dotted=message.dotted,
            more=partial(_more, message, spool) if message.blocks > 1 else None,
            options=message.options,
            dsn=[recipient.dsn for recipient in self.recipients],
        )


async def _more(message: ClaimedMessage, spool: Spool) -> AsyncIterator[bytes]:
    """Give the further blocks, the last one only if all of them are what was accepted. Raises SpoolError."""
    checksum, size = zlib.crc32(message.content), len(message.content)
    for number in range(1, message.blocks):
        block = await spool.block(message.id, number)
        checksum, size = zlib.crc32(block, checksum), size + len(block)
        if number == message.blocks - 1 and (size != message.size or message.checksum not in {None, checksum}):
            raise DamagedError("read content", f"the content of message {id_text(message.id)} is not what was accepted")
        yield block


def split(delivery: Delivery, most: int, most_domains: int | None = None) -> list[Delivery]:
    """Make envelopes of it, each of at most so many recipients in at most so many domains (None: in any number)."""
    recipients = delivery.recipients
    if len(recipients) == 1:
        return [delivery]
    groups = {0: recipients}
    if most_domains is not None:
        places: dict[str, int] = {}
        groups = {}
        for recipient in recipients:
            place = places.setdefault(domain_of(recipient.rcpt_to), len(places))
            groups.setdefault(place // most_domains, []).append(recipient)
    parts = [group[start : start + most] for group in groups.values() for start in range(0, len(group), most)]
    if len(parts) == 1:
        return [delivery]
    return [Delivery(delivery.message, part, reconnected=delivery.reconnected) for part in parts]


@dataclass(slots=True)
class Judgement:
    """What the answers of one transaction mean: who is settled, who goes again at once, and what the lane learns."""

    settled: list[Result] = field(default_factory=list)
    again: list[Result] = field(default_factory=list)
    absolved: bool = False  # what looked like a throttle of the lane was somebody's own
    lane_suspected: bool = False  # what looked like everybody's own is the lane's
    lane_verdict: Verdict | None = None  # overload or a block
    delivered: int = 0
    proven: bool = False  # the receiver dealt with the message on this session
    ambiguous: bool = False
    untried: bool = False  # the session failed before the message had its turn
    session_over: bool = False
    last_refusal: tuple[Stage, str] | None = None

    @property
    def throttles(self) -> dict[Reason, Verdict]:
        """Give the throttles that the lane learns from, one for each reason."""
        if not self.again:
            return {}
        verdicts = [result.verdict for result in self.again if result.verdict.throttles]
        return {verdict.reason: verdict for verdict in reversed(verdicts) if verdict.reason is not None}


def judge(
    delivery: Delivery, session: Session, answers: Sequence[Answer], classifier: Classifier, now_s: float | None = None
) -> Judgement:
    """Read the answers. A throttle costs the message nothing, nor does, once, a session that died before it began."""
    judgement = Judgement()
    fresh, taught = session.transactions <= 1, False
    for recipient, answer in zip(delivery.recipients, answers, strict=True):
        verdict = _verdict(answer, classifier, session.host, now_s)
        result = Result(recipient, verdict, answer.stage, answer.reply, answer.detail, ours=answer.ours)
        if verdict.outcome is Outcome.DELIVERED:
            judgement.proven = True
            judgement.delivered += 1
            judgement.settled.append(result)
            continue
        about_lane = verdict.throttles or verdict.scope is Scope.LANE
        if about_lane or not taught:
            # What is said about one recipient explains no change of the lane.
            judgement.last_refusal, taught = (answer.stage, str(answer)), about_lane
        if answer.reply is not None and not answer.ours and verdict.reason is not Reason.CONNECTION_LIMIT:
            judgement.proven = True
        if verdict.scope is Scope.LANE and verdict.reason in {Reason.OVERLOADED, Reason.REPUTATION}:
            judgement.lane_verdict = verdict
        judgement.ambiguous |= answer.ambiguous
        judgement.untried |= answer.trouble is Trouble.UNTRIED
        judgement.session_over |= verdict.scope is Scope.SESSION
        again = _goes_again(delivery, verdict, answer, fresh=fresh)
        (judgement.again if again else judgement.settled).append(result)
    return judgement


def _verdict(answer: Answer, classifier: Classifier, host: str, now_s: float | None) -> Verdict:
    if answer.reply is None:
        return classify_trouble(answer.stage, answer.trouble or Trouble.LOST)
    verdict = classifier.classify(answer.stage, answer.reply, host, now_s)
    not_understood = answer.reply.code in _NOT_UNDERSTOOD and answer.stage is not Stage.END_OF_DATA
    if verdict.reason is Reason.MALFORMED and (verdict.scope is Scope.SESSION or not_understood):
        # Out of step: that says something about the dialogue, and decides about no message.
        return replace(verdict, outcome=Outcome.DEFERRED, scope=Scope.SESSION)
    if verdict.outcome is Outcome.DELIVERED and answer.stage is not Stage.END_OF_DATA:
        # A consent to anything but the content takes no responsibility for the message.
        return classify_trouble(answer.stage, Trouble.PROTOCOL)
    return verdict


def _goes_again(delivery: Delivery, verdict: Verdict, answer: Answer, *, fresh: bool) -> bool:
    if answer.trouble is Trouble.UNTRIED:
        return True
    if verdict.throttles:
        # A receiver that takes not even one recipient has no limit that a smaller envelope would meet.
        return not (verdict.reason is Reason.RECIPIENT_LIMIT and len(delivery.recipients) == 1)
    before_envelope = answer.stage in {Stage.MAIL, Stage.RSET} and verdict.scope is Scope.SESSION
    return before_envelope and not fresh and not delivery.reconnected


def way_of(session: Session, *, site: str, source: str, seconds: float) -> Way:
    """Say how an attempt went."""
    return Way(
        site=site,
        source=source,
        host=session.host,
        address=session.address,
        tls=session.tls,
        session_s=seconds,
        tells=session.tells,
    )


def again(judgement: Judgement, delivery: Delivery) -> Delivery:
    """Make a delivery of those who go again."""
    recipients = [result.recipient for result in judgement.again]
    reconnected = delivery.reconnected or not (judgement.throttles or judgement.untried)
    return Delivery(delivery.message, recipients, reconnected=reconnected)
