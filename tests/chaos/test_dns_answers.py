"""Name servers that fail, lie and say too much: what resolver and router make of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from math import sqrt
from typing import TYPE_CHECKING

import pytest

from sender.route.resolver import Failure
from sender.route.router import Unroutable
from sender.sandbox import DnsServer
from sender.settings import DnsSettings
from tests.chaos.names import Oddity, OddServer
from tests.chaos.scale import scaled
from tests.chaos.way import Way

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.chaos.report import Report

_SLACK_S = 1.0  # beyond the lifetime of a look-up, on a machine that is busy


@pytest.fixture
async def zone() -> AsyncIterator[DnsServer]:
    """Give a name server that does as it is told."""
    async with DnsServer() as server:
        yield server


async def test_d1_whatever_is_wrong_with_a_name_server_is_temporary_and_soon_known(
    zone: DnsServer, report: Report
) -> None:
    """No oddity ends mail or takes longer than a look-up may; when it is over, the next look-up finds the way."""
    zone.mx("odd.test", [(10, "mx.odd.test")])
    zone.a("mx.odd.test", "192.0.2.1")
    odd = [oddity for oddity in Oddity if oddity is not Oddity.NONE]

    async def length_s(oddity: Oddity) -> float:
        async with OddServer(zone) as server, contextlib.AsyncExitStack() as stack:
            way = Way(server.address)
            server.oddity = oddity
            if (tcp := await server.accept_tcp()) is not None:
                await stack.enter_async_context(tcp)
            began_at = time.monotonic()
            assert await way.failure("odd.test") is Failure.TEMPORARY, oddity
            took_s = time.monotonic() - began_at
            server.oddity = Oddity.NONE
            way.now += DnsSettings().failure_ttl
            assert await way.failure("odd.test") is None, oddity
            await way.resolver.close()
            return took_s

    longest_s = max(await asyncio.gather(*map(length_s, odd)))
    assert longest_s < 0.4 + _SLACK_S
    defaults = DnsSettings()
    assert defaults.failure_ttl <= 60
    assert defaults.lifetime <= 15
    report.held("D1", runs=len(odd), figures=f"0 bounces, the longest look-up {longest_s / 0.4:.2f} of its lifetime")


async def test_d1_a_forged_answer_before_the_true_one_is_not_believed(zone: DnsServer) -> None:
    """Packets of another id, source or question are passed over, and the true answer counts."""
    zone.mx("odd.test", [(10, "mx.odd.test")])
    for oddity in (Oddity.WRONG_ID, Oddity.WRONG_QUESTION, Oddity.GARBAGE):
        async with OddServer(zone) as server:
            server.oddity = oddity
            server.then_true = True
            way = Way(server.address)
            assert await way.failure("odd.test") is None, oddity


async def test_d1_a_fault_in_a_look_up_is_temporary(zone: DnsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where our code, or the library, fails under an answer, nobody waits for ever, and the next look-up is as any."""
    zone.mx("odd.test", [(10, "mx.odd.test")])
    way = Way(zone.address)
    with monkeypatch.context() as patched:
        patched.setattr(way.resolver._resolver, "resolve", None)  # what stands there cannot be called
        async with asyncio.timeout(5):
            assert await way.failure("odd.test") is Failure.TEMPORARY
    way.now += DnsSettings().failure_ttl
    assert await way.failure("odd.test") is None


async def test_d4_what_an_mx_host_lacks_is_permanent_only_where_all_hosts_surely_lack_it(
    zone: DnsServer, report: Report
) -> None:
    """Of two hosts, each with one of eight fates: an address is used, a failure defers, all else is 5.4.4."""
    fates = {
        "address": "has an address",
        "six": "has an IPv6 address",
        "none": "exists without one",
        "gone": Failure.NO_DOMAIN,
        "SERVFAIL": Failure.TEMPORARY,
        "REFUSED": Failure.TEMPORARY,
        "half": "has an IPv4 address, and AAAA fails",
        "alias": "is an alias of one that has an address",
    }
    zone.a("address.test", "192.0.2.1")
    zone.aaaa("six.test", "2001:db8::1")
    zone.set("none.test", "TXT", ["x"])
    for code in ("SERVFAIL", "REFUSED"):
        zone.fail(f"{code}.test", None, code)
    zone.a("half.test", "192.0.2.2")
    zone.fail("half.test", "AAAA", "SERVFAIL")
    zone.cname("alias.test", "address.test")
    way = Way(zone.address, delivery={"allow_private_addresses": True})
    usable = {"address", "six", "half", "alias"}
    for first in fates:
        for second in fates:
            domain = f"{first}-{second}.d4.test"
            zone.mx(domain, [(10, f"{first}.test"), (20, f"{second}.test")])
            zone.a(domain, "192.0.2.99")  # which nobody may use
            found = await way.addresses(domain)
            if {first, second} & usable:
                assert isinstance(found, list), domain
                assert "192.0.2.99" not in found
            else:
                assert isinstance(found, Unroutable), domain
                fails = {first, second} & {"SERVFAIL", "REFUSED"}
                assert (found.permanent, found.status) == ((False, "4.4.3") if fails else (True, "5.4.4")), domain
    report.held("D4", runs=len(fates) ** 2, figures="0 uses of the domain's own address, 0 false permanent failures")


