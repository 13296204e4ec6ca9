"""What a receiver does, as one value.

A `Behaviour` is never changed: give the receiver a new one with `dataclasses.replace`, also while it runs.
Every text is a whole reply: `{name}` and `{peer}` are filled in, and those of a recipient take `{rcpt}` as well.
The keys of `refused_rcpts` and `refused_senders` are mailboxes or, as `@example.org`, domains.
Without `enhanced_codes` the enhanced code is left out of every reply that is not scripted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

Stage = Literal[
    "banner",
    "ehlo",
    "starttls",
    "mail",
    "rcpt",
    "data",
    "bdat",
    "content",
    "end_of_data",
    "rset",
    "quit",
]
"""Where a scripted answer is given.

`ehlo` is also HELO, `bdat` a chunk that is not the last, `content` the first octets of a message (or its first BDAT),
`end_of_data` the terminating dot or the last chunk.
"""

_STAGES: frozenset[str] = frozenset(get_args(Stage))
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Close the connection instead of answering.

    `reply` is sent first; with `abort` the peer sees a reset, which may overtake that reply.
    With `accept`, a message whose end this answers has been taken all the same.
    """

    reply: str = ""
    abort: bool = False
    accept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """Never answer again in this session, but for `reply`.

    What arrives is read and dropped; with `deaf` it is not even read, so that the peer's writes fill up.
    With `accept`, a message whose end this answers has been taken all the same.
    """

    reply: str = ""
    deaf: bool = False
    accept: bool = False


Answer = str | Close | Hang


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What a receiver does.

    Limits on sessions and messages count for each peer address by itself, as receivers do.
    `latency_s` is the way: replies to pipelined commands share it.
    `accept_delay_s` is work at the end of a message: one waits for the one before.
    With `forgets_ahead`, what came in together with the end of a message and stands behind it is dropped: that breaks
    RFC 2920, section 3.1, as some receivers do that clear their input before they answer.
    A reply that begins with 421 closes the session, unless it is scripted.
    A scripted text is sent as it is, and its first digit decides what becomes of the command: 2 (3 at DATA) takes it.
    """

    name: str = "mx.sandbox.test"

    max_sessions: int | None = None
    refuse_at: Literal["banner", "mail"] = "banner"
    refuse_with: str = "421 4.7.0 {name} Error: too many connections from {peer}"
    release_delay_s: float = 0.0
    max_messages_per_session: int | None = None
    session_limit_with: str = "421 4.7.0 too many messages in this session"
    messages_per_second: float | None = None
    burst: int = 20
    rate_with: str = "451 4.7.1 too much mail, slow down"
    max_errors: int | None = None
    errors_with: str = "421 4.7.0 {name} Error: too many errors"

    greylist_s: float | None = None
    greylist_with: str = (
        "450 4.2.0 <{rcpt}>: Recipient address rejected: Greylisted, please try again in {seconds} seconds"
    )
    unknown_prefixes: tuple[str, ...] = ()
    unknown_with: str = "550 5.1.1 <{rcpt}>: Recipient address rejected: User unknown"
    full_prefixes: tuple[str, ...] = ()
    full_with: str = "452 4.2.2 mailbox full"
    refused_rcpts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    refused_senders: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    max_recipients: int = 1000
    recipients_with: str = "452 4.5.3 Too many recipients"
    max_size: int | None = 50 * _MIB

    latency_s: float = 0.0
    accept_delay_s: float = 0.0

    ehlo: bool = True
    pipelining: bool = True
    forgets_ahead: bool = False
    chunking: bool = True
    limits: str = ""  # what is announced of them (RFC 9422)
    eightbitmime: bool = True
    smtputf8: bool = True
    enhanced_codes: bool = True
    dsn: bool = False
    requiretls: bool = False  # under TLS
    tls: ssl.SSLContext | None = None

    scripted: Mapping[str, Sequence[Answer]] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def __post_init__(self) -> None:
        """Refuse a script for a stage that does not exist, which would never be used."""
        unknown = sorted(set(self.scripted) - _STAGES)
        if unknown:
            message = f"scripted = {unknown[0]!r}: must be one of {', '.join(get_args(Stage))}"
            raise ValueError(message)


class Script:
    """The scripted answers that are left, each used once, whichever session comes for it."""

    __slots__ = ("_left",)

    def __init__(self, scripted: Mapping[str, Sequence[Answer]]) -> None:
        """Begin at the first answer of every stage."""
        self._left = {stage: deque(answers) for stage, answers in scripted.items()}

    def take(self, stage: Stage) -> Answer | None:
        """Use up the next answer of a stage; none when the normal behaviour applies."""
        left = self._left.get(stage)
        return left.popleft() if left else None
