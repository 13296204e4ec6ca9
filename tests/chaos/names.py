"""A name server that breaks the rules: it sends whatever a function makes of a question, from wherever it likes."""

from __future__ import annotations

import asyncio
import socket
from enum import StrEnum
from typing import TYPE_CHECKING, Self, cast

import dns.flags
import dns.message
import dns.name
import dns.rcode

from tests.servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sender.sandbox import DnsServer


class Oddity(StrEnum):
    """What it does with every question, over UDP and TCP."""

    NONE = "answer as the zone says"
    SERVFAIL = "SERVFAIL"
    REFUSED = "REFUSED"
    FORMERR = "FORMERR"
    SILENCE = "nothing"
    GARBAGE = "garbage"
    EMPTY = "an empty packet"
    CUT = "half an answer"
    WRONG_ID = "another id"
    WRONG_SOURCE = "an answer from another port"
    WRONG_QUESTION = "NXDOMAIN for another question"
    NOT_A_RESPONSE = "the question itself"
    TRUNCATED = "truncated, and TCP is refused"
    TRUNCATED_HUNG_UP = "truncated, and hang up over TCP"
    TRUNCATED_SILENT = "truncated, and say nothing over TCP"


_OVER_TCP = frozenset({Oddity.TRUNCATED_HUNG_UP, Oddity.TRUNCATED_SILENT})


class OddServer(asyncio.DatagramProtocol):
    """Stands before a scripted server on a port of its own; questions that reach it are counted."""

    def __init__(self, behind: DnsServer) -> None:
        self.oddity = Oddity.NONE
        self.then_true = False  # the true answer follows
        self.questions = 0
        self.address = ""
        self._behind = behind
        self._other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._transport: asyncio.DatagramTransport

    async def __aenter__(self) -> Self:
        """Listen, on UDP only until TCP is wanted."""
        loop = asyncio.get_running_loop()
        self._port = free_port()  # one that is free for TCP too
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", self._port))
        self.address = f"127.0.0.1:{self._port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        self._transport.abort()
        self._other.close()
        await asyncio.sleep(0)

    async def accept_tcp(self) -> asyncio.Server | None:
        """Listen on TCP too, where the oddity says something about it."""
        if self.oddity not in _OVER_TCP:
            return None
        return await asyncio.start_server(self._on_tcp, "127.0.0.1", self._port)

    async def _on_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(2)
        if self.oddity is Oddity.TRUNCATED_SILENT:
            await reader.read()
        writer.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        """Answer."""
        self.questions += 1
        if self.oddity is Oddity.WRONG_SOURCE:
            self._other.sendto(self._behind.answer(data, datagram=True) or b"", cast("tuple[str, int]", addr))
            return
        for packet in self._packets(data):
            self._transport.sendto(packet, addr)
        if self.then_true:
            self._transport.sendto(self._behind.answer(data, datagram=True) or b"", addr)

    def _packets(self, data: bytes) -> Sequence[bytes]:
        answer = self._behind.answer(data, datagram=True) or b""
        raw = {
            Oddity.NONE: [answer],
            Oddity.SILENCE: [],
            Oddity.GARBAGE: [b"\xff\xfe not a DNS message \x00\x01"],
            Oddity.EMPTY: [b""],
            Oddity.CUT: [answer[: len(answer) // 2]],
            Oddity.WRONG_ID: [bytes([answer[0] ^ 0xFF]) + answer[1:]],
            Oddity.NOT_A_RESPONSE: [data],
        }
        if self.oddity in raw:
            return raw[self.oddity]
        response = dns.message.make_response(dns.message.from_wire(data), recursion_available=True)
        if self.oddity is Oddity.WRONG_QUESTION:
            response.question[0].name = dns.name.from_text("another.test.")
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif self.oddity in {Oddity.SERVFAIL, Oddity.REFUSED, Oddity.FORMERR}:
            response.set_rcode(dns.rcode.from_text(self.oddity))
        else:
            response.flags |= dns.flags.TC
        return [response.to_wire()]
