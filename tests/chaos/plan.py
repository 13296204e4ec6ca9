"""The plan: every identifier with what it is about, and why some are not here."""

from __future__ import annotations

from types import MappingProxyType

PLAN = MappingProxyType(
    {
        "C1": "kill -9 at random instants under mixed load",
        "C2": "repeats at most what was open when the kill came",
        "C3": "a kill, an exception, a cancellation at every named point",
        "C4": "kills during recovery, again and again",
        "C5": "SIGTERM with a peer that is stuck",
        "C6": "killed for want of memory",
        "C7": "clients that go away at any byte",
        "C8": "two delivering daemons on one spool",
        "C9": "spools of earlier versions",
        "R1": "power cuts: what was not synced may be gone, in part, in any order",
        "R2": "the same with LazyFS and machines that lose their power",
        "R3": "syncs that fail",
        "R4": "a full disk",
        "R5": "a disk that becomes full at any write",
        "R6": "no descriptors left",
        "R7": "large messages to slow readers",
        "R8": "the event loop is not kept waiting",
        "R9": "a spool that is taken away, or made read-only",
        "R10": "a slow disk",
        **{f"N{number}": "PostgreSQL and several nodes" for number in range(1, 10)},
        "D1": "DNS that fails for now",
        "D2": "domains that do not exist",
        "D3": "no MX: the domain's own address",
        "D4": "an MX whose host has no address",
        "D5": "null MX",
        "D6": "CNAME chains and loops",
        "D7": "an MX that points to us, or into private space",
        "D8": "we are an MX of the domain",
        "D9": "very many hosts and addresses",
        "D10": "an MX that changes while mail waits",
        "D11": "one address family alone, or dead",
        "D12": "names in every spelling",
        "D13": "no resolver while much is queued",
        "P1": "nobody answers a connection",
        "P2": "a peer hangs at any stage",
        "P3": "replies drip",
        "P4": "content is read slowly",
        "P5": "a peer closes at any stage",
        "P6": "a refusal in the middle of the content",
        "P7": "a late answer to the content",
        "P8": "an answer that comes too late",
        "P9": "421 at any stage",
        "P10": "banners that refuse",
        "P11": "recipients with different replies",
        "P12": "too many recipients",
        "P13": "sizes",
        "P14": "replies that are none",
        "P15": "endless and dirty replies",
        "P16": "replies to nothing",
        "P17": "unusual replies that are legal",
        "P18": "EHLO refused",
        "P19": "PIPELINING in every schedule",
        "P20": "CHUNKING that fails",
        "P21": "a peer that speaks something else",
        "P22": "connections that break below SMTP",
        "P23": "sessions that are used again",
        "P24": "a refusal that concerns the connection",
        **{
            f"T{number}": what
            for number, what in enumerate(
                (
                    "STARTTLS is not announced",
                    "STARTTLS is refused",
                    "the handshake fails",
                    "certificates",
                    "clear text behind the 220",
                    "EHLO before and after",
                    "names that are verified",
                    "DANE",
                    "MTA-STS",
                    "sessions of different policies",
                    "AUTH to a relay",
                    "REQUIRETLS",
                    "TLS reports",
                    "errors of TLS are classified",
                ),
                1,
            )
        },
        "K1": "the clock steps forward",
        "K2": "the clock steps back",
        "K3": "leap seconds and time zones",
        "K4": "certificates under a wrong clock",
        **{
            f"X{number}": what
            for number, what in enumerate(
                (
                    "NUL",
                    "bare CR and LF",
                    "dots",
                    "long lines",
                    "8-bit content",
                    "large messages",
                    "size limits",
                    "SMTPUTF8",
                    "addresses",
                    "headers without end",
                    "damaged messages",
                    "messages that make our code fail",
                    "Bcc",
                ),
                1,
            )
        },
        **{
            f"I{number}": what
            for number, what in enumerate(
                (
                    "open relay",
                    "other people's addresses",
                    "injection",
                    "smuggling, inbound",
                    "smuggling, outbound",
                    "STARTTLS injection",
                    "guessing passwords",
                    "slow clients",
                    "mail loops",
                    "floods of connections",
                    "abuse of the protocol",
                    "the HTTP API",
                    "SQL",
                    "bounded metrics",
                    "log injection",
                    "backscatter",
                ),
                1,
            )
        },
        "B1": "notices as RFC 3464 has them",
        "B2": "what senders asked to hear",
        "B3": "a crash between a refusal and its notice",
        "B4": "many recipients that fail at different times",
        "Q1": "the retry schedule",
        "Q2": "a receiver that comes back after a day",
        "Q3": "a dead domain beside a live one",
        "Q4": "troubles lower only their own limit",
        "Q5": "expiry at the instant of delivery",
    }
)

_POSTGRES = "there is no PostgreSQL spool yet"
_LATER = "not done yet"
ABSENT = MappingProxyType(
    {
        **{f"N{number}": _POSTGRES for number in range(1, 10)},
        "C6": _LATER,
        "R5": f"{_LATER} point by point; R3, R4 and R9 show most of it",
        "R2": "needs FUSE and virtual machines; R1 shows the same from what is written and synced",
        "T8": "DANE is not there yet",
        "T9": "MTA-STS is not there yet",
        "T11": "there is no AUTH to relays yet",
        "T13": "TLS reports are not there yet",
        "K3": "instants are seconds since 1970 in UTC everywhere; nothing reads a time zone",
        "K4": "certificates are verified by the system's clock, as everywhere; T4",
    }
)
