"""A scripted DNS server, asked by a real resolver."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import pytest

from sender.sandbox import DnsServer, Zone
from sender.sandbox.zone import Records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    """Give a running server without records."""
    async with DnsServer() as server:
        yield server


def resolver(server: DnsServer) -> dns.asyncresolver.Resolver:
    """Give a resolver that asks this server only."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [server.address.partition(":")[0]]
    resolver.port = server.port
    resolver.lifetime = 30.0
    resolver.retry_servfail = False
    return resolver


async def ask(server: DnsServer, name: str, rdtype: str) -> list[str]:
    """Ask for the records of a name, and give their texts in order."""
    answer = await resolver(server).resolve(f"{name}.", rdtype)
    return sorted(rdata.to_text() for rdata in answer)


async def exchange(server: DnsServer, name: str, rdtype: str, **options: bool) -> dns.message.Message:
    """Exchange one question over UDP, and give the whole response."""
    query = dns.message.make_query(name, rdtype, **options)  # type: ignore[arg-type] # only want_dnssec is passed
    return await dns.asyncquery.udp(query, "127.0.0.1", port=server.port, timeout=30.0)


async def test_records_are_found(server: DnsServer) -> None:
    """MX, A, AAAA, TXT and any other type are answered as they were set, whatever the case of the name."""
    server.mx("Example.TEST.", [(10, "mx1.example.test"), (20, "mx2.example.test.")])
    server.a("mx1.example.test", "127.0.0.2", "127.0.0.3")
    server.aaaa("mx1.example.test", "::1")
    server.set("_mta-sts.example.test", "TXT", ["v=STSv1; id=1;", 'say "x"', "y" * 300])
    server.set("_25._tcp.mx1.example.test", "TLSA", [(3, 1, 1, "ab" * 32)])
    assert await ask(server, "example.test", "MX") == ["10 mx1.example.test.", "20 mx2.example.test."]
    assert await ask(server, "MX1.example.test", "A") == ["127.0.0.2", "127.0.0.3"]
    assert await ask(server, "mx1.example.test", "AAAA") == ["::1"]
    texts = await ask(server, "_mta-sts.example.test", "TXT")
    assert texts == sorted(['"v=STSv1; id=1;"', '"say \\"x\\""', f'"{"y" * 255}" "{"y" * 45}"'])
    assert await ask(server, "_25._tcp.mx1.example.test", "TLSA") == ["3 1 1 " + "ab" * 32]


async def test_a_zone_is_given_as_a_mapping_too() -> None:
    """A server takes a mapping of names to types to values."""
    zone: Records = {"example.test": {"MX": [(0, ".")], "A": ["127.0.0.9"]}}
    async with DnsServer(zone) as server, DnsServer(Zone(zone)) as other:
        assert await ask(server, "example.test", "MX") == await ask(other, "example.test", "MX") == ["0 ."]
        assert server.address == f"127.0.0.1:{server.port}"
        assert server.port != other.port


async def test_questions_are_counted(server: DnsServer) -> None:
    """Every question is counted by name and type."""
    server.a("mx.test", "127.0.0.2")
    await ask(server, "mx.test", "A")
    await ask(server, "MX.test", "A")
    assert server.queries == {("mx.test", "A"): 2}


async def test_an_unknown_name_does_not_exist(server: DnsServer) -> None:
    """A name without records is NXDOMAIN, with an SOA that says for how long."""
    server.a("mx.test", "127.0.0.2")
    with pytest.raises(dns.resolver.NXDOMAIN):
        await ask(server, "nope.test", "MX")
    response = await exchange(server, "nope.test", "MX")
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert response.flags & dns.flags.AA
    assert [rrset.rdtype for rrset in response.authority] == [dns.rdatatype.SOA]


@pytest.mark.parametrize("name", ["mx.test", "test", "empty.test"])
async def test_a_known_name_without_the_type_has_no_data(server: DnsServer, name: str) -> None:
    """A name with other records, with names below it, or with nothing, exists without an answer."""
    server.a("mx.test", "127.0.0.2")
    server.mx("empty.test", [])
    with pytest.raises(dns.resolver.NoAnswer):
        await ask(server, name, "MX")


async def test_aliases_are_followed(server: DnsServer) -> None:
    """A chain of CNAMEs is answered in one response with the records at its end."""
    server.cname("a.test", "b.test")
    server.cname("b.test", "c.test")
    server.mx("c.test", [(5, "mx.test")])
    response = await exchange(server, "a.test", "MX")
    assert [rrset.name.to_text() for rrset in response.answer] == ["a.test.", "b.test.", "c.test."]
    assert await ask(server, "a.test", "MX") == ["5 mx.test."]
    assert await ask(server, "a.test", "CNAME") == ["b.test."]


async def test_an_alias_may_lead_nowhere(server: DnsServer) -> None:
    """A CNAME to an unknown name is NXDOMAIN, to a name without the type has no data, and to a failure fails."""
    server.cname("nowhere.test", "gone.example")
    server.cname("empty.test", "mx.test")
    server.cname("ill.test", "sick.test")
    server.a("mx.test", "127.0.0.2")
    server.fail("sick.test", None, "SERVFAIL")
    with pytest.raises(dns.resolver.NXDOMAIN):
        await ask(server, "nowhere.test", "MX")
    with pytest.raises(dns.resolver.NoAnswer):
        await ask(server, "empty.test", "MX")
    with pytest.raises(dns.resolver.NoNameservers):
        await ask(server, "ill.test", "MX")


