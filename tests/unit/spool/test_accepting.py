"""What is accepted is in the spool, whole; what is not accepted is not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sender.core.errors import SpoolError
from sender.spool.contract import Priority, QueueRow, Spool, State
from sender.spool.sqlite import Role

from .place import NOW, Place, addresses, claim, end, mail, states

PATIENCE_S = 10.0


async def test_a_message_comes_back_as_it_was_accepted(spool: Spool) -> None:
    """Every field of a message that a delivery needs comes back with its claim."""
    message = replace(
        mail("you@b.test"), eight_bit=True, smtputf8=True, expires_at=NOW + 60.0, stream="news", priority=Priority.BULK
    )
    await spool.accept(message)
    (claimed,) = await claim(spool)
    fields = ("id", "mail_from", "size", "stream", "priority", "eight_bit", "smtputf8", "accepted_at", "expires_at")
    assert [getattr(claimed, name) for name in fields] == [getattr(message, name) for name in fields]
    assert (claimed.blocks, claimed.content) == (1, message.content)
    (recipient,) = claimed.recipients
    assert (recipient.rcpt_to, recipient.due_at, recipient.attempts, recipient.warned) == ("you@b.test", NOW, 0, False)


async def test_the_null_sender_stays_empty(spool: Spool) -> None:
    """The sender of a bounce is stored as the empty string."""
    await spool.accept(mail(mail_from=""))
    assert [message.mail_from for message in await claim(spool)] == [""]


@pytest.mark.parametrize("text", ["'", '"', ";--", "\\", "%", "\N{SNOWMAN}", "', 1); DROP TABLE recipients; --"])
async def test_no_text_has_a_meaning(spool: Spool, text: str) -> None:
    """Quotes and comments in any stored text are text."""
    domain = f"{text}.test"
    message = replace(
        mail(mail_from=text, stream=text, content=text.encode()), rcpt_tos=(f"{text}@{domain}",), domains=(domain,)
    )
    await spool.accept(message)
    (row,) = await spool.queues()
    (claimed,) = await claim(spool)
    assert (row.domain, row.stream) == (domain, text)
    assert (claimed.mail_from, claimed.stream, claimed.content) == (text, text, text.encode())
    assert addresses([claimed]) == [f"{text}@{domain}"]


async def test_content_of_any_bytes_comes_back(spool: Spool) -> None:
    """Content is bytes, not text."""
    content = bytes(range(256)) * 16
    await spool.accept(mail(content=content))
    assert [message.content for message in await claim(spool)] == [content]


async def test_further_blocks_are_read_back_in_any_order(spool: Spool) -> None:
    """Each block that was put before the message was accepted can be read by its number."""
    message = mail(content=b"first", blocks=3)
    await spool.put_block(message.id, 1, b"second")
    await spool.put_block(message.id, 2, b"third")
    await spool.accept(message)
    assert [await spool.block(message.id, number) for number in (2, 0, 1)] == [b"third", b"first", b"second"]


async def test_dropped_blocks_are_gone(spool: Spool) -> None:
    """Blocks of a message that was given up cannot be read, and those of others stay."""
    dropped, kept = mail(), mail()
    await spool.put_block(dropped.id, 1, b"gone")
    await spool.put_block(kept.id, 1, b"here")
    await spool.drop_blocks(dropped.id)
    with pytest.raises(SpoolError, match="has no block 1"):
        await spool.block(dropped.id, 1)
    assert await spool.block(kept.id, 1) == b"here"


async def test_the_content_goes_with_the_last_recipient(spool: Spool) -> None:
    """Content is kept while a recipient may need it, and forgotten with the end of the last."""
    message = mail("one@b.test", "two@c.test", content=b"first", blocks=2)
    await spool.put_block(message.id, 1, b"second")
    await spool.accept(message)
    await end(spool, await claim(spool, "b.test"))
    assert await spool.block(message.id, 1) == b"second"
    await end(spool, await claim(spool, "c.test"))
    for number in (0, 1):
        with pytest.raises(SpoolError, match="has no block"):
            await spool.block(message.id, number)


async def test_an_id_that_is_taken_is_refused_and_leaves_nothing(spool: Spool) -> None:
    """A message that cannot be stored is wholly absent, and the one that is there stays."""
    first = mail("one@b.test")
    await spool.accept(first)
    with pytest.raises(SpoolError):
        await spool.accept(replace(mail("two@b.test", "three@c.test"), id=first.id))
    assert [(row.domain, row.queued) for row in await spool.queues()] == [("b.test", 1)]
    assert (await spool.totals())["accepted"] == 1
    assert addresses(await claim(spool)) == ["one@b.test"]


async def test_one_of_many_at_once_fails_alone(spool: Spool) -> None:
    """Of messages that are accepted at the same time, a bad one does not take the others with it."""
    first = mail("first@b.test")
    await spool.accept(first)
    batch = [mail(f"r{number}@b.test") for number in range(20)]
    batch[7] = replace(batch[7], id=first.id)
    results = await asyncio.gather(*map(spool.accept, batch), return_exceptions=True)
    assert [number for number, result in enumerate(results) if isinstance(result, SpoolError)] == [7]
    assert sorted(addresses(await claim(spool))) == sorted(
        ["first@b.test", *(f"r{number}@b.test" for number in range(20) if number != 7)]
    )
    assert (await spool.totals())["accepted"] == 20


async def test_mail_of_one_domain_stream_and_priority_shares_a_queue(spool: Spool) -> None:
    """A queue is a domain, a stream and a priority; it tells how much waits and what is due first."""
    await spool.accept(mail("one@b.test", due_at=NOW + 5))
    await spool.accept(mail("two@b.test", due_at=NOW + 3))
    await spool.accept(mail("three@b.test", stream="news"))
    await spool.accept(mail("four@b.test", priority=Priority.URGENT))
    await spool.accept(mail("five@c.test"))
    rows = {(row.domain, row.stream, row.priority): (row.queued, row.due_at) for row in await spool.queues()}
    assert rows == {
        ("b.test", "default", Priority.NORMAL): (2, NOW + 3),
        ("b.test", "news", Priority.NORMAL): (1, NOW),
        ("b.test", "default", Priority.URGENT): (1, NOW),
        ("c.test", "default", Priority.NORMAL): (1, NOW),
    }


@pytest.mark.parametrize("role", [Role.DELIVERY, Role.INTAKE])
async def test_arrivals_are_told(place: Place, role: Role) -> None:
    """The delivering process hears of mail that it accepted itself and of mail that another process accepted."""
    spool = await place.open()
    heard: asyncio.Queue[list[QueueRow]] = asyncio.Queue()
    spool.on_arrivals = heard.put_nowait
    accepting = spool if role is Role.DELIVERY else await place.open(role)
    await accepting.accept(mail("one@b.test", "two@b.test", due_at=NOW + 9))
    async with asyncio.timeout(PATIENCE_S):
        (row,) = await heard.get()
    assert row == QueueRow(row.id, "b.test", "default", Priority.NORMAL, NOW + 9, 2)
    assert row.id == (await spool.queues())[0].id


async def test_mail_from_before_is_not_told_as_new(place: Place) -> None:
    """What was there when the process started is read from the queues, and each arrival is told once."""
    intake = await place.open(Role.INTAKE)
    await intake.accept(mail("old@b.test"))
    spool = await place.open()
    heard: list[QueueRow] = []
    spool.on_arrivals = heard.extend
    await spool.accept(mail("new@c.test"))
    await spool.accept(mail("newer@d.test"))
    await spool.totals()
    assert [row.domain for row in heard] == ["c.test", "d.test"]


async def test_a_queue_that_was_forgotten_is_made_again_for_everybody(place: Place) -> None:
    """Mail that an intake accepts is found, though the delivering process forgot its empty queue meanwhile."""
    intake = await place.open(Role.INTAKE)
    await intake.accept(mail("one@b.test"))
    spool = await place.open()
    await end(spool, await claim(spool))
    assert await spool.purge(NOW + 1, 10) == 1
    await place.crash(spool)
    spool = await place.open()
    await intake.accept(mail("two@b.test"))
    assert [(row.domain, row.queued) for row in await spool.queues()] == [("b.test", 1)]


async def test_an_accepted_message_survives_the_process(place: Place) -> None:
    """A message that was accepted is there for the next process."""
    spool = await place.open()
    message = mail("you@b.test")
    await spool.accept(message)
    await place.crash(spool)
    spool = await place.open()
    assert await states(spool, message.id) == [State.QUEUED]
    assert addresses(await claim(spool)) == ["you@b.test"]
