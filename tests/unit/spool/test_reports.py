"""What operators see of scheduled mail, and of what clients asked for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sender.core.options import NO_OPTIONS, Options
from sender.core.selection import Kind, Selection
from sender.spool.contract import NewMessage, Spool, State
from sender.spool.sqlite import SqliteSpool

from .place import NOW, claim, end, mail, settlements

_HOUR_S = 3600.0


def _scheduled(*rcpt_tos: str, in_s: float = _HOUR_S, at: float = NOW) -> NewMessage:
    """Make a message that is to wait, as the intake does."""
    send_at = NOW + in_s
    return replace(mail(*rcpt_tos, at=at, due_at=send_at), options=Options(send_at=send_at))


async def _figures(spool: Spool, now: float = NOW) -> dict[str, Any]:
    (row,) = await spool.queue_report(now)
    return {name: row[name] for name in ("queued", "due", "deferred", "scheduled", "oldest_age_s")}


async def test_what_is_to_be_sent_later_is_counted_and_has_no_age(spool: Spool) -> None:
    """Until its instant a message is queued and scheduled; from then on it is due, and as old as that instant."""
    await spool.accept(_scheduled("one@b.test", "two@b.test", at=NOW - 500))
    nothing = {"queued": 2, "due": 0, "deferred": 0, "scheduled": 2, "oldest_age_s": 0.0}
    assert await _figures(spool) == nothing
    assert await _figures(spool, NOW + _HOUR_S) == {**nothing, "due": 2, "scheduled": 0}
    later = await _figures(spool, NOW + _HOUR_S + 60)
    assert (later["due"], later["oldest_age_s"]) == (2, 60.0)


async def test_the_oldest_is_the_one_whose_age_began_first(spool: Spool) -> None:
    """A message that was accepted first and was to wait is not older than one that was accepted while it did."""
    await spool.accept(_scheduled(in_s=100, at=NOW - 9000), mail(at=NOW + 50), mail(at=NOW + 200))
    assert (await _figures(spool, NOW + 300))["oldest_age_s"] == pytest.approx(250, abs=0.01)


async def test_the_age_of_what_was_tried_counts_from_its_instant(spool: Spool) -> None:
    """Deferred or claimed, scheduled mail is as old as the instant that it was to wait for."""
    await spool.accept(_scheduled(in_s=100, at=NOW - 9000))
    claimed = await claim(spool, now=NOW + 110)
    assert (await _figures(spool, NOW + 110))["oldest_age_s"] == 10.0
    await spool.settle(settlements(claimed, State.QUEUED, due_at=NOW + 500), [], {}, NOW)
    assert await _figures(spool, NOW + 120) == {
        "queued": 1,
        "due": 0,
        "deferred": 1,
        "scheduled": 0,
        "oldest_age_s": 20.0,
    }


async def test_what_was_put_off_is_not_scheduled(spool: Spool) -> None:
    """A recipient that was given back until later without an attempt has asked for nothing."""
    await spool.accept(mail(at=NOW - 30))
    (claimed,) = await claim(spool)
    (recipient,) = claimed.recipients
    await spool.release([recipient.id], {recipient.id: NOW + _HOUR_S})
    figures = await _figures(spool)
    assert (figures["queued"], figures["scheduled"]) == (1, 0)
    assert figures["oldest_age_s"] == pytest.approx(30, abs=0.01)


async def test_what_goes_before_its_instant_is_not_scheduled(spool: Spool) -> None:
    """Scheduled mail that an operator made due is due."""
    await spool.accept(_scheduled())
    (queue,) = await spool.queues()
    assert queue.due_at == NOW + _HOUR_S
    (row,) = await spool.queue_report(NOW)
    assert row["scheduled"] == 1
    await spool.retry(Selection(Kind.ALL), now=NOW)
    figures = await _figures(spool)
    assert (figures["due"], figures["scheduled"]) == (1, 0)


@pytest.mark.parametrize("options", ["{", "[1]", "7", '{"send_at": "soon"}', "null", ""])
async def test_options_that_cannot_be_read_spoil_no_report(spool: Spool, options: str) -> None:
    """Such a message is counted as any other, and shows nothing of what was asked."""
    assert isinstance(spool, SqliteSpool)
    new = _scheduled()
    await spool.accept(new, mail(at=NOW - 9))
    statement = "UPDATE messages SET options = ? WHERE id = ?"
    await asyncio.to_thread(spool._connection.execute, statement, (options, new.id))
    figures = await _figures(spool)
    assert (figures["queued"], figures["scheduled"]) == (2, 0)
    report = await spool.message_report(new.id)
    assert report is not None
    assert "send_at" not in report


async def test_a_message_shows_what_its_client_asked_for(spool: Spool) -> None:
    """Campaign, metadata, envelope id, submitter and the instant that it waits for stand there where they are set."""
    options = Options(
        campaign="spring", metadata={"order": 7}, envelope_id="QQ1", submitter="shop", send_at=NOW + 5, returns="FULL"
    )
    shown = {}
    for asked in (options, NO_OPTIONS):
        new = replace(mail(), options=asked)
        await spool.accept(new)
        report = await spool.message_report(new.id)
        assert report is not None
        shown[asked.campaign] = report
    extra = shown["spring"].keys() - shown[""].keys()
    assert {name: shown["spring"][name] for name in extra} == {
        "campaign": "spring",
        "metadata": {"order": 7},
        "envelope_id": "QQ1",
        "submitter": "shop",
        "send_at": NOW + 5,
    }


async def test_ended_mail_shows_what_was_asked(spool: Spool) -> None:
    """The report of a message that has ended has it too, while it is kept."""
    new = replace(mail(), options=Options(campaign="spring"))
    await spool.accept(new)
    await end(spool, await claim(spool))
    report = await spool.message_report(new.id)
    assert report is not None
    assert (report["campaign"], report["recipients"][0]["state"]) == ("spring", State.DELIVERED)
