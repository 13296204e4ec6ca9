"""Parsers and machines that read what others send, with inputs that chance has made of hard ones."""

from __future__ import annotations

import contextlib
import random
import re
import time
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.message
import dns.nameserver

from sender.core.address import canonical_domain, domain_of, split_mailbox, wire_form
from sender.core.errors import AddressError
from sender.core.reply import Reply
from sender.intake.dots import Unstuffer
from sender.route.resolver import dialable
from sender.route.router import Unroutable
from sender.sandbox import DnsServer
from sender.smtp.content import DotStuffer, stuffed
from sender.smtp.replies import LINE_LIMIT, REPLY_LIMIT, MalformedReplyError, ReplyParser
from tests.chaos.mutation import corpus, line, mutations, pieces
from tests.chaos.scale import scaled
from tests.chaos.way import Way
from tests.dialogs.client import Client
from tests.dialogs.listener.house import open_house

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest

    from tests.chaos.report import Report

_SEED = 7
_HANG_S = 1.0
_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)


def _oracle(data: bytes) -> tuple[list[tuple[int, str]], bool]:
    """Read replies in another way than the parser: those that are whole, and whether the rest is none."""
    replies: list[tuple[int, str]] = []
    lines: list[tuple[bytes, bytes, bytes]] = []
    *whole, rest = data.split(b"\n")
    for each in whole:
        match = _REPLY_LINE.fullmatch(each.removesuffix(b"\r"))
        if match is None or len(match[0]) > LINE_LIMIT or (lines and match[1] != lines[0][0]):
            return replies, True
        lines.append((match[1], match[2] or b"", match[3] or b""))
        if sum(4 + len(text) for _, _, text in lines) > REPLY_LIMIT:
            return replies, True
        if match[2] != b"-":
            text = "\n".join(text.decode("utf-8", "replace") for _, _, text in lines)
            replies.append((int(match[1]), text))
            lines = []
    return replies, len(rest.removesuffix(b"\r")) > LINE_LIMIT


def _parsed(segments: Iterable[bytes]) -> tuple[list[tuple[int, str]], bool]:
    parser, replies = ReplyParser(), list[Reply]()
    try:
        for segment in segments:
            replies += parser.feed(segment)
    except MalformedReplyError as error:
        replies += error.before
        return [(reply.code, reply.text) for reply in replies], True
    return [(reply.code, reply.text) for reply in replies], False


def test_fuzz_of_the_reply_parser(report: Report) -> None:
    """Whatever a receiver sends in whatever segments: the replies are those of an oracle, or it is no reply."""
    rng, count = random.Random(_SEED), scaled(15_000, 10_000_000)
    began_at = time.monotonic()
    for data in mutations(corpus("replies"), rng, count):
        expected = _oracle(data)
        assert _parsed([data]) == expected, line(data)
        assert _parsed(pieces(data, rng)) == expected, line(data)
    _no_hang(began_at, count)
    report.held("FUZZ replies", runs=count, figures="0 differences to the oracle in any segments")


def test_fuzz_of_addresses(report: Report) -> None:
    """A mailbox is taken as it is or refused: on the wire it is one word in one line, and names nobody else."""
    rng, count = random.Random(_SEED), scaled(10_000, 1_000_000)
    taken = 0
    for data in mutations(corpus("addresses"), rng, count):
        mailbox = data.decode("utf-8", "surrogateescape")
        try:
            local, domain = split_mailbox(mailbox)
        except AddressError:
            continue
        taken += 1
        assert f"{local}@{domain}" == mailbox, line(data)
        wire = wire_form(mailbox)
        assert wire.rpartition("@")[0] == local, line(data)
        canonical = canonical_domain(domain)
        assert canonical_domain(canonical) == canonical == domain_of(mailbox) == domain_of(wire), line(data)
        assert wire.encode().isascii() or not local.isascii(), line(data)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", wire), line(data)
    assert taken > count // 20
    report.held("FUZZ addresses", runs=count, figures=f"{taken} taken as they are, 0 changed")


def test_fuzz_of_dots(report: Report) -> None:
    """Content that is stuffed, cut anywhere on either side, comes out as it was, and what follows stays commands."""
    rng, count = random.Random(_SEED), scaled(8_000, 1_000_000)
    for data in mutations(corpus("contents"), rng, count):
        content = data.replace(b"\r\n", b"\n").replace(b"\r", b"").replace(b"\n", b"\r\n") or b"\r\n"
        stuffer = DotStuffer()
        wire = b"".join(bytes(stuffer.stuff(memoryview(piece))) for piece in pieces(content, rng)) + stuffer.end()
        assert wire == stuffed(content), line(data)
        unstuffer, out, rest = Unstuffer(), b"", b""
        for piece in pieces(wire + b"QUIT\r\n", rng):
            if unstuffer.ended:
                rest += piece
            else:
                out += unstuffer.feed(piece)
        assert out == (content if content.endswith(b"\r\n") else content + b"\r\n"), line(data)
        assert unstuffer.rest + rest == b"QUIT\r\n", line(data)
    report.held("FUZZ dots", runs=count, figures="0 contents changed in any segments")


