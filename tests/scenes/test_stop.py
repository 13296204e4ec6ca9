"""How daemons stop, and how several processes share a spool."""

from __future__ import annotations

import asyncio
import signal
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sender.daemon import Role
from sender.sandbox import Behaviour, Hang
from sender.spool.contract import State
from tests.scenes.processes import Served
from tests.servers.process import free_port

if TYPE_CHECKING:
    from tests.scenes.world import World

_SLOW = Behaviour(latency_s=0.05, accept_delay_s=0.1)  # one message per session and tenth of a second, at the most
_MANY = 3000  # more than twenty sessions carry before they are all open


def _stopped_cleanly(world: World) -> bool:
    """Tell how the last delivering process ended, by its own record."""
    with closing(world.database()) as database:
        row = database.execute("SELECT clean FROM owners WHERE role = 'delivery' ORDER BY token DESC").fetchone()
        return bool(row[0])


async def test_a_stop_finishes_what_is_open(world: World) -> None:
    """On SIGTERM open transactions end, every session says QUIT, the rest waits, and the exit code is 0."""
    receiver = await world.site("slow.test", _SLOW)
    async with Served(world.configure({"window": {"start": 20, "max": 20}})) as served:
        await served.ready()
        await world.submit_at_once([world.message(f"user{number}@slow.test") for number in range(_MANY)])
        await world.until("20 sessions are open", lambda: receiver.tally.sessions_open >= 20)
        receiver.behaviour = Behaviour(latency_s=0.1, accept_delay_s=0.5)
        taken = receiver.tally.messages
        await world.until("they go on", lambda: receiver.tally.messages > taken + 20)
        served.signal(signal.SIGTERM)
        assert await served.ended() == 0, served.log
        assert "ERROR" not in served.log
    await receiver.until_idle()
    tally = receiver.tally
    assert (tally.lost, tally.quits) == (0, tally.sessions_opened - tally.sessions_refused)
    assert world.books().states[State.DELIVERED] == tally.messages
    assert world.books().states[State.QUEUED] == _MANY - tally.messages > 0
    assert _stopped_cleanly(world)


async def test_a_second_signal_stops_at_once(world: World) -> None:
    """A second SIGTERM ends sessions that would have been waited for, and clients too; that was no clean stop."""
    await world.site("stuck.test", Behaviour(scripted={"end_of_data": [Hang()]}))
    async with Served(world.configure()) as served:
        await served.ready()
        await world.send("user@stuck.test")
        hands = world.settings.spool_path.with_name("spool.db-hands")
        await world.until("a session has it in hand", lambda: any(hands.read_bytes()))
        reader, writer = await asyncio.open_connection("127.0.0.1", world.smtp_port)
        writer.write(b"EHLO client.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<user@stuck.test>\r\nDATA\r\nSubject: x\r\n")
        await reader.readuntil(b"354 ")
        served.signal(signal.SIGTERM)
        await served.says("stopping")
        served.signal(signal.SIGTERM)
        await served.says("stopping at once")
        assert await served.ended(deadline_s=10.0) == 0, served.log
        writer.close()
    assert not _stopped_cleanly(world)
    assert world.books().waiting == 1


async def test_until_empty_ends_when_nothing_is_queued(world: World) -> None:
    """`serve --until-empty` delivers what there is and exits 0; with nothing queued it exits at once."""
    receiver = await world.site("ok.test")
    inbox = await world.inbox()
    choosy = await world.site("choosy.test", Behaviour(unknown_prefixes=("user",)))
    await world.start(role=Role.INTAKE)
    await world.submit([world.message(f"user{number}@ok.test") for number in range(50)])
    await world.send("user@choosy.test")
    await world.stop()
    assert world.books().states[State.QUEUED] == 51
    for _ in range(2):
        async with Served(world.configure(), "--role", "delivery", "--until-empty") as served:
            assert await served.ended() == 0, served.log
    assert (receiver.tally.messages, choosy.tally.messages, inbox.tally.messages) == (50, 0, 1)
    assert receiver.tally.lost == 0
    world.notices = 1


async def test_one_process_delivers_from_a_spool(world: World) -> None:
    """A second delivering daemon on the same spool ends with a message that names the first; the first goes on."""
    receiver = await world.site("ok.test")
    async with Served(world.configure()) as first:
        await first.ready()
        async with Served(world.configure({"http": {"listen": "127.0.0.1:0"}}), "--role", "delivery") as second:
            assert await second.ended() == 1
            assert "another process delivers from it (pid " in second.log
            assert "Traceback" not in second.log
        await world.send("user@ok.test")
        await world.until("it is delivered", lambda: receiver.tally.messages == 1)
        first.signal(signal.SIGTERM)
        assert await first.ended() == 0
    assert _stopped_cleanly(world)


@pytest.mark.parametrize("part", ["http", "smtp"])
async def test_a_port_that_is_taken_is_said_so(world: World, part: str) -> None:
    """A daemon that cannot listen ends with code 1 and a line that names the address; it leaves the spool free."""
    port = {"http": world.http_port, "smtp": world.smtp_port}[part]
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", port)
    async with server, Served(world.configure()) as served:
        assert await served.ended() == 1, served.log
        assert f"127.0.0.1:{port}" in served.log or f"('127.0.0.1', {port})" in served.log, served.log
        assert "Traceback" not in served.log
    await world.start()


