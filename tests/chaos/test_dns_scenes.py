"""Domains that lead nowhere, to one protocol only, or to where no mail may go; a daemon whose name server is gone."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sender.sandbox import Behaviour, Receiver
from sender.spool.contract import State
from tests.chaos.scale import in_full, scaled
from tests.scenes.programs import run
from tests.scenes.world import ORIGIN
from tests.servers import require
from tests.servers.apart import Apart, everywhere

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.report import Report
    from tests.scenes.world import World

_CHECKOUT = Path(__file__).parents[2]
_CONNECT_S = 0.5
_ENQUEUE = ("enqueue", "--from", ORIGIN, "--to")


@contextlib.contextmanager
def _black_hole(family: socket.AddressFamily, address: str, port: int) -> Iterator[None]:
    """Let nobody connect to an address, and say nothing about it: its queue is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket(family))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket(family))
            waiting.setblocking(False)
            waiting.connect_ex((address, port))
        yield


async def test_d3_d11_a_domain_is_its_own_host_and_the_protocol_that_works_is_used(
    world: World, report: Report
) -> None:
    """Without MX a domain is called at its A or AAAA; where one protocol is dead the other is used at the same try."""
    four = await world.receiver("four.test")
    for domain in ("hole.test", "refused.test"):
        world.dns.aaaa(domain, "::1")
        world.dns.a(domain, four.host)
    await world.start({"delivery": {"connect_timeout": f"{_CONNECT_S * 1000:.0f}ms"}})
    began_at = time.monotonic()
    with _black_hole(socket.AF_INET6, "::1", world.port):
        await world.submit([world.message(f"user{number}@hole.test") for number in range(10)])
        await world.until_empty()
    longest_s = time.monotonic() - began_at
    await world.send("user@refused.test")
    await world.send("user@four.test")
    await world.until_empty()
    async with Receiver(Behaviour(), host="::1", port=world.port) as six:
        world.dns.aaaa("six.test", "::1")
        world.dns.aaaa("gone4.test", "::1")
        world.dns.a("gone4.test", "127.0.0.99")
        with _black_hole(socket.AF_INET, "127.0.0.99", world.port):
            await world.send("user@six.test")
            await world.send("user@gone4.test")
            await world.until_empty()
        assert six.tally.messages == 2
    assert four.tally.messages == 12
    assert world.books().most_attempts == 1
    assert longest_s < _CONNECT_S + 5.0
    report.held("D3", runs=2, figures="A only, AAAA only: delivered at the first attempt")
    report.held("D11", runs=12, figures=f"black holes: delivered within the connect timeout and {longest_s:.1f} s")


async def test_d5_a_null_mx_among_others_is_passed_over(world: World, report: Report) -> None:
    """`0 .` alone is 5.1.10; beside a host it is not valid, and the host gets the mail."""
    world.notices = 1
    await world.inbox()
    receiver = await world.receiver("mx.mixed.test")
    other = await world.receiver("null.test")
    world.dns.mx("mixed.test", [(0, "."), (10, "mx.mixed.test")])
    world.dns.mx("null.test", [(0, ".")])
    await world.start()
    await world.send("user@mixed.test")
    await world.send("user@null.test")
    await world.until_empty()
    assert (receiver.tally.messages, other.tally.sessions_opened) == (1, 0)
    report.held("D5", runs=2, figures="1 DSN with 5.1.10, 0 connections; a mixed one is delivered")


