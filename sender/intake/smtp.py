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
import ipaddress
import logging
import re
import secrets
import ssl
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, syntax

from sender.core.address import split_mailbox
from sender.core.errors import AddressError, SpoolError
from sender.core.identity import id_text
from sender.core.reply import sanitised
from sender.intake.content import RefusedContentError
from sender.settings import split_endpoint

if TYPE_CHECKING:
    from sender.intake.acceptance import Acceptance, Draft
    from sender.intake.users import Users

log = logging.getLogger(__name__)
_LISTENER = "smtp"
_PATH = re.compile(r"<([^<>\s]*|\"[^\x00-\x1f]*\"@[^<>\s]*)>(?: +(.*))?")
_MAX_FAILURES = 3
_PIECE = 64 * 1024
_COMMAND_LIMIT = 2048  # bytes of a command line; RFC 5321 section 4.5.3.1.4 asks for 512 and the extensions' more
_END = b"\r\n.\r\n"


class Listener:
    """Listens on all addresses of `[smtp] listen`."""

    def __init__(self, acceptance: Acceptance, users: Users | None) -> None:
        smtp = acceptance.settings.smtp
        self.acceptance = acceptance
        self.users = users
        self.networks = [ipaddress.ip_network(network) for network in smtp.relay_networks]
        self.tls = self._context()
        self.closing = False
        self.sessions: dict[Submission, str] = {}
        self._servers: list[asyncio.Server] = []

    def _context(self) -> ssl.SSLContext | None:
        smtp = self.acceptance.settings.smtp
        if not smtp.tls_cert:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(
            self.acceptance.settings.path(smtp.tls_cert), self.acceptance.settings.path(smtp.tls_key)
        )
        return context

    async def start(self) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        for endpoint in self.acceptance.settings.smtp.listen:
            host, port = split_endpoint(endpoint)
            self._servers.append(await loop.create_server(lambda: Submission(self), host, port, backlog=512))

    @property
    def ports(self) -> list[int]:
        """The ports that are listened on."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def close(self, grace_s: float) -> None:
        """Take no more; let transactions that have begun end, for at most `grace_s` seconds."""
        self.closing = True
        for server in self._servers:
            server.close()
        for session in list(self.sessions):
            session.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self.sessions:
                    await asyncio.sleep(0.01)
        for session in list(self.sessions):
            session.cut_off()

    def full_for(self, address: str) -> bool:
        """Tell whether one more connection from an address is too many."""
        smtp = self.acceptance.settings.smtp
        if len(self.sessions) >= smtp.max_connections:
            return True
        return sum(other == address for other in self.sessions.values()) >= smtp.max_connections_per_address

    def trusts(self, address: str) -> bool:
        """Tell whether an address may relay without AUTH."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self.networks)


