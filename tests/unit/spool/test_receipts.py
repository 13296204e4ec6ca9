"""What is sent again under the same key is taken once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sender.core.options import Options
from sender.spool.contract import Receipt, ReceiptError, Spool
from sender.spool.sqlite import Role

from .place import NOW, Place, claim, mail

RECEIPT = Receipt(owner="shop", key="order-1", digest=b"d", taken=1, answer=b"{}")


async def test_a_message_and_its_receipt_are_taken_together(spool: Spool) -> None:
    """Before, the key is not known; afterwards it tells what was answered."""
    assert await spool.receipt("shop", "order-1") is None
    await spool.accept(mail(), receipt=RECEIPT)
    assert await spool.receipt("shop", "order-1") == RECEIPT
    assert await spool.receipt("other", "order-1") is None
    assert len(await claim(spool)) == 1


@pytest.mark.parametrize("again", [RECEIPT, replace(RECEIPT, digest=b"other")])
async def test_i12_a_key_that_was_used_takes_nothing(spool: Spool, again: Receipt) -> None:
    """Whether the same is asked or something else: what stands there is told, and nothing is accepted."""
    await spool.accept(mail(), receipt=RECEIPT)
    with pytest.raises(ReceiptError) as refusal:
        await spool.accept(mail(), mail(), receipt=again)
    assert refusal.value.found == RECEIPT
    assert len(await claim(spool)) == 1


async def test_i12_a_hundred_at_once_take_one(spool: Spool) -> None:
    """Requests that share a commit, or follow each other, are told apart by their key."""
    tries = [spool.accept(mail(), receipt=RECEIPT) for _ in range(100)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert results.count(None) == 1
    assert sum(isinstance(result, ReceiptError) for result in results) == 99
    assert len(await claim(spool)) == 1


async def test_what_is_taken_in_parts_goes_on_where_it_stopped(place: Place) -> None:
    """Each part tells how much was taken before it; over a crash too, no part is taken twice and none is left out."""
    spool = await place.open()
    await spool.accept(mail(), mail(), receipt=replace(RECEIPT, taken=2, answer=b""))
    with pytest.raises(ReceiptError):
        await spool.accept(mail(), receipt=replace(RECEIPT, taken=1, answer=b""))
    await place.crash(spool)
    spool = await place.open()
    found = await spool.receipt("shop", "order-1")
    assert found is not None
    assert found.taken == 2
    await spool.accept(mail(), receipt=replace(RECEIPT, taken=3), taken_before=2)
    assert await spool.receipt("shop", "order-1") == replace(RECEIPT, taken=3)
    assert len(await claim(spool)) == 3


async def test_a_part_of_what_was_forgotten_is_not_taken(spool: Spool) -> None:
    """Without the receipt of the parts before, nobody can say what was taken."""
    with pytest.raises(ReceiptError):
        await spool.accept(mail(), receipt=RECEIPT, taken_before=1)
    assert await claim(spool) == []


async def test_receipts_are_forgotten_by_their_age(spool: Spool) -> None:
    """A key may be used again when it is old enough."""
    await spool.accept(mail(), receipt=RECEIPT)
    await spool.forget_receipts(0.0)
    assert await spool.receipt("shop", "order-1") is not None
    await spool.forget_receipts(1e12)
    assert await spool.receipt("shop", "order-1") is None


async def test_what_a_client_asked_for_comes_back(place: Place) -> None:
    """Options, DSN parameters and checksum outlive the process that took them."""
    options = Options(returns="FULL", envelope_id="x+2By", send_at=NOW + 5, campaign="'", metadata={"a": ['"', None]})
    message = replace(mail("a@b.test", "c@b.test"), options=options, dsn=("NOTIFY=NEVER", ""), checksum=None)
    await (await place.open(Role.INTAKE)).accept(message, mail())
    one, other = await claim(await place.open())
    assert one.options == options
    assert [recipient.dsn for recipient in one.recipients] == ["NOTIFY=NEVER", ""]
    assert other.options == Options()