async def test_d7_nobody_can_make_the_daemon_connect_to_private_addresses(tmp_path: Path, report: Report) -> None:
    """Where every address is this machine, only public ones are called: whatever names, literals and rebinding say."""
    require(Apart)
    ended = await run(
        *(*everywhere(), sys.executable, "-m", "tests.chaos.everywhere", str(tmp_path)),
        environment={"PYTHONPATH": str(_CHECKOUT), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    assert ended.code == 0, ended.errors
    found = json.loads(ended.output)
    assert set(found["called"]) == {"8.8.8.8", "2001:4860:4860::8888"}
    assert found["bounced"] >= found["forbidden"]
    assert found["bounced"] + found["delivered"] == found["forbidden"] + found["public"] + found["rebound"]
    report.held("D7", runs=found["forbidden"], figures=f"0 connections; public ones get {found['delivered']} messages")


async def test_d12_a_domain_has_one_queue_however_it_is_spelt(world: World, report: Report) -> None:
    """Case, final dot, IDNA and its A-labels: one queue and lane, A-labels on the wire; too long is refused."""
    receiver = await world.site("xn--bcher-kva.test", Behaviour(smtputf8=False), keep_arrivals=True)
    await world.receiver("mx_1.under.test")
    world.dns.mx("under.test", [(10, "mx_1.under.test")])
    label = "a" * 63
    await world.site(f"{label}.test")
    world.configure()
    await world.start()
    await world.command("suspend", "--all")
    file = world.folder / "message.eml"
    file.write_bytes(world.message("user@list.test").content)
    message = str(file)
    spellings = ["bücher.test", "BÜCHER.test", "xn--bcher-kva.test", "XN--BCHER-KVA.TEST"]
    for number, domain in enumerate(spellings):
        code, said = await world.command(*_ENQUEUE, f"user{number}@{domain}", message)
        assert code == 0, said
    for domain in (f"{'a' * 64}.test", f"{'.'.join([label] * 4)}.test"):
        assert (await world.command(*_ENQUEUE, f"user@{domain}", message))[0] != 0
    (queue,) = (await world.json("queue"))["domains"]
    assert queue["domain"] == "xn--bcher-kva.test"
    await world.command("resume", "--all")
    await world.send("user@under.test")
    await world.send(f"user@{label}.test")
    await world.until_empty()
    assert len(await world.json("lanes")) == 3
    assert {rcpt.rpartition("@")[2].lower() for arrival in receiver.arrivals for rcpt in arrival.rcpt_tos} == {
        "xn--bcher-kva.test"
    }
    report.held("D12", runs=len(spellings) + 4, figures="one queue for every spelling, 0 addresses changed")


async def test_d13_a_daemon_without_a_name_server_waits_and_asks_little(world: World, report: Report) -> None:
    """With mail for many domains queued and due again and again, questions stay few, and nothing bounces."""
    messages, domains = scaled(60, 10_000), 20
    for number in range(domains):
        await world.site(f"{number}.test") if number < 5 else world.dns.mx(f"{number}.test", [(10, "mx.0.test")])
        world.dns.fail(f"{number}.test", "MX", "SERVFAIL")
    # Each attempt is recorded: ten thousand a second would be another test.
    wait = "10s" if in_full() else "300ms"
    world.configure({"dns": {"failure_ttl": "2s"}, "retry": {"schedule": [wait], "max_age": "2h"}})
    await world.start()
    began_at, before = time.monotonic(), world.dns.queries.total()
    await world.submit([world.message(f"user{number}@{number % domains}.test") for number in range(messages)])
    await world.until("each was tried twice", lambda: _tried(world) >= 2 * messages, deadline_s=600)
    seconds, asked = time.monotonic() - began_at, world.dns.queries.total() - before
    assert asked <= domains * (seconds / 2 + 2)
    assert world.books().states[State.BOUNCED] == 0
    for number in range(domains):
        world.dns.clear(f"{number}.test")
        world.dns.mx(f"{number}.test", [(10, f"mx.{number % 5}.test")])
    await world.until_empty(deadline_s=300)
    assert sum(receiver.tally.messages for receiver in world.receivers.values()) == messages
    report.held("D13", runs=messages, figures=f"{domains} domains: {asked / seconds:.0f} queries a second, 0 bounces")


def _tried(world: World) -> int:
    with contextlib.closing(world.database()) as database:
        return int(database.execute("SELECT coalesce(sum(attempts), 0) FROM recipients").fetchone()[0])
