"""Files of a spool that a disk has spoilt: opened or refused in plain words, and no message is another one."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import zlib
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sender.core.errors import SpoolError
from sender.core.identity import id_text
from sender.core.selection import Kind, Selection
from sender.engine.delivery import Delivery
from sender.spool.contract import Settlement, State
from sender.spool.sqlite import Role, open_spool
from tests.chaos import damage
from tests.chaos.damage import NOW
from tests.chaos.scale import scaled
from tests.scenes.processes import Served

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping
    from typing import TypeVar

    from sender.spool.contract import ClaimedMessage
    from sender.spool.sqlite import SqliteSpool
    from tests.chaos.damage import Content
    from tests.chaos.report import Report
    from tests.scenes.world import World

    T = TypeVar("T")

_ROUNDS = 40  # in which everything can be claimed
_LATER = NOW + 1e6


@pytest.fixture
def shm() -> Iterator[Path]:
    """Give a folder in memory: what is synced there costs nothing."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@dataclass(slots=True)
class Found:
    """What a spool gave after it was damaged."""

    refused: str = ""
    troubles: list[str] = field(default_factory=list)
    delivered: Counter[int] = field(default_factory=Counter)
    held: dict[int, str] = field(default_factory=dict)
    strangers: int = 0  # recipients that were not accepted under the id

    @property
    def fate(self) -> str:
        """Say in a word what became of it."""
        return (self.refused and "refused") or (self.troubles and "in trouble") or (self.held and "held") or "whole"

    async def told(self, work: Awaitable[T]) -> T | None:
        """Do something; a SpoolError is noted, anything else is a fault of ours."""
        try:
            return await work
        except SpoolError as error:
            self.troubles.append(str(error))
            return None


async def _use(path: Path, contents: Mapping[int, Content]) -> Found:
    """Open a spool and do all that a daemon and its operators do."""
    found = Found()
    try:
        spool = await open_spool(path, Role.DELIVERY, now=NOW + 100, commit_interval_s=0.0)
    except SpoolError as error:
        found.refused = str(error)
        return found
    try:
        for _ in range(_ROUNDS):
            if not await _deliver(spool, contents, found):
                break
        await _look(spool, contents, found)
    finally:
        await found.told(spool.close(clean=True))
    return found


async def _deliver(spool: SqliteSpool, contents: Mapping[int, Content], found: Found) -> bool:
    """Claim once from every queue; tell whether there may be more."""
    rows = await found.told(spool.queues()) or []
    due = [row.id for row in rows if row.due_at <= _LATER]
    claim = await found.told(spool.claim(due, site="mx0.test", now=_LATER, limit=50, byte_limit=10**9)) if due else None
    if claim is None:
        return False
    found.held |= claim.damaged
    for message in claim.messages:
        taken = await _is_whole(spool, message, contents, found)
        state = State.DELIVERED if taken else State.QUEUED
        if taken:
            found.delivered[message.id] += len(message.recipients)
        else:
            selection = Selection(Kind.MESSAGE, id_text(message.id))
            await found.told(spool.suspend(selection, now=NOW, until=None, reason="damaged: content"))
        ended = [Settlement(one.id, message.id, state, _LATER, one.attempts + 1, b"{}") for one in message.recipients]
        await found.told(spool.settle(ended, [], {}, _LATER))
    return bool(claim.messages or claim.damaged)


async def _is_whole(spool: SqliteSpool, message: ClaimedMessage, contents: Mapping[int, Content], found: Found) -> bool:
    """Read a message as a session does; what comes out must be what was accepted, or an error."""
    outgoing = Delivery(message, message.recipients).outgoing(spool)
    pieces = [outgoing.first]
    try:
        if outgoing.more is not None:
            pieces += [piece async for piece in outgoing.more()]
    except SpoolError as error:
        found.held[message.id] = str(error)
        return False
    assert message.id in contents, f"{message.id} was never accepted"
    accepted = contents[message.id]
    assert zlib.crc32(b"".join(pieces)) == accepted.message.checksum, f"{message.id} has another content"
    assert b"".join(pieces) == accepted.whole
    known = {accepted.message.mail_from, *accepted.message.rcpt_tos}
    found.strangers += len({message.mail_from, *(one.rcpt_to for one in message.recipients)} - known)
    return True


async def _look(spool: SqliteSpool, contents: Mapping[int, Content], found: Found) -> None:
    """Ask all that commands ask, and end what is left."""
    await found.told(spool.queue_report(_LATER))
    await found.told(spool.totals())
    await found.told(spool.lanes())
    await found.told(spool.suspensions(_LATER))
    for message_id in sorted(contents)[3:10]:
        await found.told(spool.message_report(message_id))
    await found.told(spool.claim_aged(tried_before=_LATER, untried_before=_LATER, limit=10))
    await found.told(spool.resume(Selection(Kind.ALL), now=_LATER))
    await found.told(spool.claim_selected(Selection(Kind.ALL), limit=1000))
    await found.told(spool.receipt("ann", id_text(min(contents))))
    await found.told(spool.purge(_LATER, 1000))
    await found.told(spool.forget_receipts(_LATER))


def _corpus() -> list[tuple[str, str]]:
    """Give damages that were found or thought of: a statement, and what becomes of the message."""
    lines = (Path(__file__).with_name("corpus") / "spool.sql").read_text().splitlines()
    pairs = [line.partition(" -- ") for line in lines if not line.startswith("--")]
    return [(statement, fate) for statement, _, fate in pairs]


async def test_x11_every_spoilt_value_holds_its_message_and_no_other(tmp_path: Path, shm: Path, report: Report) -> None:
    """Of 17 messages, one of which has a spoilt value: that one is held, or goes; the others go; nothing fails."""
    whole, contents = await damage.make(tmp_path / "made", messages=17, lives=False)
    victim = sorted(contents)[6]
    corpus = _corpus()
    for statement, fate in corpus:
        path = damage.write(shm, whole[1])
        with closing(sqlite3.connect(path)) as database, database:
            assert database.execute(statement, {"id": victim} if ":id" in statement else {}).rowcount > 0, statement
        found = await _use(path, contents)
        assert (found.refused, found.troubles) == ("", []), statement
        missing = {each for each, content in contents.items() if found.delivered[each] != len(content.message.rcpt_tos)}
        if fate == "goes":
            assert (missing, found.held) == (set(), {}), statement
        else:
            assert missing == {victim}, statement
            (why,) = found.held.values()
            assert fate.removeprefix("held: ") in why, statement
        assert found.strangers == 0
    report.held("X11", runs=len(corpus), figures="spoilt values: each holds its own message, 0 others")


@pytest.mark.parametrize("what", ["header", "tables", "cut"])
async def test_x11_a_daemon_says_in_plain_words_that_it_cannot_open_its_spool(
    world: World, report: Report, what: str
) -> None:
    """It ends with 1 and a line that names the file, and shows no traceback; a command says the same."""
    world.configure()
    await world.start()
    await world.stop()
    path = world.settings.spool_path
    content = bytearray(path.read_bytes())
    if what == "header":
        content[:16] = b"no database here"
    elif what == "tables":
        content = content.replace(b"CREATE TABLE owners", b"CREATE \xff\xfe\xfd\xfc! owners")
    else:
        del content[150:]
    path.write_bytes(content)
    async with Served(world.settings.path("sender.toml")) as served:
        assert await served.ended() == 1
        said = served.log
    assert len(said.splitlines()) == 1, said
    assert said.startswith(f"sender: spool: open: {path}: ")
    code, shown = await world.command("queue")
    assert code == 1
    assert str(path) in shown
    path.unlink()  # nothing is left to count
    report.held("X11", runs=1, figures=f"{what}: refused in one line")


async def test_x11_fuzz_of_a_spools_files(tmp_path: Path, shm: Path, report: Report) -> None:
    """Whatever a disk does: opened or refused by name, in words; content is what was accepted or is held."""
    files, contents = await damage.make(tmp_path / "made")
    rng = random.Random(11)
    runs = scaled(40, 5_000, soak=100_000)
    fates: Counter[str] = Counter()
    for number in range(runs):
        spoilt, what = damage.damaged(rng.choice(files), rng)
        path = damage.write(shm, spoilt)
        try:
            found = await _use(path, contents)
        except Exception as error:
            error.add_note(f"damage {number}: {what}")
            raise
        assert not found.refused or str(path) in found.refused, found.refused
        fates[found.fate] += 1
        assert not found.strangers, what
    fates["other addresses"] = 0
    report.held("X11", runs=runs, figures=", ".join(f"{fate}: {count}" for fate, count in sorted(fates.items())))
