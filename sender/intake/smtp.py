"""The commands of submission, on aiosmtpd, which is subclassed where it would lose, change or give away something.

- Our own faults are answered 451 with a number that the log explains, never 5xx and never with our words.
- A client that goes away while its message is being committed does not cancel the commit.
- Addresses and parameters are taken verbatim or refused; the null sender is the empty string.
- Content is read in blocks and made canonical; nobody relays who is not allowed to.
- Whoever is slow, wrong or idle for too long is told so and sent away.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from aiosmtpd.smtp import syntax

from sender.intake.acceptance import Envelope, Origin
from sender.intake.authentication import MECHANISMS, Authenticating
from sender.intake.connection import PIECE, TooSlowError
from sender.intake.dots import Unstuffer
from sender.intake.patience import Upload
from sender.intake.reception import Reception
from sender.intake.syntax import Mail, Rcpt, RefusedCommandError, parse_bdat, parse_mail, parse_rcpt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sender.intake.admission import Admission


class Submission(Authenticating):
    """One connection of a client that submits."""

    def __init__(self, admission: Admission, *, implicit_tls: bool = False) -> None:
        self._acceptance = admission.acceptance
        self._mail: Mail | None = None
        self._rcpts: list[Rcpt] = []
        self._chunks: Reception | None = None  # content that comes by BDAT
        self._in_data = False
        super().__init__(admission, implicit_tls=implicit_tls)

    @property
    def taking_content(self) -> bool:
        """Tell whether a message is coming in."""
        return self._in_data or self._chunks is not None

    @property
    def in_transaction(self) -> bool:
        """Tell whether MAIL was said."""
        return self._mail is not None

    def connection_lost(self, error: Exception | None) -> None:
        """End; a commit that is under way goes on by itself."""
        self._forget_chunks()
        super().connection_lost(error)

    def _set_rset_state(self) -> None:
        super()._set_rset_state()  # type: ignore[no-untyped-call] # aiosmtpd has no types
        self._mail = None
        self._rcpts = []
        self._forget_chunks()

    def _forget_chunks(self) -> None:
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            self._admission.spawn(chunks.drop())

    @syntax("HELO hostname")
    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Begin as of old."""
        self._patience.commands += 1
        await super().smtp_HELO(hostname)

    @syntax("EHLO hostname")
    async def smtp_EHLO(self, hostname: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Begin, and tell what we can do, in one piece."""
        self._patience.commands += 1
        if not hostname:
            await self.push("501 5.5.4 EHLO takes a host name")
            return
        self._set_rset_state()
        self.session.extended_smtp = True
        self.session.host_name = hostname
        *lines, last = [self.hostname, *self._extensions()]
        await self.push("".join(f"250-{line}\r\n" for line in lines) + f"250 {last}")

    def _extensions(self) -> list[str]:
        hold_s = int(self._acceptance.settings.spool.max_hold)
        until = dt.datetime.fromtimestamp(int(self._clock.wall()) + hold_s, dt.UTC)
        offered = [
            f"SIZE {self.data_size_limit}",
            "8BITMIME",
            "SMTPUTF8",
            "PIPELINING",
            "CHUNKING",
            "DSN",
            "DELIVERBY",
            f"FUTURERELEASE {hold_s} {until:%Y-%m-%dT%H:%M:%SZ}",
            f"LIMITS RCPTMAX={self._limits.max_recipients}",
            "ENHANCEDSTATUSCODES",
        ]
        if self._tls_protocol:
            offered.append("REQUIRETLS")
            if self._admission.users:
                offered.append(f"AUTH {' '.join(MECHANISMS)}")
        elif self.tls_context:
            offered.append("STARTTLS")
        return offered

    @syntax("NOOP [ignored]")
    async def smtp_NOOP(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Do nothing, but not for ever."""
        self._patience.commands += 1
        await super().smtp_NOOP(arg)

    @syntax("RSET")
    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Forget the transaction."""
        self._patience.commands += 1
        await super().smtp_RSET(arg)

    @syntax("HELP [command]")
    async def smtp_HELP(self, _arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Help as far as RFC 5321 section 4.1.1.8 wants it."""
        self._patience.commands += 1
        await self.push("214 2.0.0 See RFC 5321")

    @syntax("STARTTLS")
    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """RFC 3207. What was sent in clear text behind it was sent by somebody else."""
        self._patience.commands += 1
        if arg:
            await self.push("501 5.5.4 STARTTLS takes no argument")
        elif not self.tls_context or self._tls_protocol:
            await self.push("503 5.5.1 TLS is not available now")
        elif self._reader._buffer:  # noqa: SLF001 - asyncio has no other way to ask
            self._dismiss("554 5.5.1 Clear text behind STARTTLS")
        else:
            await self.push("220 2.0.0 Ready to start TLS")
            if await self._begin_tls():
                self._set_rset_state()
                self.session.host_name = None
                self.session.extended_smtp = False
                self._account = None

    @syntax("MAIL FROM:<address>")
    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Begin a transaction."""
        self._patience.commands += 1
        if await self.check_helo_needed():
            return
        try:
            self._may_begin()
            mail = parse_mail(
                arg or "",
                max_size=self._limits.max_message_size,
                max_hold_s=self._acceptance.settings.spool.max_hold,
                now=self._clock.wall(),
                secure=bool(self._tls_protocol),
            )
            self._may_use(mail.path)
        except RefusedCommandError as refusal:
            if refusal.reason:
                self._acceptance.refused(self._admission.name, refusal.reason)
            await self.push(refusal.reply)
        else:
            self._mail = mail
            await self.push("250 2.1.0 Sender accepted")

    def _may_begin(self) -> None:
        if self._mail is not None:
            raise RefusedCommandError("503 5.5.1 A transaction has begun already")
        if self._account is None and not self._admission.trusts(self._address):
            if self._admission.users is not None:
                raise RefusedCommandError("530 5.7.0 Authentication required", "relay_denied")
            raise RefusedCommandError("554 5.7.1 Relaying is not allowed for you", "relay_denied")
        if why := self._acceptance.closed_for:
            raise RefusedCommandError(f"452 4.3.1 Not now, {why}: try again later", "no_room")

    def _may_use(self, mail_from: str) -> None:
        if self._account is not None and not self._account.senders.allows(mail_from):
            raise RefusedCommandError("553 5.7.1 The sender is not an address of yours", "sender_rejected")

    @syntax("RCPT TO:<address>")
    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Add a recipient."""
        if await self.check_helo_needed():
            return
        try:
            self._rcpts.append(self._may_have(arg or ""))
        except RefusedCommandError as refusal:
            if self._mail is not None:  # lists of addresses have bad ones in them
                self._patience.commands += 1
                self._patience.errors -= refusal.reply.startswith("5")
            await self.push(refusal.reply)
        else:
            await self.push("250 2.1.5 Recipient accepted")

    def _may_have(self, arg: str) -> Rcpt:
        if self._mail is None or self._chunks is not None:
            raise RefusedCommandError("503 5.5.1 MAIL comes first, and content last")
        rcpt = parse_rcpt(arg)
        if len(self._rcpts) >= self._limits.max_recipients:
            raise RefusedCommandError("452 4.5.3 Too many recipients")
        wait_s = 0.0 if self._account is None else self._account.wait_s(self._clock.steady())
        if wait_s:
            raise RefusedCommandError(f"450 4.7.1 Too many recipients for now, try again in {wait_s:.0f} seconds")
        return rcpt

    # content

    def _refusal_of_content(self) -> str:
        """Say, as a reply, why no content can come now; empty: it can."""
        if self._mail is None:
            return "503 5.5.1 MAIL and RCPT come first"
        return "" if self._rcpts else "554 5.5.1 No recipients"

    def _reception(self, mail: Mail) -> Reception:
        account, limits = self._account, self._limits
        options = mail.options if account is None else replace(mail.options, submitter=account.name)
        envelope = Envelope(
            mail_from=mail.path,
            rcpt_tos=[rcpt.path for rcpt in self._rcpts],
            dsn=tuple(rcpt.dsn for rcpt in self._rcpts),
            smtputf8=mail.smtputf8,
            expires_at=mail.expires_at,
            options=options,
        )
        origin = Origin(
            listener=self._admission.name,
            received=self._received(),
            protocol=self._protocol(mail),
            complete=account is not None,
            controls=limits.control_headers,
            senders=None if account is None else account.senders,
            max_size=limits.max_message_size,
            max_hops=limits.max_hops,
            refuse_long_lines=limits.long_lines == "refuse",
        )
        return Reception(self._acceptance, envelope, origin, Upload(limits, self._clock.steady()))

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Take the content; the answer to its end comes after the commit."""
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
        elif self._chunks is not None:
            await self.push("503 5.5.1 The content comes by BDAT already")
        elif refusal := self._refusal_of_content():
            await self.push(refusal)
        else:
            assert self._mail is not None  # noqa: S101 - tells the type checker
            self._in_data = True
            try:
                await self.push("354 End data with <CR><LF>.<CR><LF>")
                reply = await self._take_data(self._reception(self._mail))
            finally:
                self._in_data = False
            await self._content_ended(reply)

    async def _take_data(self, reception: Reception) -> str:
        """Read content to its end and commit it; give the reply."""
        try:
            async for piece, dotted in self._pieces(reception.upload):
                await reception.take(piece, dotted=dotted)
            reply = await reception.end()
        except TooSlowError as error:
            await reception.drop()
            return error.reply
        except BaseException:
            await reception.drop()
            raise
        if reception.accepted:
            self._patience.message()
        return reply

    async def _content_ended(self, reply: str) -> None:
        """Answer the end of the content, and be ready for the next message."""
        self._set_rset_state()
        self._reset_timeout()
        if reply.startswith("421"):
            self._dismiss(reply)
            return
        await self.push(reply)
        if self._admission.closing:
            self.leave()

    async def _pieces(self, upload: Upload) -> AsyncIterator[tuple[bytes, bool]]:
        """Give the content without its dots, in pieces, and whether lines begin with a dot, up to its end.

        What follows stays in the reader.
        """
        unstuffer = Unstuffer()
        while not unstuffer.ended:
            data = await self._read(PIECE, upload)
            yield unstuffer.feed(data), unstuffer.dotted
        if unstuffer.rest:
            # Commands that were sent behind the content: they are the next ones to be read.
            self._reader._buffer[:0] = unstuffer.rest  # noqa: SLF001 - asyncio's reader cannot take anything back

    @syntax("BDAT size [LAST]")
    async def smtp_BDAT(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Take a chunk of content (RFC 3030); the answer to the last one comes after the commit."""
        try:
            size, last = parse_bdat(arg or "")
        except RefusedCommandError as refusal:
            self._dismiss(refusal.reply)  # what follows is not known to be commands
            return
        refusal_of_all = "" if self._chunks is not None else self._refusal_of_content()
        if self._chunks is None and not refusal_of_all:
            assert self._mail is not None  # noqa: S101 - tells the type checker
            self._chunks = self._reception(self._mail)
        try:
            await self._take_chunk(size, self._chunks)
        except TooSlowError as error:
            await self._content_ended(error.reply)
            return
        if self._chunks is None:
            await self.push(refusal_of_all)
        elif last:
            await self._last_chunk(self._chunks)
        else:
            self._reset_timeout()
            await self.push(self._chunks.refusal or f"250 2.0.0 {size} bytes taken")

    async def _take_chunk(self, size: int, chunks: Reception | None) -> None:
        """Read a chunk; without a reception, what is read is thrown away. Raises TooSlowError."""
        upload = chunks.upload if chunks is not None else Upload(self._limits, self._clock.steady())
        while size:
            data = await self._read(min(size, PIECE), upload)
            size -= len(data)
            if chunks is not None:
                await chunks.take(data)

    async def _last_chunk(self, chunks: Reception) -> None:
        self._chunks, self._in_data = None, True
        try:
            reply = await chunks.end()
        finally:
            self._in_data = False
        if chunks.accepted:
            self._patience.message()
        await self._content_ended(reply)

    def _received(self) -> str:
        """Tell from whom (RFC 5321 section 4.4)."""
        helo = re.sub(r"[^A-Za-z0-9.:_\[\]-]", "?", self.session.host_name or "unknown")[:255]
        literal = f"IPv6:{self._address}" if ":" in self._address else self._address
        return f"from {helo} ([{literal}])"

    def _protocol(self, mail: Mail) -> str:
        """Tell how (RFC 3848, RFC 6531)."""
        if not self.session.extended_smtp:
            return "SMTP"
        secured = "S" if self._tls_protocol else ""
        known = "A" if self._account is not None else ""
        return f"{'UTF8SMTP' if mail.smtputf8 else 'ESMTP'}{secured}{known}"

    @syntax("VRFY <address>")
    async def smtp_VRFY(self, _arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Tell nobody who exists."""
        self._patience.commands += 1
        await self.push("252 2.5.2 Cannot verify, send and see")
