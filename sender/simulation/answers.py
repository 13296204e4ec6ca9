"""What a receiver says when it does not say yes, as `core/classify.py` would have read it."""

from __future__ import annotations

from dataclasses import dataclass

from sender.core.outcome import Outcome, Reason, Scope, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a receiver says when it does not say yes."""

    verdict: Verdict
    closes: bool = False  # the connection with it
    replied: bool = True  # a lost connection says nothing
    throttle: bool = True  # it means that we send too much

    @property
    def proves(self) -> bool:
        """Tell whether it is about a message, so that the session has been let in."""
        return self.replied and self.verdict.reason is not Reason.CONNECTION_LIMIT


def said(reason: Reason, scope: Scope, wait_s: float | None = None) -> Verdict:
    """Give the verdict on a reply that defers."""
    return Verdict(outcome=Outcome.DEFERRED, scope=scope, reason=reason, retry_after_s=wait_s)


BLOCKED = Answer(verdict=said(Reason.REPUTATION, Scope.LANE), closes=True)
OVERLOADED = Answer(verdict=said(Reason.OVERLOADED, Scope.LANE))
SESSION_FULL = Answer(verdict=said(Reason.SESSION_MESSAGE_LIMIT, Scope.SESSION), closes=True, throttle=False)
GREYLISTED = Answer(verdict=said(Reason.GREYLISTED, Scope.RECIPIENT), throttle=False)
MISREAD = Answer(verdict=said(Reason.CONNECTION_LIMIT, Scope.LANE), throttle=False)
LATER = Answer(verdict=said(Reason.UNCLASSIFIED, Scope.RECIPIENT))  # "4.7.0 try again later", and no word of why
LOST = Answer(verdict=said(Reason.CONNECTION_LOST, Scope.SESSION), closes=True, replied=False, throttle=False)
