"""X11: messages that are not what was accepted. They are held, told and ended; their neighbours go."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sender.core.identity import id_text, id_time
from sender.core.options import Options
from sender.core.selection import Kind, Selection
from sender.spool.contract import Claim, NewMessage, State
from sender.spool.sqlite import SqliteSpool

from .place import NOW, SITE, SqlitePlace, addresses, end, mail, states

Spoil = Callable[[SqliteSpool, NewMessage], object]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[SqlitePlace]:
    """Give a place for a spool."""
    place = SqlitePlace(tmp_path)
    yield place
    await place.close()


@pytest.fixture
async def spool(place: SqlitePlace) -> SqliteSpool:
    """Give a delivering process's spool."""
    return await place.open()


def _run(spool: SqliteSpool, statement: str, *arguments: object) -> None:
    spool._connection.execute(statement, arguments)


def _content(spool: SqliteSpool, message: NewMessage, content: bytes) -> None:
    _run(spool, "UPDATE contents SET content = ? WHERE message_id = ?", content, message.id)


def _forget_all(spool: SqliteSpool, message: NewMessage) -> None:
    _run(spool, "DELETE FROM messages WHERE id = ?", message.id)
    _run(spool, "DELETE FROM contents WHERE message_id = ?", message.id)


_DAMAGES: dict[str, tuple[Spoil, str]] = {
    "row without content": (
        lambda spool, message: _run(spool, "DELETE FROM contents WHERE message_id = ?", message.id),
        "it has no content",
    ),
    "content without row": (
        lambda spool, message: _run(spool, "DELETE FROM messages WHERE id = ?", message.id),
        "there are recipients, and no message",
    ),
    "recipients alone": (
        _forget_all,
        "there are recipients, and no message",
    ),
    "truncated": (
        lambda spool, message: _content(spool, message, message.content[:-3]),
        "it has 18 bytes of content, and 21 were accepted",
    ),
    "zero-length": (
        lambda spool, message: _content(spool, message, b""),
        "it has 0 bytes of content, and 21 were accepted",
    ),
    "flipped byte": (
        lambda spool, message: _content(spool, message, message.content[:5] + b"!" + message.content[6:]),
        "its content is not what was accepted",
    ),
    "no JSON": (
        lambda spool, message: _run(spool, "UPDATE messages SET options = '{\"send' WHERE id = ?", message.id),
        "what its client asked for cannot be read",
    ),
    "JSON of another kind": (
        lambda spool, message: _run(
            spool, 'UPDATE messages SET options = \'{"send_at": "soon"}\' WHERE id = ?', message.id
        ),
        "what its client asked for cannot be read",
    ),
}


def _whole(*rcpt_tos: str, **facts: object) -> NewMessage:
    """Make a message as the intake does."""
    new = mail(*rcpt_tos)
    return replace(new, checksum=zlib.crc32(new.content), **facts)  # type: ignore[arg-type]


async def _claim(spool: SqliteSpool, *, limit: int = 100) -> Claim:
    queues = [row.id for row in await spool.queues()]
    return await spool.claim(queues, site=SITE, now=NOW, limit=limit, byte_limit=10**9)


@pytest.fixture(params=_DAMAGES)
async def damaged(spool: SqliteSpool, request: pytest.FixtureRequest) -> tuple[NewMessage, str]:
    """Give a damaged message to two mailboxes, between two that are whole, and what is wrong with it."""
    before, trap, behind = _whole("before@b.test"), _whole("one@b.test", "two@c.test"), _whole("behind@b.test")
    await spool.set_sites({"b.test": SITE, "c.test": SITE})
    await spool.accept(before, trap, behind)
    spoil, why = _DAMAGES[request.param]
    await asyncio.to_thread(spoil, spool, trap)
    return trap, why


def _one(message: NewMessage) -> Selection:
    return Selection(Kind.MESSAGE, id_text(message.id))


async def test_what_is_damaged_is_held_while_its_neighbours_go(
    spool: SqliteSpool, damaged: tuple[NewMessage, str]
) -> None:
    """A claim gives those beside it and tells what is wrong; an operator sees it suspended, with that reason, once."""
    trap, why = damaged
    found = await _claim(spool)
    assert sorted(addresses(found.messages)) == ["before@b.test", "behind@b.test"]
    assert found.damaged == {trap.id: why}
    assert (await _claim(spool)).damaged == {}
    (suspension,) = await spool.suspensions(NOW)
    assert (suspension.selection, suspension.reason) == (_one(trap), f"damaged: {why}")
    assert await states(spool, trap.id) == [State.SUSPENDED, State.SUSPENDED]
    assert sum(row["held"] for row in await spool.queue_report(NOW)) == 2