async def test_d6_chains_of_aliases_end(zone: DnsServer, report: Report) -> None:
    """Up to 15 aliases are followed, at the domain and at its MX host; more, or a loop of any length, are temporary."""
    zone.mx("end.test", [(10, "mx.end.test")])
    zone.a("mx.end.test", "192.0.2.1")
    longest = scaled(20, 100)
    for number in range(1, longest + 1):
        zone.cname(f"{number}.chain.test", f"{number - 1}.chain.test" if number > 1 else "end.test")
        zone.cname(f"{number}.host.test", f"{number - 1}.host.test" if number > 1 else "mx.end.test")
        zone.mx(f"{number}.aliased.test", [(10, f"{number}.host.test")])
        for step in range(number):
            zone.cname(f"{step}.{number}.loop.test", f"{(step + 1) % number}.{number}.loop.test")
    way = Way(zone.address, delivery={"allow_private_addresses": True})
    for number in range(1, longest + 1):
        for domain in (f"{number}.chain.test", f"{number}.aliased.test"):
            found = await way.addresses(domain)
            if number <= 15:
                assert found == ["192.0.2.1"], domain
            elif isinstance(found, Unroutable):
                assert not found.permanent, domain
                assert number > 15, domain
        looped = await way.addresses(f"0.{number}.loop.test")
        assert isinstance(looped, Unroutable), number
        assert not looped.permanent, number
    report.held("D6", runs=3 * longest, figures="15 aliases followed, 0 exceptions, loops of any length temporary")


async def test_d7_of_public_and_private_addresses_only_the_public_are_tried(zone: DnsServer) -> None:
    """A host with both is dialed at the public ones; the order does not matter."""
    zone.a("mixed.test", "10.0.0.1", "8.8.8.8", "127.0.0.1", "192.168.0.1")
    zone.aaaa("mixed.test", "::1", "64:ff9b::8.8.8.8", "64:ff9b::10.0.0.1", "fe80::1")
    found = await Way(zone.address).addresses("mixed.test")
    assert isinstance(found, list)
    assert sorted(found) == ["64:ff9b::808:808", "8.8.8.8"]


async def test_d8_our_own_name_and_what_is_no_better_is_dropped(zone: DnsServer, report: Report) -> None:
    """Of three hosts the one that is us, by name or by address, and those after it are not tried; none left: 5.4.6."""
    for host, address in (("best", "192.0.2.1"), ("equal", "192.0.2.2"), ("worst", "192.0.2.3"), ("own", "127.0.0.8")):
        zone.a(f"{host}.test", address)
    zone.fail("failing.test", None, "SERVFAIL")
    way = Way(
        zone.address,
        hostname="US.test",
        smtp={"listen": ["127.0.0.8:2525"]},
        listeners={"wide": {"listen": ["0.0.0.0:2626"]}},
        delivery={"allow_private_addresses": True, "port": 2525},
    )
    wide = Way(
        zone.address,
        smtp={"listen": ["0.0.0.0:2525"]},
        delivery={"allow_private_addresses": True, "port": 2525},
    )
    runs = 0
    for us, ways in {"us.test": [way], "own.test": [way, wide]}.items():
        zone.mx("behind.test", [(10, "best.test"), (20, us), (20, "equal.test"), (30, "worst.test")])
        zone.mx("alone.test", [(10, us)])
        zone.mx("first.test", [(10, us), (10, "equal.test"), (20, "worst.test")])
        zone.mx("unsure.test", [(5, "failing.test"), (10, us)])
        for asked in ways:
            asked.now += 1e6
            assert await asked.addresses("behind.test") == ["192.0.2.1"]
            for domain in ("alone.test", "first.test"):
                found = await asked.addresses(domain)
                assert isinstance(found, Unroutable)
                assert (found.permanent, found.status) == (True, "5.4.6")
            unsure = await asked.addresses("unsure.test")
            assert isinstance(unsure, Unroutable)
            assert (unsure.permanent, unsure.status) == (False, "4.4.3")
            runs += 4
    elsewhere = Way(zone.address, delivery={"allow_private_addresses": True, "port": 2626})
    assert await elsewhere.addresses("own.test") == ["127.0.0.8"]
    report.held("D8", runs=runs, figures="0 uses of our own or a worse host, 5.4.6 where none is left")


