"""Receivers that hang, break off, drip and close, before a whole daemon (reliability: P1 to P10)."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from sender.spool.contract import State
from tests.chaos.battery import SHORT, STAGES, Fault, Sized, battery, start
from tests.chaos.faultsink import FaultSink, Hang, closing, says, then
from tests.chaos.scale import scaled
from tests.dialogs.peer import OFFER, OFFER_PIPELINING, Close, Drip, Pause, Take

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sender.sandbox import Receiver
    from tests.chaos.report import Report
    from tests.scenes.world import World

_LARGE = 6_000_000  # bytes: no buffer on the way takes it
_OFFER_TLS = b"250-sink.test\r\n250 STARTTLS\r\n"
_DOWN = "421 4.4.2 bye for now"
_WORDS = ("banner", "ehlo", "mail", "rcpt", "data", "end_of_data")


@contextlib.contextmanager
def _that_never_answers(address: tuple[str, int]) -> Iterator[None]:
    """Hold an address where the handshake of TCP is not completed: its backlog is full."""
    with contextlib.ExitStack() as stack:
        full, first, second = (stack.enter_context(socket.socket()) for _ in range(3))
        full.bind(address)
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield


async def test_p1_hosts_that_cannot_be_reached_cost_no_more_than_the_way_to_the_next(
    world: World, report: Report
) -> None:
    """One without TCP, one that refuses and one that is silent are passed by; where there is no other, mail waits."""
    hosts = ["127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4"]
    for number, address in enumerate(hosts):
        world.dns.a(f"mx{number}.test", address)
    world.dns.mx("next.test", [(10 * number, f"mx{number}.test") for number in range(4)])
    world.dns.mx("none.test", [(10 * number, f"mx{number}.test") for number in range(3)])
    silent = {"banner": [Hang()]}
    neighbour = await world.site("neighbour.test")
    with _that_never_answers((hosts[0], world.port)):  # and nobody listens at the second
        async with (
            FaultSink(*[silent] * 3, address=(hosts[2], world.port)) as recovers,
            FaultSink(address=(hosts[3], world.port)) as works,
        ):
            await start(world, {"delivery": dict.fromkeys(SHORT["delivery"], "400ms")})
            mail = [world.message(f"user@{name}.test") for name in ("next", "none", "none", "neighbour") * 3]
            none = (await world.submit(mail, sessions=1))[1]
            await world.until("the neighbour has its mail", lambda: neighbour.tally.messages == 3)
            await world.until("the next host has it", lambda: len(works.ledger.taken) == 3)
            await world.until_empty()
            (recipient,) = (await world.json("message", none))["recipients"]
            (waited, *_) = [each for each in recipient["history"] if each["outcome"] == "deferred"]
            await world.balance()
            await world.stop()
    assert len(recovers.ledger.taken) == 6
    assert waited["reply"]
    report.held("P1", runs=9, figures="no TCP, refused, silent: the next host in the same attempt, else later; 0 lost")


async def test_p2_wherever_a_receiver_falls_silent_its_mail_waits_and_nothing_else(
    world: World, report: Report
) -> None:
    """Silence at any place of a session ends it by that place's timer, whether the receiver reads on or not."""
    faults = {
        f"{stage} {'deaf' if deaf else ''}": Fault(scripts=[{stage: [Hang(deaf=deaf)]}] * 2)
        for stage in ("banner", "ehlo", "mail", "rcpt", "data", "end_of_data", "quit")
        for deaf in (False, True)
    }
    faults["second rcpt"] = Fault(scripts=[{"rcpt": [says("250 ok"), Hang()]}] * 2, rcpts=2)
    faults["content"] = Fault(
        scripts=[{"content": [Hang(deaf=True)]}], messages=1, size=_LARGE, options={"receive_buffer": 65536}
    )
    faults["starttls"] = Fault(scripts=[{"starttls": [Hang()]}] * 2, options={"offer": _OFFER_TLS})
    faults["handshake"] = Fault(
        scripts=[{"starttls": [then(says("220 go"), Hang())]}] * 2, options={"offer": _OFFER_TLS}
    )
    faults["rset"] = Fault(scripts=[{"mail": [says("450 later")], "rset": [Hang()]}] * 2)
    async with battery(world, faults, SHORT) as peers:
        await peers.endure()
        report.held("P2", runs=len(faults), figures=peers.figures)