class _Spoilt(dns.nameserver.Nameserver):
    """A name server whose answers are read as any, once chance has been at them."""

    def __init__(self, server: DnsServer, rng: random.Random) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # dnspython's
        self.said = b""
        self._server = server
        self._rng = rng

    def __str__(self) -> str:
        return "spoilt"

    def kind(self) -> str:
        return "spoilt"

    def is_always_max_size(self) -> bool:
        return True

    def answer_nameserver(self) -> str:
        return "spoilt"

    def answer_port(self) -> int:
        return 53

    async def async_query(self, request: dns.message.QueryMessage, *_args: Any, **_options: Any) -> dns.message.Message:  # noqa: ANN401 - dnspython's
        said = bytearray(self._server.answer(request.to_wire(), datagram=True) or b"")
        for _ in range(self._rng.choice([0, 0, 1, 2, 4])):
            at = self._rng.randrange(2, len(said))
            said[at] = self._rng.choice([said[at] ^ 1 << self._rng.randrange(8), self._rng.randrange(256)])
        self.said = bytes(said[: self._rng.choice([len(said), len(said), self._rng.randrange(12, len(said))])])
        try:
            response = dns.message.from_wire(self.said)
        except dns.exception.DNSException as error:
            raise dns.exception.FormError from error  # after which a resolver does not wait to ask again
        response.question = request.question  # the mutation shall hit what is read behind it
        if not request.is_response(response):
            raise dns.exception.FormError
        return response


async def test_fuzz_of_dns_answers(report: Report, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever stands in an answer, a domain has a way with addresses that are some, or has none: nothing else."""
    rng, count = random.Random(_SEED), scaled(250, 50_000, soak=1_000_000)
    fates = {"way": 0, "temporary": 0, "permanent": 0}
    quick = {"min_ttl": "0s", "failure_ttl": "0s", "lifetime": "20ms", "timeout": "20ms"}
    way = Way("127.0.0.1:53", delivery={"allow_private_addresses": True}, dns=quick)
    spoilt = _Spoilt(_server(), rng)
    way.resolver._resolver.nameservers = [spoilt]
    began_at = time.monotonic()
    for _ in range(count):
        way.now += 1e6
        found = await way.addresses("fuzz.test")
        if isinstance(found, Unroutable):
            fates["permanent" if found.permanent else "temporary"] += 1
        else:
            fates["way"] += 1
            assert all(dialable(address, private=True) for address in found), line(spoilt.said)
    _no_hang(began_at, count)
    assert min(fates.values()) > 0, fates
    assert [record for record in caplog.records if record.name == "sender.route.resolver"] == []
    report.held("FUZZ DNS", runs=count, figures=", ".join(f"{fate}: {number}" for fate, number in fates.items()))


def _server() -> DnsServer:
    """Give a server, which need not be started, with a domain that has everything."""
    server = DnsServer()
    server.cname("fuzz.test", "real.fuzz.test")
    server.mx("real.fuzz.test", [(10, "mx1.fuzz.test"), (20, "a.b.c.d.e.f.fuzz.test"), (0, "."), (30, "fuzz.test")])
    server.a("mx1.fuzz.test", "192.0.2.1", "192.0.2.2")
    server.aaaa("mx1.fuzz.test", "2001:db8::1")
    return server


async def test_fuzz_of_the_listener(tmp_path: Path, report: Report) -> None:
    """After any bytes in any segments a session answers or ends, others are served, and what is taken is whole."""
    rng, count = random.Random(_SEED), scaled(150, 30_000, soak=1_000_000)
    house = await open_house(tmp_path, max_errors=1000, block_timeout="1s", command_timeout="1s")
    inputs = corpus("sessions")
    began_at = time.monotonic()
    for number, data in enumerate(mutations(inputs, rng, count)):
        async with Client(house.port) as client:
            await client.greet()
            for piece in pieces(data, rng):
                client.send(piece)
            client.writer.write_eof()
            said = await _said(client)
        assert said.count(b"\n") == said.count(b"\r\n"), line(data)
        assert all(re.match(rb"[2-5]\d\d[ -]", each) for each in said.splitlines()), line(data)
        if number % 50 == 0:
            async with Client(house.port) as client:
                await client.greet()
                assert (await client.deliver()).startswith("250"), line(data)
    _no_hang(began_at, count)
    taken = await house.taken()
    for message in taken:
        blocks = [await house.spool.block(message.id, number) for number in range(message.blocks)]
        assert sum(map(len, blocks)) == message.size
    await house.listener.close(0.0)
    await house.close_spool()
    report.held("FUZZ listener", runs=count, figures=f"{len(taken)} messages taken, each whole; 0 sessions stuck")


async def _said(client: Client) -> bytes:
    """Read what a session says until it is over; who is sent away while he goes on talking may be cut off."""
    said = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := await client.reader.read(65536):
            said += piece
    return bytes(said[: said.rfind(b"\n") + 1])


def _no_hang(began_at: float, count: int) -> None:
    """Assert that one input took no second, on the average by far."""
    assert time.monotonic() - began_at < count * _HANG_S
