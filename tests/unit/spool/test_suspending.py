"""What an operator holds stays, what an operator lets go goes on, and both are counted."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sender.core.identity import id_text
from sender.core.selection import Kind, Selection
from sender.spool.contract import NewMessage, Spool, State

from .place import NOW, SITE, Place, addresses, claim, end, mail, settlements, states


def one(message: NewMessage) -> Selection:
    """Select one message."""
    return Selection(Kind.MESSAGE, id_text(message.id))


@dataclass(frozen=True)
class Stock:
    """A spool with some mail in every waiting state: three at b.test, one of them claimed, and one at c.test."""

    spool: Spool
    first: NewMessage
    news: NewMessage


@pytest.fixture
async def stock(spool: Spool) -> Stock:
    """Fill a spool."""
    first = mail("one@b.test", "two@c.test", due_at=NOW + 50)
    news = mail("three@b.test", stream="news", due_at=NOW + 60)
    await spool.set_sites({"b.test": SITE, "c.test": "mx.c.test"})
    await spool.accept(mail("claimed@b.test"))
    assert addresses(await claim(spool)) == ["claimed@b.test"]
    await spool.accept(first)
    await spool.accept(news)
    return Stock(spool, first, news)


async def test_each_kind_of_selection_counts_what_waits(stock: Stock) -> None:
    """A suspension tells how many recipients it touches: queued, suspended and claimed ones, and ended ones never."""
    touched = {
        Selection(Kind.ALL): 4,
        Selection(Kind.DOMAIN, "b.test"): 3,
        Selection(Kind.DOMAIN, "nowhere.test"): 0,
        Selection(Kind.SITE, SITE): 3,
        Selection(Kind.SITE, "mx.c.test"): 1,
        Selection(Kind.STREAM, "news"): 1,
        Selection(Kind.STREAM, "default"): 3,
        Selection(Kind.SOURCE, "default"): 0,  # a lane knows its source, a queue does not
        one(stock.first): 2,
        one(stock.news): 1,
    }
    counts = {}
    for selection in touched:
        _, counts[selection] = await stock.spool.suspend(selection, now=NOW, until=None, reason="why")
    assert counts == touched
    assert await stock.spool.resume(Selection(Kind.DOMAIN, "b.test"), now=NOW) == 3
    assert await stock.spool.resume(Selection(Kind.DOMAIN, "b.test"), now=NOW) == 0


async def test_ended_recipients_are_not_touched(spool: Spool) -> None:
    """What has ended is out of every selection."""
    await spool.accept(mail("one@b.test"))
    await end(spool, await claim(spool))
    assert (await spool.suspend(Selection(Kind.ALL), now=NOW, until=None, reason=""))[1] == 0


async def test_suspensions_are_remembered(place: Place) -> None:
    """A suspension is there for the next process, with its reason and its end."""
    spool = await place.open()
    number, _ = await spool.suspend(Selection(Kind.STREAM, "news"), now=NOW, until=NOW + 60, reason="too loud")
    await place.crash(spool)
    spool = await place.open(now=NOW + 59)
    (suspension,) = await spool.suspensions(NOW + 59)
    assert (suspension.id, suspension.selection) == (number, Selection(Kind.STREAM, "news"))
    assert (suspension.since, suspension.until, suspension.reason) == (NOW, NOW + 60, "too loud")
    assert await spool.suspensions(NOW + 60) == []


async def test_a_suspended_message_is_out_of_its_queues(stock: Stock) -> None:
    """The recipients of a suspended message are neither queued nor claimed, and come back due at once."""
    spool = stock.spool
    await spool.suspend(one(stock.first), now=NOW, until=None, reason="")
    assert await states(spool, stock.first.id) == [State.SUSPENDED, State.SUSPENDED]
    assert addresses(await claim(spool, now=NOW + 99)) == ["three@b.test"]
    assert await spool.resume(one(stock.first), now=NOW) == 2
    assert sorted(addresses(await claim(spool))) == ["one@b.test", "two@c.test"]


async def test_all_ends_every_suspension(stock: Stock) -> None:
    """Resuming everything ends each suspension, of whatever kind."""
    spool = stock.spool
    await spool.suspend(one(stock.first), now=NOW, until=None, reason="")
    await spool.suspend(Selection(Kind.DOMAIN, "b.test"), now=NOW, until=None, reason="")
    assert await spool.resume(Selection(Kind.ALL), now=NOW) == 5
    assert await spool.suspensions(NOW) == []
    assert await states(spool, stock.first.id) == [State.QUEUED, State.QUEUED]


async def test_one_suspension_ends_by_its_number(stock: Stock) -> None:
    """A suspension ends by its number once; one that is not there is told apart from one that touches nothing."""
    spool = stock.spool
    kept, _ = await spool.suspend(Selection(Kind.DOMAIN, "b.test"), now=NOW, until=None, reason="")
    ended, _ = await spool.suspend(one(stock.first), now=NOW, until=None, reason="")
    idle, _ = await spool.suspend(Selection(Kind.DOMAIN, "nowhere.test"), now=NOW, until=None, reason="")
    assert await spool.resume_id(ended, now=NOW) == 2
    assert await spool.resume_id(ended, now=NOW) is None
    assert await spool.resume_id(idle, now=NOW) == 0
    assert [suspension.id for suspension in await spool.suspensions(NOW)] == [kept]
    assert await states(spool, stock.first.id) == [State.QUEUED, State.QUEUED]


async def test_a_message_that_is_suspended_twice_is_held_to_the_last_end(stock: Stock) -> None:
    """As long as one suspension of a message is in force, the message is held."""
    spool = stock.spool
    first, _ = await spool.suspend(one(stock.news), now=NOW, until=None, reason="")
    await spool.suspend(one(stock.news), now=NOW, until=NOW + 10, reason="")
    assert await spool.resume_id(first, now=NOW) == 1
    assert await states(spool, stock.news.id) == [State.SUSPENDED]
    assert await spool.suspensions(NOW + 10) == []
    assert await states(spool, stock.news.id) == [State.QUEUED]


@pytest.mark.parametrize("reopened", [False, True])
async def test_a_message_goes_on_when_its_suspension_runs_out(place: Place, *, reopened: bool) -> None:
    """The recipients of a message whose suspension is over are queued again, also where nobody was there at its end."""
    spool = await place.open()
    message = mail()
    await spool.accept(message)
    await spool.suspend(one(message), now=NOW, until=NOW + 60, reason="")
    if reopened:
        await place.crash(spool)
        spool = await place.open(now=NOW + 61)
    assert await states(spool, message.id) == [State.SUSPENDED]
    assert await spool.suspensions(NOW + 61) == []
    assert addresses(await claim(spool, now=NOW + 61)) == ["you@b.test"]


async def test_what_was_being_tried_is_held_when_it_comes_back(spool: Spool) -> None:
    """A recipient that was claimed when its message was suspended is suspended once it is deferred or released."""
    message = mail("one@b.test", "two@b.test", "three@b.test")
    await spool.accept(message)
    claimed = await claim(spool)
    await spool.suspend(one(message), now=NOW, until=None, reason="")
    deferred, released, delivered = settlements(claimed, State.QUEUED)
    await spool.settle([deferred], [], {}, NOW)
    await spool.release([released.recipient_id])
    assert await states(spool, message.id) == [State.SUSPENDED, State.SUSPENDED, State.CLAIMED]
    await spool.settle(settlements(claimed)[2:], [], {}, NOW)
    assert [(row.queued, row.due_at) for row in await spool.queues()] == [(2, float("inf"))]
    assert await claim(spool, now=NOW + 99) == []
    assert await spool.resume(one(message), now=NOW) == 2
    assert await states(spool, message.id) == [State.QUEUED, State.QUEUED, State.DELIVERED]
    assert delivered.recipient_id == claimed[0].recipients[2].id


@pytest.mark.parametrize("deferred", [False, True])
async def test_what_comes_back_alone_is_held(spool: Spool, *, deferred: bool) -> None:
    """Of several suspended messages the one whose recipient is deferred, or released, is suspended again at once."""
    messages = [mail(f"r{number}@b.test") for number in range(3)]
    await spool.accept(*messages)
    claimed = await claim(spool)
    for message in messages:
        await spool.suspend(one(message), now=NOW, until=None, reason="")
    if deferred:
        await spool.settle(settlements(claimed[1:2], State.QUEUED), [], {}, NOW)
    else:
        await spool.release([claimed[1].recipients[0].id])
    found = [await states(spool, message.id) for message in messages]
    assert found == [[State.CLAIMED], [State.SUSPENDED], [State.CLAIMED]]


async def test_a_selection_that_is_given_back_is_suspended_as_before(spool: Spool) -> None:
    """A suspended recipient that an operator's command claimed and released is suspended again."""
    message = mail()
    await spool.accept(message)
    await spool.suspend(one(message), now=NOW, until=None, reason="")
    (claimed,) = await spool.claim_selected(Selection(Kind.ALL), limit=10)
    await spool.release([claimed.recipients[0].id])
    assert await states(spool, message.id) == [State.SUSPENDED]