@pytest.mark.parametrize(
    "change",
    [
        "messages SET mail_from = 'mf@a.test' WHERE id = ?",
        "messages SET options = '{}' WHERE id = ?",
        "messages SET expires_at = 1 WHERE id = ?",
        "messages SET smtputf8 = NOT smtputf8 WHERE id = ?",
        "messages SET dotted = NOT dotted WHERE id = ?",  # its dots would not be doubled
        "messages SET recipients = 9 WHERE id = ?",
        "recipients SET rcpt_to = replace(rcpt_to, 'ap', 'bp') WHERE message_id = ?",
        "recipients SET dsn = 'NOTIFY=NEVER' WHERE message_id = ?",
    ],
)
async def test_an_envelope_that_has_become_another_is_held_while_its_neighbours_go(
    place: SqlitePlace, change: str
) -> None:
    """Nobody else gets the message, nobody else hears of it, and it goes in no other form."""
    spool = await place.open()
    await spool.set_sites({"b.test": SITE})
    trap = _whole("trap@b.test", "trap2@b.test")
    await spool.accept(_whole("before@b.test"), trap, _whole("behind@b.test"))
    await asyncio.to_thread(_run, spool, f"UPDATE {change}", trap.id)
    found = await _claim(spool)
    assert sorted(addresses(found.messages)) == ["before@b.test", "behind@b.test"]
    (why,) = found.damaged.values()
    assert why.endswith("is not what was accepted")
    assert await states(spool, trap.id) == [State.SUSPENDED, State.SUSPENDED]


async def test_mail_in_another_queue_than_it_was_accepted_for_is_held(place: SqlitePlace) -> None:
    """It would go to another domain's receivers."""
    spool = await place.open()
    trap, other = _whole("trap@b.test"), _whole("other@elsewhere.test")
    await spool.accept(trap, other)
    spoil = "UPDATE recipients SET queue_id = (SELECT id FROM queues WHERE domain = 'elsewhere.test')"
    await asyncio.to_thread(_run, spool, spoil)
    found = await _claim(spool)
    assert addresses(found.messages) == ["other@elsewhere.test"]
    assert found.damaged == {trap.id: "an address of it is not what was accepted"}


async def test_what_is_damaged_shows_what_there_is(spool: SqliteSpool, damaged: tuple[NewMessage, str]) -> None:
    """The report has the recipients, and of the message what is left of it."""
    trap, why = damaged
    await _claim(spool)
    report = await spool.message_report(trap.id)
    assert report is not None
    assert [recipient["rcpt_to"] for recipient in report["recipients"]] == ["one@b.test", "two@c.test"]
    assert report["mail_from"] == ("" if "no message" in why else "me@a.test")
    assert report["accepted_at"] == pytest.approx(NOW)
    assert report["id"] == id_text(trap.id)


async def test_what_is_damaged_can_be_ended(spool: SqliteSpool, damaged: tuple[NewMessage, str]) -> None:
    """An operator's command claims and ends it; nothing of it is held any more, and its content is gone."""
    trap, _ = damaged
    await _claim(spool)
    (claimed,) = await spool.claim_selected(_one(trap), limit=10)
    assert addresses([claimed]) == ["one@b.test", "two@c.test"]
    await end(spool, [claimed], State.REMOVED)
    assert await spool.suspensions(NOW) == []
    assert (await spool.totals())["removed"] == 2
    assert sum(row["held"] for row in await spool.queue_report(NOW)) == 0
    rows = spool._reader.execute("SELECT count(*) FROM contents WHERE message_id = ?", (trap.id,))
    assert rows.fetchone() == (0,)


async def test_what_is_damaged_is_held_until_all_of_it_has_ended(
    spool: SqliteSpool, damaged: tuple[NewMessage, str]
) -> None:
    """When one of its recipients has ended, the others are held as before."""
    trap, _ = damaged
    await _claim(spool)
    (claimed,) = await spool.claim_selected(Selection(Kind.DOMAIN, "b.test"), limit=10)
    await end(spool, [claimed], State.BOUNCED)
    assert len(await spool.suspensions(NOW)) == 1
    assert addresses(await spool.claim_selected(_one(trap), limit=10)) == ["two@c.test"]


