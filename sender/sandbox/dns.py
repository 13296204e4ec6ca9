"""A scripted authoritative DNS server on loopback, UDP and TCP on one port.

It answers from a `Zone`, which may change while it runs; every question that can be read is counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Self, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from sender.sandbox.zone import FAILURES, Finding, Records, Value, Zone, canonical

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN_UDP_SIZE = 512
_TCP_SIZE = 65535
_BIND_ATTEMPTS = 20
_NEGATIVE_TTL = 60
_GARBAGE = b"\xff\xfe not a DNS message \x00\x01"


class DnsServer:
    """A server for one zone; with `authenticated` it sets AD, as a validating resolver does, for who asks for it."""

    def __init__(
        self,
        zone: Zone | Records | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        authenticated: bool = False,
    ) -> None:
        """Describe a server; port 0 lets the system choose."""
        self.zone = zone if isinstance(zone, Zone) else Zone(zone)
        self.authenticated = authenticated
        self.queries: Counter[tuple[str, str]] = Counter()
        self._host = host
        self._port = port
        self._tcp: asyncio.Server | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._streams: set[asyncio.Transport] = set()

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`."""
        return f"{self._host}:{self._port}"

    def set(self, name: str, rdtype: str, values: Iterable[Value], ttl: int = 60) -> None:
        """Replace the records of a name and type."""
        self.zone.set(name, rdtype, values, ttl)

    def mx(self, name: str, hosts: Iterable[tuple[int, str]], ttl: int = 60) -> None:
        """Replace the mail exchangers of a name; `[(0, ".")]` says that it takes no mail."""
        self.zone.set(name, "MX", hosts, ttl)

    def a(self, name: str, *addresses: str, ttl: int = 60) -> None:
        """Replace the IPv4 addresses of a name."""
        self.zone.set(name, "A", addresses, ttl)

    def aaaa(self, name: str, *addresses: str, ttl: int = 60) -> None:
        """Replace the IPv6 addresses of a name."""
        self.zone.set(name, "AAAA", addresses, ttl)

    def cname(self, name: str, target: str, ttl: int = 60) -> None:
        """Make a name the alias of another."""
        self.zone.set(name, "CNAME", [target], ttl)

    def fail(self, name: str, rdtype: str | None, failure: str) -> None:
        """Fail every question for a name (and type); see `Zone.fail`."""
        self.zone.fail(name, rdtype, failure)

    def clear(self, name: str) -> None:
        """Forget the records and failures of a name."""
        self.zone.clear(name)

    async def start(self) -> None:
        """Listen on UDP and TCP; OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        attempts = 1 if self._port else _BIND_ATTEMPTS
        while True:
            attempts -= 1
            tcp = await loop.create_server(lambda: _Stream(self), self._host, self._port)
            port = int(tcp.sockets[0].getsockname()[1])
            try:
                udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), (self._host, port))
            except OSError:
                tcp.close()
                if not attempts:
                    raise
                continue
            self._tcp, self._udp, self._port = tcp, udp, port
            return

    async def close(self) -> None:
        """Stop listening, and hang up."""
        tcp, udp, self._tcp, self._udp = self._tcp, self._udp, None, None
        if udp is not None:
            udp.abort()
        if tcp is not None:
            tcp.close()
            for stream in tuple(self._streams):
                stream.abort()
            await tcp.wait_closed()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    def opened(self, stream: asyncio.Transport) -> None:
        """Remember a TCP connection, to end it with the server."""
        self._streams.add(stream)

    def closed(self, stream: asyncio.Transport) -> None:
        """Forget a TCP connection."""
        self._streams.discard(stream)

    def answer(self, wire: bytes, *, datagram: bool) -> bytes | None:
        """Answer a message in wire form; None for silence, empty to hang up."""
        try:
            query = dns.message.from_wire(wire)
            question = query.question[0]
        except (dns.exception.DNSException, IndexError):
            return None
        if query.flags & dns.flags.QR:
            return None
        if query.opcode() != dns.opcode.QUERY:
            return _refusal(query, dns.rcode.NOTIMP).to_wire()
        rdtype = dns.rdatatype.to_text(question.rdtype)
        name = canonical(question.name.to_text())
        self.queries[name, rdtype] += 1
        finding = self.zone.find(name, rdtype)
        if finding.failure in FAILURES:
            return _sabotage(query, finding.failure, datagram=datagram)
        if finding.failure:
            return _refusal(query, dns.rcode.from_text(finding.failure)).to_wire()
        return _fit(query, self._response(query, finding), datagram=datagram)

    def _response(self, query: dns.message.Message, finding: Finding) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        response.flags |= dns.flags.AA
        if self.authenticated and (query.flags & dns.flags.AD or query.ednsflags & dns.flags.DO):
            response.flags |= dns.flags.AD
        response.answer.extend(finding.rrsets)
        question = query.question[0]
        if not finding.exists:
            response.set_rcode(dns.rcode.NXDOMAIN)
        if not finding.rrsets or finding.rrsets[-1].rdtype != question.rdtype:
            response.authority.append(_soa(question.name))
        return response


def _refusal(query: dns.message.Message, rcode: dns.rcode.Rcode) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(rcode)
    return response


def _sabotage(query: dns.message.Message, failure: str, *, datagram: bool) -> bytes | None:
    response = dns.message.make_response(query, recursion_available=True)
    match failure:
        case "garbage":
            return _GARBAGE
        case "truncate":
            response.flags |= dns.flags.TC
            return response.to_wire() if datagram else b""
        case "wrong-id":
            response.id ^= 0xFFFF
            return response.to_wire()
        case _:
            return None


def _fit(query: dns.message.Message, response: dns.message.Message, *, datagram: bool) -> bytes:
    """Render a response, truncated when it is too large for a datagram (RFC 2181 9, RFC 6891 6.2.5)."""
    size = max(_PLAIN_UDP_SIZE, query.payload if query.edns >= 0 else 0) if datagram else _TCP_SIZE
    try:
        return response.to_wire(max_size=size)
    except dns.exception.TooBig:
        short = dns.message.make_response(query, recursion_available=True)
        if datagram:
            short.flags |= dns.flags.AA | dns.flags.TC
        else:
            short.set_rcode(dns.rcode.SERVFAIL)
        return short.to_wire()


def _soa(name: dns.name.Name) -> dns.rrset.RRset:
    """Give the SOA of the top-level domain, which says how long an absence may be remembered (RFC 2308)."""
    top = dns.name.Name(name.labels[-2:])
    text = f"ns.sandbox.test. hostmaster.sandbox.test. 1 3600 600 86400 {_NEGATIVE_TTL}"
    return dns.rrset.from_text(top, _NEGATIVE_TTL, dns.rdataclass.IN, dns.rdatatype.SOA, text)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        answer = self._server.answer(data, datagram=True)
        if answer:
            self._transport.sendto(answer, addr)


class _Stream(asyncio.Protocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.opened(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it ended makes no difference
        self._server.closed(self._transport)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        while len(data) >= 2 + (length := int.from_bytes(data[:2])) > 1:
            wire, data = data[2 : 2 + length], data[2 + length :]
            answer = self._server.answer(wire, datagram=False)
            if answer == b"":
                self._transport.abort()
                return
            if answer:
                self._transport.write(len(answer).to_bytes(2) + answer)
        self._rest = data
