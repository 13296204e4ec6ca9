"""Clear-cut replies, in wordings of our own, and what they mean."""

from __future__ import annotations

import pytest

from sender.core.classify import classify
from sender.core.outcome import Outcome, Reason, Scope
from sender.core.reply import Reply
from sender.core.stage import Stage

_BANNER, _EHLO, _MAIL, _RCPT, _DATA, _END = (
    Stage.BANNER,
    Stage.EHLO,
    Stage.MAIL,
    Stage.RCPT,
    Stage.DATA,
    Stage.END_OF_DATA,
)
_BOUNCED, _DEFERRED = Outcome.BOUNCED, Outcome.DEFERRED
_RECIPIENT, _MESSAGE, _SESSION, _LANE, _IDENTITY = (
    Scope.RECIPIENT,
    Scope.MESSAGE,
    Scope.SESSION,
    Scope.LANE,
    Scope.IDENTITY,
)

_EXAMPLES = [
    # our pace
    (_BANNER, "421 4.7.0 Too many connections from your host", _DEFERRED, Reason.CONNECTION_LIMIT, _LANE),
    (_BANNER, "421 busy", _DEFERRED, Reason.OVERLOADED, _LANE),
    (_BANNER, "554 5.7.0 too many concurrent sessions", _DEFERRED, Reason.CONNECTION_LIMIT, _LANE),
    (_MAIL, "451 4.7.652 The number of simultaneous connections is used up", _DEFERRED, Reason.CONNECTION_LIMIT, _LANE),
    (_EHLO, "421 4.7.0 maximum number of sessions exceeded", _DEFERRED, Reason.CONNECTION_LIMIT, _LANE),
    (_BANNER, "450 4.7.1 your connection rate is above what we allow", _DEFERRED, Reason.CONNECTION_RATE, _LANE),
    (_BANNER, "421 connecting too often", _DEFERRED, Reason.CONNECTION_RATE, _LANE),
    (_MAIL, "421 4.7.0 too many messages in this session", _DEFERRED, Reason.SESSION_MESSAGE_LIMIT, _SESSION),
    (_MAIL, "450 4.7.1 rate limit reached", _DEFERRED, Reason.MESSAGE_RATE, _LANE),
    (_END, "452 4.7.28 you send mail too fast", _DEFERRED, Reason.MESSAGE_RATE, _LANE),
    (_MAIL, "550 5.7.1 message rate exceeded", _DEFERRED, Reason.MESSAGE_RATE, _LANE),
    (_RCPT, "452 4.5.3 too many recipients", _DEFERRED, Reason.RECIPIENT_LIMIT, _MESSAGE),
    (_RCPT, "552 too many recipients", _DEFERRED, Reason.RECIPIENT_LIMIT, _MESSAGE),
    (_RCPT, "450 4.2.1 this user is receiving mail too quickly", _DEFERRED, Reason.MAILBOX_RATE, _RECIPIENT),
    (_MAIL, "450 daily quota exceeded", _DEFERRED, Reason.DAILY_LIMIT, _LANE),
    # the receiver's state
    (_RCPT, "450 4.2.0 Greylisted, please try again in 300 seconds", _DEFERRED, Reason.GREYLISTED, _RECIPIENT),
    (_RCPT, "451 graylisting in action", _DEFERRED, Reason.GREYLISTED, _RECIPIENT),
    (_MAIL, "452 4.3.1 insufficient system storage", _DEFERRED, Reason.OVERLOADED, _LANE),
    (_MAIL, "421 4.3.2 system shutting down", _DEFERRED, Reason.OVERLOADED, _LANE),
    (_END, "451 4.3.0 internal server error", _DEFERRED, Reason.RECEIVER_ERROR, _LANE),
    (_RCPT, "421 4.7.0 too many errors on this line", _DEFERRED, Reason.TOO_MANY_ERRORS, _SESSION),
    # trust
    (_BANNER, "554 5.7.1 your address is on our blocklist", _BOUNCED, Reason.REPUTATION, _LANE),
    (_END, "550 5.7.26 the message passes neither SPF nor DKIM", _BOUNCED, Reason.AUTHENTICATION, _IDENTITY),
    (_END, "421 4.7.26 unauthenticated sender", _DEFERRED, Reason.AUTHENTICATION, _IDENTITY),
    (_BANNER, "554 5.7.25 no PTR record for your address", _BOUNCED, Reason.AUTHENTICATION, _LANE),
    (_MAIL, "530 5.7.0 Must issue a STARTTLS command first", _BOUNCED, Reason.TLS_REQUIRED, _LANE),
    (_END, "554 5.6.0 this looks like spam", _BOUNCED, Reason.CONTENT, _MESSAGE),
    (_END, "550 virus found", _BOUNCED, Reason.CONTENT, _MESSAGE),
    (_RCPT, "554 5.7.1 Relaying denied", _BOUNCED, Reason.RELAY_DENIED, _RECIPIENT),
    (_MAIL, "550 5.1.8 sender domain does not resolve", _BOUNCED, Reason.SENDER_REJECTED, _IDENTITY),
    (_END, "550 5.7.1 rejected by local policy", _BOUNCED, Reason.POLICY, _MESSAGE),
    # recipient or message
    (_RCPT, "550 5.1.1 no such user", _BOUNCED, Reason.MAILBOX_UNKNOWN, _RECIPIENT),
    (_RCPT, "550 unknown mailbox", _BOUNCED, Reason.MAILBOX_UNKNOWN, _RECIPIENT),
    (_RCPT, "550 no", _BOUNCED, Reason.MAILBOX_UNKNOWN, _RECIPIENT),
    (_RCPT, "550 5.2.1 the account is disabled", _BOUNCED, Reason.MAILBOX_DISABLED, _RECIPIENT),
    (_RCPT, "452 4.2.2 the mailbox is full", _DEFERRED, Reason.MAILBOX_FULL, _RECIPIENT),
    (_RCPT, "552 5.2.2 over quota", _BOUNCED, Reason.MAILBOX_FULL, _RECIPIENT),
    (_RCPT, "550 5.1.2 domain not found", _BOUNCED, Reason.DOMAIN_UNKNOWN, _RECIPIENT),
    (_MAIL, "552 5.3.4 message too large", _BOUNCED, Reason.TOO_LARGE, _MESSAGE),
    (_END, "554 5.6.2 bare LF in the message", _BOUNCED, Reason.MALFORMED, _MESSAGE),
    # the way, and what nobody knows
    (_MAIL, "503 nested MAIL", _BOUNCED, Reason.MALFORMED, _SESSION),
    (_MAIL, "354 go on", _DEFERRED, Reason.PROTOCOL_ERROR, _SESSION),
    (_END, "451 hm", _DEFERRED, Reason.UNCLASSIFIED, _MESSAGE),
    (_DATA, "554 hm", _BOUNCED, Reason.UNCLASSIFIED, _MESSAGE),
]


@pytest.mark.parametrize(("stage", "raw", "outcome", "reason", "scope"), _EXAMPLES, ids=str)
def test_a_clear_reply_means_what_it_says(
    stage: Stage, raw: str, outcome: Outcome, reason: Reason, scope: Scope
) -> None:
    """Each reply has the outcome, the reason and the scope that a postmaster would read in it."""
    verdict = classify(stage, Reply.parse(raw))
    assert (verdict.outcome, verdict.reason, verdict.scope) == (outcome, reason, scope)


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("450 4.2.0 Greylisted, try again in 300 seconds", 300),
        ("421 4.7.0 Too many connections, retry after 2 minutes", 120),
        ("450 4.2.0 Greylisted", None),
        ("550 5.1.1 no such user, try again in 300 seconds", None),
    ],
)
def test_a_deferral_carries_the_wait_that_it_names_and_a_bounce_none(raw: str, seconds: float | None) -> None:
    """A named wait is in the verdict, in seconds, where there will be another attempt."""
    assert classify(_RCPT, Reply.parse(raw)).retry_after_s == seconds
