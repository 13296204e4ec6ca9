"""What became of a claim is recorded whole, by its owner only, with the notices about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sender.core.errors import SpoolError
from sender.spool.contract import FencedError, Spool, State
from sender.spool.sqlite import Role

from .place import NOW, Place, addresses, claim, end, mail, settlements, states

_WORDS = {
    State.DELIVERED: "delivered",
    State.BOUNCED: "bounced",
    State.EXPIRED: "expired",
    State.REMOVED: "removed",
}


@pytest.mark.parametrize("state", sorted(_WORDS))
async def test_each_end_is_counted_by_its_word(spool: Spool, state: State) -> None:
    """A recipient that ended is out of its queue, in the totals under its word, and kept for reports."""
    message = mail()
    await spool.accept(message)
    await end(spool, await claim(spool), state)
    assert await spool.queues() == []
    assert await spool.totals() == {"accepted": 1, _WORDS[state]: 1}
    assert await states(spool, message.id) == [state]


async def test_the_history_keeps_each_attempt(spool: Spool) -> None:
    """Records of attempts are kept in order, with the last reply of the domain."""
    message = mail("you@b.test")
    await spool.accept(message)
    await spool.set_sites({"b.test": "mx.b.test"})
    for number in (1, 2):
        lines = settlements(await claim(spool), State.QUEUED, due_at=NOW, record=b'{"at":%d}' % number)
        await spool.settle(lines, [], {"b.test": f"450 no {number}"}, NOW)
    report = await spool.message_report(message.id)
    assert report is not None
    (recipient,) = report["recipients"]
    assert recipient["history"] == [{"at": 1}, {"at": 2}]
    assert recipient["attempts"] == 2
    assert [row["last_reply"] for row in await spool.queue_report(NOW)] == ["450 no 2"]


async def test_a_warning_is_remembered(spool: Spool) -> None:
    """That a sender was warned of the delay comes back with the next claim."""
    await spool.accept(mail())
    (line,) = settlements(await claim(spool), State.QUEUED)
    await spool.settle([line._replace(warned=True)], [], {}, NOW)
    assert [message.recipients[0].warned for message in await claim(spool)] == [True]


async def test_recipients_of_one_message_end_by_themselves(spool: Spool) -> None:
    """Each recipient has its own state."""
    message = mail("one@b.test", "two@c.test", "three@d.test")
    await spool.accept(message)
    await end(spool, await claim(spool, "b.test"), State.DELIVERED)
    await end(spool, await claim(spool, "c.test"), State.BOUNCED)
    assert await states(spool, message.id) == [State.DELIVERED, State.BOUNCED, State.QUEUED]


async def test_a_notice_is_queued_with_the_failure(spool: Spool) -> None:
    """The bounce is in the spool as soon as its recipient is bounced."""
    await spool.accept(mail("you@b.test"))
    notice = mail("me@a.test", mail_from="")
    await spool.settle(settlements(await claim(spool), State.BOUNCED), [notice], {}, NOW)
    assert await spool.totals() == {"accepted": 2, "bounced": 1}
    assert [(row.domain, row.queued) for row in await spool.queues()] == [("a.test", 1)]


async def test_a_notice_that_cannot_be_stored_leaves_the_failure_unrecorded(spool: Spool) -> None:
    """The bounce and the end of its recipient are one commit: without the one there is not the other."""
    first = mail("you@b.test")
    await spool.accept(first)
    claimed = await claim(spool)
    notices = [mail("me@a.test", mail_from=""), replace(mail("me@a.test", mail_from=""), id=first.id)]
    with pytest.raises(SpoolError):
        await spool.settle(settlements(claimed, State.BOUNCED), notices, {"b.test": "550 no"}, NOW)
    assert await states(spool, first.id) == [State.CLAIMED]
    assert await spool.totals() == {"accepted": 1}
    assert await spool.queues() == []
    await spool.settle(settlements(claimed, State.BOUNCED), notices[:1], {}, NOW)
    assert await spool.totals() == {"accepted": 2, "bounced": 1}


async def test_settling_twice_is_fenced(spool: Spool) -> None:
    """An outcome counts once: the second time the claim is nobody's."""
    message = mail()
    await spool.accept(message)
    claimed = await claim(spool)
    await end(spool, claimed)
    with pytest.raises(FencedError):
        await end(spool, claimed, State.BOUNCED)
    assert await states(spool, message.id) == [State.DELIVERED]
    assert await spool.totals() == {"accepted": 1, "delivered": 1}


async def test_what_was_released_cannot_be_settled(spool: Spool) -> None:
    """After a release the claim is nobody's, and releasing twice is refused too."""
    await spool.accept(mail())
    claimed = await claim(spool)
    ids = [claimed[0].recipients[0].id]
    await spool.release(ids)
    with pytest.raises(FencedError):
        await end(spool, claimed)
    with pytest.raises(FencedError) as raised:
        await spool.release(ids)
    assert raised.value.fenced == set(ids)
    assert addresses(await claim(spool)) == ["you@b.test"]


