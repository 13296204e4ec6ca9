"""Large messages to receivers that read slowly: memory per message, and how long the event loop is held (R7, R8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.battery import Sized
from tests.chaos.faultsink import FaultSink, then
from tests.chaos.lag import looked, looks, within
from tests.chaos.scale import in_full, scaled
from tests.dialogs.peer import Pause, Take
from tests.scenes.processes import Served

if TYPE_CHECKING:
    from tests.chaos.report import Report
    from tests.dialogs.peer import Link, Step
    from tests.scenes.world import World

_PER_MESSAGE_KB = 8 * 1024
_CACHES_KB = 72 * 1024  # of the spool, however many messages there are; few do not fill them


@dataclass(frozen=True)
class _Skip(Take):
    """Read so many bytes, and forget them."""

    async def play(self, link: Link) -> None:
        """Read them."""
        await super().play(link)
        link.visit.content = b""


async def test_r7_r8_large_messages_to_slow_readers_take_little_memory_and_no_time(
    world: World, report: Report
) -> None:
    """So many deliveries at a time grow the process by no more than 8 MB each, and the loop is not held by them."""
    count, size = scaled(3, 20), scaled(7, 50) * 1_000_000
    world.dns.a("mx.slow.test", "127.0.1.1")
    world.dns.mx("slow.test", [(10, "mx.slow.test")])
    slowly: tuple[Step, ...] = (_Skip(500_000), Pause(0.01))
    script = {"content": [then(*slowly * (size // 500_000 - 1))]}
    world.configure(
        {
            "smtp": {"max_message_size": "60MiB"},
            "window": {"start": count},
            "delivery": {"block_timeout": "60s", "idle_timeout": "10s"},
        }
    )
    config = world.settings.path("sender.toml")
    async with Served(config, "--role", "intake") as intake:
        await intake.ready()
        message = Sized(("user@slow.test",), "", "large", size - size // 100)
        await world.submit([message] * count, sessions=2)
    await world.command("suspend", "--all")
    async with (
        FaultSink(*[script] * count, address=("127.0.1.1", world.port), receive_buffer=65536) as sink,
        Served(config, "--role", "delivery") as served,
    ):
        await served.ready()
        count_idle = scaled(5, 1000)  # looks, by which a busy machine shows
        await world.until_true("it was idle", lambda: looked(world, count_idle))
        idle = await looks(world)
        before_kb = served.memory_kb
        await world.command("resume", "--all")
        await world.until("all have begun", lambda: len(sink.visits) >= count)
        await world.until("all have ended", lambda: not world.books().waiting, deadline_s=600)
        growth_kb = served.peak_kb - before_kb
        busy = await looks(world) - idle
    assert growth_kb <= _PER_MESSAGE_KB * count + (0 if in_full() else min(_CACHES_KB, count * size // 1024))
    lag = {share: (within(busy, share), within(idle, share)) for share in (0.999, 1.0)}
    if in_full():
        assert lag[0.999][0] <= max(0.05, lag[0.999][1])
        assert lag[1.0][0] <= max(0.25, lag[1.0][1])
    report.held("R7", runs=count, figures=f"{count} x {size // 10**6} MB: {growth_kb / 1024:.0f} MiB in all")
    words = ", ".join(f"{share:.1%} within {now:g} s (idle: {before:g} s)" for share, (now, before) in lag.items())
    report.held("R8", runs=count, figures=words)
