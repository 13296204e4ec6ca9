"""A process that may open few files: a condition of this machine, which no receiver is blamed for."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

from sender.sandbox import Behaviour
from tests.chaos.scale import scaled
from tests.scenes.processes import Served

if TYPE_CHECKING:
    from tests.chaos.report import Report
    from tests.scenes.world import World

_FILES = 128
_SITES = 20
_HELD_OPEN = 30  # connections of clients that do nothing


async def test_r6_without_descriptors_nothing_is_lost_and_nobody_is_blamed(world: World, report: Report) -> None:
    """With more sessions wanted than files may be open, mail is late, and no more: no window shrinks."""
    messages = scaled(400, 4000)
    receivers = [await world.site(f"site{number}.test", Behaviour(accept_delay_s=0.2)) for number in range(_SITES)]
    world.configure({"window": {"start": 20}, "delivery": {"idle_timeout": "1s"}})
    async with (
        Served(world.settings.path("sender.toml"), under=["prlimit", f"--nofile={_FILES}:{_FILES}"]) as served,
        contextlib.AsyncExitStack() as clients,
    ):
        await served.ready()
        for _ in range(_HELD_OPEN):
            _, writer = await asyncio.open_connection("127.0.0.1", world.smtp_port)
            clients.callback(writer.close)
        await world.submit_at_once(
            [world.message(f"user{number}@site{number % _SITES}.test") for number in range(messages)]
        )
        await world.until_empty(deadline_s=60)
        await world.until("the sessions are over", lambda: not any(one.tally.sessions_open for one in receivers))
        lanes = json.loads((await world.get("/v1/lanes"))[1])["lanes"]
        said = served.log
    arrivals = sum(receiver.tally.messages for receiver in receivers)
    assert "Too many open files" in said
    assert arrivals == messages
    causes = {change["cause"] for lane in lanes for change in lane["history"]}
    assert causes <= {"taken", "probed"}, causes
    report.held(
        "R6", runs=1, figures=f"{messages} messages, {_FILES} descriptors, {_SITES} receivers, 0 lost, 0 repeated"
    )
