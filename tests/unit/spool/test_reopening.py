"""What one process leaves, the next one finds."""

from __future__ import annotations

import pytest

from sender.core.errors import SpoolBusyError, SpoolError
from sender.spool.contract import State
from sender.spool.sqlite import Role, SqliteSpool

from .place import NOW, Place, SqlitePlace, addresses, claim, mail, states


async def test_one_process_delivers(place: Place) -> None:
    """A second delivering process is refused while the first is there, and not after it."""
    first = await place.open()
    with pytest.raises(SpoolBusyError, match="another process delivers from it"):
        await place.open()
    await place.crash(first)
    second = await place.open()
    assert second.token > first.token


@pytest.mark.parametrize("role", [Role.INTAKE, Role.TOOL])
async def test_any_number_of_processes_only_accept(place: Place, role: Role) -> None:
    """Processes that do not deliver are not refused, and do not touch what is claimed."""
    spool = await place.open()
    message = mail()
    await spool.accept(message)
    assert len(await claim(spool)) == 1
    others = [await place.open(role) for _ in range(3)]
    assert len({spool.token, *(other.token for other in others)}) == 4
    assert await states(spool, message.id) == [State.CLAIMED]


async def test_claims_of_a_dead_owner_come_back(place: Place) -> None:
    """What a process had claimed when it ended is queued for the next one as it was."""
    spool = await place.open()
    await spool.accept(mail("one@b.test", due_at=NOW - 5))
    (before,) = await claim(spool)
    await place.crash(spool)
    spool = await place.open()
    (row,) = await spool.queues()
    assert (row.queued, row.due_at) == (1, NOW - 5)
    (after,) = await claim(spool)
    assert after == before


async def test_a_clean_stop_is_recorded(place: Place) -> None:
    """The next delivering process knows whether the one before it stopped cleanly; others do not count."""
    assert isinstance(place, SqlitePlace)
    verdicts = []
    for clean in (True, False, True):
        spool = await place.open()
        verdicts.append(await spool.stopped_cleanly())
        if clean:
            await place.close()
        else:
            await place.crash(spool)
        tool = await place.open(Role.TOOL)
        await place.crash(tool)
    assert verdicts == [True, True, False]


async def test_blocks_that_nobody_accepted_are_forgotten(place: Place) -> None:
    """Content without a message is dropped at the next start once it is old; a draft that is coming in is not."""
    spool = await place.open()
    abandoned, coming, kept = mail(at=NOW - 9000), mail(at=NOW - 5), mail(at=NOW - 9000, blocks=2)
    for message in (abandoned, coming, kept):
        await spool.put_block(message.id, 1, b"more")
    await spool.accept(kept)
    await place.crash(spool)
    spool = await place.open()
    assert await spool.block(coming.id, 1) == await spool.block(kept.id, 1) == b"more"
    with pytest.raises(SpoolError, match="has no block"):
        await spool.block(abandoned.id, 1)


async def test_new_ids_sort_behind_old_ones(place: Place) -> None:
    """A process whose clock is behind makes ids above all that are there."""
    assert isinstance(place, SqlitePlace)
    spool = await place.open()
    message = mail(at=NOW)
    await spool.accept(message)
    await place.crash(spool)
    spool = await place.open(now=NOW - 999)
    assert spool.ids.next(NOW - 999) > message.id


async def test_a_closed_spool_refuses(place: Place) -> None:
    """After its end a spool takes nothing and says why."""
    spool = await place.open()
    assert isinstance(spool, SqliteSpool)
    await place.crash(spool)
    with pytest.raises(SpoolError, match="the spool is closed"):
        await spool.accept(mail())


async def test_what_was_asked_before_the_end_is_done(place: Place) -> None:
    """Closing finishes what was submitted."""
    spool = await place.open()
    assert isinstance(spool, SqliteSpool)
    message = mail()
    accepted = spool.accept(message)
    accepted.send(None)  # submitted, and nobody waits for it
    await place.crash(spool)
    accepted.close()
    spool = await place.open()
    assert addresses(await claim(spool)) == ["you@b.test"]
