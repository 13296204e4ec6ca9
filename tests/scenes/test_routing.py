"""The way to a domain: MX, addresses, failures of the DNS, static routes."""

from __future__ import annotations

import email
from typing import TYPE_CHECKING

import pytest

from sender.spool.contract import State

if TYPE_CHECKING:
    from tests.scenes.world import World


async def test_a_domain_without_mx_is_its_own_host(world: World) -> None:
    """A domain without MX is delivered to its own address (RFC 5321 section 5.1)."""
    receiver = await world.receiver("plain.test")
    await world.start()
    await world.send("user@plain.test")
    await world.until_empty()
    assert receiver.tally.messages == 1


@pytest.mark.parametrize(
    ("records", "status"),
    [({"MX": ["0 ."], "A": ["127.0.0.3"]}, "5.1.10"), (None, "5.1.2"), ({"MX": ["10 mx.void.test"]}, "5.4.4")],
    ids=["null MX", "no such domain", "MX without address"],
)
async def test_a_domain_that_takes_no_mail_bounces_at_once(
    world: World, records: dict[str, list[str]] | None, status: str
) -> None:
    """A domain with a null MX, without existence, or without any address is told to the sender with its own status."""
    inbox = await world.inbox()
    other = await world.receiver("other.test")
    for kind, values in (records or {}).items():
        world.dns.set("void.test", kind, values)
    await world.start()
    await world.send("user@void.test")
    await world.until_empty()
    assert f"Status: {status}" in email.message_from_bytes(inbox.arrivals[0].content).as_string()
    assert other.tally.sessions_opened == 0
    world.notices = 1


@pytest.mark.parametrize("failure", ["NXDOMAIN", "SERVFAIL", "timeout"])
async def test_the_address_of_a_domain_with_mx_is_never_used(world: World, failure: str) -> None:
    """Where the MX host has no address, nobody connects to the domain's own address instead."""
    await world.inbox()
    tempting = await world.receiver("tempting.test")
    world.dns.mx("tempting.test", [(10, "gone.tempting.test")])
    world.dns.fail("gone.tempting.test", None, failure)
    await world.start({"retry": {"schedule": ["200ms"], "max_age": "1s"}})
    await world.send("user@tempting.test")
    await world.until_empty()
    books = world.books()
    assert tempting.tally.sessions_opened == 0
    assert books.states[State.BOUNCED if failure == "NXDOMAIN" else State.EXPIRED] == 1
    world.notices = 1


@pytest.mark.parametrize("failure", ["SERVFAIL", "REFUSED", "FORMERR", "timeout", "garbage", "truncate", "wrong-id"])
async def test_a_failing_name_server_defers(world: World, failure: str) -> None:
    """Whatever a name server does but deny the domain, mail waits, and goes when the name server is well again."""
    receiver = await world.site("shaky.test")
    world.dns.fail("shaky.test", "MX", failure)
    await world.start()
    await world.send("user@shaky.test")
    await world.until("it was tried twice", lambda: world.books().most_attempts >= 2)
    assert receiver.tally.sessions_opened == 0
    world.dns.clear("shaky.test")
    world.dns.mx("shaky.test", [(10, "mx.shaky.test")])
    await world.until_empty()
    assert receiver.tally.messages == 1


async def test_a_loop_of_aliases_defers(world: World) -> None:
    """A domain whose alias leads back to itself waits until somebody has mended it; chains are followed."""
    receiver = await world.site("real.test")
    world.dns.cname("a.loop.test", "b.loop.test")
    world.dns.cname("b.loop.test", "a.loop.test")
    world.dns.cname("chained.test", "one.chained.test")
    world.dns.cname("one.chained.test", "real.test")
    await world.start()
    await world.send("user@a.loop.test")
    await world.send("user@chained.test")
    await world.until("the loop was met", lambda: world.books().most_attempts >= 2)
    await world.until("the chain was followed", lambda: receiver.tally.messages == 1)
    world.dns.cname("b.loop.test", "real.test")
    await world.until_empty()
    assert receiver.tally.messages == 2


