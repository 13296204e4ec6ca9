"""The words of a verdict: outcome, scope and reason (one set for events, metrics and bounces)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of one recipient in one attempt."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    BOUNCED = "bounced"


class Scope(StrEnum):
    """How far a refusal reaches."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    SESSION = "session"
    LANE = "lane"
    IDENTITY = "identity"


class Reason(StrEnum):
    """Why a recipient was not delivered."""

    # our pace
    CONNECTION_LIMIT = "connection_limit"
    CONNECTION_RATE = "connection_rate"
    SESSION_MESSAGE_LIMIT = "session_message_limit"
    RECIPIENT_LIMIT = "recipient_limit"
    MESSAGE_RATE = "message_rate"
    IDENTITY_RATE = "identity_rate"
    MAILBOX_RATE = "mailbox_rate"
    DAILY_LIMIT = "daily_limit"
    # the receiver's state
    GREYLISTED = "greylisted"
    OVERLOADED = "overloaded"
    RECEIVER_ERROR = "receiver_error"
    TOO_MANY_ERRORS = "too_many_errors"
    # trust
    REPUTATION = "reputation"
    CONTENT = "content"
    AUTHENTICATION = "authentication"
    TLS_REQUIRED = "tls_required"
    POLICY = "policy"
    RELAY_DENIED = "relay_denied"
    SENDER_REJECTED = "sender_rejected"
    # recipient or message
    MAILBOX_UNKNOWN = "mailbox_unknown"
    MAILBOX_DISABLED = "mailbox_disabled"
    MAILBOX_FULL = "mailbox_full"
    DOMAIN_UNKNOWN = "domain_unknown"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    # the way
    DNS_FAILURE = "dns_failure"
    CONNECT_FAILED = "connect_failed"
    CONNECTION_LOST = "connection_lost"
    TIMEOUT = "timeout"
    TLS_FAILURE = "tls_failure"
    PROTOCOL_ERROR = "protocol_error"
    # ours
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    REMOVED = "removed"
    UNCLASSIFIED = "unclassified"


class Trouble(StrEnum):
    """How a session ended when no reply says it."""

    REFUSED = "refused"  # no connection: refused, reset, unreachable
    TIMEOUT = "timeout"
    LOST = "lost"
    LOST_AFTER_CONTENT = "lost_after_content"  # the final dot may have arrived: the answer is unknown
    UNTRIED = "untried"  # the session failed before it was this message's turn, or failed it for the session's own sake
    TLS = "tls"
    PROTOCOL = "protocol"
    LOCAL = "local"  # our own fault (no descriptors, no port): says nothing about the receiver


# A refusal for our pace: the message pays nothing for it (no attempt, no other MX host, its place in the queue).
THROTTLES = frozenset(
    {
        Reason.CONNECTION_LIMIT,
        Reason.CONNECTION_RATE,
        Reason.SESSION_MESSAGE_LIMIT,
        Reason.RECIPIENT_LIMIT,
        Reason.MESSAGE_RATE,
        Reason.DAILY_LIMIT,
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one reply means: only `core/classify.py` makes these."""

    outcome: Outcome
    scope: Scope
    reason: Reason | None = None  # None exactly when delivered
    retry_after_s: float | None = None  # the wait that the reply itself names
    rule: str = ""  # what matched
    provider: str | None = None  # whose host said it, where that is known
    vague: bool = False  # it may be a throttle, and does not say of what: evidence decides

    @property
    def throttles(self) -> bool:
        """Tell whether the refusal speaks of our pace and not of the message."""
        return self.reason in THROTTLES and self.scope in {Scope.LANE, Scope.SESSION, Scope.MESSAGE}
