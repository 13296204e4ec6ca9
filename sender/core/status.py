"""What an enhanced status code means where the words decide nothing (RFC 3463 and the IANA registry of its codes).

The first digit is that of the reply; here stand subject and detail. What is too general to mean anything (`x.0.0`,
`x.5.0`, `x.7.0`, `x.7.1`) is not here, or is last.
"""

from __future__ import annotations

from sender.core.outcome import Reason, Scope

# Scope None is what the stage speaks of.
STATUS: dict[str, tuple[Reason, Scope | None]] = {
    "1.0": (Reason.MAILBOX_UNKNOWN, Scope.RECIPIENT),  # other address status
    "1.1": (Reason.MAILBOX_UNKNOWN, Scope.RECIPIENT),  # bad destination mailbox
    "1.2": (Reason.DOMAIN_UNKNOWN, Scope.RECIPIENT),  # bad destination system
    "1.3": (Reason.MALFORMED, Scope.RECIPIENT),  # bad destination mailbox syntax
    "1.4": (Reason.MAILBOX_UNKNOWN, Scope.RECIPIENT),  # ambiguous
    "1.6": (Reason.MAILBOX_UNKNOWN, Scope.RECIPIENT),  # moved, no forwarding address
    "1.7": (Reason.SENDER_REJECTED, Scope.MESSAGE),  # bad sender's mailbox syntax; servers mean "bad sender"
    "1.8": (Reason.SENDER_REJECTED, Scope.IDENTITY),  # bad sender's system
    "1.10": (Reason.DOMAIN_UNKNOWN, Scope.RECIPIENT),  # null MX (RFC 7505)
    "2.1": (Reason.MAILBOX_DISABLED, Scope.RECIPIENT),
    "2.2": (Reason.MAILBOX_FULL, Scope.RECIPIENT),
    "2.3": (Reason.TOO_LARGE, Scope.MESSAGE),
    "2.4": (Reason.RECEIVER_ERROR, Scope.RECIPIENT),  # list expansion
    "3.1": (Reason.OVERLOADED, Scope.LANE),  # system full
    "3.2": (Reason.OVERLOADED, Scope.LANE),  # not accepting messages
    "3.4": (Reason.TOO_LARGE, Scope.MESSAGE),
    "3.5": (Reason.RECEIVER_ERROR, Scope.LANE),  # incorrectly configured
    "4.1": (Reason.RECEIVER_ERROR, Scope.RECIPIENT),  # no answer from host
    "4.2": (Reason.RECEIVER_ERROR, Scope.SESSION),  # bad connection
    "4.3": (Reason.RECEIVER_ERROR, Scope.RECIPIENT),  # directory server failure
    "4.4": (Reason.DOMAIN_UNKNOWN, Scope.RECIPIENT),  # unable to route
    "4.5": (Reason.OVERLOADED, Scope.LANE),  # congestion
    "4.6": (Reason.RECEIVER_ERROR, Scope.RECIPIENT),  # loop
    "5.1": (Reason.MALFORMED, Scope.SESSION),  # invalid command
    "5.2": (Reason.MALFORMED, None),  # syntax error
    "5.3": (Reason.RECIPIENT_LIMIT, Scope.MESSAGE),
    "5.4": (Reason.MALFORMED, None),  # invalid arguments
    "6.0": (Reason.MALFORMED, Scope.MESSAGE),
    "6.1": (Reason.MALFORMED, Scope.MESSAGE),
    "6.2": (Reason.MALFORMED, Scope.MESSAGE),
    "6.3": (Reason.MALFORMED, Scope.MESSAGE),
    "6.6": (Reason.MALFORMED, Scope.MESSAGE),
    "6.7": (Reason.MALFORMED, Scope.MESSAGE),
    "7.2": (Reason.POLICY, Scope.RECIPIENT),  # list expansion prohibited
    "7.8": (Reason.POLICY, Scope.LANE),  # authentication credentials invalid
    "7.10": (Reason.TLS_REQUIRED, Scope.LANE),
    "7.13": (Reason.MAILBOX_DISABLED, Scope.RECIPIENT),
    "7.15": (Reason.MESSAGE_RATE, Scope.LANE),  # priority too low (RFC 6710)
    "7.16": (Reason.TOO_LARGE, Scope.MESSAGE),  # for this priority
    "7.17": (Reason.MAILBOX_UNKNOWN, Scope.RECIPIENT),  # mailbox owner has changed (RFC 7293)
    "7.18": (Reason.DOMAIN_UNKNOWN, Scope.RECIPIENT),  # domain owner has changed
    "7.20": (Reason.AUTHENTICATION, Scope.IDENTITY),  # RFC 7372
    "7.21": (Reason.AUTHENTICATION, Scope.IDENTITY),
    "7.22": (Reason.AUTHENTICATION, Scope.IDENTITY),
    "7.23": (Reason.AUTHENTICATION, Scope.IDENTITY),
    "7.24": (Reason.AUTHENTICATION, Scope.IDENTITY),
    "7.25": (Reason.AUTHENTICATION, Scope.LANE),
    "7.26": (Reason.AUTHENTICATION, Scope.IDENTITY),
    "7.27": (Reason.SENDER_REJECTED, Scope.IDENTITY),  # sender address has null MX (RFC 7505)
    "7.28": (Reason.MESSAGE_RATE, Scope.LANE),  # mail flood
    "7.29": (Reason.AUTHENTICATION, Scope.IDENTITY),  # ARC
    "7.30": (Reason.TLS_REQUIRED, Scope.LANE),  # RFC 8689
}