async def test_what_is_resumed_is_tried_again_and_found_again(
    spool: SqliteSpool, damaged: tuple[NewMessage, str]
) -> None:
    """A damaged message that an operator resumes is queued, and held again by the next claim."""
    trap, why = damaged
    await _claim(spool)
    assert await spool.resume(_one(trap), now=NOW) == 2
    assert await spool.suspensions(NOW) == []
    found = await _claim(spool)
    assert (found.messages, found.damaged) == ([], {trap.id: why})


async def test_what_was_mended_goes_when_it_is_resumed(spool: SqliteSpool) -> None:
    """A message whose content is what was accepted again is delivered."""
    trap = _whole("one@b.test")
    await spool.accept(trap)
    await asyncio.to_thread(_content, spool, trap, b"")
    assert (await _claim(spool)).messages == []
    await asyncio.to_thread(_content, spool, trap, trap.content)
    await spool.resume(_one(trap), now=NOW)
    found = await _claim(spool)
    assert (addresses(found.messages), found.damaged) == (["one@b.test"], {})


async def test_a_damaged_message_survives_a_process_that_was_ending_it(
    place: SqlitePlace, spool: SqliteSpool, damaged: tuple[NewMessage, str]
) -> None:
    """Claimed by a command whose process died, it is queued or held, and found again: it is never delivered."""
    trap, why = damaged
    await end(spool, (await _claim(spool)).messages)
    await spool.claim_selected(_one(trap), limit=10)
    await place.crash(spool)
    spool = await place.open()
    found = await _claim(spool)
    assert found.messages == []
    assert await states(spool, trap.id) == [State.SUSPENDED, State.SUSPENDED]
    assert [suspension.reason for suspension in await spool.suspensions(NOW)] == [f"damaged: {why}"]


async def test_each_claim_holds_what_it_finds(spool: SqliteSpool) -> None:
    """Recipients without a message that are found in several claims are held under one suspension."""
    trap = _whole(*(f"r{number}@b.test" for number in range(5)))
    await spool.accept(trap)
    await asyncio.to_thread(_run, spool, "DELETE FROM messages WHERE id = ?", trap.id)
    assert [len((await _claim(spool, limit=2)).damaged) for _ in range(4)] == [1, 1, 1, 0]
    assert len(await spool.suspensions(NOW)) == 1
    assert await states(spool, trap.id) == [State.SUSPENDED] * 5


async def test_a_message_without_a_trace_is_not_there(spool: SqliteSpool) -> None:
    """An id of which nothing is left shows nothing and touches nothing."""
    new = _whole()
    assert await spool.message_report(new.id) is None
    assert await spool.claim_selected(_one(new), limit=10) == []
    assert (await spool.suspend(_one(new), now=NOW, until=None, reason=""))[1] == 0


@pytest.mark.parametrize("line", [b"{", b"\xff\xfe", b"7", b"null", b"[1]"])
async def test_a_line_of_history_that_cannot_be_read_says_so(spool: SqliteSpool, line: bytes) -> None:
    """The other lines are shown as they are."""
    new = _whole()
    await spool.accept(new)
    history = b'{"reply": "450 later"}\n' + line + b'\n{"reply": "250 ok"}\n'
    await asyncio.to_thread(
        _run, spool, "UPDATE recipients SET history = CAST(? AS TEXT) WHERE message_id = ?", history, new.id
    )
    report = await spool.message_report(new.id)
    assert report is not None
    first, second, third = report["recipients"][0]["history"]
    assert (first, third) == ({"reply": "450 later"}, {"reply": "250 ok"})
    assert second["outcome"] == "unreadable"


async def test_the_age_of_mail_without_a_message_is_that_of_its_id(spool: SqliteSpool) -> None:
    """What is left tells when it was accepted."""
    new = _whole()
    await spool.accept(new)
    await asyncio.to_thread(_run, spool, "DELETE FROM messages WHERE id = ?", new.id)
    (row,) = await spool.queue_report(NOW + 60)
    assert row["oldest_age_s"] == pytest.approx(NOW + 60 - id_time(new.id))