async def test_mail_of_an_intake_process_is_delivered_by_another(world: World) -> None:
    """What one process accepts another delivers, on one configuration, and those that deliver may come and go."""
    receiver = await world.site("ok.test", Behaviour(full_prefixes=("late",)))
    http = {"intake_listen": f"127.0.0.1:{world.http_port}", "listen": f"127.0.0.1:{free_port()}"}
    await world.start({"http": http}, role=Role.INTAKE)
    await world.send("first@ok.test")
    status, body = await world.get("/v1/queue")
    assert (status, b"only accepts mail" in body) == (409, True)
    other = world.configure({"http": http})
    for round_number in range(3):
        async with Served(other, "--role", "delivery") as served:
            sent = [world.message(f"user{round_number}-{number}@ok.test") for number in range(150)]
            await asyncio.gather(world.submit(sent, sessions=4), served.ready())
            expected = 1 + 150 * (round_number + 1)
            await world.until("all are there", lambda expected=expected: receiver.tally.messages == expected)  # type: ignore[misc]
            served.signal(signal.SIGTERM)
            assert await served.ended() == 0, served.log
    async with Served(other, "--role", "delivery", "--until-empty") as served:
        await world.submit([world.message(f"last{number}@ok.test") for number in range(50)], sessions=4)
        assert await served.ended() == 0, served.log
    assert world.books().states[State.DELIVERED] == receiver.tally.messages


async def test_a_delivery_process_empties_what_is_still_coming_in(world: World) -> None:
    """`--until-empty` beside a process that accepts ends soon after the last message, whenever it was started."""
    receiver = await world.site("ok.test")
    await world.start(role=Role.INTAKE)
    other = world.configure({"http": {"listen": "127.0.0.1:0"}})
    for number in range(4):
        sent = [world.message(f"user{number}-{index}@ok.test") for index in range(100)]
        async with Served(other, "--role", "delivery", "--until-empty") as served:
            await world.submit(sent, sessions=4)
            assert await served.ended() == 0, served.log
    async with Served(other, "--role", "delivery", "--until-empty") as served:
        assert await served.ended() == 0, served.log
    assert receiver.tally.messages == 400


async def test_a_command_that_acts_is_refused_beside_a_daemon_that_does_not_answer(world: World) -> None:
    """Where a daemon delivers and its HTTP port is another, a command does not touch the spool behind its back."""
    async with Served(world.configure()) as served:
        await served.ready()
        world.configure({"http": {"listen": "127.0.0.1:9"}})
        code, text = await world.command("delete", "--all")
        assert code == 1
        assert "another process delivers from it" in text
        code, _ = await world.command("queue")
        assert code == 0


async def test_a_reload_that_comes_too_early_ends_nothing(world: World) -> None:
    """SIGHUP while the daemon waits for its spool is not heard, for it reads the configuration anyway."""
    config = world.configure()
    await world.start()
    await world.stop()
    with closing(world.database(writes=True)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with Served(config) as served:
            await world.until("SIGHUP ends it no more", lambda: _ignores(served, signal.SIGHUP))
            served.signal(signal.SIGHUP)
            other.execute("ROLLBACK")
            await served.ready()
            served.signal(signal.SIGTERM)
            assert await served.ended() == 0


def _ignores(served: Served, number: int) -> bool:
    """Tell whether a process ignores a signal (proc(5))."""
    status = Path(f"/proc/{served.pid}/status").read_text()
    ignored = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(ignored, 16) >> (number - 1) & 1)


async def test_a_reload_takes_limits_that_changed(world: World) -> None:
    """SIGHUP makes a lower `max_window` true for a lane that runs, and a file with problems changes nothing."""
    receiver = await world.site("slow.test", _SLOW)
    async with Served(world.configure({"window": {"start": 8}})) as served:
        await served.ready()
        await world.submit_at_once([world.message(f"user{number}@slow.test") for number in range(300)])
        await world.until("8 sessions are open", lambda: receiver.tally.sessions_open >= 8)
        world.configure({"window": {"start": 2, "max": 2}})
        served.signal(signal.SIGHUP)
        await served.says("configuration reloaded")
        await world.until("2 sessions are left", lambda: receiver.tally.sessions_open == 2)
        (world.folder / "sender.toml").write_text("[window]\nmax = 0\n")
        served.signal(signal.SIGHUP)
        await served.says("the configuration is not reloaded")
        world.configure()
        taken = receiver.tally.messages
        await world.until("it goes on", lambda: receiver.tally.messages > taken + 5)
        served.signal(signal.SIGTERM)
        assert await served.ended() == 0, served.log
    assert receiver.tally.lost == 0


async def test_a_session_that_is_being_opened_is_ended_with_quit(world: World) -> None:
    """A receiver that counts a connection before it greets is told goodbye too."""
    receiver = await world.site("slow.test", Behaviour(latency_s=0.2))
    await world.start()
    await world.send("user@slow.test")
    await world.until("a connection is there", lambda: receiver.tally.sessions_open == 1)
    await world.stop()
    await receiver.until_idle()
    assert (receiver.tally.lost, receiver.tally.quits) == (0, 1)