async def test_a_suspended_message_survives_the_process_that_had_claimed_it(place: Place) -> None:
    """A dead owner's claim on a suspended message comes back suspended."""
    spool = await place.open()
    message = mail()
    await spool.accept(message)
    assert len(await claim(spool)) == 1
    await spool.suspend(one(message), now=NOW, until=None, reason="")
    await place.crash(spool)
    spool = await place.open()
    assert await states(spool, message.id) == [State.SUSPENDED]


async def test_retry_makes_due_what_is_queued(stock: Stock) -> None:
    """Queued recipients of a selection become due now; what is due already keeps its place, what is held stays held."""
    spool = stock.spool
    await spool.accept(mail("due@b.test", due_at=NOW - 9))
    await spool.suspend(one(stock.news), now=NOW, until=None, reason="")
    assert await spool.retry(Selection(Kind.DOMAIN, "b.test"), now=NOW) == 2
    assert addresses(await claim(spool)) == ["due@b.test", "one@b.test"]
    assert await spool.retry(Selection(Kind.SOURCE, "default"), now=NOW) == 0
    assert await spool.retry(one(stock.first), now=NOW) == 1
    assert addresses(await claim(spool)) == ["two@c.test"]


async def test_the_report_tells_what_is_held(stock: Stock) -> None:
    """The figures of a queue tell queued, due, held, deferred and claimed recipients apart."""
    spool = stock.spool
    await spool.suspend(one(stock.news), now=NOW, until=None, reason="")
    report = await spool.queue_report(NOW + 50)
    rows = {(row["domain"], row["stream"]): row for row in report}
    mine = rows["b.test", "default"]
    assert [mine[name] for name in ("queued", "due", "in_flight", "held", "deferred")] == [1, 1, 1, 0, 0]
    assert (mine["site"], mine["oldest_age_s"]) == (SITE, 50.0)
    assert [rows["b.test", "news"][name] for name in ("queued", "held")] == [0, 1]