async def test_a_loop_of_aliases_is_answered_once_around(server: DnsServer) -> None:
    """A loop of CNAMEs ends in a response, which has each of them once."""
    server.cname("a.test", "b.test")
    server.cname("b.test", "a.test")
    response = await exchange(server, "a.test", "MX")
    assert [rrset.name.to_text() for rrset in response.answer] == ["a.test.", "b.test."]


async def test_a_wildcard_stands_for_names_that_are_not_there(server: DnsServer) -> None:
    """A wildcard answers for every name below it, but not for one that exists."""
    server.mx("*.bulk.test", [(10, "mx.test")])
    server.a("own.bulk.test", "127.0.0.2")
    assert await ask(server, "d17.bulk.test", "MX") == ["10 mx.test."]
    assert await ask(server, "x.d17.bulk.test", "MX") == ["10 mx.test."]
    with pytest.raises(dns.resolver.NoAnswer):
        await ask(server, "own.bulk.test", "MX")
    with pytest.raises(dns.resolver.NXDOMAIN):
        await ask(server, "x.own.bulk.test", "MX")


@pytest.mark.parametrize("failure", ["SERVFAIL", "REFUSED", "FORMERR", "truncate"])
async def test_a_name_fails_as_told(server: DnsServer, failure: str) -> None:
    """A failing name has no answer, for the type that fails only, until it is cleared."""
    server.mx("example.test", [(10, "mx.test")])
    server.a("example.test", "127.0.0.2")
    server.fail("example.test", "MX", failure)
    with pytest.raises(dns.resolver.NoNameservers):
        await ask(server, "example.test", "MX")
    assert await ask(server, "example.test", "A") == ["127.0.0.2"]
    server.clear("example.test")
    with pytest.raises(dns.resolver.NXDOMAIN):
        await ask(server, "example.test", "MX")


@pytest.mark.parametrize("failure", ["timeout", "garbage", "wrong-id"])
@pytest.mark.parametrize("tcp", [False, True])
async def test_silence_ends_with_the_patience_of_who_asks(server: DnsServer, failure: str, *, tcp: bool) -> None:
    """A name that times out has no answer over UDP or TCP, and the server goes on answering others."""
    server.a("other.test", "127.0.0.2")
    server.fail("example.test", None, failure)
    impatient = resolver(server)
    impatient.lifetime = impatient.timeout = 0.05
    with pytest.raises((dns.resolver.LifetimeTimeout, dns.resolver.NoNameservers)):
        await impatient.resolve("example.test.", "MX", tcp=tcp)
    assert server.queries["example.test", "MX"] >= 1
    assert await ask(server, "other.test", "A") == ["127.0.0.2"]


async def test_a_large_answer_is_whole_over_tcp(server: DnsServer) -> None:
    """An answer beyond the size of a datagram is truncated over UDP, and whole over TCP."""
    hosts = [(10, f"mx{number}.example.test") for number in range(200)]
    server.mx("example.test", hosts)
    response = await exchange(server, "example.test", "MX")
    assert response.flags & dns.flags.TC
    assert response.answer == []
    assert len(await ask(server, "example.test", "MX")) == 200
    assert server.queries["example.test", "MX"] == 3


async def test_edns_makes_room_in_a_datagram(server: DnsServer) -> None:
    """A question with a larger EDNS size gets an answer up to that size over UDP."""
    server.mx("example.test", [(10, f"mx{number}.example.test") for number in range(40)])
    assert (await exchange(server, "example.test", "MX")).flags & dns.flags.TC
    query = dns.message.make_query("example.test", "MX", use_edns=0, payload=1232)
    response = await dns.asyncquery.udp(query, "127.0.0.1", port=server.port, timeout=30.0)
    assert not response.flags & dns.flags.TC
    assert len(response.answer[0]) == 40


async def test_authenticated_answers_are_for_who_asks(server: DnsServer) -> None:
    """AD is set when the server validates and the question wants DNSSEC, and else is not."""
    server.a("mx.test", "127.0.0.2")
    assert not (await exchange(server, "mx.test", "A", want_dnssec=True)).flags & dns.flags.AD
    server.authenticated = True
    assert (await exchange(server, "mx.test", "A", want_dnssec=True)).flags & dns.flags.AD
    assert not (await exchange(server, "mx.test", "A")).flags & dns.flags.AD


async def test_nonsense_is_survived(server: DnsServer) -> None:
    """Datagrams and streams that are no question get no answer, and the server goes on."""
    server.a("mx.test", "127.0.0.2")
    for wire in (b"", b"\x00", b"\xff" * 600, bytes(12)):
        assert server.answer(wire, datagram=True) is None
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\x00\x00\x00\x05hello\x00")
    assert await ask(server, "mx.test", "A") == ["127.0.0.2"]
    await server.close()
    assert await reader.read() == b""
    writer.close()


def test_a_failure_that_does_not_exist_is_an_error() -> None:
    """A failure that is neither a response code nor another known one is refused."""
    with pytest.raises(ValueError, match="failure = 'sulk': must be a response code or one of garbage, "):
        Zone().fail("example.test", "MX", "sulk")
