"""Open a session: dial one address, banner, EHLO (or HELO), STARTTLS by policy. aiosmtplib does the dialogue."""

from __future__ import annotations

import asyncio
import errno
import functools
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiosmtplib

from sender.core.errors import SessionError
from sender.core.outcome import Trouble
from sender.core.reply import Reply, escaped
from sender.core.stage import Stage
from sender.smtp.ear import NOBODY
from sender.smtp.habits import Habits
from sender.smtp.session import Session
from sender.smtp.wire import Wire, WireError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sender.settings import DeliverySettings, Tls
    from sender.smtp.ear import Ear

# What these say concerns this machine and no receiver.
_LOCAL_ERRORS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM}
)
_NOT_KNOWN = frozenset({500, 502, 504})  # to EHLO; a receiver may close behind it, and take HELO


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to, from where, and how: all that a session depends on."""

    host: str  # its name, for TLS and for people
    address: str
    port: int
    source_address: str
    helo: str
    tls: Tls


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver answered, and not with a session."""

    stage: Stage
    reply: Reply
    host: str


async def open_session(
    target: Target, timeouts: DeliverySettings, habits: Habits | None = None, ear: Ear = NOBODY
) -> Session | Refused:
    """Open a session, to which `ear` may listen.

    Raises SessionError where the receiver gives no reply that says why there is none.
    """
    opening = _Opening(target, timeouts, habits or Habits(), ear)
    try:
        return await opening.run()
    except SessionError as error:
        if opening.knows_no_ehlo and error.stage is Stage.EHLO and error.trouble is Trouble.LOST:
            again = opening.anew(helo_only=True)
        elif target.tls == "opportunistic" and error.stage is Stage.STARTTLS:
            # RFC 7435: where encryption is a wish, a receiver whose TLS is broken gets the mail in clear text.
            again = opening.anew(tls="none")
        else:
            raise
    return await again.run()