class _Hooks:
    """What aiosmtpd asks of a handler."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def handle_exception(self, error: Exception) -> str:
        """Answer for a fault of ours: the client keeps its message, the log gets the cause."""
        reference = secrets.token_hex(4)
        log.error("submission failed, reference %s", reference, exc_info=error)
        return f"451 4.3.0 Temporary failure here, reference {reference}"

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: Submission, session: Any, envelope: Any, hostname: str, responses: list[str]  # noqa: ANN401
    ) -> list[str]:
        """Tell what we can do."""
        session.host_name = hostname
        return server.extensions()

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


class Submission(SMTP):
    """One connection."""

    line_length_limit = _PIECE  # of aiosmtpd's reader: content is read in pieces of this size

    def __init__(self, listener: Listener) -> None:
        # aiosmtpd shares this among all connections and changes it in each.
        self.command_size_limits = collections.defaultdict(lambda: _COMMAND_LIMIT)
        self.command_size_limit = _COMMAND_LIMIT
        settings = listener.acceptance.settings
        self._listener = listener
        self._acceptance = listener.acceptance
        self._mail_from: str | None = None
        self._rcpt_tos: list[str] = []
        self._smtputf8 = False
        self._failures = 0
        self._in_transaction = False
        self._draft: Draft | None = None
        super().__init__(
            _Hooks(listener),
            data_size_limit=settings.smtp.max_message_size,
            enable_SMTPUTF8=True,
            hostname=settings.hostname,
            ident="ESMTP",
            tls_context=listener.tls,
            timeout=settings.smtp.command_timeout,
            auth_exclude_mechanism=() if listener.users else ("LOGIN", "PLAIN"),
            loop=asyncio.get_running_loop(),
        )

    # connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many connections."""
        peername = transport.get_extra_info("peername")
        self._address = str(peername[0]) if peername else ""
        if self._listener.closing or self._listener.full_for(self._address):
            assert isinstance(transport, asyncio.Transport)  # noqa: S101 - tells the type checker
            transport.write(b"421 4.7.0 Too many connections, try again later\r\n")
            transport.close()
            self._refused = True
            return
        self._refused = False
        self._listener.sessions[self] = self._address
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End; a commit that is under way goes on by itself."""
        self._listener.sessions.pop(self, None)
        if not self._refused:
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """The client sends no more."""
        return False if self._refused else super().eof_received()

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
        super()._set_rset_state()
        self._mail_from = None
        self._rcpt_tos = []
        self._smtputf8 = False

    # commands

    def extensions(self) -> list[str]:
        """List what EHLO is answered with."""
        offered = [f"SIZE {self.data_size_limit}", "8BITMIME", "SMTPUTF8", "PIPELINING", "ENHANCEDSTATUSCODES"]
        if self.tls_context and not self._tls_protocol:
            offered.append("STARTTLS")
        if self._tls_protocol and self._listener.users:
            offered.append("AUTH PLAIN LOGIN")
        lines = [self.hostname, *offered]
        return [f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]

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
            await self._writer.start_tls(self.tls_context, ssl_handshake_timeout=self._timeout_duration)
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
        if not self._listener.users:
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
        users = self._listener.users
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
        if self._mail_from is not None:
            await self.push("503 5.5.1 A transaction has begun already")
            return
        if not (self._listener.trusts(self._address) or self.session.authenticated):
            self._acceptance.refused(_LISTENER, "relay_denied")
            offered = self._listener.users is not None
            await self.push("530 5.7.0 Authentication required" if offered else "554 5.7.1 Relaying is not allowed for you")
            return
        parsed = await self._path(arg, "FROM")
        if parsed is None:
            return
        mail_from, parameters = parsed
        smtputf8 = False
        for parameter in parameters:
            keyword, _, value = parameter.partition("=")
            if keyword == "SIZE" and value.isascii() and value.isdigit():
                if int(value) > (self.data_size_limit or 0):
                    self._acceptance.refused(_LISTENER, "too_large")
                    await self.push(f"552 5.3.4 Message is larger than {self.data_size_limit} bytes")
                    return
            elif keyword == "BODY" and value.upper() in {"7BIT", "8BITMIME"}:
                continue
            elif keyword == "SMTPUTF8" and not value:
                smtputf8 = True
            elif keyword == "AUTH":
                continue  # RFC 4954 section 5: it may be ignored
            else:
                await self.push(f"555 5.5.4 Parameter {sanitised(keyword)} is not known")
                return
        self._mail_from, self._smtputf8 = mail_from, smtputf8
        await self.push("250 2.1.0 Sender accepted")

    @syntax("RCPT TO:<address>")
    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Add a recipient."""
        if await self.check_helo_needed():
            return
        if self._mail_from is None:
            await self.push("503 5.5.1 MAIL comes first")
            return
        parsed = await self._path(arg, "TO")
        if parsed is None:
            return
        rcpt_to, parameters = parsed
        if not rcpt_to:
            await self.push("501 5.1.3 A recipient cannot be empty")
        elif parameters:
            await self.push(f"555 5.5.4 Parameter {sanitised(parameters[0].partition('=')[0])} is not known")
        elif len(self._rcpt_tos) >= self._acceptance.settings.smtp.max_recipients:
            await self.push("452 4.5.3 Too many recipients")
        else:
            self._rcpt_tos.append(rcpt_to)
            await self.push("250 2.1.5 Recipient accepted")

    async def _path(self, arg: str | None, keyword: str) -> tuple[str, list[str]] | None:
        """Read `FROM:<path> parameters`; None where it was refused, which is answered here."""
        text = arg or ""
        command = "MAIL" if keyword == "FROM" else "RCPT"
        status = "5.1.7" if keyword == "FROM" else "5.1.3"
        if not text.upper().startswith(f"{keyword}:"):
            await self.push(f"501 5.5.4 Syntax: {command} {keyword}:<address>")
            return None
        match = _PATH.fullmatch(text[len(keyword) + 1 :].strip(" "))
        if match is None:
            await self.push(f"501 {status} Syntax: {command} {keyword}:<address>")
            return None
        path, parameters = match[1], (match[2] or "").split()
        try:
            if path:
                path.encode()
                split_mailbox(path)
        except (AddressError, UnicodeEncodeError) as error:
            rule = error.rule if isinstance(error, AddressError) else "must be UTF-8"
            await self.push(f"553 {status} Address {rule}".encode())
            return None
        return path, [self._upper_keyword(parameter) for parameter in parameters]

    @staticmethod
    def _upper_keyword(parameter: str) -> str:
        keyword, equals, value = parameter.partition("=")
        return f"{keyword.upper()}{equals}{value}"

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Take the content; the answer to its end comes after the commit."""
        if arg:
            await self.push("501 5.5.4 DATA takes no argument")
        elif self._mail_from is None or not self._rcpt_tos:
            await self.push("503 5.5.1 MAIL and RCPT come first" if self._mail_from is None else "554 5.5.1 No recipients")
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
                if self._listener.closing:
                    self.leave()

    async def _take_content(self, mail_from: str) -> str:
        """Read content to its end and commit it; give the reply."""
        draft = self._acceptance.draft(
            mail_from=mail_from,
            rcpt_tos=self._rcpt_tos,
            received=self._received(),
            listener=_LISTENER,
            smtputf8=self._smtputf8,
        )
        refusal: tuple[str, str] | None = None
        try:
            async for piece in self._pieces():
                if refusal is None:
                    try:
                        await draft.feed(piece)
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
        """Tell from whom and how (RFC 5321 section 4.4, RFC 3848)."""
        secured = "S" if self._tls_protocol else ""
        known = "A" if self.session.authenticated else ""
        helo = re.sub(r"[^A-Za-z0-9.:_\[\]-]", "?", self.session.host_name or "unknown")[:255]
        protocol = f"{'UTF8SMTP' if self._smtputf8 else 'ESMTP'}{secured}{known}" if self.session.extended_smtp else "SMTP"
        literal = f"IPv6:{self._address}" if ":" in self._address else self._address
        return f"from {helo} ([{literal}]) with {protocol}"

    async def _pieces(self) -> Any:  # noqa: ANN401 - an async generator of bytes
        """Give the content without its stuffing, in pieces, up to its end; what follows stays in the reader.

        Only CRLF.CRLF ends it (RFC 5321 section 4.1.1.4).
        """
        held = b"\r\n"  # the end of the DATA command: a dot may be the first thing
        first = True
        while True:
            self._reset_timeout(self._acceptance.settings.smtp.block_timeout)
            data = await self._reader.read(_PIECE)
            if not data:
                raise ConnectionResetError("closed by the client within the content")
            held += data
            end = held.find(_END)
            if end >= 0:
                rest = held[end + len(_END) :]
                if rest:
                    # Commands that were sent behind the content: they are the next ones to be read.
                    self._reader._buffer[:0] = rest  # noqa: SLF001 - asyncio's reader cannot take anything back
                piece = held[: end + 2]
            else:
                cut = max(0, len(held) - len(_END) + 1)
                if held[cut - 2 : cut + 1] == b"\r\n.":  # never between a line end and its dot
                    cut -= 2
                elif held[cut - 1 : cut + 1] == b"\r\n":
                    cut -= 1
                piece, held = held[:cut], held[cut:]
            if piece:
                yield piece.replace(b"\r\n.", b"\r\n")[2 if first else 0 :]
                first = False
            if end >= 0:
                return

    @syntax("VRFY <address>")
    async def smtp_VRFY(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Tell nobody who exists."""
        await self.push("252 2.5.2 Cannot verify, send and see")