async def test_d9_a_domain_of_any_size_has_few_addresses_in_a_fair_order(zone: DnsServer, report: Report) -> None:
    """100 hosts of 20 addresses, and 500 hosts of one preference: 5 addresses, each host first as often as any."""
    for number in range(100):
        zone.a(f"{number}.big.test", *(f"192.0.2.{address}" for address in range(1, 21)))
    zone.mx("big.test", [(10, f"{number}.big.test") for number in range(100)])
    zone.mx("many.test", [(10, f"{number:03}.many.test") for number in range(500)])
    zone.set("*.many.test", "A", ["192.0.2.7"])
    way = Way(zone.address, delivery={"allow_private_addresses": True}, dns={"lifetime": "5s", "timeout": "5s"})
    route = await way.router.route("big.test")
    assert not isinstance(route, Unroutable)
    first: Counter[str] = Counter()
    for _ in range(scaled(500, 10_000)):
        endpoints = await way.router.endpoints(route)
        assert isinstance(endpoints, list)
        assert len(endpoints) == 5
        first[endpoints[0].host] += 1
    assert _chi_square(first, 100) < _CHI_SQUARE_99
    before = zone.queries.total()
    many = await way.addresses("many.test")
    assert isinstance(many, list)
    assert len(many) == 5
    assert zone.queries.total() - before <= 1 + 1 + 2 * 5  # MX over UDP and TCP, and both addresses of five hosts
    report.held("D9", runs=first.total(), figures="5 addresses at most, order of hosts: chi-square p > 0.01")


_CHI_SQUARE_99 = 99 + sqrt(2 * 99) * 2.58  # about what one in a hundred fair orders of 100 hosts exceeds


def _chi_square(counts: Counter[str], kinds: int) -> float:
    expected = counts.total() / kinds
    seen = sum((count - expected) ** 2 / expected for count in counts.values())
    return seen + (kinds - len(counts)) * expected


async def test_d9_too_many_hosts_make_one_site_whatever_their_order(zone: DnsServer) -> None:
    """Of more hosts than are looked at, those that are kept are the best, and the same however a server turns them."""
    hosts = [(10 + number, f"{number:03}.many.test") for number in range(150)]
    sites = set()
    for turned in range(0, 150, 50):
        zone.mx("many.test", hosts[turned:] + hosts[:turned])
        route = await Way(zone.address, dns={"lifetime": "5s", "timeout": "5s"}).router.route("many.test")
        assert not isinstance(route, Unroutable)
        assert (route.hosts[0].preference, route.hosts[-1].preference) == (10, 109)
        sites.add(route.site)
    assert len(sites) == 1


@pytest.mark.parametrize(
    ("ttl", "kept_s"), [(0, 30), (1, 30), (300, 300), (86_400, 3600), (2**31 - 1, 3600), (2**31, 30)]
)
async def test_d10_answers_are_kept_for_their_time_within_bounds(
    zone: DnsServer, report: Report, ttl: int, kept_s: int
) -> None:
    """Whatever the TTL, a new MX is seen after 30 seconds at the earliest and an hour at the latest."""
    zone.mx("moved.test", [(10, "old.test")], ttl=ttl)
    way = Way(zone.address)
    assert (await way.resolver.mx("moved.test"))[0].name == "old.test"
    zone.mx("moved.test", [(10, "new.test")], ttl=ttl)
    way.now = kept_s - 1
    assert (await way.resolver.mx("moved.test"))[0].name == "old.test"
    way.now = kept_s
    assert (await way.resolver.mx("moved.test"))[0].name == "new.test"
    report.held("D10", runs=1, figures=f"TTL {ttl}: kept for {kept_s} s")


async def test_d12_every_spelling_of_a_domain_has_one_way(zone: DnsServer, report: Report) -> None:
    """Case, final dot and IDNA make no other site; a host may have an underscore, labels 63 and names 253 octets."""
    label = "a" * 63
    longest = ".".join([label, label, label, "b" * 61])
    hosts = ["mx_1.under.test", "MX.Upper.TEST.", f"{label}.test", longest]
    for host in hosts:
        zone.a(host, "192.0.2.1")
    way = Way(zone.address, delivery={"allow_private_addresses": True})
    for host in hosts:
        zone.mx("spelt.test", [(10, host)], ttl=0)
        way.now += 1e6
        assert await way.addresses("spelt.test") == ["192.0.2.1"]
        assert await way.addresses(longest) == ["192.0.2.1"]
    for host in ("a" * 64 + ".test", "a..test", "x" * 250 + ".test"):
        found = await way.addresses(host)
        assert isinstance(found, Unroutable), host
        assert not found.permanent
    report.held(
        "D12", runs=2 * len(hosts) + 3, figures="one way for every spelling, 0 exceptions for names that are none"
    )


async def test_d13_while_no_name_server_answers_each_domain_is_asked_for_once_at_a_time(
    zone: DnsServer, report: Report
) -> None:
    """Ten minutes without answers, with mail due all the time: look-ups are shared, and bounded by the domains."""
    domains = [f"{number}.down.test" for number in range(scaled(5, 200))]
    for domain in domains:
        zone.fail(domain, None, "SERVFAIL")
    way = Way(zone.address)
    asked = 0
    for _ in range(600):
        for domain in domains:
            assert await way.failure(domain) is Failure.TEMPORARY
            asked += 1
        way.now += 1.0
    most = len(domains) * 600 / DnsSettings().failure_ttl
    assert way.lookups[Failure.TEMPORARY] <= most
    assert zone.queries.total() <= 2 * most
    figures = f"{len(domains)} domains: {zone.queries.total() / 600:.2f} queries for {asked / 600:.0f} wishes a second"
    report.held("D13", runs=asked, figures=figures)
