"""What ends processes is held. See `tests/chaos/test_kills.py` for what a kill leaves behind."""

from __future__ import annotations

import functools
import signal
from typing import TYPE_CHECKING

from sender.sandbox import Behaviour
from tests.scenes.processes import Served

if TYPE_CHECKING:
    from tests.scenes.world import World


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
