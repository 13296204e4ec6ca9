"""What only the spool in a SQLite file has: its files, its schema, its group commit, its pipe."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sender.core.errors import SpoolBusyError, SpoolError
from sender.core.identity import id_text
from sender.core.options import NO_OPTIONS
from sender.core.selection import Fault, Kind, Selection
from sender.spool import schema
from sender.spool.contract import Priority, QueueRow, State
from sender.spool.sqlite import Role, open_spool

from .place import NOW, SITE, SqlitePlace, addresses, claim, mail, settlements

PATIENCE_S = 10.0


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[SqlitePlace]:
    """Give a place for a spool."""
    place = SqlitePlace(tmp_path)
    yield place
    await place.close()


async def test_only_the_owner_may_read_the_files(place: SqlitePlace) -> None:
    """Each file of a spool is for its owner alone, whatever the umask is, and so is a look at what is there."""
    spool = await place.open()
    await spool.accept(mail())
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.path.parent.iterdir()}
    beside = ("-wal", "-shm", "-lock", "-wake", "-hands", "-deliveries")
    assert files == dict.fromkeys(["spool.db", *(f"spool.db{what}" for what in beside)], 0o600)
    assert stat.S_IMODE(place.path.parent.stat().st_mode) == 0o711


async def test_commits_are_durable(place: SqlitePlace) -> None:
    """The writing connection syncs at every commit."""
    spool = await place.open()
    (mode,) = spool._connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = spool._connection.execute("PRAGMA synchronous").fetchone()
    assert (mode, synchronous) == ("wal", 2)


_OLD_MAIL = """
INSERT INTO queues VALUES (1, 'b.test', 'default', 1);
INSERT INTO messages VALUES (1, 'me@a.test', 5, 'default', 1, 0, 0, 1790000000, NULL, 'smtp', 1, 1, 1, 1, NULL);
INSERT INTO contents VALUES (1, CAST('old' || char(13, 10) AS BLOB));
INSERT INTO recipients (message_id, queue_id, due_at, rcpt_to) VALUES (1, 1, 1789999999, 'you@b.test');
"""


async def test_a_schema_from_the_future_is_refused(place: SqlitePlace) -> None:
    """A spool that a newer program has written is refused with both versions, and is not changed."""
    await place.open()
    await place.close()
    with closing(sqlite3.connect(place.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(SpoolError, match=r"schema version 99 is newer than this program's \d+"):
        await place.open()
    with closing(sqlite3.connect(place.path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS)}")
    await place.open()  # the refusal has let go of the lock


async def test_an_empty_file_is_migrated(place: SqlitePlace) -> None:
    """A file of version 0 becomes a spool of this version."""
    place.path.parent.mkdir()
    place.path.touch(0o600)
    spool = await place.open()
    assert spool._connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
    await spool.accept(mail())
    assert addresses(await claim(spool)) == ["you@b.test"]


def _older(place: SqlitePlace, version: int) -> None:
    """Make a spool as an older program left it, with one message."""
    place.path.parent.mkdir()
    place.path.touch(0o600)
    with closing(sqlite3.connect(place.path)) as connection:
        connection.executescript(schema.MIGRATIONS[0])
        connection.executescript(_OLD_MAIL)
        for migration in schema.MIGRATIONS[1:version]:
            connection.executescript(migration)
        connection.execute(f"PRAGMA user_version = {version}")


async def test_a_spool_of_the_first_version_goes_on(place: SqlitePlace) -> None:
    """Mail that an older program took is delivered; of it nobody knows whether a line begins with a dot."""
    _older(place, 1)
    spool = await place.open()
    await spool.accept(replace(mail(), dotted=False))
    claimed = await claim(spool)
    assert [(message.content[:5], message.dotted) for message in claimed] == [(b"old\r\n", True), (b"Subje", False)]


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS)))
async def test_c9_mail_of_each_earlier_version_is_delivered(place: SqlitePlace, version: int) -> None:
    """It asks for nothing, its checksum is not known, it is found by its id, and it ends as any other."""
    _older(place, version)
    spool = await place.open()
    (old,) = await claim(spool)
    assert (old.options, old.checksum, old.recipients[0].dsn) == (NO_OPTIONS, None, "")
    assert old.began_at == old.accepted_at
    (row,) = await spool.queue_report(NOW)
    assert (row["in_flight"], row["scheduled"]) == (1, 0)
    await spool.settle(settlements([old]), [], {}, NOW)
    assert await spool.totals() == {"delivered": 1}
    report = await spool.message_report(old.id)
    assert report is not None
    assert [recipient["state"] for recipient in report["recipients"]] == [State.DELIVERED]


async def test_a_migration_that_fails_leaves_the_version_before(
    place: SqlitePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration is applied whole or not at all."""
    spool = await place.open()
    await spool.accept(mail())
    await place.close()
    version = len(schema.MIGRATIONS)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE half (x); CREATE TABLE lanes (x);"))
    with pytest.raises(SpoolError, match="table lanes already exists"):
        await place.open()
    monkeypatch.undo()
    spool = await place.open()
    assert spool._connection.execute("PRAGMA user_version").fetchone() == (version,)
    assert spool._connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").fetchone() == (0,)
    assert (await spool.totals())["accepted"] == 1


