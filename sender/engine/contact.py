"""Get in touch with a site: its addresses in order, until one gives a session, or a refusal that all would give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sender.core.classify import classify_trouble
from sender.core.errors import SessionError
from sender.core.outcome import Outcome, Scope, Trouble, Verdict
from sender.engine.results import Result
from sender.route.router import Unroutable
from sender.smtp.ear import NOBODY
from sender.smtp.opening import Target, open_session
from sender.smtp.session import Session

if TYPE_CHECKING:
    from sender.core.classify import Classifier
    from sender.core.reply import Reply
    from sender.core.stage import Stage
    from sender.route.router import Route, Router
    from sender.settings import DeliverySettings, Tls
    from sender.smtp.ear import Ear
    from sender.smtp.habits import Habits
    from sender.spool.contract import ClaimedRecipient


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSession:
    """Why there is no session: the verdict on the last thing that was tried, with its words."""

    verdict: Verdict
    stage: Stage | None = None
    reply: Reply | None = None
    detail: str = ""
    host: str = ""
    status: str | None = None  # of an unroutable site
    local: bool = False  # our own fault: says nothing about the receiver

    @property
    def text(self) -> str:
        """What the receiver said, or what happened."""
        return str(self.reply) if self.reply is not None else self.detail

    def result_for(self, recipient: ClaimedRecipient) -> Result:
        """Put it as what one recipient got."""
        return Result(recipient, self.verdict, self.stage, self.reply, self.detail, self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls: what a lane's sessions have in common."""

    source_address: str
    helo: str
    tls: Tls
    habits: Habits
    ear: Ear = NOBODY


async def contact(
    route: Route, router: Router, caller: Caller, timeouts: DeliverySettings, classifier: Classifier
) -> Session | NoSession:
    """Open one session with a site. A throttle is not taken to the next host: that one would count it too."""
    endpoints = await router.endpoints(route)
    if isinstance(endpoints, Unroutable):
        return unroutable(endpoints)
    result: Session | NoSession | None = None
    for endpoint in endpoints:
        target = Target(
            host=endpoint.host,
            address=endpoint.address,
            port=endpoint.port,
            source_address=caller.source_address,
            helo=caller.helo,
            tls=caller.tls,
        )
        result = await _try(target, caller, timeouts, classifier)
        if isinstance(result, Session) or result.verdict.throttles or result.local:
            return result
    assert result is not None  # noqa: S101 - endpoints are never empty
    return result


async def _try(
    target: Target, caller: Caller, timeouts: DeliverySettings, classifier: Classifier
) -> Session | NoSession:
    try:
        opened = await open_session(target, timeouts, caller.habits, caller.ear)
    except SessionError as error:
        return NoSession(
            verdict=classify_trouble(error.stage, error.trouble),
            stage=error.stage,
            detail=str(error),
            host=error.host,
            local=error.trouble is Trouble.LOCAL,
        )
    if isinstance(opened, Session):
        return opened
    # A session that is refused as a whole has refused no message: what looks final here is tried again later.
    verdict = replace(classifier.classify(opened.stage, opened.reply, target.host), outcome=Outcome.DEFERRED)
    return NoSession(verdict=verdict, stage=opened.stage, reply=opened.reply, host=opened.host)


def unroutable(failure: Unroutable) -> NoSession:
    """Put a way that does not exist as a verdict on the messages that would take it."""
    verdict = Verdict(
        outcome=Outcome.BOUNCED if failure.permanent else Outcome.DEFERRED,
        scope=Scope.LANE,
        reason=failure.reason,
        rule="no route",
    )
    return NoSession(verdict=verdict, detail=failure.detail, status=failure.status)
