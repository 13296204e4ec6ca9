"""Very long queues: for a receiver that comes back after a day, and for one that never does, beside a live one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sender.sandbox import Behaviour, Hang
from sender.spool.contract import State
from tests.chaos.scale import in_full, scaled
from tests.scenes.arrivals import Arrivals
from tests.scenes.processes import Served

if TYPE_CHECKING:
    from sender.sandbox import Receiver
    from tests.chaos.report import Report
    from tests.scenes.world import World

_CHECKOUT = Path(__file__).parents[2]
_SITE = "d0.bench.test"  # to which `fill` writes
# In a process of its own, where nothing watches over every callback, it takes a tenth of the time.
_FILL = """
import asyncio, sys
from pathlib import Path
from tests.bench.daemon import fill
asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
"""
_ADDRESS = "127.0.0.2"  # that the first receiver of a world gets
_SIZE = 600
_CLAIM = 250  # recipients that a lane claims at a time, at the most
_CAP = 20
_SLOT_S = 0.01  # of due instants
_EVERY_S = 0.02  # a message to the live site
_DEADLINE_S = 1800.0


async def test_q2_a_receiver_that_comes_back_gets_its_mail_without_a_wave(world: World, report: Report) -> None:
    """While it is away few try; afterwards the window is found as ever, and what was tried comes evenly spread."""
    messages, tried, enough = scaled(3_000, 1_000_000), scaled(1_500, 50_000), scaled(3_000, 200_000)
    world.dns.mx(_SITE, [(10, f"mx.{_SITE}")])
    world.dns.a(f"mx.{_SITE}", _ADDRESS)
    config = world.configure(
        {
            # A day in seconds.
            "delivery": {"connect_backoff": "20ms", "connect_backoff_max": "100ms"},
            "retry": {"schedule": ["2s", "4s", "8s"], "jitter": 0.1, "max_age": "2h"},
        }
    )
    await _fill(world, messages)
    arrivals = Arrivals()
    async with Served(config) as served:
        await served.ready()
        await world.until("many were tried", lambda: _attempts(world) >= tried, deadline_s=_DEADLINE_S)
        probes = (await world.metrics()).total("sender_sessions_refused_total")
        attempts, fullest = _due(world)
        receiver = await world.site(_SITE, Behaviour(max_sessions=_CAP), store=arrivals)
        seconds, steady = await _drained(receiver, enough)
        served.signal(signal.SIGTERM)
        assert await served.ended() == 0, served.log
    assert receiver.host == _ADDRESS
    assert attempts <= (probes + 2) * _CLAIM  # two may have gone between the looks
    assert fullest <= _CLAIM // 5
    came = arrivals.count.total()
    assert came >= enough
    assert arrivals.repeats == 0
    assert world.books().states == Counter({State.DELIVERED: came, State.QUEUED: messages - came})
    assert receiver.tally.sessions_peak <= _CAP
    assert receiver.tally.sessions_refused <= scaled(20, 100)
    if in_full():
        assert enough / seconds >= 0.8 * steady
    figures = (
        f"{messages:,} queued, {attempts:,} attempts in {probes:.0f} probes while it was away, at most {fullest} due in"
        f" one {_SLOT_S * 1000:.0f} ms; {receiver.tally.sessions_refused} sessions refused until a cap of {_CAP} was"
        f" found, {enough / seconds / steady:.2f} of the steady rate from its return to message {enough:,}"
    )
    report.held("Q2", runs=1, figures=figures)


async def _fill(world: World, messages: int) -> None:
    """Queue messages to one domain, as the listener would have taken them."""
    words = (str(world.settings.spool_path), str(messages), str(_SIZE))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _FILL, *words, cwd=_CHECKOUT)
    assert await process.wait() == 0


def _attempts(world: World) -> int:
    with contextlib.closing(world.database()) as database:
        return int(database.execute("SELECT coalesce(sum(attempts), 0) FROM recipients").fetchone()[0])


def _due(world: World) -> tuple[int, int]:
    """Give the attempts that were made, and how many recipients that failed are due in the fullest slot of time."""
    with contextlib.closing(world.database()) as database:
        rows = database.execute("SELECT due_at, attempts FROM recipients WHERE attempts > 0").fetchall()
    slots = Counter(int(due_at / _SLOT_S) for due_at, _ in rows)
    return sum(attempts for _, attempts in rows), max(slots.values())


async def _drained(receiver: Receiver, messages: int) -> tuple[float, float]:
    """Wait until it has all; give the seconds that it took, and what came in a second in the median."""
    began_at, came = time.monotonic(), [0]
    while came[-1] < messages:
        assert time.monotonic() - began_at < _DEADLINE_S, f"{came[-1]:,} of {messages:,}"
        await asyncio.sleep(1.0)  # by which the rate is measured
        came.append(receiver.tally.messages)
    rates = [later - earlier for earlier, later in itertools.pairwise(came)]
    return time.monotonic() - began_at, statistics.median(rates)


@pytest.mark.parametrize("dead", ["refuses", "silent"])
async def test_q3_a_dead_domain_with_much_mail_makes_a_live_one_wait_no_longer(
    world: World, report: Report, dead: str
) -> None:
    """Mail to a live site arrives as soon as if nothing else were queued, and the dead one's mail stays as it is."""
    queued, sent = scaled(3_000, 1_000_000), scaled(60, 2_000)
    live = await world.site("live.test", store=(arrivals := Arrivals()))
    silent = await world.receiver(f"mx.{_SITE}", Behaviour(scripted={"banner": [Hang()] * 1_000_000}))
    if dead == "refuses":
        await silent.close()
    world.dns.mx(_SITE, [(10, f"mx.{_SITE}")])
    alone = statistics.quantiles(await _waited_s(world, live, sent), n=100)[98]
    beside = statistics.quantiles(await _waited_s(world, live, sent, beside=queued), n=100)[98]
    assert (arrivals.count.total(), arrivals.repeats) == (2 * sent, 0)
    figures = (
        f"a site that {'refuses' if dead == 'refuses' else 'is silent'}, {queued:,} queued for it: {beside / alone:.2f}"
        f" of the p99 until {sent:,} messages to a live one were delivered ({alone * 1000:.0f} ms)"
    )
    if in_full() and beside > 2 * alone:
        report.not_held("Q3", reason=f"{figures}; twice is promised: each probe settles {_CLAIM} recipients at once")
    else:
        report.held("Q3", runs=1, figures=figures)


