"""The submission listener: aiosmtpd, subclassed where it would lose, change or give away something.

- Our own faults are answered 451 with a number that the log explains, never 5xx and never with our words.
- A client that goes away while its message is being committed does not cancel the commit.
- Addresses are taken verbatim or refused; the null sender is the empty string.
- Content is read in blocks and made canonical; nobody relays who is not allowed to.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import collections
import contextlib
import logging
import re
import secrets
from typing import TYPE_CHECKING, Any, ClassVar

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, syntax

from sender.core.errors import SpoolError
from sender.core.identity import id_text
from sender.intake.content import RefusedContentError
from sender.intake.dots import Unstuffer
from sender.intake.syntax import RefusedCommandError, parse_mail, parse_rcpt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sender.intake.acceptance import Draft
    from sender.intake.admission import Admission

log = logging.getLogger(__name__)
_LISTENER = "smtp"
_MAX_FAILURES = 3
_PIECE = 64 * 1024
_COMMAND_LIMIT = 2048  # bytes of a command line; RFC 5321 section 4.5.3.1.4 asks for 512 and the extensions' more


class _Brief:
    """Shows what aiosmtpd looks for, which it does for each connection; all that an object has takes long to see."""

    _shown: ClassVar[list[str]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._shown = [name for name in dir(cls) if name.startswith(("smtp_", "auth_", "handle_"))]

    def __dir__(self) -> list[str]:
        return self._shown


class _Hooks(_Brief):
    """What aiosmtpd asks of a handler."""

    async def handle_exception(self, error: Exception) -> str:
        """Answer for a fault of ours: the client keeps its message, the log gets the cause."""
        reference = secrets.token_hex(4)
        log.error("submission failed, reference %s", reference, exc_info=error)
        return f"451 4.3.0 Temporary failure here, reference {reference}"

    async def auth_PLAIN(self, server: Submission, args: list[str]) -> AuthResult:  # noqa: N802 - aiosmtpd's name
        """RFC 4616."""
        blob = await server.credentials(args)
        if blob is None:
            return AuthResult(success=False, handled=True)
        parts = blob.split(b"\0")
        if len(parts) != 3:  # noqa: PLR2004 - authorization id, authentication id, password
            await server.push("501 5.5.2 Cannot be split into name and password")
            return AuthResult(success=False, handled=True)
        return await server.check(parts[1], parts[2])

    async def auth_LOGIN(self, server: Submission, args: list[str]) -> AuthResult:  # noqa: N802 - aiosmtpd's name
        """The two questions of old clients."""
        name = await server.credentials(args, challenge="Username:")
        password = await server.credentials([], challenge="Password:") if name is not None else None
        if name is None or password is None:
            return AuthResult(success=False, handled=True)
        return await server.check(name, password)


_HOOKS = _Hooks()


class Submission(_Brief, SMTP):
    """One connection."""

    line_length_limit = _PIECE  # of aiosmtpd's reader: content is read in pieces of this size
    transport: Any  # asyncio's Transport, or None when the connection is lost
    session: Any  # aiosmtpd's Session; there is one from the first byte on
    _reader: Any  # asyncio's StreamReader, whose buffer it does not show
    _tls_protocol: Any  # true under TLS

    def __init__(self, admission: Admission) -> None:
        # aiosmtpd shares this among all connections and changes it in each.
        self.command_size_limits = collections.defaultdict(lambda: _COMMAND_LIMIT)
        self.command_size_limit = _COMMAND_LIMIT
        settings = admission.acceptance.settings
        self._admission = admission
        self._acceptance = admission.acceptance
        self._mail_from: str | None = None
        self._rcpt_tos: list[str] = []
        self._smtputf8 = False
        self._failures = 0
        self._in_transaction = False
        self._draft: Draft | None = None
        super().__init__(
            _HOOKS,
            data_size_limit=settings.smtp.max_message_size,
            enable_SMTPUTF8=True,
            hostname=settings.hostname,
            ident="ESMTP",
            tls_context=admission.tls,
            timeout=settings.smtp.command_timeout,
            auth_exclude_mechanism=() if admission.users else ("LOGIN", "PLAIN"),
            loop=asyncio.get_running_loop(),
        )

    # connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many connections."""
        peername = transport.get_extra_info("peername")
        self._address = str(peername[0]) if peername else ""
        self._refused = not self._admission.enter(self, self._address)
        if self._refused:
            assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells the type checker
            transport.write(b"421 4.7.0 Too many connections, try again later\r\n")
            transport.close()
            return
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End; a commit that is under way goes on by itself."""
        self._admission.exit(self)
        if not self._refused:
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
        if self.transport is not None and not self._in_transaction:
            self.transport.write(b"421 4.3.2 Shutting down, try again later\r\n")
            self.transport.close()

    def cut_off(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def _timeout_cb(self) -> None:
        """End a connection that is silent, and say why."""
        if self.transport is not None:
            self.transport.write(b"421 4.4.2 Timeout\r\n")
            self.transport.abort() if self._writer_stuck() else self.transport.close()

    def _writer_stuck(self) -> bool:
        return self.transport is not None and self.transport.get_write_buffer_size() > 0

    def _set_rset_state(self) -> None:
        super()._set_rset_state()  # type: ignore[no-untyped-call] # aiosmtpd has no types
        self._mail_from = None
        self._rcpt_tos = []
        self._smtputf8 = False

    # commands

    @syntax("EHLO hostname")
    async def smtp_EHLO(self, hostname: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Begin, and tell what we can do, in one piece."""
        if not hostname:
            await self.push("501 5.5.4 EHLO takes a host name")
            return
        self._set_rset_state()
        self.session.extended_smtp = True
        self.session.host_name = hostname
        *lines, last = [self.hostname, *self._extensions()]
        await self.push("".join(f"250-{line}\r\n" for line in lines) + f"250 {last}")

    def _extensions(self) -> list[str]:
        offered = [f"SIZE {self.data_size_limit}", "8BITMIME", "SMTPUTF8", "PIPELINING", "ENHANCEDSTATUSCODES"]
        if self.tls_context and not self._tls_protocol:
            offered.append("STARTTLS")
        if self._tls_protocol and self._admission.users:
            offered.append("AUTH PLAIN LOGIN")
        return offered

    @syntax("STARTTLS")
    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """RFC 3207. What was sent in clear text behind it was sent by somebody else."""
        if arg:
            await self.push("501 5.5.4 STARTTLS takes no argument")
        elif not self.tls_context or self._tls_protocol:
            await self.push("503 5.5.1 TLS is not available now")
        elif self._reader._buffer:  # noqa: SLF001 - asyncio has no other way to ask
            await self.push("554 5.5.1 Clear text behind STARTTLS")
            self.cut_off()
        else:
            await self.push("220 2.0.0 Ready to start TLS")
            try:
                await self._writer.start_tls(self.tls_context, ssl_handshake_timeout=self._timeout_duration)
            except OSError as error:
                log.info("TLS with %s failed: %s", self._address, error)
                # asyncio does not tell a protocol of a connection that ends within the handshake.
                if self.transport is not None:
                    self.cut_off()
                    self.connection_lost(error)
                return
            self.transport = self._writer.transport
            self._reader._transport = self.transport  # noqa: SLF001 - asyncio leaves the old one there
            self._tls_protocol = True
            self._set_rset_state()
            self.session.host_name = None
            self.session.extended_smtp = False
            self.session.authenticated = False

    @syntax("AUTH <mechanism>")
    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """RFC 4954: only under TLS, and not for ever."""
        if not self._admission.users:
            await self.push("503 5.5.1 AUTH is not available")
            return
        mechanism, _, rest = (arg or "").partition(" ")
        await super().smtp_AUTH(f"{mechanism.upper()} {rest}".strip() or None)
        if self._failures >= _MAX_FAILURES:
            await self.push("421 4.7.0 Too many failures")
            self.transport.close()

    async def credentials(self, args: list[str], challenge: str = "") -> bytes | None:
        """Take one answer of an AUTH exchange; None where it was aborted or is unreadable, which is answered here."""
        if len(args) > 1:
            try:
                return b"" if args[1] == "=" else base64.b64decode(args[1], validate=True)
            except binascii.Error:
                self._failures += 1
                await self.push("501 5.5.2 Not base64")
                return None
        answer = await self.challenge_auth(challenge)
        if answer is MISSING:
            self._failures += 1
            return None
        return bytes(answer)

    async def check(self, name: bytes, password: bytes) -> AuthResult:
        """Check name and password."""
        users = self._admission.users
        try:
            right = users is not None and await users.check(name.decode(), password.decode())
        except UnicodeDecodeError:
            right = False
        if not right:
            self._failures += 1
            log.warning("wrong name or password from %s", self._address)
        return AuthResult(success=right, handled=False, auth_data=name.decode(errors="replace") if right else None)

    @syntax("MAIL FROM:<address>")
    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Begin a transaction."""
        if await self.check_helo_needed():
            return
        try:
            self._may_begin()
            mail = parse_mail(arg or "", max_size=self._acceptance.settings.smtp.max_message_size)
        except RefusedCommandError as refusal:
            if refusal.reason:
                self._acceptance.refused(_LISTENER, refusal.reason)
            await self.push(refusal.reply)
        else:
            self._mail_from, self._smtputf8 = mail.path, mail.smtputf8
            await self.push("250 2.1.0 Sender accepted")

    def _may_begin(self) -> None:
        if self._mail_from is not None:
            raise RefusedCommandError("503 5.5.1 A transaction has begun already")
        if self._admission.trusts(self._address) or self.session.authenticated:
            return
        if self._admission.users is not None:
            raise RefusedCommandError("530 5.7.0 Authentication required", "relay_denied")
        raise RefusedCommandError("554 5.7.1 Relaying is not allowed for you", "relay_denied")

    @syntax("RCPT TO:<address>")
    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Add a recipient."""
        if await self.check_helo_needed():
            return
        try:
            if self._mail_from is None:
                raise RefusedCommandError("503 5.5.1 MAIL comes first")  # noqa: TRY301 - all refusals end below
            rcpt_to = parse_rcpt(arg or "")
            if len(self._rcpt_tos) >= self._acceptance.settings.smtp.max_recipients:
                raise RefusedCommandError("452 4.5.3 Too many recipients")  # noqa: TRY301 - as above
        except RefusedCommandError as refusal:
            await self.push(refusal.reply)
        else:
            self._rcpt_tos.append(rcpt_to)
            await self.push("250 2.1.5 Recipient accepted")

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Take the content; the answer to its end comes after the commit."""
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
        elif self._mail_from is None or not self._rcpt_tos:
            await self.push(
                "503 5.5.1 MAIL and RCPT come first" if self._mail_from is None else "554 5.5.1 No recipients"
            )
        else:
            self._in_transaction = True
            try:
                await self.push("354 End data with <CR><LF>.<CR><LF>")
                reply = await self._take_content(self._mail_from)
                self._reset_timeout()
                await self.push(reply)
            finally:
                self._in_transaction = False
                self._set_rset_state()
                if self._admission.closing:
                    self.leave()

    async def _take_content(self, mail_from: str) -> str:
        """Read content to its end and commit it; give the reply."""
        draft = self._acceptance.draft(
            mail_from=mail_from,
            rcpt_tos=self._rcpt_tos,
            received=self._received(),
            protocol=self._protocol(),
            listener=_LISTENER,
            smtputf8=self._smtputf8,
        )
        refusal: tuple[str, str] | None = None
        try:
            async for piece, dotted in self._pieces():
                if refusal is None:
                    try:
                        await draft.feed(piece, dotted=dotted)
                    except RefusedContentError as error:
                        refusal = error.reply, error.reason
                    except SpoolError as error:
                        refusal = self._not_stored(error), "spool"
            if refusal is None:
                try:
                    await draft.commit()
                except RefusedContentError as error:
                    refusal = error.reply, error.reason
                except SpoolError as error:
                    refusal = self._not_stored(error), "spool"
                else:
                    return f"250 2.0.0 Queued as {id_text(draft.id)}"
        except BaseException:
            with contextlib.suppress(SpoolError):
                await draft.drop()
            raise
        self._acceptance.refused(_LISTENER, refusal[1])
        with contextlib.suppress(SpoolError):
            await draft.drop()
        return refusal[0]

    @staticmethod
    def _not_stored(error: SpoolError) -> str:
        """Answer for a spool that cannot take it: whatever the cause is, the client keeps its message."""
        log.error("%s", error)
        return "452 4.3.1 Cannot store the message now, try again later"

    def _received(self) -> str:
        """Tell from whom (RFC 5321 section 4.4)."""
        helo = re.sub(r"[^A-Za-z0-9.:_\[\]-]", "?", self.session.host_name or "unknown")[:255]
        literal = f"IPv6:{self._address}" if ":" in self._address else self._address
        return f"from {helo} ([{literal}])"

    def _protocol(self) -> str:
        """Tell how (RFC 3848, RFC 6531)."""
        if not self.session.extended_smtp:
            return "SMTP"
        secured = "S" if self._tls_protocol else ""
        known = "A" if self.session.authenticated else ""
        return f"{'UTF8SMTP' if self._smtputf8 else 'ESMTP'}{secured}{known}"

    async def _pieces(self) -> AsyncIterator[tuple[bytes, bool]]:
        """Give the content without its dots, in pieces, and whether lines begin with a dot, up to its end.

        What follows stays in the reader.
        """
        unstuffer = Unstuffer()
        while not unstuffer.ended:
            self._reset_timeout(self._acceptance.settings.smtp.block_timeout)
            data = await self._reader.read(_PIECE)
            if not data:
                raise ConnectionResetError("closed by the client within the content")
            yield unstuffer.feed(data), unstuffer.dotted
        if unstuffer.rest:
            # Commands that were sent behind the content: they are the next ones to be read.
            self._reader._buffer[:0] = unstuffer.rest  # noqa: SLF001 - asyncio's reader cannot take anything back

    @syntax("VRFY <address>")
    async def smtp_VRFY(self, _arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Tell nobody who exists."""
        await self.push("252 2.5.2 Cannot verify, send and see")
