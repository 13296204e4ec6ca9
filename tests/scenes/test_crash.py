"""What a daemon that is killed leaves behind."""

from __future__ import annotations

import asyncio
import functools
import random
import signal
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import aiosmtplib

from sender.sandbox import Behaviour
from tests.scenes.processes import Served

if TYPE_CHECKING:
    from tests.scenes.world import World

_KILLS = 20
_SITES = {
    "quick.test": Behaviour(),
    "slow.test": Behaviour(latency_s=0.02),
    "capped.test": Behaviour(max_sessions=3, latency_s=0.005),
}
_SUBMITTERS = 6


class Arrivals:
    """What the receivers took, by identity: what they have answered for, and nothing that a crash could lose."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()

    def record(self, arrival_header: bytes) -> None:
        """Count the recipients of one message."""
        self.count.update(line.rpartition("\t")[2] for line in arrival_header.decode().splitlines())

    @property
    def repeats(self) -> int:
        """Count what came more than once."""
        return self.count.total() - len(self.count)


class Load:
    """Submitters that go on whatever happens, and remember what was acknowledged."""

    def __init__(self, world: World) -> None:
        self.acknowledged: set[str] = set()
        self._world = world
        self._rng = random.Random(7)
        self._over = False
        self._tasks = [asyncio.create_task(self._submit()) for _ in range(_SUBMITTERS)]

    async def _submit(self) -> None:
        while not self._over:
            with suppress(aiosmtplib.SMTPException, OSError):
                async with self._world.client() as client:
                    while not self._over:
                        message = self._world.message(f"user@{self._rng.choice(list(_SITES))}")
                        await client.sendmail(message.mail_from, message.rcpt_tos, message.content)
                        self.acknowledged.add(message.identity)
                        await asyncio.sleep(0.01)
            await asyncio.sleep(0.02)

    async def end(self) -> None:
        """Stop submitting; a task may miss that it is cancelled, when its connection fails at that very moment."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_kill_9_loses_nothing_and_repeats_little(world: World) -> None:
    """Over 20 kills under load nothing acknowledged is lost, and no kill repeats more than was open when it came."""
    arrivals = Arrivals()
    receivers = [await world.site(domain, behaviour, store=arrivals) for domain, behaviour in _SITES.items()]
    world.configure()
    load = Load(world)
    rng = random.Random(11)
    open_at_kills = 0
    for _ in range(_KILLS):
        async with Served(world.settings.path("sender.toml")) as served:
            await served.ready()
            taken = len(arrivals.count)
            await world.until("mail flows", lambda taken=taken: len(arrivals.count) > taken + 10)  # type: ignore[misc]
            await asyncio.sleep(rng.uniform(0.0, 0.3))  # the instant of the kill is a matter of chance
            open_at_kills += sum(receiver.tally.sessions_open for receiver in receivers)
            served.signal(signal.SIGKILL)
            await served.ended()
    await load.end()
    async with Served(world.settings.path("sender.toml"), "--until-empty") as served:
        assert await served.ended(deadline_s=60.0) == 0, served.log
    print(f"acknowledged {len(load.acknowledged)}, repeats {arrivals.repeats}, open at the kills {open_at_kills}")
    assert load.acknowledged - arrivals.count.keys() == set()
    assert arrivals.repeats <= open_at_kills
    assert world.books().waiting == 0


def _delivered(world: World, count: int) -> bool:
    return world.books().totals.get("delivered") == count


async def test_a_message_that_ends_three_processes_is_held(world: World) -> None:
    """What processes had in hand when they ended, three times, is held with its reason; all other mail goes on."""
    trap = await world.site("trap.test", Behaviour(accept_delay_s=600.0))
    await world.site("other.test")
    world.configure()
    hands = world.settings.spool_path.with_name("spool.db-hands")
    for number in range(3):
        async with Served(world.settings.path("sender.toml")) as served:
            await served.ready()
            if number == 0:
                await world.send("user@trap.test")
            await world.send("user@other.test")
            await world.until("the other has gone", functools.partial(_delivered, world, number + 1))
            await world.until("the trap is in hand", lambda: any(hands.read_bytes()) and trap.tally.sessions_open > 0)
            served.signal(signal.SIGKILL)
            await served.ended()
    await world.start()
    await world.send("user@other.test")
    await world.until("the other has gone", functools.partial(_delivered, world, 4))
    assert (await world.json("queue"))["suspended"] == 1
    assert (await world.metrics()).by("sender_messages_held_total", "reason") == {"poison": 1}
    code, text = await world.command("resume", "--all")
    assert (code, text.split()[0]) == (0, "1")
