"""What the committer is given is recorded, whatever stands beside it; while that fails it says so."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from sender.clock import Clock
from sender.engine.committer import Batch, Committer
from sender.observe.events import Events
from sender.spool import claims
from sender.spool.contract import State
from tests.servers.process import until
from tests.unit.spool.place import SqlitePlace, claim, end, mail, settlements, states

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from sender.spool.sqlite import SqliteSpool


class Desk:
    """A committer on a spool of its own, and who hears of it."""

    def __init__(self, spool: SqliteSpool) -> None:
        self.spool = spool
        self.recorded: list[Batch] = []
        self.deaf = False
        self.committer = Committer(
            spool, Events(), Clock(), interval_s=0.0, on_recorded=self._hear, on_health=lambda: None
        )

    def _hear(self, batch: Batch) -> None:
        self.recorded.append(batch)
        if self.deaf:
            raise ValueError("nobody expects this")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Give one."""
    place = SqlitePlace(tmp_path)
    desk = Desk(await place.open())
    yield desk
    await desk.committer.close()
    await place.close()


async def test_a_claim_that_is_lost_takes_no_other_outcome_with_it(desk: Desk) -> None:
    """Where one outcome of a batch belongs to nobody, or stands there twice, the others are recorded."""
    stale_one, fine = mail("one@b.test"), mail("two@c.test")
    await desk.spool.accept(stale_one, fine)
    stale, claimed = await claim(desk.spool, "b.test"), await claim(desk.spool, "c.test")
    await end(desk.spool, stale)
    desk.committer.batch.settlements += settlements([*stale, *claimed, *claimed], State.BOUNCED)
    desk.committer.note()
    await desk.committer.flushed()
    assert await states(desk.spool, stale_one.id) == [State.DELIVERED]
    assert await states(desk.spool, fine.id) == [State.BOUNCED]
    assert len(desk.recorded) == 1


def _once(function: Callable[..., None], error: Exception) -> Callable[..., None]:
    errors = [error]

    def called(*arguments: object) -> None:
        if errors:
            raise errors.pop()
        function(*arguments)

    return called


@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("disk I/O error"), ValueError("nobody expects this")], ids=["disk", "ours"]
)
async def test_whatever_fails_is_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """While outcomes cannot be recorded, for whatever reason, that is said; then they are recorded."""
    message = mail()
    await desk.spool.accept(message)
    claimed = await claim(desk.spool)
    monkeypatch.setattr(claims, "settle", _once(claims.settle, error))
    desk.committer.batch.settlements += settlements(claimed)
    desk.committer.note()
    await until("it says that it fails", lambda: desk.committer.failing, deadline_s=10)
    await desk.committer.flushed()
    assert not desk.committer.failing
    assert await states(desk.spool, message.id) == [State.DELIVERED]


async def test_what_is_fenced_after_a_failure_is_the_end_of_the_failure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing of a batch is ours any more once the spool works again, deliveries need not wait for it."""
    message = mail()
    await desk.spool.accept(message)
    claimed = await claim(desk.spool)
    await end(desk.spool, claimed)
    monkeypatch.setattr(claims, "settle", _once(claims.settle, sqlite3.OperationalError("disk I/O error")))
    desk.committer.batch.settlements += settlements(claimed, State.BOUNCED)
    desk.committer.batch.notices.append(mail("me@a.test", mail_from=""))
    desk.committer.note()
    await until("it says that it fails", lambda: desk.committer.failing, deadline_s=10)
    await desk.committer.flushed()
    assert not desk.committer.failing
    assert await desk.spool.totals() == {"accepted": 1, "delivered": 1}


async def test_whoever_cannot_hear_of_an_outcome_ends_nothing(desk: Desk) -> None:
    """Where telling of what is recorded fails, what comes next is recorded all the same."""
    desk.deaf = True
    for _ in range(2):
        message = mail()
        await desk.spool.accept(message)
        desk.committer.batch.settlements += settlements(await claim(desk.spool))
        desk.committer.note()
        await desk.committer.flushed()
        assert await states(desk.spool, message.id) == [State.DELIVERED]
    assert len(desk.recorded) == 2
