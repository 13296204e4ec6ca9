"""More connections than usual, out and in: receivers that let sessions wait, and clients that connect and connect."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import time
from collections import Counter
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sender.spool.contract import State
from tests.chaos.callers import Flood, Way, ended, silent
from tests.chaos.lag import looked, looks, within
from tests.chaos.scale import in_full, scaled
from tests.chaos.waitingroom import Look, WaitingRoom
from tests.dialogs.client import CERTIFICATE, Client
from tests.scenes.processes import Served
from tests.servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sender.settings import SmtpSettings
    from tests.chaos.callers import Caller
    from tests.chaos.report import Report
    from tests.scenes.world import World

_NEIGHBOURS = 20  # messages, each time
_WANTED, _SPARE = 16_000, 1000  # descriptors of each process, and those that are for other things
_SESSION_KB = 40
_CACHES_KB = 4 * 1024  # of the spool and of the allocator, however few sessions there are
_LONG_S = 300.0

_REFUSED = b"421 4.7.0 Too many connections, try again later\r\n"
_ONE = "127.0.0.1"
_QUEUED = 30  # messages
_LISTENS = "0A"
_BACKLOGS = 2 * 512  # connections that the kernel has taken and the daemon has not seen, of two ports


@pytest.fixture
def allowed() -> Iterator[int]:
    """Give this process, and those that it starts, the descriptors that the test wants, or as many as they may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    yield most
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_overload_ten_thousand_waiting_sessions_keep_nobody_else_waiting(
    world: World, report: Report, allowed: int
) -> None:
    """While so many sessions wait for their answer, the daemon answers and delivers; then each message arrives once."""
    per_site = scaled(50, 100)
    sites = [f"site{number}.test" for number in range(min(scaled(3, 100), (allowed - _SPARE) // per_site))]
    sessions = len(sites) * per_site
    addresses = [f"127.0.1.{number + 1}" for number in range(len(sites))]
    for site, address in zip(sites, addresses, strict=True):
        world.dns.a(f"mx.{site}", address)
        world.dns.mx(site, [(10, f"mx.{site}")])
    await world.site("neighbour.test")
    world.configure(
        {
            "dns": {"timeout": "5s", "lifetime": "10s"},
            "window": {"start": per_site, "max": 2 * per_site},
            "delivery": {"max_sessions": sessions + _SPARE},
        }
    )
    async with (
        WaitingRoom(world.port, addresses) as room,
        Served(world.settings.path("sender.toml")) as served,
    ):
        await served.ready()
        alone_s = await _neighbours_mail(world, 1)
        await world.command("suspend", "--all")
        await world.submit([world.message(f"user{number}@{site}") for site in sites for number in range(per_site)])
        idle, quiet = await _lag(world), served.descriptors
        before_kb, began_at, before = served.memory_kb, time.monotonic(), await looks(world)
        await world.command("resume", "--all")

        async def all_wait() -> bool:
            return (await room.look()).waiting == sessions

        await world.until_true("all wait", all_wait, deadline_s=_LONG_S)
        opened_s, opening = time.monotonic() - began_at, await looks(world) - before
        assert (await world.metrics()).total("sender_lane_sessions") >= sessions
        waiting = await _lag(world)
        beside_s = await _neighbours_mail(world, 2)
        assert [(await world.get(path))[0] for path in ("/readyz", "/healthz")] == [200, 200]
        growth_kb = served.memory_kb - before_kb
        assert await room.look() == Look(open=sessions, waiting=sessions, came=sessions, repeats=0)
        assert await _shrunk(world) == []

        before = await looks(world)
        await room.answer()
        await world.until_empty(deadline_s=_LONG_S)
        await world.until("its sessions are over", lambda: served.descriptors <= quiet)
        ending = await looks(world) - before
        assert await _shrunk(world) == []
        assert await room.look() == Look(open=0, waiting=0, came=sessions, repeats=0)
        total = sessions + 2 * _NEIGHBOURS
        assert world.books().states == {State.DELIVERED: total}
        await world.until_true("all are counted", lambda: _counted(world, total))
    assert growth_kb <= _SESSION_KB * sessions + (0 if in_full() else _CACHES_KB)
    if in_full():
        assert within(waiting, 0.99) <= max(0.25, within(idle, 0.99))
        assert beside_s <= max(2.0, 5 * alone_s)
    times = {"idle": idle, "while they open": opening, "while they wait": waiting, "while they end": ending}
    lag = ", ".join(f"{when} {within(late, 0.99):g}/{within(late, 1.0):g}" for when, late in times.items() if late)
    report.held(
        "OVERLOAD sessions",
        runs=sessions,
        figures=f"{sessions} sessions to {len(sites)} sites wait ({allowed} descriptors), opened in"
        f" {opened_s:.0f} s: {growth_kb / sessions:.1f} KB each; seconds within which 99 % and all looks at the event"
        f" loop were: {lag}; {_NEIGHBOURS} messages to a neighbour in {beside_s * 1000:.0f} ms (alone:"
        f" {alone_s * 1000:.0f} ms); 0 lost, 0 repeated, 0 ambiguous, no window shrank",
    )


async def _neighbours_mail(world: World, time_: int) -> float:
    """Send messages to the neighbour, and tell after how many seconds it had them all."""
    began_at = time.monotonic()
    await world.submit([world.message("user@neighbour.test") for _ in range(_NEIGHBOURS)])
    tally = world.receivers["mx.neighbour.test"].tally
    await world.until("the neighbour has its mail", lambda: tally.messages == time_ * _NEIGHBOURS)
    return time.monotonic() - began_at


async def _lag(world: World) -> Counter[float]:
    """Look at the event loop for a while from now on."""
    before = await looks(world)
    enough = before.total() + scaled(10, 500)
    await world.until_true("it was looked at", lambda: looked(world, enough))
    return await looks(world) - before


async def _shrunk(world: World) -> list[dict[str, Any]]:
    """List the changes by which a window became smaller."""
    status, page = await world.get("/v1/lanes")
    assert status == 200
    return [
        change
        for lane in json.loads(page)["lanes"]
        for change in lane["history"]
        if change.get("from", 0) > change.get("to", 0)
    ]


async def _counted(world: World, delivered: int) -> bool:
    """Tell whether the metrics know of so many deliveries, and of nothing that went wrong."""
    metrics = await world.metrics()
    wrong = ("sender_ambiguous_total", "sender_bounces_total", "sender_deferrals_total")
    assert {name: metrics.total(name) for name in wrong} == dict.fromkeys(wrong, 0)
    ended = metrics.by("sender_stream_recipients_total", "outcome")
    return ended.get("delivered") == metrics.by("sender_attempts_total", "outcome").get("delivered") == delivered


async def test_i10_a_flood_of_connections_is_borne_and_leaves_nothing(
    world: World, report: Report, allowed: int
) -> None:
    """Of so many connections no more are let in than may be; the others have the daemon's service, then and later."""
    part = min(scaled(60, 1000), (allowed - _SPARE) // 5)
    many = [f"127.0.2.{number + 1}" for number in range(scaled(6, 50))]
    receiver = await world.site("site.test")
    tls_port = free_port()
    caps = {} if in_full() else {"max_connections": 80, "max_connections_per_address": 20}
    tls = {"listen_tls": [f"127.0.0.1:{tls_port}"], "tls_cert": str(CERTIFICATE), "tls_key": str(CERTIFICATE)}
    world.configure({"smtp": caps | tls})
    limits = world.settings.smtp
    async with Served(world.settings.path("sender.toml")) as served:
        await served.ready()
        await world.send("user@site.test")
        await world.until_empty()
        # Also in the daemon: a descriptor that is about to be closed must not be counted among those at rest.
        await world.until("its connections are over", lambda: not _connected(world.smtp_port, world.port))
        quiet = served.descriptors
        await world.command("suspend", "--all")
        await world.submit([world.message("user@site.test") for _ in range(_QUEUED)])
        async with _watched(served) as counts:
            with Flood(world.smtp_port, tls_port, "site.test") as flood:
                await _call(flood, 2 * part, [_ONE])
                await _settled(world, served, flood, quiet)
                assert len(flood.let_in) == limits.max_connections_per_address
                async with Client(world.smtp_port, "127.0.0.5") as other:
                    await other.greet()
                    assert (await other.deliver(b"Subject: x\r\n\r\nhello\r\n", "user@site.test")).startswith("250 ")
                await _call(flood, 2 * part, many)
                await _settled(world, served, flood, quiet)
                held = flood.let_in
                await world.until("they are in the middle of it", lambda: silent(held))
                async with asyncio.TaskGroup() as group:
                    group.create_task(_call(flood, part, many))  # it goes on
                    await world.command("resume", "--all")
                    await world.until("what was queued is delivered", lambda: receiver.tally.messages == _QUEUED + 2)
                    assert [(await world.get(path))[0] for path in ("/readyz", "/healthz")] == [200, 200]
                await _settled(world, served, flood, quiet)
                assert flood.let_in == held
                _audit(flood, limits)
                submitting = held[: len(held) // 2]  # the others go away without a word
                await asyncio.to_thread(_secure, submitting)
                await world.until("they have submitted, and left", lambda: ended(submitting))
                assert all(caller.submitted for caller in submitting)
            await world.until("nothing of it is left", lambda: served.descriptors <= quiet)
        await world.send("user@site.test")  # a new client
        await world.until_empty()
        total = 1 + _QUEUED + 1 + len(submitting) + 1
        assert world.books().states == {State.DELIVERED: total}
        assert receiver.tally.messages == total
    assert max(counts) <= quiet + limits.max_connections + _BACKLOGS
    report.held(
        "I10",
        runs=5 * part,
        figures=f"{5 * part} connections from 1 and {len(many)} addresses, idle, within dialogues and before TLS:"
        f" {len(held)} let in, {limits.max_connections_per_address} of an address, the others 421; at most"
        f" {max(counts) - quiet} descriptors for them, 0 afterwards; meanwhile {_QUEUED} delivered,"
        f" {len(submitting)} of those inside submitted",
    )


def _connected(*ports: int) -> bool:
    """Tell whether a process has a connection from or to one of these ports (proc(5): /proc/net/tcp)."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        ends = {int(end.partition(":")[2], 16) for end in words[1:3]}
        if ends & {*ports} and words[3] != _LISTENS and words[9] != "0":  # what no process has has no inode
            return True
    return False


@contextlib.asynccontextmanager
async def _watched(served: Served) -> AsyncIterator[list[int]]:
    """Count a daemon's descriptors again and again."""
    counts = [served.descriptors]

    async def watch() -> None:
        while True:
            counts.append(served.descriptors)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(watch())
    try:
        yield counts
    finally:
        task.cancel()


async def _call(flood: Flood, count: int, sources: list[str]) -> None:
    """Have so many connect, from each address in turn, of each way as many."""
    callers = islice(cycle((source, way) for source in sources for way in Way), count)
    await asyncio.to_thread(flood.call, callers)


async def _settled(world: World, served: Served, flood: Flood, quiet: int) -> None:
    """Wait until everybody knows whether it was let in, and the daemon has a descriptor for each that was."""

    def settled() -> bool:
        flood.hear()
        return not flood.undecided and served.descriptors == quiet + len(flood.let_in)

    await world.until("the flood has settled", settled, deadline_s=60)


def _audit(flood: Flood, limits: SmtpSettings) -> None:
    """Check who was let in, and what the others have heard."""
    of_address = Counter(caller.source for caller in flood.let_in)
    assert of_address.total() == limits.max_connections
    assert max(of_address.values()) <= limits.max_connections_per_address
    assert {caller.way for caller in flood.let_in} == set(Way)
    for caller in flood.callers:
        if not caller.let_in:
            assert caller.heard == (b"" if caller.way is Way.HANDSHAKE else _REFUSED)


def _secure(callers: list[Caller]) -> None:
    for caller in callers:
        if caller.way is Way.HANDSHAKE:
            caller.secure()