async def test_another_token_changes_nothing(place: Place) -> None:
    """A process that comes back to claims which belong to another one by now can neither settle nor release them."""
    old = await place.open()
    message = mail("one@b.test", "two@c.test")
    await old.accept(message)
    stale = await claim(old)
    await place.crash(old)
    spool = await place.open()
    assert spool.token != old.token
    fresh = await claim(spool)
    other = await place.open(Role.TOOL)
    notice = mail("me@a.test", mail_from="")
    with pytest.raises(FencedError, match="2 claims belong to another process"):
        await other.settle(settlements(stale, State.BOUNCED), [notice], {}, NOW)
    with pytest.raises(FencedError):
        await other.release([recipient.id for claimed in stale for recipient in claimed.recipients])
    assert await states(spool, message.id) == [State.CLAIMED, State.CLAIMED]
    assert await spool.totals() == {"accepted": 2}
    await end(spool, fresh)
    assert await spool.totals() == {"accepted": 2, "delivered": 2}


async def test_one_stale_claim_fails_the_whole_settlement(spool: Spool) -> None:
    """Outcomes that are recorded together are recorded all or not at all."""
    stale_one, fine = mail("one@b.test"), mail("two@c.test")
    await spool.accept(stale_one)
    await spool.accept(fine)
    stale, claimed = await claim(spool, "b.test"), await claim(spool, "c.test")
    await end(spool, stale)
    with pytest.raises(FencedError, match="1 claims belong") as raised:
        await spool.settle(settlements([*stale, *claimed], State.BOUNCED), [], {}, NOW)
    assert raised.value.fenced == {stale[0].recipients[0].id}
    assert await states(spool, stale_one.id) == [State.DELIVERED]
    assert await states(spool, fine.id) == [State.CLAIMED]


async def test_totals_conserve(spool: Spool) -> None:
    """Every accepted recipient is delivered, bounced, expired, removed, queued, suspended or claimed."""
    for number in range(30):
        await spool.accept(mail(f"r{number}@b.test", f"r{number}@c.test"))
    for state in _WORDS:
        await end(spool, await claim(spool, limit=8), state)
    claimed = await claim(spool, "c.test", limit=5)
    totals = await spool.totals()
    (row, other) = await spool.queue_report(NOW)
    waiting = sum(figures["queued"] + figures["in_flight"] + figures["held"] for figures in (row, other))
    assert waiting + sum(totals[word] for word in _WORDS.values()) == totals["accepted"] == 60
    assert row["in_flight"] + other["in_flight"] == len(addresses(claimed)) == 5


async def test_purging_forgets_what_ended_long_ago(spool: Spool) -> None:
    """A message is forgotten when its last recipient ended before the instant; the oldest first, a few at a time."""
    old, older, young, half = mail(), mail(), mail(), mail("one@b.test", "two@c.test")
    for message, ended_at in ((older, NOW - 20), (old, NOW - 10), (young, NOW)):
        await spool.accept(message)
        await spool.settle(settlements(await claim(spool)), [], {}, ended_at)
    await spool.accept(half)
    await spool.settle(settlements(await claim(spool, "b.test")), [], {}, NOW - 10)
    assert await spool.purge(NOW - 5, 1) == 1
    assert await spool.message_report(older.id) is None
    assert await states(spool, old.id) == [State.DELIVERED]
    assert await spool.purge(NOW - 5, 10) == 1
    assert await spool.message_report(old.id) is None
    assert await spool.purge(NOW - 5, 10) == 0
    assert await states(spool, young.id) == [State.DELIVERED]
    assert await states(spool, half.id) == [State.DELIVERED, State.QUEUED]
    assert (await spool.totals())["delivered"] == 4


async def test_the_memory_of_lanes_comes_back(place: Place) -> None:
    """What a lane has learned is there for the next process, the last word of each lane with its instant."""
    spool = await place.open()
    await spool.save_lanes({"default/mx.b.test": {"window": 3}, "default/mx.c.test": {"window": 4}}, NOW)
    await spool.save_lanes({"default/mx.b.test": {"window": 5, "caps": [1.5, None]}}, NOW + 9)
    await place.crash(spool)
    spool = await place.open()
    assert await spool.lanes() == {
        "default/mx.b.test": (NOW + 9, {"window": 5, "caps": [1.5, None]}),
        "default/mx.c.test": (NOW, {"window": 4}),
    }


async def test_lanes_that_are_forgotten_do_not_come_back(place: Place) -> None:
    """What is forgotten of lanes stays so for the next process, and the others are still there."""
    spool = await place.open()
    await spool.save_lanes({"default/mx.b.test": {"window": 3}, "default/mx.c.test": {"window": 4}}, NOW)
    await spool.forget_lanes(["default/mx.b.test", "default/mx.never.test"])
    await place.crash(spool)
    spool = await place.open()
    assert await spool.lanes() == {"default/mx.c.test": (NOW, {"window": 4})}


async def test_a_message_that_is_not_there_has_no_report(spool: Spool) -> None:
    """Asking for an unknown message gives nothing."""
    assert await spool.message_report(12345) is None
