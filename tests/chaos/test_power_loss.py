"""A power cut at any instant: whatever the disk has kept of what was not synced, no acknowledged message is gone."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sender.sandbox import Behaviour
from tests.chaos import images, tracing
from tests.chaos.aftermath import MEMORY, acknowledged_ids, examine
from tests.chaos.images import Cut, Disk
from tests.chaos.scale import scaled
from tests.scenes.processes import Served
from tests.servers import require
from tests.servers.strace import Strace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.chaos.report import Report
    from tests.scenes.world import World

_MESSAGES = 60
_LARGE = 300_000  # bytes of content: several blocks


async def _record(world: World, trace: Path) -> str:
    """Let a daemon accept and deliver under a trace; give the path of its spool."""
    await world.site("quick.test", Behaviour(latency_s=0.002))
    await world.site("choosy.test", Behaviour(unknown_prefixes=("nobody",), greylist_s=0.2))
    await world.inbox()
    world.configure()
    spool = world.settings.spool_path
    async with Served(world.settings.path("sender.toml"), under=tracing.command(trace)) as served:
        await served.ready()
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(_submit(world, number))
        await world.until("everything has ended", lambda: spool.exists() and not world.books().waiting, deadline_s=60)
        os.kill(int(spool.with_name(f"{spool.name}-lock").read_text().split()[1]), signal.SIGTERM)
        await served.ended()
    world.notices = world.books().notices
    return str(spool)


async def _submit(world: World, task: int) -> None:
    rng = random.Random(task)
    async with world.client() as client:
        for _ in range(_MESSAGES // 4):
            name, domain = rng.choice([("user", "quick.test"), ("user", "choosy.test"), ("nobody", "choosy.test")])
            message = world.message(f"{name}@{domain}")
            content = message.content + b"x" * 70 + b"\r\n"
            if rng.random() < 0.1:
                content += (b"y" * 70 + b"\r\n") * (_LARGE // 72)
            await client.sendmail(message.mail_from, message.rcpt_tos, content)


def _cuts(disk: Disk, rng: random.Random) -> Iterator[tuple[Cut, Mapping[str, bytes]]]:
    for cut in Cut:
        yield cut, disk.image(cut, rng)


async def test_r1_no_power_cut_loses_what_was_acknowledged(world: World, report: Report) -> None:
    """At every sync, with every fate of what was not synced: the spool opens, is sound, and has every message whole."""
    require(Strace)
    trace = world.folder / "trace"
    spool = await _record(world, trace)
    disk = Disk(f"{spool}{side}" for side in MEMORY)
    rng = random.Random(5)
    boundaries = sum(disk.take(step) for step in tracing.steps(trace))
    every = max(1, boundaries * len(Cut) // scaled(300, 10_000))
    disk = Disk(f"{spool}{side}" for side in MEMORY)
    number = examined = most = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        folder = Path(scratch)
        for step in tracing.steps(trace):
            before = {name: len(file.pending) for name, file in disk.files.items()}
            at_boundary = isinstance(step, tracing.Sync) and bool(before.get(step.path))
            if at_boundary:  # just before it ends: all that is pending may be lost
                number += 1
                if number % every == 0:
                    acknowledged = acknowledged_ids(disk.said)
                    most = max(most, len(acknowledged))
                    for cut, image in _cuts(disk, rng):
                        images.write(folder, image)
                        wrong = (
                            await examine(folder, acknowledged) if image[spool] else ("lost" if acknowledged else "")
                        )
                        assert not wrong, f"sync {number}, {cut}: {wrong}"
                        examined += 1
            disk.take(step)
    assert most >= _MESSAGES * 9 // 10
    report.held("R1", runs=examined, figures=f"{boundaries} syncs, {len(Cut)} fates, 0 of {most} lost")