async def _waited_s(world: World, live: Receiver, sent: int, *, beside: int = 0) -> list[float]:
    """Send to the live site beside so many to the dead one; give how long each took from accepted to delivered."""
    config = world.configure(
        {
            "spool": {"url": f"sqlite:{beside}/spool.db", "min_free": "1MiB"},
            "events": {"file": f"{beside}/events.jsonl"},
            "delivery": {"connect_backoff": "100ms", "connect_backoff_max": "1s", "banner_timeout": "500ms"},
            "retry": {"schedule": ["1s"], "jitter": 0.1, "max_age": "2h"},
        }
    )
    world.settings.spool_path.parent.mkdir()
    await _fill(world, beside)
    came = live.tally.messages + sent
    async with Served(config) as served:
        await served.ready()
        await world.until("the dead site was tried", lambda: not beside or _attempts(world) > 0)
        await _send(world, sent)
        await world.until("the live mail has come", lambda: live.tally.messages == came)
        served.signal(signal.SIGTERM)
        assert await served.ended() == 0, served.log
    assert world.books().states == Counter({State.DELIVERED: sent, State.QUEUED: beside})
    with world.settings.spool_path.with_name("events.jsonl").open(encoding="utf-8") as lines:
        events = [json.loads(line) for line in lines if '"delivered"' in line]
    assert len(events) == sent
    return [event["queued_s"] for event in events]


async def _send(world: World, messages: int) -> None:
    """Submit messages to the live site, one after the other, so many a second as a small sender has."""
    async with world.client() as client:
        for _ in range(messages):
            message = world.message("user@live.test")
            await client.sendmail(message.mail_from, message.rcpt_tos, message.content)
            await asyncio.sleep(_EVERY_S)