class _Opening:
    """One attempt at one address."""

    def __init__(
        self,
        target: Target,
        timeouts: DeliverySettings,
        habits: Habits,
        ear: Ear,
        *,
        tls: Tls | None = None,
        helo_only: bool = False,
    ) -> None:
        self.knows_no_ehlo = False
        self._target = target
        self._timeouts = timeouts
        self._habits = habits
        self._ear = ear
        self._helo_only = helo_only
        self._tls: Tls = tls or target.tls
        self._stage = Stage.CONNECT
        self._loop = asyncio.get_running_loop()
        self._wire = Wire(self._loop, host=target.host, address=target.address, ear=ear)

    def anew(self, *, tls: Tls | None = None, helo_only: bool = False) -> _Opening:
        """Make another attempt at the same address, with less."""
        return _Opening(self._target, self._timeouts, self._habits, self._ear, tls=tls, helo_only=helo_only)

    async def run(self) -> Session | Refused:
        try:
            return await self._dialogue()
        except WireError as error:
            raise self._error(error.trouble, error.detail) from error
        except (TimeoutError, aiosmtplib.SMTPTimeoutError) as error:
            # aiosmtplib reports a peer that aborts the handshake as a timeout.
            trouble = Trouble.TLS if self._stage is Stage.STARTTLS else Trouble.TIMEOUT
            raise self._error(trouble, str(error) or "timed out") from error
        except OSError as error:  # ssl.SSLError is one
            raise self._error(self._trouble(error), _words(error)) from error
        except aiosmtplib.SMTPException as error:
            raise self._error(Trouble.PROTOCOL, str(error)) from error
        finally:
            if self._stage is not Stage.MAIL:
                self._wire.abort()

    async def _dialogue(self) -> Session | Refused:
        target, timeouts = self._target, self._timeouts
        client = aiosmtplib.SMTP(hostname=target.host, local_hostname=target.helo, start_tls=False)
        async with asyncio.timeout(timeouts.connect_timeout):
            transport = await self._dial()
        self._wire.note(f"connected to port {target.port}")
        client.protocol, client.transport = self._wire, transport
        self._stage = Stage.BANNER
        banner = await self._wire.reply(timeouts.banner_timeout)
        if not banner.positive:
            return self._refused(banner)
        refusal = await self._ehlo(client)
        if refusal is not None:
            return refusal
        version, certificate_expires_at = "", None
        if self._tls != "none":
            refusal = await self._starttls(client)
            if refusal is not None:
                return refusal
            tls = self._wire.transport.get_extra_info("ssl_object") if self._wire.transport else None
            version = (tls.version() or "TLS") if tls is not None else ""
            certificate_expires_at = _expiry(tls.getpeercert()) if tls is not None else None
        self._stage = Stage.MAIL
        return Session(
            self._wire,
            host=target.host,
            address=target.address,
            tls=version,
            # Where it is required, there is no session without it (`_context`).
            verified=self._tls == "required",
            certificate_expires_at=certificate_expires_at,
            extensions=client.esmtp_extensions,
            timeouts=timeouts,
            habits=self._habits,
        )

    async def _dial(self) -> asyncio.BaseTransport:
        local = (self._target.source_address, 0) if self._target.source_address else None
        transport, _ = await self._loop.create_connection(
            lambda: self._wire, self._target.address, self._target.port, local_addr=local
        )
        connection: socket.socket | None = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return transport

    async def _ehlo(self, client: aiosmtplib.SMTP) -> Refused | None:
        """Greet; where EHLO is refused for good, with HELO (RFC 5321 section 3.2)."""
        self._stage = Stage.EHLO
        if not self._helo_only:
            try:
                await client.ehlo(timeout=self._timeouts.ehlo_timeout)
            except aiosmtplib.SMTPHeloError:
                reply = self._last()
                self.knows_no_ehlo = reply.code in _NOT_KNOWN
                if self.knows_no_ehlo:
                    self._wire.check()
                if not reply.permanent or not self._wire.usable:
                    return self._refused(reply)
            else:
                return None
        try:
            await client.helo(timeout=self._timeouts.ehlo_timeout)
        except aiosmtplib.SMTPHeloError:
            return self._refused(self._last())
        return None

    async def _starttls(self, client: aiosmtplib.SMTP) -> Refused | None:
        """Encrypt as far as the policy asks for it. After TLS only what the receiver says then counts."""
        required = self._tls == "required"
        if not client.supports_extension("starttls"):
            if required:
                raise self._error(Trouble.TLS, "does not offer STARTTLS, which is required", Stage.STARTTLS)
            return None
        self._stage = Stage.STARTTLS
        try:
            await client.starttls(
                server_hostname=self._target.host.rstrip("."),
                tls_context=_context(verified=required),
                timeout=self._timeouts.starttls_timeout,
            )
        except aiosmtplib.SMTPResponseException:
            if required:
                return self._refused(self._last())
            raise self._error(Trouble.TLS, f"STARTTLS was answered {self._last()}") from None
        return await self._ehlo(client)

    def _last(self) -> Reply:
        return self._wire.last or Reply(451, "no reply")

    def _refused(self, reply: Reply) -> Refused:
        return Refused(self._stage, reply, f"{self._target.host}[{self._target.address}]")

    def _trouble(self, error: OSError) -> Trouble:
        if isinstance(error, ssl.SSLError) or self._stage is Stage.STARTTLS:
            return Trouble.TLS
        if error.errno in _LOCAL_ERRORS:
            return Trouble.LOCAL
        return Trouble.REFUSED if self._stage is Stage.CONNECT else Trouble.LOST

    def _error(self, trouble: Trouble, detail: str, stage: Stage | None = None) -> SessionError:
        host, stage = f"{self._target.host}[{self._target.address}]", stage or self._stage
        self._wire.note(escaped(f"no session: {detail} {stage.doing}"))
        return SessionError(host, stage, trouble, detail)


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    return error.strerror or str(error)


def _expiry(certificate: Mapping[str, Any] | None) -> float | None:
    """Give when a certificate expires, in seconds since 1970; None for one that was not verified: it is not read."""
    return ssl.cert_time_to_seconds(certificate["notAfter"]) if certificate else None


@functools.cache
def _context(*, verified: bool) -> ssl.SSLContext:
    """Make the two contexts once: a certificate counts only where TLS is required."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
