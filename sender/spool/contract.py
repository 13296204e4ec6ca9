"""What a spool promises, and the values that go in and out. `sqlite.py` keeps it; another database can.

The states of a recipient, and what a crash in each leaves:

    queued     waits for `due_at`                          found again at start
    claimed    a delivering process has it, under a token  back to queued at start: its last attempt may have been made
    suspended  an operator holds this message              stays
    delivered, bounced, expired, removed                   ended: kept for `keep_ended`, then purged

Rules that every implementation keeps:

- `accept` and `settle` return after a durable commit; what they were given is wholly there or wholly absent.
- A message is in the spool when its row is: content that was put before and has no row is dropped at start.
- A claim belongs to an owner's token. `settle` and `release` with another token change nothing and raise `FencedError`.
- A notice (bounce) is queued in the commit that ends the recipients it tells about.
- One clock dates everything that is compared: the caller's on one node, the database's where several share a spool.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sender.core.errors import SpoolError
from sender.core.options import NO_OPTIONS, Options

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sender.core.selection import Selection

BLOCK = 256 * 1024  # content is kept in blocks of this many bytes; the first comes with a claim


class FencedError(SpoolError):
    """Claims were settled that belong to somebody else by now, or were settled before: these recipients."""

    def __init__(self, doing: str, why: object, fenced: Collection[int] = ()) -> None:
        super().__init__(doing, why)
        self.fenced = frozenset(fenced)


class DamagedError(SpoolError):
    """The content of a message is not what was accepted: to read it again helps nothing."""


class ReceiptError(SpoolError):
    """What was to be taken under a key was taken before, or something else was. `found` is what stands there."""

    def __init__(self, found: Receipt) -> None:
        super().__init__("accept", "the key has been used")
        self.found = found


class State(IntEnum):
    """The state of one recipient, as stored."""

    QUEUED = 0
    CLAIMED = 1
    SUSPENDED = 2
    DELIVERED = 3
    BOUNCED = 4
    EXPIRED = 5
    REMOVED = 6

    @property
    def ended(self) -> bool:
        """Nothing more will happen to this recipient."""
        return self >= State.DELIVERED

    @property
    def word(self) -> str:
        """The name in JSON and metrics."""
        return self.name.lower()


class Priority(IntEnum):
    """Urgent mail goes first; bulk gets a small share beside normal mail."""

    URGENT = 0
    NORMAL = 1
    BULK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to accept. `content` is its first block; `blocks - 1` further ones have been put before."""

    id: int
    mail_from: str  # empty: the null sender
    rcpt_tos: tuple[str, ...]
    domains: tuple[str, ...]  # canonical, one for each recipient
    content: bytes
    size: int  # bytes of the whole content
    accepted_at: float
    due_ats: tuple[float, ...]  # one for each recipient
    stream: str = "default"
    priority: Priority = Priority.NORMAL
    blocks: int = 1
    eight_bit: bool = False
    smtputf8: bool = False
    expires_at: float | None = None
    listener: str = ""
    dotted: bool = True  # a line of the content may begin with a dot
    options: Options = NO_OPTIONS
    dsn: tuple[str, ...] = ()  # NOTIFY and ORCPT, one for each recipient; empty: none has any
    checksum: int | None = None  # CRC-32 of the whole content


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a client was told, or is to be told, about what it sent under a key of its own (`Idempotency-Key`)."""

    owner: str
    key: str
    digest: bytes  # of what was asked
    taken: int  # recipients, of all that were asked for
    answer: bytes = b""  # empty: not all is taken yet


@dataclass(slots=True, kw_only=True)
class ClaimedRecipient:
    """One recipient that this process may try now."""

    id: int
    queue_id: int
    rcpt_to: str
    due_at: float
    attempts: int
    warned: bool
    dsn: str = ""


@dataclass(slots=True, kw_only=True)
class ClaimedMessage:
    """A message with those of its recipients that were claimed together."""

    id: int
    mail_from: str
    size: int
    stream: str
    priority: int
    eight_bit: bool
    smtputf8: bool
    accepted_at: float
    expires_at: float | None
    blocks: int
    dotted: bool = True
    options: Options = NO_OPTIONS
    checksum: int | None = None
    content: bytes = b""  # the first block
    recipients: list[ClaimedRecipient] = field(default_factory=list)

    @property
    def began_at(self) -> float:
        """The instant from which its age counts: that of its acceptance, or the one that it was to wait for."""
        return self.options.send_at or self.accepted_at


class Settlement(NamedTuple):
    """What became of one claimed recipient. `record` is an object of JSON for its history."""

    recipient_id: int
    message_id: int
    state: State
    due_at: float
    attempts: int
    record: bytes
    warned: bool = False


@dataclass(frozen=True, slots=True)
class QueueRow:
    """Mail of one domain, stream and priority: how much is queued, and when its first recipient is due."""

    id: int
    domain: str
    stream: str
    priority: int
    due_at: float
    queued: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim gave, and for each queue that was asked when its next recipient is due (None: nothing left).

    `damaged` tells of messages that are held from now on, and why.
    """

    messages: list[ClaimedMessage]
    next_due_at: Mapping[int, float | None]
    damaged: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """A selection that an operator holds. `until` None: until resumed."""

    id: int
    selection: Selection
    since: float
    until: float | None
    reason: str


