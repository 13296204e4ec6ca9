"""One session with a receiver, from EHLO to QUIT: transactions that give one answer per recipient.

While the answer to a message's content is awaited, the next message may be begun behind it: its envelope (RFC 2920
section 3.1), or, where CHUNKING has shown to work, the whole of it (RFC 3030). A transaction knows how far it came, so
a connection that is lost before the final dot, after it, and after its answer are three different things: nothing was
sent; the answer is unknown; the answer stands. What was begun behind another and had not its turn has not been tried.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sender.core.outcome import Trouble
from sender.core.stage import Stage
from sender.smtp.content import END, DotStuffer, chunk, stuffed
from sender.smtp.habits import STRIKES, Habits, Way
from sender.smtp.offer import Offer
from sender.smtp.outgoing import Outgoing
from sender.smtp.transaction import Answer, OutOfStepError, Transaction
from sender.smtp.wire import Wire, WireError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from sender.core.reply import Reply
    from sender.settings import DeliverySettings

__all__ = ["FAILED_CHUNKS_MAX", "PIECE", "Answer", "Outgoing", "Session"]

# Behind a BDAT that is not answered goes RSET, in case that it fails, and then one more is wasted: receivers count them
# (Exim: 10 in a session). And where many are refused, content ahead of the answer to RCPT is sent for nothing.
FAILED_CHUNKS_MAX = 8
PIECE = 64 * 1024  # bytes of content that share one timer; what is longer is not sent by BDAT


def _nothing() -> None:
    """Stand in where nothing follows."""


class Session:
    """A session that is open. One task uses it; after anything irregular it is dead and says so."""

    def __init__(
        self,
        wire: Wire,
        *,
        host: str,
        address: str,
        tls: str,
        verified: bool,
        certificate_expires_at: float | None = None,
        extensions: Mapping[str, str],
        timeouts: DeliverySettings,
        habits: Habits,
    ) -> None:
        self.host = host
        self.address = address
        self.tls = tls  # version of TLS; empty: clear text
        self.certificate_expires_at = certificate_expires_at  # of one that was verified; seconds since 1970
        self.transactions = 0  # the current one included
        self.closed_by: Reply | None = None  # the 421, or the refused RSET, that ended it
        self._wire = wire
        self._timeouts = timeouts
        self._stage_timeouts = {
            Stage.RSET: timeouts.rset_timeout,
            Stage.MAIL: timeouts.mail_timeout,
            Stage.RCPT: timeouts.rcpt_timeout,
            Stage.DATA: timeouts.data_timeout,
            Stage.END_OF_DATA: timeouts.end_of_data_timeout,
        }
        self._habits = habits
        self._offer = Offer.read(extensions, verified=verified)
        self.announced = self._offer.announced
        self._over = False
        self._dirty = False  # an envelope was begun and not ended: RSET goes first
        self._busy = False
        self._on_envelope: Callable[[], None] | None = None  # of the current transaction
        self._ahead: Transaction | None = None  # begun behind the current one; the next
        self._failed_chunks = 0
        self._blamed = False  # a way was doubted for the end of this session

    @property
    def usable(self) -> bool:
        """Tell whether another transaction may be tried, now or behind the one that is under way."""
        if self._over or self.closed_by is not None:
            return False
        return self._wire.alive if self._busy or self._ahead is not None else self._wire.usable

    @property
    def trying(self) -> bool:
        """Tell whether it may still find out about a way: where its connection has ended, it has yet to tell why."""
        return self._busy or self.usable

    @property
    def died(self) -> bool:
        """Tell whether the connection is gone without a word: the receiver may count it as open for a while."""
        return self._wire.died

    @property
    def tells(self) -> bool:
        """Tell whether the receiver tells senders itself what becomes of their mail (RFC 3461)."""
        return self._offer.dsn

    @property
    def endpoint(self) -> str:
        """Host and address, for people."""
        return f"{self.host}[{self.address}]"

    async def transact(
        self,
        message: Outgoing,
        following: Callable[[], Outgoing | None] = _nothing,
        on_envelope: Callable[[], None] | None = None,
    ) -> list[Answer]:
        """Send one message; give an answer for each recipient, in their order.

        `on_envelope` is called when the receiver has taken the envelope: the content may take long.

        Where the receiver allows to begin the next one before, `following` is asked for it, at the instant at which it
        begins: who gives one must call again with that very one, whatever becomes of this session.
        """
        ahead, self._ahead = self._ahead, None
        transaction = ahead if ahead is not None and ahead.message is message else self._begin(message)
        if transaction.undecided:
            self.transactions += 1
            self._busy, self._on_envelope = True, on_envelope
            try:
                await self._carry(transaction, following)
            except WireError as error:
                self._failed(transaction, error.trouble, error.detail)
            except OutOfStepError as error:
                self._wire.give_up(str(error))
                self._failed(transaction, Trouble.PROTOCOL, str(error))
            except BaseException:
                # Cancelled, or the content could not be read: the receiver must not take half a message for one.
                self._wire.abort()
                raise
            finally:
                self._busy = False
            if transaction.evidence is not None:
                self._habits.failed(transaction.evidence.way, transaction.evidence.why)
            self.closed_by = self.closed_by or transaction.closed_by
            self._dirty = transaction.open
            self._failed_chunks += transaction.chunked and transaction.open
        return [
            answer or Answer(Stage.MAIL, trouble=Trouble.LOST, detail="no answer") for answer in transaction.answers
        ]

    async def quit(self) -> None:
        """Say goodbye (RFC 5321 section 4.1.1.10), shortly; the answer changes nothing."""
        try:
            if self._wire.usable:
                self._wire.send(b"QUIT\r\n", 1)
                await self._wire.reply(self._timeouts.quit_timeout)
        except WireError:
            pass
        finally:
            self._wire.abort()

    def leave(self) -> None:
        """Begin nothing more on this session but QUIT."""
        self._over = True

    def abort(self) -> None:
        """End the session at once."""
        self._wire.abort()

    # one transaction

    def _begin(self, message: Outgoing, behind: Transaction | None = None) -> Transaction:
        """Make a transaction, on the way that is open to it."""
        answers: list[Answer | None] = [None] * len(message.rcpt_tos)
        if not self._offer.takes(message):
            refusals = (self._offer.refusal(message, rcpt_to, self.host) for rcpt_to in message.rcpt_tos)
            answers = [None if refusal is None else Answer(Stage.MAIL, refusal, ours=True) for refusal in refusals]
        way: Way | None = None
        chunked = False
        if self._offer.pipelining and self._habits.may(Way.PIPELINING, self):
            chunked = (
                self._offer.chunking
                and message.more is None
                and len(message.first) < PIECE
                and self._failed_chunks < FAILED_CHUNKS_MAX
                and self._habits.may(Way.CHUNKING if behind is None else Way.DOUBLING, self)
            )
            alone = behind is None
            way = Way.PIPELINING if alone else Way.DOUBLING if chunked else Way.OVERLAPPING
        return Transaction(
            message,
            answers,
            self._offer,
            way=way,
            behind=behind is not None,
            chunk=chunk(message.first) if chunked else None,
            # What a BDAT leaves behind that is going to fail is not known yet.
            reset=self._dirty if behind is None else behind.chunked,
        )

    def _begin_ahead(self, current: Transaction, following: Callable[[], Outgoing | None]) -> Transaction | None:
        """Make the transaction that is to be begun behind the current one; the caller writes it."""
        if self._over or self.closed_by is not None:
            return None
        if not (self._offer.pipelining and self._habits.may(Way.OVERLAPPING, self)):
            return None
        message = following()
        if message is None:
            return None
        try:
            ahead = self._begin(message, current)
        except Exception:  # noqa: BLE001 - it is told when its turn has come: the current one is not to suffer from it
            return None
        self._ahead = ahead
        if not ahead.undecided:
            return None
        current.followed = ahead.way
        return ahead

    def _write_ahead(self, ahead: Transaction | None) -> None:
        """Write what is begun behind the current transaction, whose answer is to be read even if this fails."""
        if ahead is not None:
            with contextlib.suppress(WireError):
                self._wire.send_more(ahead.group(), len(ahead.awaited), -ahead.chunk_size)
                ahead.written_at_once()

    async def _carry(self, transaction: Transaction, following: Callable[[], Outgoing | None]) -> None:
        """Carry it through. Raises WireError, OutOfStepError."""
        wire = self._wire
        if self.closed_by is not None and not transaction.sent:
            raise WireError(Trouble.LOST, f"closed by the receiver: {self.closed_by}")
        if transaction.way is None:
            for step in transaction.steps():
                wire.send(step, 1)
                await self._replies(transaction, len(transaction.awaited) - 1)
        elif not transaction.written:
            wire.send(transaction.group(), len(transaction.awaited), -transaction.chunk_size)
            transaction.written_at_once()
        if transaction.chunked:
            if not wire.all_sent:
                await wire.sent(self._timeouts.block_timeout, len(transaction.awaited))
            self._write_ahead(self._begin_ahead(transaction, following))
        await self._replies(transaction)
        if transaction.evidence is None and transaction.closed_by is None:
            self._worked(transaction)
        if transaction.go:
            await self._content(transaction, following)

    async def _replies(self, transaction: Transaction, until: int = 0) -> None:
        """Hand replies to a transaction until so many are left that it awaits."""
        wire = self._wire
        while len(transaction.awaited) > until:
            reply = wire.received()
            if reply is None:
                timeout_s = self._stage_timeouts[transaction.stage]
                if self.closed_by is not None or transaction.closed_by is not None:  # it need not say any more
                    timeout_s = min(timeout_s, self._timeouts.quit_timeout)
                reply = await wire.reply(timeout_s)
            if wire.too_many and transaction.in_company:
                wire.check()
            transaction.take(reply)
            if self._on_envelope is not None and transaction.enveloped:
                on_envelope, self._on_envelope = self._on_envelope, None
                on_envelope()

    async def _content(self, transaction: Transaction, following: Callable[[], Outgoing | None]) -> None:
        """Send the content, begin what may follow, and read the answer."""
        message, wire = transaction.message, self._wire
        if not transaction.undecided:
            # RFC 2920 section 3.1: the receiver takes content for nobody; it gets none.
            wire.send(END, 1)
            transaction.content_begins(whole=True)
        elif message.more is None and len(message.first) <= PIECE:
            await self._end_content(transaction, stuffed(message.first, dotted=message.dotted), following)
        else:
            await self._long_content(transaction, following)
        await self._replies(transaction)
        if not transaction.sent:
            wire.abort()  # refused before it had everything: the rest must not be taken for commands

    async def _long_content(self, transaction: Transaction, following: Callable[[], Outgoing | None]) -> None:
        """Send content piece by piece, each with its own timer; stop when the receiver speaks."""
        wire, stuffer = self._wire, DotStuffer(dotted=transaction.message.dotted)
        async for block in _blocks(transaction.message):
            for start in range(0, len(block), PIECE):
                piece = stuffer.stuff(memoryview(block)[start : start + PIECE])
                if transaction.awaited:
                    wire.send_more(piece, 0, len(piece))
                else:
                    wire.send(piece, 1, len(piece))
                    transaction.content_begins(whole=False)
                await wire.sent(self._timeouts.block_timeout)
                if wire.has_said(1):
                    return
        await self._end_content(transaction, stuffer.end(), following)

    async def _end_content(
        self, transaction: Transaction, data: bytes, following: Callable[[], Outgoing | None]
    ) -> None:
        """Write the last of the content with the envelope of what follows, and wait until it has left."""
        wire = self._wire
        ahead = self._begin_ahead(transaction, following)
        replies, content = 0, len(data) - len(END)
        if ahead is not None and not ahead.chunked:
            data += ahead.group()
            replies = len(ahead.awaited)
        if transaction.awaited:
            wire.send_more(data, replies, content)
        else:
            wire.send(data, 1 + replies, content)
        transaction.content_begins(whole=True)
        if replies and ahead is not None:
            ahead.written_at_once()
            ahead = None
        if not wire.all_sent:
            await wire.sent(self._timeouts.block_timeout)
        # Another content waits until this one has left: its own time begins when it is answered.
        self._write_ahead(ahead)

    # what it teaches

    def _worked(self, transaction: Transaction) -> None:
        """Let the lane know that a receiver has answered a way as it should; before the content begins, for DATA."""
        if transaction.chunked:
            if not transaction.open:
                self._habits.worked(Way.CHUNKING)
                if transaction.behind:
                    self._habits.worked(Way.DOUBLING)
        elif transaction.behind:
            self._habits.worked(Way.OVERLAPPING)

    def _failed(self, transaction: Transaction, trouble: Trouble, detail: str) -> None:
        """Have those answered who have no answer, and let the lane know which way led there."""
        behind = self._ahead or (transaction if transaction.behind else None)
        if transaction.evidence is not None or self._blamed:
            pass
        elif behind is not None and behind.way is not None and behind.written:
            self._blame(behind.way, trouble, detail)
        elif transaction.chunked:
            self._blame(Way.CHUNKING, trouble, detail)
        transaction.fail(trouble, detail, closing=self.closed_by is not None)

    def _blame(self, way: Way, trouble: Trouble, detail: str) -> None:
        """Doubt a way, once in a session; a receiver that only went away may have had another reason."""
        self._blamed = True
        self._habits.doubted(way, detail, strikes=1 if trouble is Trouble.LOST else STRIKES)


async def _blocks(message: Outgoing) -> AsyncIterator[bytes]:
    yield message.first
    if message.more is not None:
        async for block in message.more():
            yield block