async def test_p2_sessions_that_hang_take_no_turn_from_a_neighbour(world: World, report: Report) -> None:
    """While sessions to receivers hang at every stage, all the mail for another is delivered."""
    count = scaled(60, 1500)
    alive = await world.site("alive.test")
    async with contextlib.AsyncExitStack() as stack:
        hung, mail = [], []
        for number, stage in enumerate(_WORDS):
            address = (f"127.0.1.{number + 1}", world.port)
            sink = FaultSink(*[{stage: [Hang()]}] * 99, address=address)
            hung.append(await stack.enter_async_context(sink))
            world.dns.a(f"hung{number}.test", address[0])
            mail += [world.message(f"user{each}@hung{number}.test") for each in range(10)]
        await start(world, {"delivery": {f"{stage}_timeout": "10m" for stage in STAGES}})
        alone_s = await _delivered(world, alive, count)
        await world.submit(mail)
        await world.until("all of them hang", lambda: all(sink.visits for sink in hung))
        beside_s = await _delivered(world, alive, count)
        assert all(any(not visit.gone for visit in sink.visits) for sink in hung)
        await world.command("suspend", "--all")
        await world.stop(drain_s=0.0)
    assert not any(sink.ledger.taken for sink in hung)
    sessions, cost = sum(len(sink.visits) for sink in hung), beside_s / alone_s
    report.held("P2", runs=1, figures=f"{count} messages beside {sessions} hung sessions: {cost:.2f} of the work alone")


async def _delivered(world: World, receiver: Receiver, count: int) -> float:
    """Have so many messages delivered; give the seconds of processor that it took, however busy the machine is."""
    before = receiver.tally.messages
    await world.command("suspend", "--site", "mx.alive.test")
    await world.submit([world.message(f"user{number}@alive.test") for number in range(count)])
    began_at = time.process_time()
    await world.command("resume", "--site", "mx.alive.test")
    await world.until("they are there", lambda: receiver.tally.messages == before + count, deadline_s=60)
    return time.process_time() - began_at


async def test_p3_a_reply_that_drips_is_not_waited_for_any_longer(world: World, report: Report) -> None:
    """Bytes that come one by one, each well within the time, do not prolong it, at whatever stage."""
    drip = Drip(b"250-" + b"x" * 4000, every_s=0.2)
    faults = {stage: Fault(scripts=[{stage: [drip]}] * 2) for stage in _WORDS}
    async with battery(world, faults, SHORT) as peers:
        await peers.endure()
        report.held("P3", runs=len(faults), figures=peers.figures)


async def test_p5_only_a_loss_behind_the_dot_is_ambiguous_and_each_one_is_counted(world: World, report: Report) -> None:
    """A connection that ends at any place before the dot was sent repeats nothing, and is not counted."""
    faults = {}
    for offer, abort in ((OFFER, False), (OFFER_PIPELINING, False), (OFFER_PIPELINING, True)):
        how = f"{'steps' if offer is OFFER else 'group'} {'reset' if abort else 'closed'}"
        for stage in _WORDS:
            faults[f"{stage} {how}"] = Fault(scripts=[{stage: [Close(abort=abort)]}] * 2, options={"offer": offer})
    for abort in (False, True):
        broken = {"content": [then(Take(100), Close(abort=abort))]}
        faults[f"content {'reset' if abort else 'closed'}"] = Fault(scripts=[broken], messages=1, size=_LARGE)
    async with battery(world, faults) as peers:
        await peers.endure()
        for name, ledger in peers.ledgers.items():
            assert bool(sum(ledger.unknown.values())) is name.startswith("end_of_data"), name
        report.held("P5", runs=len(faults), figures=peers.figures)


async def test_p6_a_refusal_in_the_middle_of_the_content_is_the_verdict(world: World, report: Report) -> None:
    """A receiver that says 552 within the content and resets the connection has refused the message, every time."""
    count = scaled(30, 200)
    script = {"content": [then(Take(1000), says("552 5.3.4 enough"), Close(abort=True))]}
    world.dns.a("mx.full.test", "127.0.1.1")
    world.dns.mx("full.test", [(10, "mx.full.test")])
    async with FaultSink(*[script] * count, address=("127.0.1.1", world.port)) as sink:
        await start(world)
        mail = [Sized((f"user{number}@full.test",), "", f"full-{number}", 200_000) for number in range(count)]
        await world.submit(mail)
        await world.until_empty()
        assert world.books().states[State.BOUNCED] == count
        assert (await world.metrics()).total("sender_ambiguous_total") == 0
        await world.balance()
        await world.stop()
    assert not sink.ledger.came
    assert sink.ledger.contents == count
    report.held("P6", runs=count, figures=f"{count} of {count} by the reply, each content once, 0 ambiguous")


