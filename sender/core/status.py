"""What an enhanced status code means where the words decide nothing (RFC 3463 and the IANA registry of its codes).

The first digit is that of the reply; here stand subject and detail. What is too general to mean anything (`x.0.0`,
`x.5.0`, `x.7.0`, `x.7.1`) is not here, or is last.
"""

from __future__ import annotations

from sender.core.outcome import Reason as R
from sender.core.outcome import Scope as S

# Scope None is what the stage speaks of.
STATUS: dict[str, tuple[R, S | None]] = {
    "1.0": (R.MAILBOX_UNKNOWN, S.RECIPIENT),  # other address status
    "1.1": (R.MAILBOX_UNKNOWN, S.RECIPIENT),  # bad destination mailbox
    "1.2": (R.DOMAIN_UNKNOWN, S.RECIPIENT),  # bad destination system
    "1.3": (R.MALFORMED, S.RECIPIENT),  # bad destination mailbox syntax
    "1.4": (R.MAILBOX_UNKNOWN, S.RECIPIENT),  # ambiguous
    "1.6": (R.MAILBOX_UNKNOWN, S.RECIPIENT),  # moved, no forwarding address
    "1.7": (R.SENDER_REJECTED, S.MESSAGE),  # bad sender's mailbox syntax; servers mean "bad sender"
    "1.8": (R.SENDER_REJECTED, S.IDENTITY),  # bad sender's system
    "1.10": (R.DOMAIN_UNKNOWN, S.RECIPIENT),  # null MX (RFC 7505)
    "2.1": (R.MAILBOX_DISABLED, S.RECIPIENT),
    "2.2": (R.MAILBOX_FULL, S.RECIPIENT),
    "2.3": (R.TOO_LARGE, S.MESSAGE),
    "2.4": (R.RECEIVER_ERROR, S.RECIPIENT),  # list expansion
    "3.1": (R.OVERLOADED, S.LANE),  # system full
    "3.2": (R.OVERLOADED, S.LANE),  # not accepting messages
    "3.4": (R.TOO_LARGE, S.MESSAGE),
    "3.5": (R.RECEIVER_ERROR, S.LANE),  # incorrectly configured
    "4.1": (R.RECEIVER_ERROR, S.RECIPIENT),  # no answer from host
    "4.2": (R.RECEIVER_ERROR, S.SESSION),  # bad connection
    "4.3": (R.RECEIVER_ERROR, S.RECIPIENT),  # directory server failure
    "4.4": (R.DOMAIN_UNKNOWN, S.RECIPIENT),  # unable to route
    "4.5": (R.OVERLOADED, S.LANE),  # congestion
    "4.6": (R.RECEIVER_ERROR, S.RECIPIENT),  # loop
    "5.1": (R.MALFORMED, S.SESSION),  # invalid command
    "5.2": (R.MALFORMED, None),  # syntax error
    "5.3": (R.RECIPIENT_LIMIT, S.MESSAGE),
    "5.4": (R.MALFORMED, None),  # invalid arguments
    "6.0": (R.MALFORMED, S.MESSAGE),
    "6.1": (R.MALFORMED, S.MESSAGE),
    "6.2": (R.MALFORMED, S.MESSAGE),
    "6.3": (R.MALFORMED, S.MESSAGE),
    "6.6": (R.MALFORMED, S.MESSAGE),
    "6.7": (R.MALFORMED, S.MESSAGE),
    "7.2": (R.POLICY, S.RECIPIENT),  # list expansion prohibited
    "7.8": (R.POLICY, S.LANE),  # authentication credentials invalid
    "7.10": (R.TLS_REQUIRED, S.LANE),
    "7.13": (R.MAILBOX_DISABLED, S.RECIPIENT),
    "7.15": (R.MESSAGE_RATE, S.LANE),  # priority too low (RFC 6710)
    "7.16": (R.TOO_LARGE, S.MESSAGE),  # for this priority
    "7.17": (R.MAILBOX_UNKNOWN, S.RECIPIENT),  # mailbox owner has changed (RFC 7293)
    "7.18": (R.DOMAIN_UNKNOWN, S.RECIPIENT),  # domain owner has changed
    "7.20": (R.AUTHENTICATION, S.IDENTITY),  # RFC 7372
    "7.21": (R.AUTHENTICATION, S.IDENTITY),
    "7.22": (R.AUTHENTICATION, S.IDENTITY),
    "7.23": (R.AUTHENTICATION, S.IDENTITY),
    "7.24": (R.AUTHENTICATION, S.IDENTITY),
    "7.25": (R.AUTHENTICATION, S.LANE),
    "7.26": (R.AUTHENTICATION, S.IDENTITY),
    "7.27": (R.SENDER_REJECTED, S.IDENTITY),  # sender address has null MX (RFC 7505)
    "7.28": (R.MESSAGE_RATE, S.LANE),  # mail flood
    "7.29": (R.AUTHENTICATION, S.IDENTITY),  # ARC
    "7.30": (R.TLS_REQUIRED, S.LANE),  # RFC 8689
}
