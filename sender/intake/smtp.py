"""The submission listener: aiosmtpd, subclassed where it would lose, change or give away something.

- Our own faults are answered 451 with a number that the log explains, never 5xx and never with our words.
- A client that goes away while its message is being committed does not cancel the commit.
- Addresses and parameters are taken verbatim or refused; the null sender is the empty string.
- Content is read in blocks and made canonical; nobody relays who is not allowed to.
- Whoever is slow, wrong or idle for too long is told so and sent away.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import collections
import datetime as dt
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from aiosmtpd.smtp import SMTP, syntax

from sender.intake.acceptance import Envelope, Origin
from sender.intake.authentication import MECHANISMS, AnsweredError
from sender.intake.dots import Unstuffer
from sender.intake.patience import Patience, Upload
from sender.intake.reception import Reception, fault
from sender.intake.syntax import Mail, Rcpt, RefusedCommandError, parse_bdat, parse_mail, parse_rcpt
from sender.intake.users import TooManyChecksError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sender.intake.accounts import Account
    from sender.intake.admission import Admission

log = logging.getLogger(__name__)
_PIECE = 64 * 1024
_COMMAND_LIMIT = 4096  # bytes of a command line; RFC 5321 section 4.5.3.1.4 asks for 512 and the extensions' more
_LINGER_S = 5.0  # that a client may take to read the last reply


class _Brief:
    """Shows what aiosmtpd looks for, which it does for each connection; all that an object has takes long to see."""

    _shown: ClassVar[list[str]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._shown = [name for name in dir(cls) if name.startswith(("smtp_", "handle_"))]

    def __dir__(self) -> list[str]:
        return self._shown


class _Hooks(_Brief):
    """What aiosmtpd asks of a handler."""

    async def handle_exception(self, error: Exception) -> str:
        """Answer for a fault of ours."""
        return fault(error)


_HOOKS = _Hooks()


class Submission(_Brief, SMTP):
    """One connection."""

    line_length_limit = _PIECE  # of aiosmtpd's reader: content is read in pieces of this size
    transport: Any  # asyncio's Transport, or None when the connection is lost
    session: Any  # aiosmtpd's Session; there is one from the first byte on
    _reader: Any  # asyncio's StreamReader, whose buffer it does not show
    _tls_protocol: Any  # true under TLS

    def __init__(self, admission: Admission, *, implicit_tls: bool = False) -> None:
        # aiosmtpd shares this among all connections and changes it in each.
        self.command_size_limits = collections.defaultdict(lambda: _COMMAND_LIMIT)
        self.command_size_limit = _COMMAND_LIMIT
        self._admission = admission
        self._limits = admission.limits
        self._acceptance = admission.acceptance
        self._implicit_tls = implicit_tls
        self._clock = admission.acceptance.clock
        self._patience = Patience(self._limits, self._clock.steady())
        self._account: Account | None = None
        self._mail: Mail | None = None
        self._rcpts: list[Rcpt] = []
        self._chunks: Reception | None = None  # content that comes by BDAT
        self._in_data = False
        self._leaving = False
        super().__init__(
            _HOOKS,
            data_size_limit=self._limits.max_message_size,
            enable_SMTPUTF8=True,
            hostname=admission.acceptance.settings.hostname,
            ident="ESMTP",
            tls_context=admission.tls,
            timeout=self._limits.command_timeout,
            loop=asyncio.get_running_loop(),
        )

    # connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many connections."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells the type checker
        peername = transport.get_extra_info("peername")
        self._address = str(peername[0]) if peername else ""
        self._refused = not self._admission.enter(self, self._address)
        if self._refused:
            if not self._implicit_tls:
                transport.write(b"421 4.7.0 Too many connections, try again later\r\n")
            transport.close()
            return
        if self._implicit_tls:
            transport.pause_reading()  # what comes is for TLS
        super().connection_made(transport)

    async def _handle_client(self) -> None:
        if not self._implicit_tls or await self._begin_tls():
            await super()._handle_client()

    def connection_lost(self, error: Exception | None) -> None:
        """End; a commit that is under way goes on by itself."""
        self._admission.exit(self)
        if not self._refused:
            self._forget_chunks()
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """The client sends no more."""
        more = not self._refused and super().eof_received()
        return more and not self._tls_protocol

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        if not self._refused:
            super().data_received(data)

    def leave(self) -> None:
        """Say goodbye to a client that is between two transactions."""
        if self.transport is not None and not self._in_data and self._chunks is None:
            self._dismiss("421 4.3.2 Shutting down, try again later")

    def cut_off(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def _dismiss(self, reply: str) -> None:
        """Send the client away, with the last reply that it gets; what it has sent already is not read."""
        if self._leaving or self.transport is None:
            return
        self._leaving = True
        self.transport.write(f"{reply}\r\n".encode())
        self.transport.close()
        self._reset_timeout(_LINGER_S)
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    def _timeout_cb(self) -> None:
        """End a connection that is silent, and say why; one that does not even read is cut off."""
        if self.transport is None:
            return
        if self._leaving or self.transport.get_write_buffer_size() > 0:
            self.cut_off()
        else:
            self._dismiss("421 4.4.2 Timeout")

    async def push(self, status: str) -> None:  # type: ignore[override] # aiosmtpd takes bytes too
        """Send a reply; who has given too many reasons for it is sent away."""
        if self._leaving:
            return
        await super().push(status)
        text = str(status)
        self._patience.errors += text.startswith("5")
        why = "" if self._in_data or self._chunks is not None else self._patience.over(self._clock.steady())
        if why:
            log.info("%s is sent away: %s", self._address, why)
            self._dismiss(why)

    def _set_rset_state(self) -> None:
        super()._set_rset_state()  # type: ignore[no-untyped-call] # aiosmtpd has no types
        self._mail = None
        self._rcpts = []
        self._forget_chunks()

    def _forget_chunks(self) -> None:
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            self._admission.spawn(chunks.drop())

    # commands

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

    async def _begin_tls(self) -> bool:
        """Do the handshake; tell whether there is TLS now, or the connection has ended."""
        assert self.tls_context is not None  # noqa: S101 - without it, nobody asks
        try:
            await self._writer.start_tls(self.tls_context, ssl_handshake_timeout=self._timeout_duration)
        except OSError as error:
            log.info("TLS with %s failed: %s", self._address, error)
            # asyncio does not tell a protocol of a connection that ends within the handshake.
            if self.transport is not None:
                self.cut_off()
                self.connection_lost(error)
            return False
        self.transport = self._writer.transport
        self._reader._transport = self.transport  # noqa: SLF001 - asyncio leaves the old one there
        self._tls_protocol = True
        return True

    @syntax("AUTH <mechanism>")
    async def smtp_AUTH(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """RFC 4954: only under TLS, and not for ever."""
        self._patience.commands += 1
        try:
            self._may_authenticate(arg)
            args = (arg or "").split()
            account = await MECHANISMS[args[0].upper()](self, args)
        except RefusedCommandError as refusal:
            await self.push(refusal.reply)
        except TooManyChecksError:
            await self.push("454 4.7.0 Too many clients log in now, try again later")
        except AnsweredError:
            pass
        else:
            if account is None:
                await self.refuse("535 5.7.8 Authentication credentials invalid")
                return
            self._account = account
            await self.push("235 2.7.0 Authentication successful")

    def _may_authenticate(self, arg: str | None) -> None:
        if not self._admission.users:
            raise RefusedCommandError("503 5.5.1 AUTH is not available")
        if not self.session.extended_smtp:
            raise RefusedCommandError("503 5.5.1 EHLO comes first")
        if not self._tls_protocol:
            raise RefusedCommandError("538 5.7.11 AUTH needs TLS")
        if self._account is not None or self._mail is not None:
            raise RefusedCommandError("503 5.5.1 AUTH is once, and before MAIL")
        if self._admission.failures.too_many(self._address, self._clock.steady()):
            raise RefusedCommandError("454 4.7.0 Too many failures from your address, try again later")
        args = (arg or "").split()
        if not 1 <= len(args) <= 2:  # noqa: PLR2004 - the mechanism, and perhaps its first answer
            raise RefusedCommandError("501 5.5.4 Syntax: AUTH mechanism [initial-response]")
        if args[0].upper() not in MECHANISMS:
            raise RefusedCommandError("504 5.5.4 The mechanism is not known")

    async def credentials(self, args: list[str], challenge: str = "") -> bytes | None:
        """Take one answer of an AUTH exchange; None where it was aborted or is unreadable, which is answered here."""
        if len(args) > 1:
            answer = b"" if args[1] == "=" else args[1].encode(errors="replace")
        else:
            await self.push(f"334 {base64.b64encode(challenge.encode()).decode()}")
            self._reset_timeout()
            try:
                answer = (await self._reader.readuntil(b"\n")).rstrip(b"\r\n")
            except asyncio.LimitOverrunError:
                self._dismiss("500 5.5.6 The answer is too long")
                return None
        if answer == b"*":
            await self.refuse("501 5.7.0 Aborted")
            return None
        try:
            return base64.b64decode(answer, validate=True)
        except binascii.Error:
            await self.refuse("501 5.5.2 Not base64")
            return None

    async def refuse(self, reply: str) -> None:
        """Answer a failure of AUTH, and count it."""
        self._patience.failures += 1
        self._admission.failures.add(self._address, self._clock.steady())
        await self.push(reply)

    async def check(self, name: bytes, password: bytes) -> Account | None:
        """Check name and password."""
        users = self._admission.users
        try:
            account = None if users is None else await users.check(name.decode(), password.decode())
        except UnicodeDecodeError:
            account = None
        if account is None:
            log.warning("wrong name or password from %s", self._address)
        return account

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
        return Reception(self._acceptance, envelope, origin)

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
            async for piece, dotted in self._pieces():
                await reception.take(piece, dotted=dotted)
            reply = await reception.end()
        except _TooSlowError as error:
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

    async def _pieces(self) -> AsyncIterator[tuple[bytes, bool]]:
        """Give the content without its dots, in pieces, and whether lines begin with a dot, up to its end.

        What follows stays in the reader.
        """
        unstuffer, upload = Unstuffer(), Upload(self._limits, self._clock.steady())
        while not unstuffer.ended:
            data = await self._read(_PIECE, upload)
            yield unstuffer.feed(data), unstuffer.dotted
        if unstuffer.rest:
            # Commands that were sent behind the content: they are the next ones to be read.
            self._reader._buffer[:0] = unstuffer.rest  # noqa: SLF001 - asyncio's reader cannot take anything back

    async def _read(self, most: int, upload: Upload) -> bytes:
        """Read a piece of content, with a timer of its own. Raises _TooSlowError."""
        self._reset_timeout(self._limits.block_timeout)
        data: bytes = await self._reader.read(most)
        if not data:
            raise ConnectionResetError("closed by the client within the content")
        if reply := upload.over(self._clock.steady(), len(data)):
            raise _TooSlowError(reply)
        return data

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
        except _TooSlowError as error:
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
        """Read a chunk; without a reception, what is read is thrown away. Raises _TooSlowError."""
        upload = Upload(self._limits, self._clock.steady())
        while size:
            data = await self._read(min(size, _PIECE), upload)
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


class _TooSlowError(Exception):
    """Content comes in too slowly, or for too long. `reply` is the last one."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply
