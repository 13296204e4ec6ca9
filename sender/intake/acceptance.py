"""From content to a message in the spool: what every way in shares."""

from __future__ import annotations

import asyncio
import email.utils
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sender import __version__
from sender.core.address import domain_of, needs_smtputf8
from sender.core.errors import SpoolError
from sender.core.identity import id_text
from sender.core.options import (
    NO_OPTIONS,
    OptionError,
    Options,
    checked_name,
    checked_priority,
    checked_times,
)
from sender.core.schedule import first_turn_at
from sender.intake.content import Reader, RefusedContentError
from sender.intake.headers import Headers
from sender.intake.instants import parse_instant
from sender.observe.events import instant
from sender.spool.contract import NewMessage, Priority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sender.clock import Clock
    from sender.intake.accounts import Senders
    from sender.intake.pressure import Pressure
    from sender.observe.events import Events
    from sender.observe.metrics import Metrics
    from sender.settings import Settings
    from sender.spool.contract import Receipt
    from sender.spool.sqlite import SqliteSpool

OWN_HOPS_MAX = 5  # times that a message may have been here before: more is a loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """To whom a message goes, and how. Addresses have been checked."""

    mail_from: str
    rcpt_tos: Sequence[str]
    dsn: tuple[str, ...] = ()  # NOTIFY and ORCPT, one for each recipient; empty: none has any
    smtputf8: bool = False
    stream: str = "default"
    priority: str = ""  # empty: that of the stream
    expires_at: float | None = None
    options: Options = NO_OPTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a message comes from, and what may be done with it."""

    listener: str
    received: str  # from whom, for the Received field
    protocol: str  # how
    complete: bool = False  # Date and Message-ID are added where they are missing
    controls: bool = True  # X-Sender-* are for us
    senders: Senders | None = None  # addresses that `From` may have; None: any
    max_size: int | None = None  # None: that of `[smtp]`
    max_hops: int | None = None
    refuse_long_lines: bool = False


class Acceptance:
    """Makes drafts. One for all ways into a process."""

    def __init__(
        self,
        settings: Settings,
        spool: SqliteSpool,
        clock: Clock,
        metrics: Metrics,
        events: Events,
        pressure: Pressure | None = None,
    ) -> None:
        self.settings = settings
        self.spool = spool
        self.clock = clock
        self.metrics = metrics
        self.events = events
        self._pressure = pressure
        self._commits: set[asyncio.Task[None]] = set()

    def draft(self, envelope: Envelope, origin: Origin) -> Draft:
        """Begin a message."""
        return Draft(self, envelope, origin)

    @property
    def closed_for(self) -> str:
        """Why nothing can be taken now; empty: it can."""
        return self._pressure.why if self._pressure is not None else ""

    def refused(self, listener: str, reason: str) -> None:
        """Count a message that was not taken."""
        self.metrics.refused.labels(listener, reason).inc()

    async def accept(self, *messages: NewMessage, receipt: Receipt | None = None, taken_before: int = 0) -> None:
        """Commit messages together; a caller that goes away meanwhile does not cut the commit.

        Raises SpoolError; ReceiptError where the receipt's key was used.
        """
        commit = asyncio.create_task(self._commit(messages, receipt, taken_before))
        self._commits.add(commit)
        commit.add_done_callback(self._commits.discard)
        await asyncio.shield(commit)

    async def _commit(self, messages: Sequence[NewMessage], receipt: Receipt | None, taken_before: int) -> None:
        await self.spool.accept(*messages, receipt=receipt, taken_before=taken_before)
        for message in messages:
            self.metrics.took(message.listener, message.stream, len(message.rcpt_tos))
        if self.events.wanted:
            self.events.write([event for message in messages for event in _accepted(message)])


def _accepted(message: NewMessage) -> list[dict[str, object]]:
    send_at = message.options.send_at
    facts = {
        "stream": message.stream,
        "size": message.size,
        "listener": message.listener,
        "send_at": None if send_at is None else instant(send_at),
        **message.options.told,
    }
    return [
        {
            "at": message.accepted_at,
            "event": "accepted",
            "message_id": id_text(message.id),
            "mail_from": message.mail_from,
            "rcpt_to": rcpt_to,
            "domain": domain,
            **facts,
        }
        for rcpt_to, domain in zip(message.rcpt_tos, message.domains, strict=True)
    ]


@dataclass(slots=True)
class _Wishes:
    """What X-Sender-* fields ask for, over what the envelope says."""

    envelope: Envelope
    now: float
    max_hold_s: float
    _seen: set[str] = field(default_factory=set)

    def apply(self, name: str, value: str) -> None:
        """Take one field. Raises OptionError."""
        if name in self._seen:
            raise OptionError("must stand once")
        self._seen.add(name)
        envelope = self.envelope
        match name.removeprefix("x-sender-"):
            case "stream":
                self.envelope = replace(envelope, stream=checked_name(value))
            case "campaign":
                self.envelope = replace(envelope, options=replace(envelope.options, campaign=checked_name(value)))
            case "priority":
                self.envelope = replace(envelope, priority=checked_priority(value))
            case "send-at":
                self.envelope = replace(envelope, options=replace(envelope.options, send_at=parse_instant(value)))
            case "expires-at":
                self.envelope = replace(envelope, expires_at=parse_instant(value))
        checked_times(
            send_at=self.envelope.options.send_at,
            expires_at=self.envelope.expires_at,
            now=self.now,
            max_hold_s=self.max_hold_s,
        )


def as_wanted(envelope: Envelope, controls: Sequence[tuple[str, str]], *, now: float, max_hold_s: float) -> Envelope:
    """Give an envelope as X-Sender-* fields, by name and value, want it. Raises RefusedContentError."""
    wishes = _Wishes(envelope, now, max_hold_s)
    for name, value in controls:
        try:
            wishes.apply(name, value)
        except OptionError as error:
            raise RefusedContentError(f"554 5.6.0 {name.title()}: {error.rule}", "malformed") from error
    return wishes.envelope


class Draft:
    """One message that is coming in. Either `commit` or `drop` ends it."""

    def __init__(self, acceptance: Acceptance, envelope: Envelope, origin: Origin) -> None:
        settings = acceptance.settings
        self.accepted_at = acceptance.clock.wall()
        self.id = acceptance.spool.ids.next(self.accepted_at)
        self._acceptance = acceptance
        self._envelope = envelope
        self._origin = origin
        self._first: bytes | None = None
        self._put = 0
        self._handed_over = False  # a commit that goes on without us needs the blocks
        self._date = email.utils.formatdate(self.accepted_at, usegmt=True)
        self._reader = Reader(
            trace=self._trace(),
            max_size=origin.max_size or settings.smtp.max_message_size,
            on_headers=self._on_headers,
            refuse_long_lines=origin.refuse_long_lines,
        )

    def _trace(self) -> bytes:
        """Write our own field (RFC 5321 section 4.4)."""
        origin, rcpt_tos = self._origin, self._envelope.rcpt_tos
        by = f"by {self._acceptance.settings.hostname} (sender {__version__})"
        clauses = [origin.received, f"{by} with {origin.protocol} id {id_text(self.id)}"]
        if len(rcpt_tos) == 1 and rcpt_tos[0].isascii():  # more of them are nobody's business
            clauses.append(f"for <{rcpt_tos[0]}>")
        return ("Received: " + "\r\n\t".join(clauses) + f";\r\n\t{self._date}\r\n").encode()

    def _on_headers(self, section: bytes) -> bytes:
        """Look the header section over and take what it says of us. Raises RefusedContentError."""
        origin, settings = self._origin, self._acceptance.settings
        headers = Headers.read(section, controls=origin.controls)
        by_us = f"by {settings.hostname} (sender ".encode()
        most = origin.max_hops or settings.smtp.max_hops
        if len(headers.hops) > most or sum(by_us in hop for hop in headers.hops) > OWN_HOPS_MAX:
            raise RefusedContentError(f"554 5.4.6 Too many hops: {len(headers.hops)} Received lines", "loop")
        self._envelope = as_wanted(
            self._envelope, headers.controls, now=self.accepted_at, max_hold_s=settings.spool.max_hold
        )
        if origin.senders is not None and not all(map(origin.senders.allows, headers.from_mailboxes)):
            raise RefusedContentError("553 5.7.1 From: is not an address of yours", "sender_rejected")
        if not origin.complete:
            return headers.written()
        return headers.written(date=self._date, message_id=f"{id_text(self.id)}@{settings.hostname}")

    async def feed(self, data: bytes, *, dotted: bool = True) -> None:
        """Take some content; full blocks go to the spool at once. Raises RefusedContentError, SpoolError.

        `dotted`: a line that ends in CRLF may be followed by one that begins with a dot.
        """
        self._reader.feed(data, dotted=dotted)
        for block in self._reader.blocks():
            await self._put_block(block)

    async def _put_block(self, block: bytes) -> None:
        if self._first is None:
            self._first = block
        else:
            self._put += 1
            await self._acceptance.spool.put_block(self.id, self._put, block)

    async def finish(self) -> NewMessage:
        """Give it as it is to be accepted. Raises RefusedContentError, SpoolError."""
        await self._put_block(self._reader.finish())
        return self._message()

    async def commit(self, receipt: Receipt | None = None) -> None:
        """Make it the spool's. Raises RefusedContentError, SpoolError."""
        message = await self.finish()
        self._handed_over = True
        try:
            await self._acceptance.accept(message, receipt=receipt)
        except SpoolError:
            self._handed_over = False
            raise

    def _message(self) -> NewMessage:
        envelope, reader = self._envelope, self._reader
        size, rcpt_tos, options = reader.stored, tuple(envelope.rcpt_tos), envelope.options
        if options.send_at is not None and options.send_at <= self.accepted_at:
            options = replace(options, send_at=None)  # its age counts from now, as that of other mail
        priority = envelope.priority or self._acceptance.settings.stream(envelope.stream).priority
        return NewMessage(
            id=self.id,
            mail_from=envelope.mail_from,
            rcpt_tos=rcpt_tos,
            domains=tuple(map(domain_of, rcpt_tos)),
            content=self._first or b"",
            blocks=self._put + 1,
            size=size,
            accepted_at=self.accepted_at,
            due_ats=_due_ats(self.accepted_at, options.send_at, size, len(rcpt_tos)),
            stream=envelope.stream,
            priority=Priority[priority.upper()],
            eight_bit=reader.eight_bit,
            dotted=reader.dotted,
            # A client may say SMTPUTF8 for nothing: only 8-bit content or addresses ask the receiver for it.
            smtputf8=envelope.smtputf8 and (reader.eight_bit or needs_smtputf8(envelope.mail_from)),
            expires_at=envelope.expires_at,
            listener=self._origin.listener,
            options=options,
            dsn=envelope.dsn if any(envelope.dsn) else (),
            checksum=reader.checksum,
        )

    async def drop(self) -> None:
        """Forget it, unless its commit is under way: that cannot be taken back."""
        if self._put and not self._handed_over:
            await self._acceptance.spool.drop_blocks(self.id)


def _due_ats(accepted_at: float, send_at: float | None, size: int, recipients: int) -> tuple[float, ...]:
    if send_at is not None:
        return (send_at,) * recipients
    return tuple(first_turn_at(accepted_at=accepted_at, position=position, size=size) for position in range(recipients))
