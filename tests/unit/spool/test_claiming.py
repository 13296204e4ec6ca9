"""A claim takes what is due, in order, and with it what goes the same way."""

from __future__ import annotations

from sender.core.identity import id_text
from sender.core.selection import Kind, Selection
from sender.spool.contract import Spool, State

from .place import NOW, SITE, addresses, claim, end, mail, settlements, states


async def test_a_queue_keeps_its_order(spool: Spool) -> None:
    """What is due earlier is claimed earlier, whenever it was accepted."""
    for number in (3, 1, 2):
        await spool.accept(mail(f"r{number}@b.test", due_at=NOW + number))
    assert addresses(await claim(spool, now=NOW + 9)) == ["r1@b.test", "r2@b.test", "r3@b.test"]


async def test_only_what_is_due_is_claimed(spool: Spool) -> None:
    """A recipient whose instant has not come stays queued, and the claim tells when it comes."""
    await spool.accept(mail("now@b.test", due_at=NOW))
    await spool.accept(mail("later@b.test", due_at=NOW + 7))
    (row,) = await spool.queues()
    claimed = await spool.claim([row.id], site=SITE, now=NOW, limit=10, byte_limit=1000)
    assert addresses(claimed.messages) == ["now@b.test"]
    assert claimed.next_due_at == {row.id: NOW + 7}


async def test_an_empty_queue_says_so(spool: Spool) -> None:
    """A queue with nothing left has no next instant, one that was never there neither."""
    await spool.accept(mail())
    (row,) = await spool.queues()
    claimed = await spool.claim([row.id, row.id + 1], site=SITE, now=NOW, limit=10, byte_limit=1000)
    assert claimed.next_due_at == {row.id: None, row.id + 1: None}
    assert await spool.queues() == []


async def test_what_is_claimed_is_claimed_once(spool: Spool) -> None:
    """A second claim gives nothing that the first one gave."""
    for number in range(5):
        await spool.accept(mail(f"r{number}@b.test", due_at=NOW + number))
    (row,) = await spool.queues()
    taken: list[str] = []
    for _ in range(3):
        taken += addresses((await spool.claim([row.id], site=SITE, now=NOW + 9, limit=2, byte_limit=1000)).messages)
    assert taken == [f"r{number}@b.test" for number in range(5)]


async def test_the_limit_is_shared_among_the_queues(spool: Spool) -> None:
    """A long queue does not keep a short one out of a claim."""
    for number in range(20):
        await spool.accept(mail(f"r{number}@b.test", due_at=NOW - 50))
    await spool.accept(mail("one@c.test"))
    assert "one@c.test" in addresses(await claim(spool, limit=4))
    assert sum(row.queued for row in await spool.queues()) == 18


async def test_recipients_at_the_same_site_come_together(spool: Spool) -> None:
    """With a recipient come the others of its message whose domains belong to the same site, and no others."""
    await spool.set_sites({"b.test": SITE, "c.test": SITE, "d.test": "mx.d.test"})
    await spool.accept(mail("one@b.test", "two@d.test", "three@c.test", "four@b.test", "five@e.test"))
    (message,) = await claim(spool, "b.test")
    assert addresses([message]) == ["one@b.test", "three@c.test", "four@b.test"]
    assert {row.domain for row in await spool.queues()} == {"d.test", "e.test"}


async def test_siblings_count_in_their_own_queues(spool: Spool) -> None:
    """The claim tells the next instant of the queues from which siblings were taken, too."""
    await spool.set_sites({"b.test": SITE, "c.test": SITE})
    await spool.accept(mail("one@b.test", "two@c.test"))
    await spool.accept(mail("three@c.test", due_at=NOW + 5))
    rows = {row.domain: row.id for row in await spool.queues()}
    claimed = await spool.claim([rows["b.test"]], site=SITE, now=NOW, limit=10, byte_limit=1000)
    assert claimed.next_due_at == {rows["b.test"]: None, rows["c.test"]: NOW + 5}


async def test_a_sibling_that_is_not_due_stays(spool: Spool) -> None:
    """A recipient that was deferred keeps its instant when another of its message is due."""
    await spool.set_sites({"b.test": SITE})
    await spool.accept(mail("one@b.test", "two@b.test"))
    claimed = await claim(spool)
    first, second = settlements(claimed, State.QUEUED, due_at=NOW + 50)
    await spool.settle([first], [], {}, NOW)
    await spool.release([second.recipient_id])
    assert addresses(await claim(spool)) == ["two@b.test"]


async def test_a_site_that_moves_takes_its_domains_along(spool: Spool) -> None:
    """The last word about a domain's site counts."""
    await spool.set_sites({"b.test": SITE, "c.test": "elsewhere.test"})
    await spool.set_sites({"c.test": SITE})
    await spool.accept(mail("one@b.test", "two@c.test"))
    assert addresses(await claim(spool, "b.test")) == ["one@b.test", "two@c.test"]


async def test_a_claim_stops_at_its_bytes(spool: Spool) -> None:
    """A claim takes messages while their content fits, and always one."""
    for number in range(4):
        await spool.accept(mail(f"r{number}@b.test", due_at=NOW + number, content=b"x" * 1000))
    assert addresses(await claim(spool, now=NOW + 9, byte_limit=2500)) == ["r0@b.test", "r1@b.test"]
    assert addresses(await claim(spool, now=NOW + 9, byte_limit=10)) == ["r2@b.test"]