async def test_processes_that_make_a_spool_at_the_same_time_share_it(tmp_path: Path) -> None:
    """Several first openers make one spool."""
    for attempt in range(5):
        place = SqlitePlace(tmp_path / str(attempt))
        roles = (Role.INTAKE, Role.DELIVERY, Role.INTAKE, Role.TOOL)
        spools = await asyncio.gather(*map(place.open, roles))
        await asyncio.gather(*(spool.accept(mail(f"r{number}@b.test")) for number, spool in enumerate(spools)))
        assert (await spools[1].totals())["accepted"] == 4
        assert len({spool.token for spool in spools}) == 4
        await place.close()


async def test_a_file_that_is_no_spool_is_refused(place: SqlitePlace) -> None:
    """A file with other content is refused by name."""
    place.path.parent.mkdir()
    place.path.write_bytes(b"this is no database, and never was one\n" * 100)
    with pytest.raises(SpoolError, match=r"spool\.db: file is not a database"):
        await place.open()


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A path through a file is refused as a spool that cannot be opened."""
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match=r"Not a directory|File exists"):
        await open_spool(tmp_path / "file" / "spool.db", Role.DELIVERY, now=NOW)


async def test_the_refusal_names_the_holder(place: SqlitePlace) -> None:
    """Who has the spool is told to who wants it."""
    await place.open()
    with pytest.raises(SpoolBusyError, match=r"another process delivers from it \(pid \d+ on "):
        await place.open()


async def test_units_that_wait_share_a_commit(tmp_path: Path) -> None:
    """What arrives while a commit is under way is committed together."""
    commits: list[int] = []
    spool = await open_spool(
        tmp_path / "spool.db", Role.INTAKE, now=NOW, on_commit=lambda _seconds, units: commits.append(units)
    )
    await asyncio.gather(*(spool.accept(mail()) for _ in range(300)))
    await spool.close(clean=True)
    assert sum(commits) == 301
    assert len(commits) < 100


async def test_a_full_disk_refuses_and_remembers_nothing(place: SqlitePlace) -> None:
    """A message that does not fit is refused whole, those before it stay, and the spool works again with room."""
    spool = await place.open()
    await spool.accept(mail("before@b.test"))
    (pages,) = spool._connection.execute("PRAGMA page_count").fetchone()
    await asyncio.to_thread(spool._connection.execute, f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(SpoolError, match="database or disk is full"):
        await spool.accept(mail("lost@b.test", content=b"x" * 100_000))
    assert await spool.totals() == {"accepted": 1}
    await asyncio.to_thread(spool._connection.execute, "PRAGMA max_page_count = 1000000")
    await spool.accept(mail("after@b.test", content=b"x" * 100_000))
    assert addresses(await claim(spool)) == ["before@b.test", "after@b.test"]


async def test_a_unit_that_raises_fails_alone(place: SqlitePlace) -> None:
    """Whatever a unit of work raises, only its caller hears of it, and what it wrote is gone."""
    spool = await place.open()

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO lanes VALUES ('half', 0, '{}')")
        raise ZeroDivisionError

    units = [spool._writer.submit("break", broken), *(asyncio.ensure_future(spool.accept(mail())) for _ in range(3))]
    results = await asyncio.gather(*units, return_exceptions=True)
    assert isinstance(results[0], ZeroDivisionError)
    assert results[1:] == [None, None, None]
    assert await spool.totals() == {"accepted": 3}
    assert await spool.lanes() == {}


async def test_a_caller_that_goes_away_does_not_undo_the_commit(place: SqlitePlace) -> None:
    """Cancelling who waits for a commit changes nothing about the commit."""
    spool = await place.open()
    waiting = asyncio.create_task(spool.accept(mail("one@b.test")))
    await asyncio.sleep(0)  # it has been submitted
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await spool.accept(mail("two@b.test"))
    assert (await spool.totals())["accepted"] == 2


async def test_a_pipe_that_cannot_be_written_stops_nobody(place: SqlitePlace) -> None:
    """An intake whose wake-up goes wrong goes on accepting."""
    spool = await place.open(Role.INTAKE)
    place.path.with_name("spool.db-wake").mkdir()
    for _ in range(3):
        async with asyncio.timeout(PATIENCE_S):
            await spool.accept(mail())
    assert (await spool.totals())["accepted"] == 3
    place.path.with_name("spool.db-wake").rmdir()


async def test_mail_is_noticed_without_the_pipe(place: SqlitePlace) -> None:
    """The delivering process looks for mail of others by itself, should no wake-up reach it."""
    spool = await place.open()
    heard: asyncio.Queue[list[QueueRow]] = asyncio.Queue()
    spool.on_arrivals = heard.put_nowait
    intake = await place.open(Role.INTAKE)
    place.path.with_name("spool.db-wake").unlink()
    await intake.accept(mail("one@b.test"))
    async with asyncio.timeout(PATIENCE_S):
        assert [row.domain for row in await heard.get()] == ["b.test"]


async def test_arrivals_count_though_they_are_claimed_in_the_same_commit(place: SqlitePlace) -> None:
    """A queue has as many recipients as came, whether a claim that shares their commit took them or not."""
    spool = await place.open()
    await spool.accept(mail("one@b.test"))
    (queue,) = await spool.queues()
    heard: asyncio.Queue[list[QueueRow]] = asyncio.Queue()
    spool.on_arrivals = heard.put_nowait
    begun, gate = threading.Event(), threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        begun.set()
        gate.wait(PATIENCE_S)

    busy = spool._writer.submit("wait", wait)
    assert await asyncio.to_thread(begun.wait, PATIENCE_S)
    accepting = asyncio.gather(spool.accept(mail("two@b.test")), spool.accept(mail("three@b.test", due_at=NOW + 9)))
    claiming = asyncio.ensure_future(spool.claim([queue.id], site=SITE, now=NOW, limit=10, byte_limit=10**9))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(busy, accepting)
    assert addresses((await claiming).messages) == ["one@b.test", "two@b.test"]
    async with asyncio.timeout(PATIENCE_S):
        (row,) = await heard.get()
    assert row == QueueRow(queue.id, "b.test", "default", Priority.NORMAL, NOW + 9, 2)


async def test_a_crash_is_counted_of_what_was_in_hand(place: SqlitePlace) -> None:
    """A message remembers how many processes ended while they had it in hand, until it is settled; others do not."""
    spool = await place.open()
    trap, other = mail(), mail("two@b.test")
    await spool.accept(trap, other)
    counts = []
    for _ in range(2):
        assert len(await claim(spool, now=NOW + 99)) == 2
        spool.take_in_hand(trap.id)
        spool.put_down(spool.take_in_hand(other.id))
        await place.crash(spool)
        spool = await place.open()
        counts += spool._connection.execute("SELECT crashes FROM recipients ORDER BY id").fetchall()
    await spool.settle(settlements(await claim(spool, now=NOW + 99)), [], {}, NOW)
    counts += spool._connection.execute("SELECT crashes FROM recipients ORDER BY id").fetchall()
    assert counts == [(1,), (0,), (2,), (0,), (0,), (0,)]


async def test_what_was_in_hand_twice_waits_a_little(place: SqlitePlace) -> None:
    """Who may have ended two processes is not tried at once with all others."""
    spool = await place.open()
    trap = mail()
    await spool.accept(trap)
    for due in (1, 1, 0):
        assert len(await claim(spool, now=NOW)) == due
        spool.take_in_hand(trap.id)
        await place.crash(spool)
        spool = await place.open()


async def test_what_ended_three_processes_is_held(place: SqlitePlace) -> None:
    """The message is suspended as poison, and named; when it is resumed it has three tries again."""
    spool = await place.open()
    trap, other = mail(), mail("two@b.test")
    await spool.accept(trap, other)
    for left in range(2, -1, -1):
        assert len(await claim(spool, now=NOW + 99)) == 2
        spool.take_in_hand(trap.id)
        await place.crash(spool)
        spool = await place.open()
        assert spool.poisoned == ([] if left else [trap.id])
    (suspension,) = await spool.suspensions(NOW)
    assert (suspension.selection, Fault.of(suspension.reason)) == (
        Selection(Kind.MESSAGE, id_text(trap.id)),
        Fault.POISON,
    )
    assert addresses(await claim(spool, now=NOW + 99)) == ["two@b.test"]
    await spool.resume(suspension.selection, now=NOW)
    await place.crash(spool)
    spool = await place.open()
    assert spool.poisoned == []
    assert len(await claim(spool, now=NOW + 99)) == 2


async def test_what_was_kept_is_settled_by_who_comes_next(place: SqlitePlace) -> None:
    """Deliveries that could not be recorded are recorded when the spool is opened again, once, and counted."""
    spool = await place.open()
    await spool.accept(mail(), mail("two@b.test"), mail("three@b.test"))
    claimed = settlements(await claim(spool))
    await spool.keep(claimed[:1])
    await spool.keep(claimed[1:2])
    for _ in range(2):
        await place.crash(spool)
        spool = await place.open()
        assert await spool.totals() == {"accepted": 3, "delivered": 2}
        assert addresses(await claim(spool)) == ["three@b.test"]


async def test_what_was_kept_and_recorded_is_not_recorded_again(place: SqlitePlace) -> None:
    """The spool may have recorded at last what was kept; then it stands there once."""
    spool = await place.open()
    await spool.accept(mail(), mail("two@b.test"))
    claimed = settlements(await claim(spool))
    await spool.keep(claimed)
    await spool.settle(claimed, [], {}, NOW)
    await place.crash(spool)
    spool = await place.open()
    assert await spool.totals() == {"accepted": 2, "delivered": 2}


async def test_what_is_forgotten_is_not_kept(place: SqlitePlace) -> None:
    """After the database has recorded what was kept, nothing of it is left beside it."""
    spool = await place.open()
    await spool.accept(mail())
    claimed = settlements(await claim(spool))
    await spool.keep(claimed)
    await spool.forget_kept()
    await place.crash(spool)
    spool = await place.open()
    assert await spool.totals() == {"accepted": 1}
    assert len(await claim(spool)) == 1


async def test_what_is_missing_is_named_as_people_know_it(place: SqlitePlace) -> None:
    """A block that is not there is reported with the message's printed id."""
    spool = await place.open()
    message = mail()
    with pytest.raises(SpoolError, match=f"message {id_text(message.id)} has no block 3"):
        await spool.block(message.id, 3)


def test_a_journal_that_cannot_be_made_wal_is_refused() -> None:
    """Where SQLite stays with another journal, and says so without an error, the spool is not opened."""
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(SpoolError, match="journal's mode is memory"),
    ):
        schema._begin_wal(connection, 0.1)


@pytest.mark.parametrize("side", ["", "-wal"], ids=["database", "log"])
@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
async def test_r9_nothing_is_promised_into_a_file_that_is_gone(
    place: SqlitePlace, side: str, *, replaced: bool
) -> None:
    """Where a file of the spool is not the one that is open, nothing is committed, until it is there again."""
    spool = await place.open()
    await spool.accept(mail())
    path = place.path.with_name(place.path.name + side)
    away = path.with_name("away")
    path.rename(away)
    if replaced:
        path.touch()
    with pytest.raises(SpoolError, match=f"{path.name}'"):
        await spool.accept(mail())
    away.rename(path)
    await spool.accept(mail())
    assert await spool.totals() == {"accepted": 2}