class Spool(Protocol):
    """What the engine and the intake need of a spool."""

    token: int
    on_arrivals: Callable[[list[QueueRow]], None] | None  # called in the event loop after mail was accepted anywhere

    async def accept(self, *messages: NewMessage, receipt: Receipt | None = None, taken_before: int = 0) -> None:
        """Remember messages durably, all in one commit. Raises SpoolError: then none of them is there.

        With a receipt, they are taken only if no other stands under its key, or one of the same digest under which
        `taken_before` recipients were taken; else ReceiptError.
        """

    async def receipt(self, owner: str, key: str) -> Receipt | None:
        """Read what was taken under a key."""

    async def put_block(self, message_id: int, number: int, content: bytes) -> None:
        """Keep block `number` (from 1) of a message that will be accepted later."""

    async def drop_blocks(self, message_id: int) -> None:
        """Forget the blocks of a message that will not be accepted."""

    async def queues(self) -> list[QueueRow]:
        """Every queue that has recipients that wait; who came before this is not told to `on_arrivals` any more."""

    async def claim(
        self, queue_ids: Sequence[int], *, site: str, now: float, limit: int, byte_limit: int, together: int = 100
    ) -> Claim:
        """Claim due recipients of these queues in their order, with others of the same messages for the same site.

        `together` bounds those others: what shares a transaction. More of a large message wait for their own turn.
        A message that is not as it was accepted is suspended instead.
        """

    async def claim_selected(self, selection: Selection, *, limit: int) -> list[ClaimedMessage]:
        """Claim queued and suspended recipients for an operator's command, due or not, damaged or not."""

    async def claim_aged(
        self, *, tried_before: float, untried_before: float, limit: int, held: Sequence[int] = ()
    ) -> list[ClaimedMessage]:
        """Claim queued recipients that were accepted before one instant and tried, or before the other.

        Those in the queues `held` are left alone.
        """

    async def settle(
        self,
        settlements: Sequence[Settlement],
        notices: Sequence[NewMessage],
        last_replies: Mapping[str, str],
        now: float,
    ) -> None:
        """Remember durably what became of claimed recipients, and queue the notices about them."""

    async def keep(self, deliveries: Sequence[Settlement]) -> None:
        """Keep deliveries durably that cannot be settled now: what is opened next settles them."""

    async def forget_kept(self) -> None:
        """Forget what was kept: it is settled."""

    def take_in_hand(self, message_id: int) -> int | None:
        """Note that a message is being delivered, for whoever opens the spool next; gives the place of the note."""

    def put_down(self, place: int | None) -> None:
        """Take back such a note."""

    async def release(
        self, recipient_ids: Sequence[int], not_before: Mapping[int, float] = MappingProxyType({})
    ) -> None:
        """Put claimed recipients back where they were; `not_before` tells which of them are due later than before."""

    async def block(self, message_id: int, number: int) -> bytes:
        """Read block `number` of a message's content. Raises DamagedError where there is none."""

    async def set_sites(self, sites: Mapping[str, str]) -> None:
        """Remember to which site domains belong."""

    async def suspend(self, selection: Selection, *, now: float, until: float | None, reason: str) -> tuple[int, int]:
        """Hold a selection: the suspension's id, and how many recipients it touches."""

    async def resume(self, selection: Selection, *, now: float) -> int:
        """Let a selection go again: how many recipients that touches."""

    async def resume_id(self, suspension_id: int, *, now: float) -> int | None:
        """End one suspension: how many recipients that touches, None where there is no such suspension."""

    async def suspensions(self, now: float) -> list[Suspension]:
        """The suspensions in force."""

    async def redate(self, *, by_s: float, after: float, latest: float) -> None:
        """Move the instants after `after` at which queued recipients are due by `by_s`, but none beyond `latest`.

        Those of mail that is to be sent at an instant stay.
        """

    async def retry(self, selection: Selection, *, now: float) -> int:
        """Make queued recipients due now: how many."""

    async def save_lanes(self, memory: Mapping[str, Mapping[str, Any]], now: float) -> None:
        """Keep what lanes have learned."""

    async def lanes(self) -> dict[str, tuple[float, dict[str, Any]]]:
        """What lanes had learned, with the instant it was saved."""

    async def forget_lanes(self, names: Sequence[str]) -> None:
        """Forget what lanes had learned."""

    async def queue_report(self, now: float) -> list[dict[str, Any]]:
        """Figures for each queue."""

    async def age_report(self, now: float, *, domain: str, site: str, stream: str, limit: int) -> dict[str, Any]:
        """Queued recipients by age, in all and of the largest domains; see `ages.py`."""

    async def find_recipients(self, *, rcpt_to: str, domain: str, limit: int) -> dict[str, Any]:
        """Recipients of an address, or of a domain, the newest first; ended ones too while they are kept."""

    async def message_report(self, message_id: int) -> dict[str, Any] | None:
        """A message and its recipients, ended ones too while they are kept."""

    async def ahead(self, queue_ids: Sequence[int], *, due_before: float) -> int:
        """Count the recipients of these queues that are claimed, or queued and due before an instant."""

    async def totals(self) -> dict[str, int]:
        """Recipients since the spool was made: accepted, and by how they ended."""

    async def purge(self, ended_before: float, limit: int) -> int:
        """Forget messages that ended before an instant: how many."""

    async def forget_receipts(self, before: float) -> None:
        """Forget what was taken under keys before an instant."""

    async def close(self, *, clean: bool) -> None:
        """Finish what was asked, then stop."""