async def test_p8_an_answer_that_comes_too_late_is_ambiguous_each_time_and_the_wait_grows(
    world: World, report: Report
) -> None:
    """What was answered after its time goes again by the schedule; it comes once for each attempt and no more."""
    late = {"end_of_data": [then(Pause(1.5), says("250 2.0.0 late"))]}
    tables = SHORT | {"retry": {"schedule": ["100ms", "300ms", "1h"]}, "events": {"file": "events.jsonl"}}
    async with battery(world, {"late": Fault(scripts=[late] * 2, messages=1)}, tables) as peers:
        await peers.endure()
        (ledger,) = peers.ledgers.values()
        (came,) = ledger.came.values()
        assert (came, peers.unknown) == (3, 2)
        assert world.books().most_attempts == 3
    events = [json.loads(line) for line in (world.folder / "events.jsonl").read_text().splitlines()]
    waits = [_seconds(each["next_attempt_at"]) - _seconds(each["at"]) for each in events if each["event"] == "deferred"]
    assert waits == pytest.approx([0.1, 0.3], abs=0.01)
    report.held("P8", runs=2, figures="3 copies of 3 attempts, both late ones counted, waits 0.1 s, 0.3 s")


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


async def test_p9_a_421_at_any_place_defers_with_its_text(world: World, report: Report) -> None:
    """All who are undecided wait with the words of the 421, and all of them are delivered by the next sessions."""
    faults = {stage: Fault(scripts=[{stage: [closing(_DOWN)]}] * 2) for stage in _WORDS}
    faults["second rcpt"] = Fault(scripts=[{"rcpt": [says("250 ok"), closing(_DOWN)]}] * 2, rcpts=3)
    faults["between"] = Fault(scripts=[{"end_of_data": [then(says("250 ok"), says(_DOWN), Close())]}] * 2, messages=4)
    async with battery(world, faults, {"events": {"file": "events.jsonl"}}) as peers:
        await peers.endure()
        runs, figures = len(faults), peers.figures
    events = [json.loads(line) for line in (world.folder / "events.jsonl").read_text().splitlines()]
    deferred = [event for event in events if event["event"] == "deferred"]
    assert {event["domain"] for event in deferred} >= {"mail.test", "rcpt.test", "data.test", "second-rcpt.test"}
    assert {event["reply"] for event in deferred} == {_DOWN}
    report.held("P9", runs=runs, figures=f"{figures}; {len(deferred)} deferrals, all with the text")


async def test_p9_who_was_refused_before_a_421_stays_refused(world: World, report: Report) -> None:
    """Of three recipients the refused one is returned, though the session was closed at the next; the others go."""
    world.dns.a("mx.part.test", "127.0.1.1")
    world.dns.mx("part.test", [(10, "mx.part.test")])
    script = {"rcpt": [says("550 5.1.1 no such user"), closing(_DOWN)]}
    async with FaultSink(script, address=("127.0.1.1", world.port)) as sink:
        await start(world)
        await world.send("one@part.test", "two@part.test", "three@part.test", mail_from="")
        await world.until_empty()
        assert world.books().states == {State.BOUNCED: 1, State.DELIVERED: 2}
        await world.stop()
    assert {rcpt_to for _, rcpt_to in sink.ledger.taken} == {"two@part.test", "three@part.test"}
    report.held("P9", runs=1, figures="1 refused before the 421 stays refused, 2 delivered")


async def test_p10_a_banner_that_refuses_returns_nothing(world: World, report: Report) -> None:
    """Another host is asked at once, whether the first says 4yz or 5yz; where all refuse, mail waits."""
    refusals = ["554 5.3.2 not now", "450 4.3.2 later", "550 no", "451 4.3.0 error"]
    async with contextlib.AsyncExitStack() as stack:
        refusing, other = [], await stack.enter_async_context(FaultSink(address=("127.0.1.9", world.port)))
        world.dns.a("other.test", "127.0.1.9")
        for number, refusal in enumerate(refusals):
            address = (f"127.0.1.{number + 1}", world.port)
            sink = FaultSink(*[{"banner": [closing(refusal)]}] * 5, address=address)
            refusing.append(await stack.enter_async_context(sink))
            world.dns.a(f"mx{number}.test", address[0])
            world.dns.mx(f"two{number}.test", [(10, f"mx{number}.test"), (20, "other.test")])
        world.dns.mx("all.test", [(10, "mx0.test"), (20, "mx2.test")])
        await start(world)
        await world.submit([world.message(f"user@two{number}.test") for number in range(len(refusals))])
        await world.until_empty()
        assert world.books().most_attempts == 1
        assert len(other.ledger.taken) == len(refusals)
        await world.send("user@all.test")
        await world.until_empty()
        assert len(refusing[0].ledger.taken) + len(refusing[2].ledger.taken) == 1
        await world.balance()
        await world.stop()
    report.held(
        "P10", runs=len(refusals) + 1, figures="next host in the same attempt; where all refuse, later; 0 returned"
    )
