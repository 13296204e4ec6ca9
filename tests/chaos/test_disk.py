"""A disk that fails, goes away, or is slow: nothing is acknowledged that is not on it."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import aiosmtplib
import pytest

from sender.sandbox import Behaviour
from sender.spool.contract import State
from tests.chaos import images, tracing
from tests.chaos.aftermath import MEMORY, acknowledged_ids, examine
from tests.chaos.images import Cut, Disk
from tests.chaos.scale import in_full, scaled
from tests.scenes.arrivals import Arrivals
from tests.scenes.processes import Served
from tests.servers import require
from tests.servers.strace import Strace

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.report import Report
    from tests.scenes.world import World

_CALLS = (3, 30)  # with `make test`: syncs of one thread that fail
_IMAGES = 12  # of each run


async def test_r3_a_sync_that_fails_is_not_believed(world: World, report: Report) -> None:
    """Where any sync fails, and what it was to sync is gone, no power cut later loses what was acknowledged."""
    require(Strace)
    calls = range(1, 201) if in_full() else _CALLS
    arrivals = Arrivals()
    await world.site("quick.test", store=arrivals)
    examined = failed = 0
    acknowledged: set[int] = set()
    for call in calls:
        config = world.configure({"spool": {"url": f"sqlite:{call}/spool.db", "min_free": "1MiB"}})
        trace = world.folder / f"{call}.trace"
        inject = ["-e", f"inject=fdatasync,fsync:error=EIO:when={call}"]
        async with Served(config, under=[*tracing.command(trace), *inject]) as served:
            await _ready(served)
            await _submit(world, 10 + call)
            await _end(world, served, signal.SIGTERM)
        async with Served(config, "--until-empty") as served:
            assert await served.ended() == 0, served.log
        found, images_seen, failures = await _cut(trace, str(world.settings.spool_path), call)
        acknowledged |= found
        examined, failed = examined + images_seen, failed + failures
        await world.balance()
    assert arrivals.repeats == 0
    assert failed >= len(calls)
    figures = f"{failed} syncs failed, {examined} power cuts after them, 0 of {len(acknowledged)} lost, 0 repeated"
    report.held("R3", runs=len(calls), figures=figures)


async def _ready(served: Served) -> None:
    """Wait until it is ready, or has ended since the sync of its start failed."""
    with suppress(AssertionError):
        await served.ready()


async def _submit(world: World, messages: int) -> None:
    """Try to submit so many messages, two at a time."""

    async def submit() -> None:
        for _ in range(messages // 2):
            message = world.message("user@quick.test")
            with suppress(aiosmtplib.SMTPException, OSError):
                async with world.client() as client:
                    await client.sendmail(message.mail_from, message.rcpt_tos, message.content)

    await asyncio.gather(submit(), submit())


async def _taken(world: World, rcpt_to: str) -> str:
    """Submit a message; give its identity, or nothing where it was refused for now, as it must be otherwise."""
    message = world.message(rcpt_to)
    try:
        async with world.client() as client:
            await client.sendmail(message.mail_from, message.rcpt_tos, message.content)
    except aiosmtplib.SMTPResponseException as error:
        if error.code in {451, 452}:
            return ""
        raise
    return message.identity


async def _end(world: World, served: Served, number: int) -> None:
    """Have the daemon under strace end, which does not hand signals on."""
    lock = world.settings.spool_path.with_name("spool.db-lock")
    with suppress(OSError, IndexError):  # it may have ended
        os.kill(int(lock.read_text().split()[1]), number)
    await served.ended()


async def _cut(trace: Path, spool: str, seed: int) -> tuple[set[int], int, int]:
    """Cut the power at some syncs; give what was acknowledged at the end, how many images there were, and failures."""
    rng = random.Random(seed)
    examined = failed = 0
    said: set[int] = set()
    steps = list(tracing.steps(trace))
    syncs = [number for number, step in enumerate(steps) if isinstance(step, tracing.Sync)]
    chosen = {*rng.sample(syncs, min(len(syncs), _IMAGES // 2)), len(steps) - 1}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        for fate in (Cut.DROPPED, Cut.MIXED):
            disk = Disk((f"{spool}{side}" for side in MEMORY), failed=fate, rng=rng)
            failed = 0
            for number, step in enumerate(steps):
                if number in chosen:
                    said = acknowledged_ids(disk.said)
                    image = disk.image(rng.choice(list(Cut)), rng)
                    images.write(Path(scratch), image)
                    wrong = await examine(Path(scratch), said) if image[spool] else ("lost" if said else "")
                    assert not wrong, f"sync {number}, after a failed one, {fate}: {wrong}"
                    examined += 1
                failed += isinstance(step, tracing.FailedSync)
                disk.take(step)
            said = acknowledged_ids(disk.said)
    return said, examined, failed


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)


def _move(folder: Path) -> None:
    folder.rename(folder.with_name(f"{folder.name}-moved"))


def _remove_database(folder: Path) -> None:
    (folder / "spool.db").unlink()


def _remove_log(folder: Path) -> None:
    (folder / "spool.db-wal").unlink()


def _replace(folder: Path) -> None:
    copy = folder / "copy"
    shutil.copy(folder / "spool.db", copy)
    copy.rename(folder / "spool.db")


_HURTS = (_remove, _move, _remove_database, _remove_log, _replace)


@pytest.mark.parametrize("hurt", _HURTS, ids=[hurt.__name__.strip("_") for hurt in _HURTS])
async def test_r9_a_spool_that_is_taken_away_takes_nothing(
    world: World, report: Report, hurt: Callable[[Path], None]
) -> None:
    """From the instant on at which a file of the spool is gone or another one, no message is acknowledged."""
    receiver = await world.site("quick.test")
    for number in range(scaled(1, 2)):
        folder = world.folder / f"{number}"
        await world.start({"spool": {"url": f"sqlite:{number}/spool.db", "min_free": "1MiB"}})
        await world.send("user@quick.test")
        await world.until_empty()
        before = receiver.tally.messages
        hurt(folder)
        for _ in range(3):
            assert not await _taken(world, "late@quick.test")
        assert receiver.tally.messages == before
        await world.stop(drain_s=0.0)
    world.configure({"spool": {"url": "sqlite:none.db"}})
    report.held("R9", runs=scaled(1, 2), figures=f"{hurt.__name__.strip('_')}: 0 acknowledged afterwards")


async def test_r9_a_disk_that_can_only_be_read_takes_nothing_and_repeats_nothing(world: World, report: Report) -> None:
    """Where every write begins to fail, clients hear 451 or 452, deliveries stop, and after a kill nothing is lost."""
    require(Strace)
    arrivals = Arrivals()
    receiver = await world.site("quick.test", Behaviour(accept_delay_s=0.02), store=arrivals)
    runs = scaled(1, 10)
    acknowledged: set[str] = set()
    unknown = 0
    for number in range(runs):
        config = world.configure({"spool": {"url": f"sqlite:{number}/spool.db", "min_free": "1MiB"}})
        # Each thread counts for itself: the one that writes does so some times for every message.
        inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64,ftruncate"]
        inject += ["-e", f"inject=pwrite64:error=EROFS:when={200 + 37 * number}+"]
        before = len(arrivals.count)
        async with Served(config, under=inject) as served:
            await served.ready()
            refusals = 0
            while refusals < 5:
                identity = await _taken(world, "user@quick.test")
                acknowledged |= {identity} - {""}
                refusals += not identity
            await _end(world, served, signal.SIGKILL)
        await receiver.until_idle()
        unknown += len(arrivals.count) - before - world.books().states[State.DELIVERED]
        async with Served(config, "--until-empty") as served:
            assert await served.ended() == 0, served.log
        await world.balance()
    assert acknowledged - {identity for identity, _ in arrivals.count} == set()
    assert arrivals.repeats <= unknown
    figures = f"EROFS for all writes: 0 of {len(acknowledged)} lost, {arrivals.repeats} repeated, {unknown} unrecorded"
    report.held("R9", runs=runs, figures=figures)


async def test_r10_a_slow_disk_makes_clients_wait_and_nothing_else(world: World, report: Report) -> None:
    """With syncs that take long, mail is taken and delivered once, sessions stay whole, and the loop is not late."""
    require(Strace)
    arrivals = Arrivals()
    sync_s = scaled(100, 2000) / 1000
    messages = 40
    receiver = await world.site("quick.test", store=arrivals)
    limit = "1s" if in_full() else "10s"  # shorter than a sync where the machine is this test's alone
    stages = dict.fromkeys(("end_of_data_timeout", "mail_timeout", "rcpt_timeout"), limit)
    config = world.configure({"delivery": stages})
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]
    inject += ["-e", f"inject=fdatasync,fsync:delay_exit={round(sync_s * 1e6)}"]
    async with Served(config, under=inject) as served:
        await served.ready()
        began_at = time.monotonic()
        await world.submit([world.message(f"user{number}@quick.test") for number in range(messages)], sessions=messages)
        took_s = time.monotonic() - began_at
        await world.until("all is delivered", lambda: world.books().states[State.DELIVERED] == messages)
        lag = (await world.metrics()).by("sender_event_loop_lag_seconds_bucket", "le")
        await _end(world, served, signal.SIGTERM)
    assert arrivals.repeats == 0
    assert len(arrivals.count) == messages
    assert receiver.tally.lost == 0
    assert took_s >= sync_s
    late = max(lag.values()) - max(count for bound, count in lag.items() if float(bound) <= 0.25)
    assert late == 0 or not in_full()
    figures = f"syncs of {sync_s:g} s: {messages} messages taken in {took_s:.1f} s, 0 lost, 0 repeated"
    report.held("R10", runs=1, figures=f"{figures}, the loop was over 250 ms late {late:g} times")
