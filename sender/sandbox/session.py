"""One connection of a receiver: bytes in any segmentation in, replies in as few writes as possible out.

All replies to one read leave in one write. Memory is bounded: a command line has a limit, content is streamed,
and a peer that does not read its replies is not read either.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from sender.sandbox.content import DotReader
from sender.sandbox.dialogue import Dialogue, Next
from sender.sandbox.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable

    from sender.sandbox.office import Office

LINE_LIMIT = 2048
"""Octets of a command line without its line end."""

_BACKLOG_LIMIT = 1000
# What is read for every message; before Python 3.12 it takes long to look a member up.
_COMMAND, _CONTENT, _CHUNK = Next.COMMAND, Next.CONTENT, Next.CHUNK
_READING = (_COMMAND, _CONTENT, _CHUNK)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Session(asyncio.Protocol):
    """The server side of one SMTP session."""

    def __init__(self, office: Office, *, opened: Callable[[Session], None], closed: Callable[[Session], None]) -> None:
        """Wait for the connection; `opened` and then `closed` are called once each."""
        self._office = office
        self._opened = opened
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._dialogue: Dialogue
        self._out: Outgoing
        self._rest = b""
        self._skipping = False
        self._dots: DotReader | None = None
        self._octets_left = 0
        self._replies: list[bytes] = []
        self._upgrade: asyncio.Task[None] | None = None
        self._handshaking = False
        self._ended_here = False
        self._is_open = False
        self._counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the session and greet the peer."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_open = True
        address = transport.get_extra_info("peername")
        self._dialogue = Dialogue(self._office, str(address[0]) if address else "unknown")
        self._out = Outgoing(self._loop, self._transport)
        tally = self._office.tally
        tally.sessions_opened += 1
        refused_before = tally.sessions_refused
        self._replies.append(self._dialogue.greeting())
        if tally.sessions_refused == refused_before:
            self._counted = True
            tally.sessions_open += 1
            tally.sessions_peak = max(tally.sessions_peak, tally.sessions_open)
        self._flush()
        self._obey()
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        """Answer what can be answered of what has come."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if self._handshaking:  # already decrypted, but the way back is not there yet
            self._rest = data
            return
        dialogue, at, end = self._dialogue, 0, len(data)
        if self._out.backlog and dialogue.between_messages:
            self._office.tally.ahead += 1
        while at < end:
            step = dialogue.next
            if step is _COMMAND:
                at = self._read_commands(data, at)
            elif step is _CONTENT:
                at = self._read_content(data, at)
            elif step is _CHUNK:
                at = self._read_chunk(data, at)
            else:
                break
        if len(self._replies) > 1 and not self._office.behaviour.pipelining:
            self._office.tally.uninvited += 1
        self._flush()
        if dialogue.next not in _READING:
            self._obey()

    def eof_received(self) -> bool:
        """Close when the replies under way have been sent."""
        self._out.then(self._transport.close)
        return not (self._dialogue.guest.tls or self._handshaking)

    def pause_writing(self) -> None:
        """Stop reading from a peer that does not read."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again."""
        self._read_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it ended makes no difference
        """Free what the session holds."""
        if not self._is_open:
            return
        self._is_open = False
        self._out.drop()
        tally = self._office.tally
        if self._counted:
            tally.sessions_open -= 1
            tally.lost += not self._ended_here
        self._office.dismiss(self._dialogue.guest)
        self._closed(self)

    def abort(self) -> None:
        """End the session at once, by the receiver's own decision."""
        self._ended_here = True
        self._transport.abort()
        if self._upgrade is not None:  # uvloop does not tell start_tls that the transport has gone
            self._upgrade.cancel()

    def _read_commands(self, data: bytes, at: int) -> int:
        """Answer whole lines from `data[at:]`; return where something else than a command begins."""
        dialogue, replies = self._dialogue, self._replies
        while True:
            end = data.find(b"\r\n", at)
            if end < 0:
                return self._keep(data, at)
            if self._skipping or end - at > LINE_LIMIT:
                self._skipping = False
                replies.append(dialogue.line_too_long())
            else:
                reply = dialogue.command(data[at:end])
                if reply:
                    replies.append(reply)
            at = end + 2
            if dialogue.next is _CHUNK:
                self._octets_left = dialogue.chunk.size
                at = self._read_chunk(data, at)
            if dialogue.next is not _COMMAND:
                if dialogue.next is _CONTENT and at < len(data):
                    self._office.tally.uninvited += 1
                return at

    def _keep(self, data: bytes, at: int) -> int:
        """Keep the beginning of a line until its end comes, but no more of it than a line may have."""
        if len(data) - at > LINE_LIMIT + 1:
            self._skipping = True
        self._rest = data[-1:] if self._skipping else data[at:]
        return len(data)

    def _read_content(self, data: bytes, at: int) -> int:
        """Take content from `data[at:]`; return where the commands go on."""
        dialogue = self._dialogue
        content = dialogue.content
        if self._dots is None:
            early = dialogue.content_began()
            if early:
                self._replies.append(early)
            if dialogue.next is not _CONTENT or content is None:
                return len(data)
            self._dots = DotReader(content)
        end = self._dots.feed(data, at)
        if end < 0:
            return len(data)
        self._dots = None
        self._accept(dialogue.content_ended())
        return self._ahead(data, end)

    def _read_chunk(self, data: bytes, at: int) -> int:
        """Take the octets of a chunk from `data[at:]`; return where they end."""
        dialogue = self._dialogue
        content = dialogue.content
        end = min(len(data), at + self._octets_left)
        if content is not None:
            content.add(data, at, end)
        self._octets_left -= end - at
        if not self._octets_left:
            reply = dialogue.chunk_ended()
            if dialogue.chunk.last:
                self._accept(reply)
                return self._ahead(data, end)
            self._replies.append(reply)
        return end

    def _ahead(self, data: bytes, at: int) -> int:
        """Go on behind the end of a message at `data[at:]`; return where."""
        if at < len(data):
            self._office.tally.ahead += 1
            if self._office.behaviour.forgets_ahead:
                return len(data)
        return at

    def _accept(self, reply: bytes) -> None:
        """Answer the end of a message, after the time that this takes."""
        work_s = self._office.behaviour.accept_delay_s
        if work_s:
            self._flush()
            self._out.send(reply, way_s=self._office.behaviour.latency_s, work_s=work_s)
        else:
            self._replies.append(reply)

    def _flush(self) -> None:
        replies = self._replies
        if replies:
            self._out.send(
                replies[0] if len(replies) == 1 else b"".join(replies), way_s=self._office.behaviour.latency_s
            )
            replies.clear()
        if self._out.backlog > _BACKLOG_LIMIT:
            self._transport.pause_reading()
            self._out.then(self._read_on)

    def _read_on(self) -> None:
        if self._dialogue.next in _READING or self._dialogue.next is Next.HANG:
            self._transport.resume_reading()

    def _obey(self) -> None:
        """Do what the dialogue wants instead of reading; once it has, what comes is dropped."""
        wish, way_s = self._dialogue.next, self._office.behaviour.latency_s
        if wish in {Next.CLOSE, Next.ABORT} and not self._ended_here:
            self._ended_here = True
            self._out.then(self._transport.close if wish is Next.CLOSE else self._reset, way_s=way_s)
        elif wish is Next.UPGRADE and self._upgrade is None:
            self._transport.pause_reading()
            self._out.then(self._begin_tls, way_s=way_s)
        elif wish is Next.DEAF:
            self._transport.pause_reading()

    def _reset(self) -> None:
        link = self._transport.get_extra_info("socket")
        if link is not None:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def _begin_tls(self) -> None:
        self._upgrade = self._loop.create_task(self._secure())

    async def _secure(self) -> None:
        """Put TLS under the session; what the peer sent before it is forgotten (RFC 3207 4.2)."""
        context = self._office.behaviour.tls
        transport: asyncio.Transport | None = None
        self._rest = b""
        self._handshaking = True
        try:
            if context is not None:
                with suppress(OSError):
                    transport = await self._loop.start_tls(self._transport, self, context, server_side=True)
        finally:
            if transport is None:
                self._transport.abort()
                self.connection_lost(None)
        if transport is None or not self._is_open:
            return
        self._handshaking = False
        self._upgrade = None
        self._transport = self._out.transport = transport
        self._dialogue.secured()
        self.data_received(b"")
