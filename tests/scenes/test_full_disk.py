"""A spool whose disk is full: nothing is lost, nothing is repeated, and no restart is needed."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING

import aiosmtplib
import pytest

from sender.sandbox import Behaviour
from sender.spool.contract import State
from tests.scenes.arrivals import Arrivals
from tests.scenes.processes import Served
from tests.scenes.programs import run
from tests.scenes.world import ORIGIN
from tests.servers import require_root_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from sender.sandbox import Receiver
    from tests.scenes.world import World


@asynccontextmanager
async def _no_growth(world: World) -> AsyncIterator[None]:
    """Let the database not grow any more: what needs new pages fails, what changes a page may succeed."""

    def limit(pages: int) -> Callable[[sqlite3.Connection], object]:
        return lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}")

    spool = world.daemon.spool
    await spool._writer.submit("limit the file", limit(1))
    try:
        yield
    finally:
        await spool._writer.submit("free the file", limit(2**30))


@asynccontextmanager
async def _full_disk(world: World) -> AsyncIterator[None]:
    """Let nothing at all be written, as on a disk on which the write-ahead log cannot grow."""
    _writable(world, writable=False)
    try:
        yield
    finally:
        _writable(world, writable=True)


def _writable(world: World, *, writable: bool) -> None:
    world.daemon.spool._connection.execute(f"PRAGMA query_only = {int(not writable)}")


async def _ready(world: World, *, expected: int) -> bytes:
    """Wait until /readyz has a status; give what it says."""
    said = b""

    async def has() -> bool:
        nonlocal said
        status, said = await world.get("/readyz")
        return status == expected

    await world.until_true(f"/readyz is {expected}", has)
    return said


async def _quiet(receiver: Receiver) -> None:
    """Wait until nothing has arrived for longer than a transaction takes."""
    while True:
        before = receiver.tally.messages
        await asyncio.sleep(1.0)
        if receiver.tally.messages == before:
            return


async def test_a_full_disk_refuses_submissions_for_now(world: World) -> None:
    """While the disk is full a submission is answered 452; when there is space, mail is taken and goes at once."""
    receiver = await world.site("ok.test")
    await world.start()
    await world.send("first@ok.test")
    await world.until_empty()
    refusals = []
    async with _no_growth(world), world.client() as client:
        for number in range(40):
            message = world.message(f"user{number}@ok.test")
            content = message.content + b"x" * 60_000 + b"\r\n"
            try:
                await client.sendmail(message.mail_from, message.rcpt_tos, content)
            except aiosmtplib.SMTPDataError as error:
                refusals.append((error.code, error.message.split()[0]))
    refused = len(refusals)
    assert refused > 30
    assert set(refusals) == {(452, "4.3.1")}
    assert (await world.metrics()).by("sender_messages_refused_total", "reason") == {"spool": refused}
    await world.send("last@ok.test")
    await world.until_empty()
    assert receiver.tally.messages == 42 - refused
    with closing(world.database()) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_outcomes_that_cannot_be_recorded_wait(world: World) -> None:
    """Deliveries stop while outcomes cannot be recorded, /readyz says so, and afterwards nothing is repeated."""
    receiver = await world.site("slow.test", Behaviour(latency_s=0.05, accept_delay_s=0.1))
    await world.start()
    await world.submit_at_once([world.message(f"user{number}@slow.test") for number in range(150)])
    await world.until("mail flows", lambda: receiver.tally.messages > 10)
    async with _full_disk(world):
        assert b"the spool cannot record outcomes" in await _ready(world, expected=503)
        await _quiet(receiver)
        stopped_at = receiver.tally.messages
        assert stopped_at < 150
        unrecorded = stopped_at - world.books().states[State.DELIVERED]
        assert unrecorded > 0
        assert (await world.get("/healthz"))[0] == 200
        code, text = await world.command("queue")
        assert (code, "in flight" in text) == (0, True)
        code, text = await world.command("suspend", "--all")
        assert (code, "spool: " in text) == (1, True), text
        async with world.client() as client:
            with pytest.raises(aiosmtplib.SMTPDataError, match=r"452, '4\.3\.1"):
                await client.sendmail(ORIGIN, ["more@slow.test"], world.message("more@slow.test").content)
        assert (await world.json("lanes"))[0]["blocked_by"] == "spool"
        assert receiver.tally.messages == stopped_at
    await _ready(world, expected=200)
    await world.until_empty()
    assert receiver.tally.messages == 150
    assert world.books().most_attempts == 1


async def test_a_stop_on_a_full_disk_ends(world: World) -> None:
    """A daemon that cannot record outcomes ends when it is told to; what was delivered is not sent again."""
    receiver = await world.site("slow.test", Behaviour(latency_s=0.05, accept_delay_s=0.1))
    await world.start()
    await world.submit_at_once([world.message(f"user{number}@slow.test") for number in range(100)])
    await world.until("mail flows", lambda: receiver.tally.messages > 10)
    _writable(world, writable=False)
    await _ready(world, expected=503)
    await _quiet(receiver)
    unrecorded = receiver.tally.messages - world.books().states[State.DELIVERED]
    async with asyncio.timeout(30):
        await world.stop(drain_s=0.2)
    await world.start()
    await world.until_empty()
    assert unrecorded > 0
    assert receiver.tally.messages == 100


async def test_a_suspension_that_ends_on_a_full_disk_ends_afterwards(world: World) -> None:
    """A suspension whose time is over while the disk is full ends when there is space again."""
    receiver = await world.site("held.test")
    await world.start()
    await world.command("suspend", "--domain", "held.test", "--for", "1s")
    await world.send("user@held.test")
    over_at = asyncio.get_running_loop().time() + 1.2
    async with _full_disk(world):
        await world.until("its time is over", lambda: asyncio.get_running_loop().time() > over_at)
        assert receiver.tally.messages == 0
    await world.until_empty()
    assert receiver.tally.messages == 1


@asynccontextmanager
async def _small_disk(folder: Path, size_mb: int) -> AsyncIterator[Path]:
    """Mount a disk of so many MiB."""
    folder.mkdir()
    ended = await run(
        "mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=755", "tmpfs", folder, environment=os.environ
    )
    assert ended.code == 0, ended.errors
    try:
        yield folder
    finally:
        await run("umount", "--lazy", folder, environment=os.environ)


def _fill(folder: Path) -> Path:
    """Leave no byte free."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def _no_log(world: World) -> bool:
    with closing(sqlite3.connect(world.settings.spool_path)) as database:
        busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy


