"""How daemons begin and end: killed while they recover, stopped beside a peer that is stuck, two on one spool."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import TYPE_CHECKING

import aiosmtplib

from sender.sandbox import Behaviour, Hang
from sender.spool.contract import State
from sender.spool.journal import Journal
from tests.chaos.faults import Fault, Trap
from tests.chaos.forge import Forge
from tests.chaos.scale import scaled
from tests.scenes.arrivals import Arrivals
from tests.servers.process import free_port

if TYPE_CHECKING:
    from tests.chaos.report import Report
    from tests.scenes.world import World

_STARTS = (
    "sender.spool.lock:DeliveryLock.__init__",
    "sender.spool.hands:Hands.__init__",
    "sender.spool.journal:Journal.__init__",
    "sender.spool.schema:connect",
    "sender.spool.schema:migrate",
    "sender.spool.journal:Journal.read",
    "sender.spool.sqlite:recover",
    "sender.spool.recovery:_count_crashes",
    "sender.spool.claims:hold_suspended",
    "sender.spool.hands:Hands.forget_left",
    "sender.spool.journal:Journal.forget",
    "sender.spool.sqlite:SqliteSpool.stopped_cleanly",
    "sender.spool.sqlite:SqliteSpool.queues",
)
_ALWAYS = ("sender.spool.sqlite:recover", "sender.spool.journal:Journal.forget")  # where order matters most
_IN_A_ROW = 5


async def test_c4_a_recovery_may_be_killed_again_and_again(world: World, report: Report) -> None:
    """After five kills in a row while a daemon begins, nothing is lost or held, and no more is repeated than by one."""
    rounds, rng = scaled(2, 100), random.Random(3)
    arrivals = Arrivals()
    receiver = await world.site("slow.test", Behaviour(latency_s=0.01, accept_delay_s=0.02), store=arrivals)
    repeated = kept_in_all = 0
    async with Forge() as forge:
        for number in range(rounds):
            config = world.configure({"spool": {"url": f"sqlite:{number}/spool.db", "min_free": "1MiB"}})
            fired = str(world.folder / f"{number}.fired")
            first = Trap(
                target="sender.spool.sqlite:SqliteSpool.keep" if number % 2 else "sender.engine.lane:Lane.answered",
                after=bool(number % 2),
                fault=Fault.KILL,
                nth=1 if number % 2 else 8,
                fired=fired,
                settling_fails=bool(number % 2),
            )
            served = await forge.serve(config, trap=first)
            assert await served.ready(), served.log
            before, had = len(arrivals.count), arrivals.repeats
            acknowledged = await _submit(world, 20)
            assert await served.ended() == -signal.SIGKILL
            await receiver.until_idle()
            kept = _kept(world)
            unknown = len(arrivals.count) - before - world.books().states[State.DELIVERED] - kept
            for target in [*_ALWAYS, *rng.sample(_STARTS, _IN_A_ROW - len(_ALWAYS))]:
                after = target in _ALWAYS or rng.random() < 0.5
                trap = Trap(target=target, after=after, fault=Fault.KILL, nth=1, fired=fired)
                served = await forge.serve(config, trap=trap)
                assert await served.ended() == -signal.SIGKILL, (target, served.log)
            served = await forge.serve(config, "--until-empty")
            assert await served.ended() == 0, served.log
            assert acknowledged - arrivals.count.keys() == set()
            assert arrivals.repeats - had <= unknown
            await world.balance()
            repeated, kept_in_all = arrivals.repeats, kept_in_all + kept
    assert kept_in_all > 0
    figures = f"{_IN_A_ROW} kills in each, 0 lost, {repeated} repeated, {kept_in_all} kept deliveries recorded"
    report.held("C4", runs=rounds, figures=figures)


async def _submit(world: World, count: int) -> set[tuple[str, str]]:
    acknowledged: set[tuple[str, str]] = set()

    async def submit() -> None:
        async with world.client() as client:
            for _ in range(count):
                message = world.message("user@slow.test")
                await client.sendmail(message.mail_from, message.rcpt_tos, message.content)
                acknowledged.add((message.identity, "user@slow.test"))

    # The daemon may be killed before it has taken all of them.
    await asyncio.gather(submit(), return_exceptions=True)
    return acknowledged


def _kept(world: World) -> int:
    journal = Journal(world.settings.spool_path)
    try:
        return sum(len(settlements) for _, settlements in journal.read())
    finally:
        journal.close()


_SITES, _EACH = 10, 5
_LIMIT_S = 2


async def test_c5_a_stop_waits_for_a_stuck_peer_no_longer_than_it_may(world: World, report: Report) -> None:
    """On SIGTERM with 50 transactions open, one of them stuck after its dot, the others end, and the stop in time."""
    arrivals = Arrivals()
    slow = Behaviour(accept_delay_s=0.5)
    sites = [await world.site(f"site{number}.test", slow, store=arrivals) for number in range(_SITES)]
    stuck = await world.site("stuck.test", Behaviour(scripted={"end_of_data": [Hang(accept=True)]}), store=arrivals)
    config = world.configure({"delivery": {"drain_timeout": f"{_LIMIT_S}s"}, "window": {"start": _EACH}})
    loop = asyncio.get_running_loop()
    async with Forge() as forge:
        served = await forge.serve(config)
        assert await served.ready(), served.log
        messages = [world.message(f"user{n}@site{n % _SITES}.test") for n in range(3 * _SITES * _EACH)]
        last = world.message("user@stuck.test")
        await world.submit_at_once([last, *messages])
        await world.until(
            "50 sessions are open", lambda: sum(site.tally.sessions_open for site in [*sites, stuck]) >= 50
        )
        await world.until("one is stuck", lambda: stuck.tally.messages == 1)
        served.signal(signal.SIGTERM)
        began_at = loop.time()
        assert await served.says("stopping")
        refused = await _refused(world)
        assert await served.ended() == 0, served.log
        took_s = loop.time() - began_at
        assert took_s <= _LIMIT_S + 2
        # Only of the one that was stuck nobody knows what became of it.
        assert len(arrivals.count) - world.books().states[State.DELIVERED] == 1
        served = await forge.serve(config, "--until-empty")
        assert await served.ended() == 0, served.log
    assert arrivals.repeats == arrivals.count[last.identity, "user@stuck.test"] - 1 == 1
    assert len(arrivals.count) == len(messages) + 1
    figures = f"{took_s:.1f} s with a limit of {_LIMIT_S} s, 1 of 51 repeated: the stuck one; a new client: {refused}"
    report.held("C5", runs=1, figures=figures)


async def _refused(world: World) -> str:
    """Tell how a client fares while the daemon stops."""
    try:
        async with world.client() as client:
            await client.sendmail("news@origin.test", ["late@site0.test"], b"Subject: late\r\n\r\n")
    except aiosmtplib.SMTPException as error:
        return type(error).__name__
    return "taken"


async def test_c8_of_two_delivering_daemons_the_second_ends(world: World, report: Report) -> None:
    """A second daemon on the spool ends with an error, every time, and the first goes on."""
    runs = scaled(5, 20)
    receiver = await world.site("ok.test")
    async with Forge() as forge:
        first = await forge.serve(world.configure())
        assert await first.ready(), first.log
        other = world.configure({"http": {"listen": f"127.0.0.1:{free_port()}"}, "smtp": {"listen": []}})
        for number in range(runs):
            second = await forge.serve(other, *(("--role", "delivery") if number % 2 else ()))
            assert await second.ended() == 1, second.log
            assert "another process delivers from it (pid " in second.log
            await world.send("user@ok.test")
        await world.until("all is delivered", lambda: receiver.tally.messages == runs)
        first.signal(signal.SIGTERM)
        assert await first.ended() == 0, first.log
    report.held("C8", runs=runs, figures=f"{runs} of {runs} refused, {runs} messages delivered beside them")
