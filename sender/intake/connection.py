"""One connection of a client, as such: let in or not, encrypted, kept waiting for, and sent away with a reason.

aiosmtpd reads the commands; what they do stands in `smtp.py`.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import re
from typing import TYPE_CHECKING, Any, ClassVar, cast

from aiosmtpd.smtp import SMTP

from sender.intake.patience import Patience
from sender.intake.reception import fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sender.intake.admission import Admission
    from sender.intake.patience import Upload

log = logging.getLogger(__name__)
PIECE = 64 * 1024  # bytes of content that are read at a time
_COMMAND_LIMIT = 4096  # bytes of a command line; RFC 5321 section 4.5.3.1.4 asks for 512 and the extensions' more
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3} ")
# RFC 3463, for replies of aiosmtpd's own.
_STATUS = {"221": "2.0.0", "250": "2.0.0", "500": "5.5.2", "501": "5.5.4", "502": "5.5.1", "503": "5.5.1"}


class TooSlowError(Exception):
    """Content comes in too slowly, or for too long. `reply` is the last one."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


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


class _Commands(dict[str, Any]):
    """Has an answer for every command; aiosmtpd's own goes on with what was sent behind the last one that it bears."""

    def __init__(self, known: Mapping[str, Any], unknown: Callable[..., Awaitable[None]]) -> None:
        super().__init__(known)
        self._answer = unknown

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as dict has it
        return super().get(name, default or self._answer)


def _with_status(reply: str) -> str:
    """Give a reply with the enhanced code that it lacks (RFC 2034)."""
    code, _, text = reply.partition(" ")
    return reply if code not in _STATUS or _ENHANCED.match(text) else f"{code} {_STATUS[code]} {text}"


class Connection(_Brief, SMTP):
    """See the module. `taking_content` is true while content comes in: until its end the client hears nothing."""

    line_length_limit = PIECE  # of aiosmtpd's reader
    transport: Any  # asyncio's Transport, or None when the connection is lost
    session: Any  # aiosmtpd's Session; there is one from the first byte on
    _reader: Any  # asyncio's StreamReader, whose buffer it does not show
    _tls_protocol: Any  # true under TLS

    def __init__(self, admission: Admission, *, implicit_tls: bool) -> None:
        # aiosmtpd shares this among all connections and changes it in each.
        self.command_size_limits = collections.defaultdict(lambda: _COMMAND_LIMIT)
        self.command_size_limit = _COMMAND_LIMIT
        self._admission = admission
        self._limits = admission.limits
        self._implicit_tls = implicit_tls
        self._clock = admission.acceptance.clock
        self._patience = Patience(self._limits, self._clock.steady())
        self._leaving = False
        self._early: bytes | None = b"" if implicit_tls else None  # what comes before the handshake can take it
        self._handshaking = False
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
        self._smtp_methods = _Commands(self._smtp_methods, self._unknown)

    @property
    def taking_content(self) -> bool:
        """Tell whether a message is coming in."""
        raise NotImplementedError

    def connection_made(self, made: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many connections."""
        transport = cast("asyncio.Transport", made)  # uvloop's are not, but do what those do
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
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """The client sends no more."""
        more = not self._refused and super().eof_received()
        return more and not self._tls_protocol

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        if self._early is not None:
            self._early += data
        elif not (self._refused or self._leaving):
            super().data_received(data)

    def leave(self) -> None:
        """Say goodbye to a client that is between two transactions."""
        if not self.taking_content:
            self._dismiss("421 4.3.2 Shutting down, try again later")

    def cut_off(self) -> None:
        """End the connection at once."""
        if self._handshaking and self._handler_coroutine is not None:
            self._handler_coroutine.cancel()  # asyncio would take the end of the transport for that of the handshake
        elif self.transport is not None:
            self.transport.abort()

    def _dismiss(self, reply: str) -> None:
        """Send the client away, with the last reply that it gets; what it has sent already is not read."""
        if self._leaving or self.transport is None:
            return
        self._leaving = True
        if self._handshaking:
            self.cut_off()  # it would take a reply in clear text for something else
            return
        self._reader._buffer.clear()  # noqa: SLF001 - what is there would be read before the task notices its end
        self.transport.write(f"{reply}\r\n".encode())
        self.transport.close()
        self._reset_timeout(self._limits.goodbye_timeout)
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

    async def _unknown(self, _arg: str | None) -> None:
        await self.push("500 5.5.1 The command is not known")

    async def push(self, status: str) -> None:  # type: ignore[override] # aiosmtpd takes bytes too
        """Send a reply; who has given too many reasons for it is sent away."""
        if self._leaving:
            return
        if self.session.extended_smtp:
            status = _with_status(status)
        await super().push(status)
        self._patience.errors += status.startswith("5")
        why = "" if self.taking_content else self._patience.over(self._clock.steady())
        if why:
            log.info("%s is sent away: %s", self._address, why)
            self._dismiss(why)

    async def _begin_tls(self) -> bool:
        """Do the handshake; tell whether there is TLS now, or the connection has ended."""
        assert self.tls_context is not None  # noqa: S101 - without it, nobody asks
        self._handshaking = True
        try:
            try:
                handshake = self._writer.start_tls(self.tls_context, ssl_handshake_timeout=self._timeout_duration)
                if self._early is None:
                    await handshake
                else:
                    task = self.loop.create_task(handshake)
                    self.loop.call_soon(self.loop.call_soon, self._hand_over_early)  # behind what the task calls first
                    await task
            finally:
                self._handshaking = False
        except OSError as error:
            log.info("TLS with %s failed: %s", self._address, error)
            self._lost_in_handshake(error)
            return False
        except BaseException:
            self._lost_in_handshake(None)
            raise
        self.transport = self._writer.transport
        self._reader._transport = self.transport  # noqa: SLF001 - asyncio leaves the old one there
        self._tls_protocol = True
        return True

    def _hand_over_early(self) -> None:
        """Give TLS what it should have had: uvloop reads what comes first, though it was told not to."""
        early, self._early = self._early, None
        while early and self.transport is not None:
            protocol = self.transport.get_protocol()
            buffer = protocol.get_buffer(len(early))
            piece = early[: len(buffer)]
            buffer[: len(piece)] = piece
            protocol.buffer_updated(len(piece))
            early = early[len(piece) :]

    def _lost_in_handshake(self, error: Exception | None) -> None:
        """End: asyncio does not tell a protocol of a connection that ends within the handshake."""
        if self.transport is not None:
            self.cut_off()
            self.connection_lost(error)

    async def _read(self, most: int, upload: Upload) -> bytes:
        """Read a piece of content, with a timer of its own. Raises TooSlowError."""
        self._reset_timeout(self._limits.block_timeout)
        data: bytes = await self._reader.read(most)
        if not data:
            raise ConnectionResetError("closed by the client within the content")
        if reply := upload.over(self._clock.steady(), len(data)):
            raise TooSlowError(reply)
        return data