async def test_r4_what_was_delivered_on_a_full_disk_is_not_sent_again_after_a_kill(world: World) -> None:
    """On a disk that is really full, deliveries whose outcome cannot be recorded are kept, and a kill repeats none."""
    arrivals = Arrivals()
    receiver = await world.site("slow.test", Behaviour(accept_delay_s=0.3), store=arrivals)
    require_root_here()
    async with _small_disk(world.folder / "disk", 24) as disk:
        world.configure({"spool": {"url": f"sqlite:{disk}/spool.db"}, "window": {"start": 30}})
        async with Served(world.settings.path("sender.toml")) as served:
            await served.ready()
            await world.submit([world.message(f"user{number}@slow.test") for number in range(300)])
            await world.until("mail flows", lambda: receiver.tally.messages > 10)
            await world.until("the log is empty", lambda: _no_log(world))  # what it has is room for more
            filler = _fill(disk)
            await served.says("outcomes cannot be recorded")
            await _quiet(receiver)
            unrecorded = len(arrivals.count) - world.books().states[State.DELIVERED]
            served.signal(signal.SIGKILL)
            await served.ended()
        filler.unlink()
        async with Served(world.settings.path("sender.toml"), "--until-empty") as served:
            assert await served.ended(deadline_s=60.0) == 0, served.log
        assert (unrecorded > 0, arrivals.repeats, len(arrivals.count)) == (True, 0, 300)
        assert world.books().totals == {"accepted": 300, "delivered": 300}
