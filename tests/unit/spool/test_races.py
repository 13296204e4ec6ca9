"""Q5: what is tried, what expires and what an operator takes out at the same instant ends once."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from sender.core.selection import Kind, Selection
from sender.spool.contract import ClaimedMessage, Spool, State

from .place import NOW, SITE, mail, settlements, states

_MESSAGES = 300


class _Race:
    """Ends recipients in several ways at the same time, and counts what it was given."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.ended: Counter[str] = Counter()

    async def deliver(self, queues: list[int]) -> None:
        """Deliver all that is due, a few at a time."""
        while claimed := (
            await self.spool.claim(queues, site=SITE, now=NOW, limit=7, byte_limit=10**9, together=1)
        ).messages:
            await self._end(claimed, State.DELIVERED)

    async def expire(self) -> None:
        """Let all that is old expire, a few at a time."""
        while claimed := await self.spool.claim_aged(tried_before=NOW, untried_before=NOW, limit=5):
            await self._end(claimed, State.EXPIRED)

    async def remove(self) -> None:
        """Take everything out, a few at a time."""
        while claimed := await self.spool.claim_selected(Selection(Kind.ALL), limit=3):
            await self._end(claimed, State.REMOVED)

    async def _end(self, claimed: list[ClaimedMessage], state: State) -> None:
        outcomes = settlements(claimed, state)
        await self.spool.settle(outcomes, [], {}, NOW)
        self.ended[state.word] += len(outcomes)


@pytest.mark.parametrize("others", [1, 3])
async def test_q5_each_recipient_ends_once(spool: Spool, others: int) -> None:
    """Claims exclude each other: the totals are what each way has ended, and together they are all there was."""
    messages = [mail("a@b.test", "c@b.test", at=NOW - 900 + number) for number in range(_MESSAGES)]
    await spool.set_sites({"b.test": SITE})
    await spool.accept(*messages)
    queues = [row.id for row in await spool.queues()]
    race = _Race(spool)
    ways = [race.deliver(queues), *(race.expire() for _ in range(others)), *(race.remove() for _ in range(others))]
    await asyncio.gather(*ways)
    assert race.ended.total() == 2 * _MESSAGES
    assert len(race.ended) == 3
    assert await spool.totals() == {"accepted": 2 * _MESSAGES, **race.ended}
    found = Counter([state.word for message in messages for state in await states(spool, message.id)])
    assert found == race.ended
