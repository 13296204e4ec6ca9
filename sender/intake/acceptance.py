"""From content to a message in the spool: what every way in shares."""

from __future__ import annotations

import asyncio
import email.utils
from typing import TYPE_CHECKING

from sender import __version__
from sender.core.address import domain_of, needs_smtputf8
from sender.core.errors import SpoolError
from sender.core.identity import id_text
from sender.core.schedule import first_turn_at
from sender.intake.content import Reader
from sender.spool.contract import NewMessage, Priority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sender.clock import Clock
    from sender.observe.events import Events
    from sender.observe.metrics import Metrics
    from sender.settings import Settings, StreamSettings
    from sender.spool.sqlite import SqliteSpool


class Acceptance:
    """Makes drafts. One for all listeners of a process."""

    def __init__(self, settings: Settings, spool: SqliteSpool, clock: Clock, metrics: Metrics, events: Events) -> None:
        self.settings = settings
        self.spool = spool
        self.clock = clock
        self.metrics = metrics
        self.events = events
        self._commits: set[asyncio.Task[None]] = set()

    def draft(
        self,
        *,
        mail_from: str,
        rcpt_tos: Sequence[str],
        received: str,
        protocol: str,
        listener: str,
        stream: str = "default",
        smtputf8: bool = False,
    ) -> Draft:
        """Begin a message. Addresses have been checked; `received` tells from whom, `protocol` how."""
        return Draft(
            self,
            mail_from=mail_from,
            rcpt_tos=tuple(rcpt_tos),
            received=received,
            protocol=protocol,
            listener=listener,
            stream=stream,
            smtputf8=smtputf8,
        )

    def refused(self, listener: str, reason: str) -> None:
        """Count a message that was not taken."""
        self.metrics.refused.labels(listener, reason).inc()

    async def accept(self, message: NewMessage) -> None:
        """Commit a message; a caller that goes away meanwhile does not cut the commit. Raises SpoolError."""
        commit = asyncio.create_task(self._commit(message))
        self._commits.add(commit)
        commit.add_done_callback(self._commits.discard)
        await asyncio.shield(commit)

    async def _commit(self, message: NewMessage) -> None:
        await self.spool.accept(message)
        self.metrics.accepted.labels(message.listener).inc()
        if self.events.wanted:
            self.events.write(
                [
                    {
                        "at": message.accepted_at,
                        "event": "accepted",
                        "message_id": id_text(message.id),
                        "mail_from": message.mail_from,
                        "rcpt_to": rcpt_to,
                        "domain": domain,
                        "stream": message.stream,
                        "size": message.size,
                    }
                    for rcpt_to, domain in zip(message.rcpt_tos, message.domains, strict=True)
                ]
            )


class Draft:
    """One message that is coming in. Either `commit` or `drop` ends it."""

    def __init__(
        self,
        acceptance: Acceptance,
        *,
        mail_from: str,
        rcpt_tos: tuple[str, ...],
        received: str,
        protocol: str,
        listener: str,
        stream: str,
        smtputf8: bool,
    ) -> None:
        settings = acceptance.settings
        self.accepted_at = acceptance.clock.wall()
        self.id = acceptance.spool.ids.next(self.accepted_at)
        self._acceptance = acceptance
        self._mail_from = mail_from
        self._rcpt_tos = rcpt_tos
        self._listener = listener
        self._stream = stream
        self._smtputf8 = smtputf8
        self._first: bytes | None = None
        self._put = 0
        self._handed_over = False  # a commit that goes on without us needs the blocks
        date = email.utils.formatdate(self.accepted_at, usegmt=True)
        clauses = [received, f"by {settings.hostname} (sender {__version__}) with {protocol} id {id_text(self.id)}"]
        if len(rcpt_tos) == 1 and rcpt_tos[0].isascii():  # more of them are nobody's business
            clauses.append(f"for <{rcpt_tos[0]}>")
        trace = ("Received: " + "\r\n\t".join(clauses) + f";\r\n\t{date}\r\n").encode()
        self._reader = Reader(trace=trace, max_size=settings.smtp.max_message_size, max_hops=settings.smtp.max_hops)
        self._trace_size = len(trace)

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

    async def commit(self) -> None:
        """Make it the spool's. Raises RefusedContentError, SpoolError."""
        await self._put_block(self._reader.finish())
        size = self._reader.size + self._trace_size
        stream = self._acceptance.settings.stream(self._stream)
        self._handed_over = True
        try:
            await self._acceptance.accept(self._message(size, stream))
        except SpoolError:
            self._handed_over = False
            raise

    def _message(self, size: int, stream: StreamSettings) -> NewMessage:
        return NewMessage(
            id=self.id,
            mail_from=self._mail_from,
            rcpt_tos=self._rcpt_tos,
            domains=tuple(map(domain_of, self._rcpt_tos)),
            content=self._first or b"",
            blocks=self._put + 1,
            size=size,
            accepted_at=self.accepted_at,
            due_ats=tuple(
                first_turn_at(accepted_at=self.accepted_at, position=position, size=size)
                for position in range(len(self._rcpt_tos))
            ),
            stream=self._stream,
            priority=Priority[stream.priority.upper()],
            eight_bit=self._reader.eight_bit,
            dotted=self._reader.dotted,
            # A client may say SMTPUTF8 for nothing: only 8-bit content or addresses ask the receiver for it.
            smtputf8=self._smtputf8 and (self._reader.eight_bit or needs_smtputf8(self._mail_from)),
            listener=self._listener,
        )

    async def drop(self) -> None:
        """Forget it, unless its commit is under way: that cannot be taken back."""
        if self._put and not self._handed_over:
            await self._acceptance.spool.drop_blocks(self.id)