@pytest.mark.parametrize("name", ["mx.inside.test", "127.0.0.2", "localhost"])
async def test_loopback_is_not_a_place_for_mail(world: World, name: str) -> None:
    """Unless it is allowed, no domain can make the daemon connect to this machine."""
    inside = await world.receiver("mx.inside.test")
    world.dns.a("localhost", "127.0.0.2")
    world.dns.mx("inside.test", [(10, name)])
    await world.start({"delivery": {"allow_private_addresses": False}, "routes": {"origin.test": "127.0.0.9:9"}})
    await world.send("user@inside.test", mail_from="")
    await world.send("user@[127.0.0.2]", mail_from="")
    await world.until_empty()
    assert inside.tally.sessions_opened == 0
    assert world.books().states[State.BOUNCED] == 2


async def test_a_route_replaces_the_mx(world: World) -> None:
    """A static route wins over the MX and may be private; `mx` looks up again what "*" would have caught."""
    looked_up = await world.site("looked.test")
    routed = await world.receiver("mx.elsewhere.test")
    world.dns.mx("routed.test", [(10, "mx.looked.test")])
    routes = {"*": f"127.0.0.3:{world.port}", "looked.test": "mx"}
    await world.start({"routes": routes})
    await world.send("user@looked.test")
    await world.send("user@routed.test")
    await world.send("user@unknown.test")
    await world.until_empty()
    assert (looked_up.tally.messages, routed.tally.messages) == (1, 2)
    assert ("routed.test", "MX") not in world.dns.queries


async def test_hosts_of_equal_preference_share_the_sessions(world: World) -> None:
    """MX hosts of equal preference both get sessions; one that is worse gets none."""
    hosts = [await world.receiver(f"mx{number}.equal.test") for number in range(3)]
    world.dns.mx("equal.test", [(10, "mx0.equal.test"), (10, "mx1.equal.test"), (20, "mx2.equal.test")])
    await world.start({"delivery": {"messages_per_session": 1}})
    await world.submit([world.message(f"user{number}@equal.test") for number in range(40)])
    await world.until_empty()
    assert all(host.tally.sessions_opened > 0 for host in hosts[:2])
    assert hosts[2].tally.sessions_opened == 0


async def test_the_second_host_takes_over(world: World) -> None:
    """Where the first MX host refuses connections, the second gets the mail at the first attempt."""
    first, second = await world.receiver("mx1.pair.test"), await world.receiver("mx2.pair.test")
    world.dns.mx("pair.test", [(10, "mx1.pair.test"), (20, "mx2.pair.test")])
    await first.close()
    await world.start()
    await world.submit([world.message(f"user{number}@pair.test") for number in range(20)])
    await world.until_empty()
    assert second.tally.messages == 20
    assert world.books().most_attempts == 1


async def test_a_new_mx_is_used_for_what_is_queued(world: World) -> None:
    """Mail that waits for a dead host goes to the new one when the domain's MX has changed."""
    dead, alive = await world.receiver("mx1.moved.test"), await world.receiver("mx2.moved.test")
    world.dns.mx("moved.test", [(10, "mx1.moved.test")], ttl=0)
    await dead.close()
    await world.start()
    await world.send("user@moved.test")
    await world.until("it was tried", lambda: world.books().most_attempts >= 1)
    world.dns.mx("moved.test", [(10, "mx2.moved.test")], ttl=0)
    await world.until_empty()
    assert alive.tally.messages == 1


async def test_the_case_and_the_dot_of_a_domain_do_not_matter(world: World) -> None:
    """`EX.test` and `ex.test` are one domain in queue and lane."""
    receiver = await world.site("ex.test")
    await world.start()
    await world.send("a@EX.test", "b@ex.TEST", "c@ex.test")
    await world.until_empty()
    assert (receiver.tally.messages, receiver.tally.recipients) == (1, 3)


async def test_i9_mail_that_comes_back_to_us_again_and_again_is_returned(world: World) -> None:
    """A domain whose way leads to ourselves makes a few rounds, and then one notice."""
    inbox = await world.inbox()
    world.notices = 1
    await world.start({"routes": {"loop.test": f"127.0.0.1:{world.smtp_port}"}})
    await world.send("you@loop.test")
    await world.until("the notice has come", lambda: inbox.tally.messages == 1)
    await world.until_empty()
    (notice,) = inbox.arrivals
    assert b"5.4.6" in notice.content
    with world.database() as database:
        (rounds,) = database.execute("SELECT count(*) FROM recipients WHERE rcpt_to = 'you@loop.test'").fetchone()
    assert 1 < rounds <= 7