async def test_a_suspension_ends_with_its_message(spool: SqliteSpool) -> None:
    """Of a message that an operator held and then ended nothing stays; others are held as before."""
    first, second = _whole("one@b.test"), _whole("two@b.test")
    await spool.accept(first, second)
    for new in (first, second):
        await spool.suspend(_one(new), now=NOW, until=None, reason="")
    await end(spool, await spool.claim_selected(_one(first), limit=10), State.REMOVED)
    assert [suspension.selection for suspension in await spool.suspensions(NOW)] == [_one(second)]


async def test_a_message_that_was_selected_in_capitals_is_held_when_it_comes_back(spool: SqliteSpool) -> None:
    """Ids are read in any case."""
    new = _whole(options=Options(campaign="spring"))
    await spool.accept(new)
    (claimed,) = (await _claim(spool)).messages
    await spool.suspend(Selection(Kind.MESSAGE, id_text(new.id).upper()), now=NOW, until=None, reason="")
    await spool.release([claimed.recipients[0].id])
    assert await states(spool, new.id) == [State.SUSPENDED]


async def test_what_the_database_cannot_give_is_held_and_left_alone(place: SqlitePlace) -> None:
    """Pages of a content that lead nowhere: its neighbours go, it is held, and commands that take all pass over it."""
    spool = await place.open()
    content = b"Subject: x\r\n\r\n" + b"a line\r\n" * 3000 + b"here it breaks\r\n" + b"a line\r\n" * 3000
    trap = replace(mail("one@b.test", content=content), checksum=zlib.crc32(content))
    before, behind = _whole("before@b.test"), _whole("behind@b.test")
    await spool.accept(before, trap, behind)
    await place.crash(spool)
    _break_chain(place.path, b"here it breaks")
    spool = await place.open()
    found = await _claim(spool)
    assert sorted(addresses(found.messages)) == ["before@b.test", "behind@b.test"]
    assert list(found.damaged) == [trap.id]
    assert "it cannot be read: database disk image is malformed" in found.damaged[trap.id]
    assert await states(spool, trap.id) == [State.SUSPENDED]
    await end(spool, found.messages)
    assert await spool.claim_selected(Selection(Kind.ALL), limit=10) == []


def _break_chain(path: Path, marker: bytes) -> None:
    """Let the page that has these bytes name a next page that is not there."""
    file = bytearray(path.read_bytes())
    page = file.index(marker) // 4096 * 4096
    file[page : page + 4] = b"\x7f\xff\xff\xff"
    path.write_bytes(file)


async def test_a_spoilt_count_takes_no_other_recipients_along(place: SqlitePlace) -> None:
    """A message whose row claims everybody's recipients is given, held, told and forgotten with its own."""
    spool = await place.open()
    await spool.set_sites({"b.test": SITE})
    trap, other = _whole("one@b.test"), _whole("two@b.test", "three@b.test")
    await spool.accept(trap, other)
    spoil = "UPDATE messages SET first_recipient = 0, recipients = 1000000, envelope = NULL WHERE id = ?"
    await asyncio.to_thread(_run, spool, spoil, trap.id)
    assert (await spool.suspend(_one(trap), now=NOW, until=None, reason=""))[1] == 1
    await spool.resume(_one(trap), now=NOW)
    found = await _claim(spool, limit=1)
    assert addresses(found.messages) == ["one@b.test"]
    await end(spool, found.messages)
    assert await spool.purge(NOW + 1, 100) == 1
    assert await states(spool, other.id) == [State.QUEUED, State.QUEUED]


async def test_what_a_spoilt_suspension_held_stays_held_and_can_be_resumed(place: SqlitePlace) -> None:
    """The next process says that it is held, and why; `resume` lets it go."""
    spool = await place.open()
    held = _whole("one@b.test")
    await spool.accept(held)
    await spool.suspend(_one(held), now=NOW, until=None, reason="mine")
    await asyncio.to_thread(_run, spool, "UPDATE suspensions SET value = x'ff'")
    await place.crash(spool)
    spool = await place.open()
    (suspension,) = await spool.suspensions(NOW)
    assert (suspension.selection, suspension.reason) == (_one(held), "damaged: what held it cannot be read")
    assert await spool.resume(_one(held), now=NOW) == 1
    assert addresses((await _claim(spool)).messages) == ["one@b.test"]