async def test_released_claims_are_where_they_were(spool: Spool) -> None:
    """What is released is due as before and its attempts are not counted."""
    await spool.accept(mail("one@b.test", due_at=NOW - 5))
    (before,) = await claim(spool)
    await spool.release([before.recipients[0].id])
    (after,) = await claim(spool)
    assert after == before


async def test_what_was_deferred_comes_back_with_its_past(spool: Spool) -> None:
    """A deferred recipient is claimed at its new instant with its attempts counted."""
    await spool.accept(mail("one@b.test"))
    claimed = await claim(spool)
    await spool.settle(settlements(claimed, State.QUEUED, due_at=NOW + 60), [], {}, NOW)
    assert await claim(spool, now=NOW + 59) == []
    (message,) = await claim(spool, now=NOW + 60)
    assert (message.recipients[0].attempts, message.recipients[0].due_at) == (1, NOW + 60)


async def test_a_selection_is_claimed_due_or_not(spool: Spool) -> None:
    """An operator's claim takes queued and suspended recipients at any instant, and leaves claimed and ended ones."""
    ended, taken, waiting, held = (mail(f"r{number}@b.test") for number in range(4))
    await spool.accept(ended)
    await end(spool, await claim(spool))
    await spool.accept(taken)
    assert len(await claim(spool)) == 1
    await spool.accept(mail("later@b.test", due_at=NOW + 999))
    await spool.accept(waiting)
    await spool.accept(held)
    await spool.suspend(Selection(Kind.MESSAGE, id_text(held.id)), now=NOW, until=None, reason="")
    await spool.accept(mail("other@c.test"))
    claimed = await spool.claim_selected(Selection(Kind.DOMAIN, "b.test"), limit=10)
    assert sorted(addresses(claimed)) == ["later@b.test", "r2@b.test", "r3@b.test"]


async def test_a_claim_of_a_selection_has_a_limit(spool: Spool) -> None:
    """An operator's claim comes in windows; the next one goes on where it ended."""
    for number in range(5):
        await spool.accept(mail(f"r{number}@b.test"))
    windows = [await spool.claim_selected(Selection(Kind.ALL), limit=2) for _ in range(4)]
    assert [len(addresses(window)) for window in windows] == [2, 2, 1, 0]
    assert len({address for window in windows for address in addresses(window)}) == 5


async def test_old_mail_is_claimed_by_age(spool: Spool) -> None:
    """Mail that was tried is old earlier than mail that never was, and young mail is not claimed."""
    tried, untried, ancient, young = (
        mail(f"{name}@b.test", at=NOW - age, due_at=NOW + 500 if name != "tried" else NOW - age)
        for name, age in (("tried", 100), ("untried", 90), ("ancient", 1000), ("young", 10))
    )
    for message in (tried, untried, ancient, young):
        await spool.accept(message)
    claimed = await claim(spool)
    assert addresses(claimed) == ["tried@b.test"]
    await spool.settle(settlements(claimed, State.QUEUED, due_at=NOW + 500), [], {}, NOW)
    aged = await spool.claim_aged(tried_before=NOW - 50, untried_before=NOW - 500, limit=10)
    assert sorted(addresses(aged)) == ["ancient@b.test", "tried@b.test"]
    assert await states(spool, untried.id) == [State.QUEUED]
    assert await spool.claim_aged(tried_before=NOW - 50, untried_before=NOW - 500, limit=10) == []


async def test_old_mail_in_held_queues_is_left_alone(spool: Spool) -> None:
    """Mail in a queue that an operator holds is not claimed for its age."""
    for domain in ("held.test", "free.test"):
        await spool.accept(mail(f"ancient@{domain}", at=NOW - 1000, due_at=NOW + 500))
    held = [row.id for row in await spool.queues() if row.domain == "held.test"]
    aged = await spool.claim_aged(tried_before=NOW, untried_before=NOW - 500, limit=10, held=held)
    assert addresses(aged) == ["ancient@free.test"]


async def test_a_large_message_is_claimed_in_parts(spool: Spool) -> None:
    """No more of a message's other recipients come with a claim than share a transaction."""
    await spool.accept(mail(*(f"user{number}@b.test" for number in range(30)), at=NOW, due_at=NOW))
    (row,) = await spool.queues()
    first = await spool.claim([row.id], site="mx.b.test", now=NOW, limit=1, byte_limit=10**6, together=10)
    assert len(first.messages[0].recipients) <= 10


async def test_who_goes_before_an_instant_is_counted(spool: Spool) -> None:
    """Those who are due before it and those who are claimed are counted, in the queues that are asked for only."""
    for number in range(3):
        await spool.accept(mail(f"r{number}@b.test", due_at=NOW + number))
    await spool.accept(mail("one@c.test", due_at=NOW))
    queues = {row.domain: row.id for row in await spool.queues()}
    assert await spool.ahead([queues["b.test"]], due_before=NOW + 2) == 2
    assert await spool.ahead([*queues.values()], due_before=NOW + 2) == 3
    assert await spool.ahead([], due_before=NOW + 2) == 0
    messages = await claim(spool, "b.test", now=NOW, limit=1)
    assert addresses(messages) == ["r0@b.test"]
    assert await spool.ahead([queues["b.test"]], due_before=NOW) == 1
    await end(spool, messages)
    assert await spool.ahead([queues["b.test"]], due_before=NOW + 2) == 1
