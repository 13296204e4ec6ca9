"""The connection of one session: aiosmtplib's protocol, with strict replies, flow control and an abort.

aiosmtplib opens the session on it (EHLO, HELO, STARTTLS); the transactions are ours. Whatever is irregular (a reply
that nobody asked for, bytes behind a reply, a timeout, a cancellation) ends the connection by an abort: a graceful
close would still send what is buffered, the final dot included. Of that the kernel holds a part, which may be
megabytes: only a reset has it throw them away.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import sys
import termios
from asyncio.trsock import TransportSocket
from collections import deque
from typing import TYPE_CHECKING, cast

from aiosmtplib.errors import SMTPServerDisconnected
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from sender.core.outcome import Trouble
from sender.core.reply import escaped
from sender.smtp.ear import NOBODY, raw, shown
from sender.smtp.replies import REPLY_LIMIT, MalformedReplyError, ReplyParser

if TYPE_CHECKING:
    import ssl

    from sender.core.reply import Reply
    from sender.smtp.ear import Ear

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # where there is none, the kernel takes up to 40 ms
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger


class WireError(SMTPServerDisconnected):
    """The connection cannot be used any more. aiosmtplib lets this kind through."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble
        self.detail = detail


class Wire(SMTPProtocol):
    """See the module. `reply` gives one reply for each command that `send` counted; `ear` may listen."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, host: str = "", address: str = "", ear: Ear = NOBODY
    ) -> None:
        super().__init__(loop=loop)
        self._ear = ear
        self._whom = (ear.session(), host, address)
        self.last: Reply | None = None
        self._parser = ReplyParser()
        self._received: deque[Reply] = deque()
        self._outstanding = 1  # the banner
        self._waiting: asyncio.Future[None] | None = None
        self._error: WireError | None = None
        self.too_many = False  # replies have come than were asked for: none can be told from its neighbour
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._limit_s = 0.0
        self._before_tls = False
        self._far = False  # the end of a content was written that may take long until it has arrived
        self._under_way = 0  # bytes that the kernel holds, when it was looked last
        self._stuck = False  # the transport holds bytes that the peer has not taken
        self._reset = False  # the connection broke
        self._unanswered = False  # what was received last was followed by nothing of ours, which would acknowledge it

    # from the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the banner is awaited."""
        super().connection_made(transport)
        # Paused means: the transport holds bytes. That is what tells when the last byte has left.
        cast("asyncio.WriteTransport", transport).set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Take replies. One that answers nothing ends the session, except 421, which may come at any time."""
        if self._error is not None:
            return
        self._unanswered = True
        self._far = False
        malformed = None
        try:
            replies = self._parser.feed(data)
        except MalformedReplyError as error:
            replies, malformed = error.before, error
        if self._ear.followed:
            self._tell_received(replies, data if malformed is not None else b"")
        for reply in replies:
            if self._outstanding == 0:
                if reply.code == 421:  # noqa: PLR2004
                    self._received.append(reply)
                    self._fail(Trouble.LOST, f"closed by the receiver: {reply}")
                else:
                    self.too_many = True
                    self._fail(Trouble.PROTOCOL, f"a reply to nothing: {reply}")
                return
            self._outstanding -= 1
            self._received.append(reply)
        if malformed is not None:
            self._fail(Trouble.PROTOCOL, str(malformed))
        self._wake()

    def eof_received(self) -> bool:
        """The peer sends no more: what it has said stays valid."""
        self._fail(Trouble.LOST, "connection closed by the receiver")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if exc is not None and self._error is None and self.transport is not None:
            self._take_last_words()
            self._reset = True
        self._fail(Trouble.LOST, f"connection lost{f': {exc}' if exc else ''}")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.transport = None
        self._connection_lost = True

    def pause_writing(self) -> None:
        """Bytes wait in the transport."""
        self._stuck = True

    def resume_writing(self) -> None:
        """The peer has taken everything."""
        self._stuck = False
        self._wake()

    # for the session

    @property
    def alive(self) -> bool:
        """Tell whether the connection may still bring replies."""
        return self._error is None

    @property
    def usable(self) -> bool:
        """Tell whether a command may be sent: nothing is owed, nothing is left over, the peer is there."""
        return self._error is None and not self._outstanding and not self._received and not self._parser.pending

    @property
    def died(self) -> bool:
        """Tell whether the connection broke, or fell silent: the receiver may not know that it is over."""
        return self._error is not None and (self._reset or self._error.trouble is Trouble.TIMEOUT)

    def check(self) -> None:
        """Raise WireError where the connection has ended, though there may be replies that were not read."""
        if self._error is not None:
            raise self._error

    def has_said(self, replies: int) -> bool:
        """Tell whether so many replies have come that were not read yet."""
        return len(self._received) >= replies

    def send(self, data: bytes | memoryview, replies: int, content: int = 0) -> None:
        """Write what `replies` replies will answer. Raises WireError where the dialogue is out of step.

        So many of its bytes are content of a message: the first ones, or, where negative, the last ones.
        """
        if not self.usable:
            self.give_up("the receiver has sent more than it was asked for")
            raise self._broken()
        self.send_more(data, replies, content)

    def send_more(self, data: bytes | memoryview, replies: int = 0, content: int = 0) -> None:
        """Write more while replies are owed: what belongs to the content, or is pipelined behind it."""
        if self._error is not None or self._write_failed:
            raise self._broken()
        self._outstanding += replies
        self._unanswered = False
        if self._ear.followed:
            self._tell_sent(data, content)
        self._transport.write(data)

    def received(self) -> Reply | None:
        """Give the next reply if it has come."""
        return self._received.popleft() if self._received else None

    async def reply(self, timeout_s: float) -> Reply:
        """Give the next reply. Raises WireError; a timeout ends the connection, however much of a reply has come."""
        deadline = self._loop.time() + timeout_s
        self._under_way = self._unacknowledged() if self._far else 0
        while not self._received:
            if self._error is not None:
                raise self._error
            await self._wait(deadline, timeout_s)
        return self._received.popleft()

    async def sent(self, timeout_s: float, replies: int = 1) -> None:
        """Wait until the kernel has taken what was written, or so many replies have come, or the time is over."""
        self._far = True
        deadline = self._loop.time() + timeout_s
        while (self._stuck or self._write_failed) and len(self._received) < replies:
            if self._error is not None:
                if self._received:
                    return  # what it has said before counts
                raise self._error
            await self._wait(deadline, timeout_s)

    @property
    def all_sent(self) -> bool:
        """Tell whether the last byte has left."""
        return not self._stuck

    def abort(self) -> None:
        """End the connection at once; what is buffered is thrown away."""
        self._fail(Trouble.LOST, "aborted", note="connection ended")

    def give_up(self, detail: str) -> None:
        """End the connection, for it is out of step: what was received and not read answers nothing."""
        self._received.clear()
        self._fail(Trouble.PROTOCOL, detail)

    # for whoever listens

    def note(self, text: str) -> None:
        """Tell what happens beside the dialogue."""
        if self._ear.followed:
            self._ear.hear(*self._whom, "note", text)

    def _tell_encrypted(self, context: ssl.SSLContext) -> None:
        tls = self._transport.get_extra_info("ssl_object")
        if tls is not None:
            trust = "verified" if context.verify_mode else "not verified"  # CERT_NONE is 0
            self.note(f"encrypted by {tls.version()}, {tls.cipher()[0]}; certificate {trust}")

    def _tell_sent(self, data: bytes | memoryview, content: int) -> None:
        if content > 0:
            self._ear.hear(*self._whom, "sent", f"[{content:,} bytes of content]")
        commands = bytes(data[max(0, content) : min(0, content) or None])
        for command in commands.removesuffix(b"\r\n").split(b"\r\n") if commands else ():
            self._ear.hear(*self._whom, "sent", shown(command))
        if content < 0:
            self._ear.hear(*self._whom, "sent", f"[{-content:,} bytes of content]")

    def _tell_received(self, replies: list[Reply], rubbish: bytes) -> None:
        for reply in replies:
            *lines, last = reply.text.split("\n")
            for line in lines:
                self._ear.hear(*self._whom, "received", escaped(f"{reply.code}-{line}"))
            self._ear.hear(*self._whom, "received", escaped(f"{reply.code} {last}").rstrip())
        if rubbish:
            self._ear.hear(*self._whom, "received", raw(rubbish))

    # for aiosmtplib

    def write(self, data: bytes) -> None:
        """Write one command."""
        self.send(data, 1)

    async def read_response(self, timeout: float | None = None) -> SMTPResponse:  # noqa: ASYNC109 - aiosmtplib's signature
        """Give the next reply in aiosmtplib's form, and keep ours in `last`."""
        self.last = await self.reply(timeout or 300.0)
        if self._before_tls and not self.usable:
            # RFC 3207 section 4.2: what stands in clear text behind the 220 was put there by somebody else.
            self._fail(Trouble.PROTOCOL, "clear text behind the reply to STARTTLS")
            raise self._broken()
        return SMTPResponse(self.last.code, self.last.text)

    async def start_tls(
        self,
        tls_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - aiosmtplib's signature
    ) -> SMTPResponse:
        """Upgrade; afterwards the transport is another one."""
        self._before_tls = True
        response = await super().start_tls(tls_context, server_hostname, timeout)
        self._before_tls = False
        self._transport.set_write_buffer_limits(high=0)
        if self._ear.followed:
            self._tell_encrypted(tls_context)
        return response

    def _acknowledge(self) -> None:
        """Have the kernel acknowledge now what was received, and not when it sees fit.

        A receiver that does not set TCP_NODELAY (Postfix is one) sends no further reply before.
        """
        self._unanswered = False
        link = self._transport.get_extra_info("socket")
        if link is not None and _QUICKACK is not None:
            with contextlib.suppress(OSError):
                link.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    @property
    def _write_failed(self) -> bool:
        """Tell whether the transport has given up; why, it tells in `connection_lost`."""
        return self.transport is not None and self.transport.is_closing()

    def _take_last_words(self) -> None:
        """Read the reply that came before a write failed: asyncio itself reads no more after that.

        A receiver that refuses in the middle of the content and resets the connection has refused.
        """
        transport = self._transport
        link = transport.get_extra_info("socket")
        # uvloop has read everything before it writes, and under TLS what is left cannot be read.
        if isinstance(link, TransportSocket) and transport.get_extra_info("ssl_object") is None:
            with contextlib.suppress(OSError):
                self.data_received(os.read(link.fileno(), REPLY_LIMIT))

    @property
    def _transport(self) -> asyncio.WriteTransport:
        if self.transport is None:
            raise self._broken()
        return cast("asyncio.WriteTransport", self.transport)

    def _broken(self) -> WireError:
        return self._error or WireError(Trouble.LOST, "connection lost")

    def _fail(self, trouble: Trouble, detail: str, *, note: str = "") -> None:
        if self._error is None:
            self._error = WireError(trouble, detail)
            self.note(note or escaped(detail))
        if self.transport is not None:
            if self._outstanding or self._stuck:
                self._reset_on_close()
            cast("asyncio.WriteTransport", self.transport).abort()
        self._wake()

    def _reset_on_close(self) -> None:
        """Have the kernel throw away what it holds: what was not answered shall not arrive any more."""
        link = self._transport.get_extra_info("socket")
        if link is not None:
            with contextlib.suppress(OSError):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def _unacknowledged(self) -> int:
        """Count the bytes that the kernel holds since the peer has not acknowledged them; 0 where it does not tell."""
        link = self._transport.get_extra_info("socket") if self.transport is not None else None
        if link is None or sys.platform != "linux":
            return 0
        with contextlib.suppress(OSError):
            return int.from_bytes(fcntl.ioctl(link.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        return 0

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _wait(self, deadline: float, limit_s: float) -> None:
        """Wait for the next event. One timer serves all waits: it looks at the deadline when it fires."""
        self._limit_s = limit_s
        self._deadline = deadline
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._timed_out)
        if self._unanswered and self._outstanding:
            self._acknowledge()
        self._waiting = self._loop.create_future()
        try:
            await self._waiting
        except asyncio.CancelledError:
            self._fail(Trouble.LOST, "cancelled")
            raise
        finally:
            self._waiting = None

    def _timed_out(self) -> None:
        self._timer = None
        if self._waiting is None or self._waiting.done():
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._timed_out)
        elif 0 < (under_way := self._unacknowledged()) < self._under_way:
            # The time for the answer begins when the last byte has arrived: it is still going, and gets on.
            self._under_way = under_way
            self._deadline = self._loop.time() + self._limit_s
            self._timer = self._loop.call_at(self._deadline, self._timed_out)
        else:
            self._fail(Trouble.TIMEOUT, f"no answer within {self._limit_s:g} s")
