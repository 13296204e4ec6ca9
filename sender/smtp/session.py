"""One session with a receiver, from EHLO to QUIT: transactions that give one answer per recipient.

A transaction knows its stage, so a connection that is lost before the final dot, after it, and after its answer are
three different things: nothing was sent; the answer is unknown; the answer stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sender.core.address import needs_smtputf8, wire_form
from sender.core.outcome import Trouble
from sender.core.reply import Reply
from sender.core.stage import Stage
from sender.smtp.content import DotStuffer, stuffed
from sender.smtp.wire import Wire, WireError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from sender.settings import DeliverySettings

PIECE = 64 * 1024  # bytes of content that share one timer


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message for one transaction. Content beyond `first` comes from `more`."""

    mail_from: str
    rcpt_tos: Sequence[str]
    size: int
    eight_bit: bool
    smtputf8: bool
    first: bytes
    more: Callable[[], AsyncIterator[bytes]] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one recipient got: a reply at a stage, or a trouble in its place.

    `ours` marks a reply that we gave ourselves, since the receiver has told that it cannot take this message.
    """

    stage: Stage
    reply: Reply | None = None
    trouble: Trouble | None = None
    detail: str = ""
    ours: bool = False

    @property
    def delivered(self) -> bool:
        """The receiver has taken the message for this recipient."""
        return self.stage is Stage.END_OF_DATA and self.reply is not None and self.reply.positive

    def __str__(self) -> str:
        return str(self.reply) if self.reply is not None else self.detail


class Session:
    """A session that is open. One task uses it; after anything irregular it is dead and says so."""

    def __init__(
        self,
        wire: Wire,
        *,
        host: str,
        address: str,
        tls: str,
        extensions: Mapping[str, str],
        timeouts: DeliverySettings,
    ) -> None:
        self.host = host
        self.address = address
        self.tls = tls  # version of TLS; empty: clear text
        self.transactions = 0
        self.closed_by: Reply | None = None  # the 421 that ended it
        self._wire = wire
        self._timeouts = timeouts
        self._over = False
        self._dirty = False  # an envelope was begun and not ended: RSET goes first
        self._pipelining = "pipelining" in extensions
        self._eightbitmime = "8bitmime" in extensions
        self._smtputf8 = "smtputf8" in extensions
        self._announces_size = "size" in extensions
        size = extensions.get("size", "")
        self._size_limit = int(size) if size.isascii() and size.isdigit() else 0

    @property
    def usable(self) -> bool:
        """Tell whether another transaction may be tried."""
        return not self._over and self.closed_by is None and self._wire.usable

    @property
    def died(self) -> bool:
        """Tell whether the connection is gone without a word: the receiver may count it as open for a while."""
        return self._wire.died

    @property
    def endpoint(self) -> str:
        """Host and address, for people."""
        return f"{self.host}[{self.address}]"

    async def transact(self, message: Outgoing, on_envelope: Callable[[], None] | None = None) -> list[Answer]:
        """Send one message; give an answer for each recipient, in their order.

        `on_envelope` is called when the receiver has taken the envelope: the content may take long.
        """
        answers: list[Answer | None] = [self._unable(message, rcpt_to) for rcpt_to in message.rcpt_tos]
        wanted = [index for index, answer in enumerate(answers) if answer is None]
        if wanted:
            transaction = _Transaction(self, message, answers, wanted, on_envelope)
            try:
                await transaction.run()
            except WireError as error:
                transaction.fail(error.trouble, error.detail)
            except BaseException:
                # Cancelled, or the content could not be read: the receiver must not take half a message for one.
                self._wire.abort()
                raise
            self.transactions += 1
            self._dirty = transaction.begun and not transaction.ended
        return [answer or Answer(Stage.MAIL, trouble=Trouble.LOST, detail="no answer") for answer in answers]

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
        """Do nothing more on this session but QUIT."""
        self._over = True

    def abort(self) -> None:
        """End the session at once."""
        self._wire.abort()

    def _unable(self, message: Outgoing, rcpt_to: str) -> Answer | None:
        """Say what the receiver has announced that it cannot take."""
        if 0 < self._size_limit < message.size:
            text = f"5.3.4 Message of {message.size} bytes is larger than {self.host} takes ({self._size_limit} bytes)"
            return Answer(Stage.MAIL, Reply(552, text), ours=True)
        if message.eight_bit and not self._eightbitmime:
            return Answer(Stage.MAIL, Reply(554, f"5.6.3 {self.host} does not take 8-bit content"), ours=True)
        utf8 = message.smtputf8 or needs_smtputf8(rcpt_to) or needs_smtputf8(message.mail_from)
        if utf8 and not self._smtputf8:
            return Answer(
                Stage.MAIL, Reply(553, f"5.6.7 {self.host} does not take internationalised addresses"), ours=True
            )
        return None

    def _mail(self, message: Outgoing) -> bytes:
        parameters = ""
        utf8 = self._smtputf8 and (
            message.smtputf8 or not message.mail_from.isascii() or not all(map(str.isascii, message.rcpt_tos))
        )
        if self._announces_size:
            parameters += f" SIZE={message.size}"
        if message.eight_bit:
            parameters += " BODY=8BITMIME"
        if utf8:
            parameters += " SMTPUTF8"
        mail_from = message.mail_from if utf8 else wire_form(message.mail_from)
        return f"MAIL FROM:<{mail_from}>{parameters}\r\n".encode()

    def _rcpt(self, rcpt_to: str) -> bytes:
        return f"RCPT TO:<{rcpt_to if self._smtputf8 else wire_form(rcpt_to)}>\r\n".encode()


class _Transaction:
    """MAIL to the reply after the end of data. `answers` gets an answer at each index in `wanted`."""

    def __init__(
        self,
        session: Session,
        message: Outgoing,
        answers: list[Answer | None],
        wanted: list[int],
        on_envelope: Callable[[], None] | None,
    ) -> None:
        self.session = session
        self.message = message
        self.answers = answers
        self.undecided = wanted
        self.stage = Stage.MAIL
        self.begun = False  # MAIL was taken
        self.ended = False  # the end of data was answered
        self._on_envelope = on_envelope
        self._complete = False  # every byte of the content was handed to the transport
        self._wire = session._wire  # noqa: SLF001 - the two are one thing; this half lives for one message
        self._timeouts = session._timeouts  # noqa: SLF001

    async def run(self) -> None:
        """Carry it through. Raises WireError."""
        pipelined = self.session._pipelining  # noqa: SLF001
        data = await (self._envelope_at_once() if pipelined else self._envelope_step_by_step())
        if data is None:
            return
        if not 300 <= data.code < 400:  # noqa: PLR2004
            self._decide(Stage.DATA, _never_positive(data))
            return
        if not self.undecided:
            # RFC 2920 section 3.1: the receiver takes content for nobody; it gets none.
            self._wire.expect_reply()
            self._wire.send_content(b".\r\n")
            self.ended = True
            self._note(await self._wire.reply(self._timeouts.end_of_data_timeout))
            return
        if self._on_envelope is not None:
            self._on_envelope()
        await self._content()

    def fail(self, trouble: Trouble, detail: str) -> None:
        """Answer for those who have no answer: the connection is gone."""
        closed_by = self.session.closed_by
        if trouble in {Trouble.LOST, Trouble.TIMEOUT} and self._complete:
            trouble = Trouble.LOST_AFTER_CONTENT
        for index in self.undecided:
            if closed_by is not None and trouble is Trouble.LOST:
                self.answers[index] = Answer(self.stage, closed_by)
            else:
                self.answers[index] = Answer(self.stage, trouble=trouble, detail=f"{detail} {self.stage.doing}")
        self.undecided = []

    async def _envelope_at_once(self) -> Reply | None:
        """Send RSET (where owed), MAIL, each RCPT and DATA in one group (RFC 2920); give the reply to DATA."""
        session = self.session
        reset = session._dirty  # noqa: SLF001
        commands = [b"RSET\r\n"] if reset else []
        commands.append(session._mail(self.message))  # noqa: SLF001
        commands += [session._rcpt(self.message.rcpt_tos[index]) for index in self.undecided]  # noqa: SLF001
        commands.append(b"DATA\r\n")
        self._wire.send(b"".join(commands), len(commands))
        if reset:
            await self._reset_reply()
        self._mail_reply(await self._next(Stage.MAIL, self._timeouts.mail_timeout))
        for index in list(self.undecided) if self.begun else [None] * (len(commands) - 2 - reset):
            self._rcpt_reply(await self._next(Stage.RCPT, self._timeouts.rcpt_timeout), index)
        return await self._next(Stage.DATA, self._timeouts.data_timeout) if session.closed_by is None else None

    async def _envelope_step_by_step(self) -> Reply | None:
        """Send each command when the one before is answered; give the reply to DATA."""
        session = self.session
        if session._dirty:  # noqa: SLF001
            self._wire.send(b"RSET\r\n", 1)
            await self._reset_reply()
        self._wire.send(session._mail(self.message), 1)  # noqa: SLF001
        self._mail_reply(await self._next(Stage.MAIL, self._timeouts.mail_timeout))
        for index in list(self.undecided):
            self._wire.send(session._rcpt(self.message.rcpt_tos[index]), 1)  # noqa: SLF001
            self._rcpt_reply(await self._next(Stage.RCPT, self._timeouts.rcpt_timeout), index)
        if not self.undecided:
            return None
        self._wire.send(b"DATA\r\n", 1)
        return await self._next(Stage.DATA, self._timeouts.data_timeout)

    async def _reset_reply(self) -> None:
        reply = await self._next(Stage.RSET, self._timeouts.rset_timeout)
        if not reply.positive:
            self._wire.abort()
            raise WireError(Trouble.PROTOCOL, f"RSET was answered {reply}")
        self.stage = Stage.MAIL

    def _mail_reply(self, reply: Reply) -> None:
        if reply.positive:
            self.begun = True
        else:
            self._decide(Stage.MAIL, reply)

    def _rcpt_reply(self, reply: Reply, index: int | None) -> None:
        if index is not None and index in self.undecided and not reply.positive:
            self.answers[index] = Answer(Stage.RCPT, reply)
            self.undecided.remove(index)

    async def _content(self) -> None:
        """Send the content and read the answer to its end."""
        self.stage = Stage.END_OF_DATA
        self._wire.expect_reply()
        message = self.message
        if message.more is None and len(message.first) <= PIECE:
            self._wire.send_content(stuffed(message.first))
            self._complete = True
        else:
            await self._long_content()
        timeout_s = self._timeouts.end_of_data_timeout
        if not self._wire.all_sent:
            await self._wire.sent(self._timeouts.block_timeout)
        reply = await self._next(Stage.END_OF_DATA, timeout_s)
        if self._complete:
            self.ended = True
            self._decide(Stage.END_OF_DATA, reply)
        else:
            # The receiver answered before it had everything: its refusal stands, a consent would be about nothing.
            self._wire.abort()
            if reply.positive:
                raise WireError(Trouble.PROTOCOL, f"answered {reply} before the end of the content")
            self._decide(Stage.END_OF_DATA, reply)

    async def _long_content(self) -> None:
        """Send content piece by piece, each with its own timer; stop when the receiver speaks."""
        stuffer = DotStuffer()
        async for block in _blocks(self.message):
            for start in range(0, len(block), PIECE):
                self._wire.send_content(stuffer.stuff(block[start : start + PIECE]))
                await self._wire.sent(self._timeouts.block_timeout)
                if self._wire.said_early:
                    return
        self._wire.send_content(stuffer.end())
        self._complete = True

    async def _next(self, stage: Stage, timeout_s: float) -> Reply:
        self.stage = stage
        reply = await self._wire.reply(timeout_s)
        self._note(reply)
        return reply

    def _note(self, reply: Reply) -> None:
        """421 closes the session whatever it answers: those who are undecided get it (RFC 5321 section 3.8)."""
        if reply.code == 421:  # noqa: PLR2004
            self.session.closed_by = reply
            self._decide(self.stage, reply)

    def _decide(self, stage: Stage, reply: Reply) -> None:
        for index in self.undecided:
            self.answers[index] = Answer(stage, reply)
        self.undecided = []


def _never_positive(reply: Reply) -> Reply:
    """Read a 2yz to DATA as what it is: an answer out of place, which takes no responsibility for a message."""
    return Reply(451, f"4.5.0 answered {reply} to DATA") if reply.positive else reply


async def _blocks(message: Outgoing) -> AsyncIterator[bytes]:
    yield message.first
    if message.more is not None:
        async for block in message.more():
            yield block
