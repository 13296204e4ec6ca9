"""Messages that are held for a fault of their own, in a spool."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sender.clock import Clock
from sender.core.errors import SpoolError
from sender.core.identity import id_text
from sender.engine.holding import FAULTS_MAX, WAIT_S, Holding
from sender.observe.event_file import EventFile
from sender.observe.events import Events
from sender.observe.metrics import Metrics
from sender.spool.contract import DamagedError, State
from sender.spool.sqlite import SqliteSpool
from tests.unit.spool.place import NOW, SqlitePlace, claim, mail, states

from .values import message, recipients


class _House:
    """Holding, with what it tells."""

    def __init__(self, place: SqlitePlace, spool: SqliteSpool, folder: Path) -> None:
        self.place = place
        self.spool = spool
        self.read = 0  # times that the suspensions were read again
        self.file = folder / "events.jsonl"
        self.metrics = Metrics()
        clock = Clock(wall=lambda: NOW)
        self.log = Events(EventFile(self.file))
        self.holding = Holding(spool, self.log, self.metrics, clock, on_held=self._read_again)

    async def _read_again(self) -> None:
        self.read += 1

    async def reasons(self) -> list[str]:
        """Give the reasons of the suspensions in force."""
        return [suspension.reason for suspension in await self.spool.suspensions(NOW)]

    def held(self, reason: str) -> float | None:
        """Give the metric."""
        return self.metrics.registry.get_sample_value("sender_messages_held_total", {"reason": reason})

    @property
    def events(self) -> list[dict[str, str]]:
        """Give the events that were written."""
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[_House]:
    """Give holding on a spool of its own."""
    place = SqlitePlace(tmp_path)
    house = _House(place, await place.open(), tmp_path)
    yield house
    house.log.close()
    await place.close()


async def test_what_the_spool_holds_is_told(house: _House, caplog: pytest.LogCaptureFixture) -> None:
    """Each damaged message is an error in the log, an event and a count; suspensions are read again once."""
    await house.holding.found({1: "it has no content", 2: "it is too short"})
    assert [event["reason"] for event in house.events] == ["damaged: it has no content", "damaged: it is too short"]
    assert {key: value for key, value in house.events[0].items() if key != "at"} == {
        "event": "suspended",
        "message_id": id_text(1),
        "until": None,
        "reason": "damaged: it has no content",
    }
    assert (house.held("damaged"), house.read) == (2, 1)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors[0] == f"message {id_text(1)} is held: damaged: it has no content"
    assert len(errors) == 2


async def test_nothing_is_told_where_nothing_was_found(house: _House) -> None:
    """A claim without damage changes nothing."""
    await house.holding.found({})
    assert (house.events, house.read) == ([], 0)


async def test_x12_a_message_is_held_when_our_code_has_failed_under_it_three_times(house: _House) -> None:
    """Each time before that it waits a moment, so that others go first; others are counted for themselves."""
    new, other = mail(), mail("other@b.test")
    await house.spool.accept(new, other)
    trap, neighbour = await claim(house.spool)
    for number in range(1, FAULTS_MAX + 1):
        assert await house.holding.failed(trap, ZeroDivisionError("oops"), answered=False) == NOW + WAIT_S
        assert len(await house.reasons()) == (number == FAULTS_MAX)
    await house.holding.failed(neighbour, ZeroDivisionError("oops"), answered=False)
    assert await house.reasons() == ["poison: ZeroDivisionError('oops')"]
    assert (house.held("poison"), house.read, len(house.events)) == (1, 1, 1)
    await house.spool.release([each.id for one in (trap, neighbour) for each in one.recipients])
    assert await states(house.spool, new.id) == [State.SUSPENDED]
    assert await states(house.spool, other.id) == [State.QUEUED]


async def test_a_message_that_is_resumed_has_three_tries_again(house: _House) -> None:
    """What was counted before it was held is forgotten."""
    trap = message(*recipients("a@b.test"))
    for _ in range(2 * FAULTS_MAX - 1):
        await house.holding.failed(trap, ZeroDivisionError(), answered=False)
    assert len(await house.reasons()) == 1
    await house.holding.failed(trap, ZeroDivisionError(), answered=False)
    assert len(await house.reasons()) == 2


async def test_what_was_answered_and_cannot_be_recorded_is_held_at_once(house: _House) -> None:
    """A message that a receiver may have taken is not tried again and again."""
    await house.holding.failed(message(*recipients("a@b.test")), ZeroDivisionError("oops"), answered=True)
    assert await house.reasons() == ["poison: ZeroDivisionError('oops')"]


async def test_x11_content_that_is_not_what_was_accepted_is_held_at_once(house: _House) -> None:
    """A message whose further blocks are damaged is held with what was found."""
    await house.holding.failed(
        message(*recipients("a@b.test")), DamagedError("read content", "no block 3"), answered=False
    )
    assert await house.reasons() == ["damaged: no block 3"]
    assert house.held("damaged") == 1


async def test_a_spool_that_cannot_be_read_is_nobodys_fault(house: _House) -> None:
    """A message whose content cannot be read now keeps its place, however often that happens."""
    trap = message(*recipients("a@b.test"))
    for _ in range(FAULTS_MAX + 1):
        assert await house.holding.failed(trap, SpoolError("read", "disk I/O error"), answered=False) == 0.0
    assert await house.reasons() == []


async def test_a_spool_that_cannot_hold_a_message_is_told(house: _House, caplog: pytest.LogCaptureFixture) -> None:
    """Where the suspension is not recorded nothing is said of it but in the log, and the message is found again."""
    await house.place.crash(house.spool)
    await house.holding.failed(message(*recipients("a@b.test")), ZeroDivisionError(), answered=True)
    assert (house.events, house.read, house.held("poison")) == ([], 0, None)
    assert "cannot be held: spool: suspend: the spool is closed" in caplog.text


async def test_of_too_many_messages_the_first_faults_are_forgotten(house: _House) -> None:
    """Memory is bounded."""
    trap = message(*recipients("a@b.test"))
    for number in range(1100):
        await house.holding.failed(replace(trap, id=number), ZeroDivisionError(), answered=False)
    assert len(house.holding._faults) == 1000
    assert 0 not in house.holding._faults
