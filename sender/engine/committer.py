"""Outcomes are collected for a few milliseconds and recorded together; what is recorded is then shown as events.

While the spool cannot record, everything waits here, `failing` is true, and the lanes start nothing: whoever went on
delivering without being able to remember would repeat all of it. What was delivered is then kept beside the spool, so
that it is not repeated either if this process ends before it is recorded.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sender.core.errors import SpoolError
from sender.spool.contract import FencedError, State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sender.clock import Clock
    from sender.observe.events import Events
    from sender.spool.contract import NewMessage, Settlement, Spool

log = logging.getLogger(__name__)
_RETRY_S = 1.0


@dataclass(slots=True)
class Batch:
    """What one commit records, and what is told afterwards."""

    settlements: list[Settlement] = field(default_factory=list)
    notices: list[NewMessage] = field(default_factory=list)
    last_replies: dict[str, str] = field(default_factory=dict)
    requeued: list[tuple[int, float]] = field(default_factory=list)  # queue and due instant of deferred recipients
    ended: dict[int, int] = field(default_factory=dict)  # queue -> recipients that left it
    events: list[bytes] = field(default_factory=list)  # lines

    @property
    def mark(self) -> tuple[int, int, int, int]:
        """How far it goes now, for `back_to`."""
        return len(self.settlements), len(self.notices), len(self.requeued), len(self.events)

    def back_to(self, mark: tuple[int, int, int, int]) -> set[int]:
        """Forget what came since a mark; give the recipients that would have ended. `ended` is the caller's to mend."""
        settlements, notices, requeued, events = mark
        ended = {each.recipient_id for each in self.settlements[settlements:] if each.state.ended}
        del self.settlements[settlements:], self.notices[notices:], self.requeued[requeued:], self.events[events:]
        return ended

    def add(self, other: Batch) -> None:
        """Take in what another batch has."""
        self.settlements += other.settlements
        self.notices += other.notices
        self.last_replies |= other.last_replies
        self.requeued += other.requeued
        for queue_id, count in other.ended.items():
            self.ended[queue_id] = self.ended.get(queue_id, 0) + count
        self.events += other.events


class Committer:
    """Collects into `batch`; `note` says that something was added."""

    def __init__(
        self,
        spool: Spool,
        events: Events,
        clock: Clock,
        *,
        interval_s: float,
        on_recorded: Callable[[Batch], None],
        on_health: Callable[[], None],
    ) -> None:
        self.batch = Batch()
        self.failing = False
        self._spool = spool
        self._events = events
        self._clock = clock
        self._interval_s = interval_s
        self._on_recorded = on_recorded
        self._on_health = on_health
        self._noted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._answered = asyncio.Event()  # by the spool, be it with an error
        self._task = asyncio.create_task(self._run(), name="committer")

    def note(self) -> None:
        """Have the batch recorded soon."""
        self._idle.clear()
        self._noted.set()

    async def flushed(self) -> None:
        """Wait until everything is recorded."""
        await self._idle.wait()

    async def answers(self) -> None:
        """Return once the spool has answered this committer anew; whether it could record is another matter."""
        self._answered.clear()
        self.note()
        await self._answered.wait()

    async def close(self) -> None:
        """Record what there is, then stop; where this is cancelled, stop all the same."""
        try:
            await self.flushed()
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._noted.wait()
            if self._interval_s:
                await asyncio.sleep(self._interval_s)
            self._noted.clear()
            batch, self.batch = self.batch, Batch()
            await self._record(batch)
            if not self._noted.is_set():
                self._idle.set()

    async def _record(self, batch: Batch) -> None:
        kept = 0  # settlements of the batch that were looked at
        while True:
            try:
                await self._spool.settle(batch.settlements, batch.notices, batch.last_replies, self._clock.wall())
            except FencedError as error:
                # Whoever has these claims now decides about them; the other outcomes are as good as before.
                log.error("outcomes are dropped: %s", error)  # noqa: TRY400
                ours, kept = _without(batch.settlements, error.fenced), 0
                if len(ours) in {0, len(batch.settlements)}:
                    batch = Batch()
                    break
                batch.settlements = ours
            except Exception as error:  # ours too: whoever went on would repeat everything
                self._answered.set()
                if not self.failing:
                    trace = None if isinstance(error, SpoolError) else error
                    log.error("outcomes cannot be recorded, deliveries wait: %s", error, exc_info=trace)  # noqa: TRY400
                    self.failing = True
                    self._on_health()
                kept = await self._keep(batch, kept)
                await asyncio.sleep(_RETRY_S)
                more, self.batch = self.batch, Batch()
                batch.add(more)
            else:
                break
        if self.failing:
            log.warning("outcomes are recorded again")
            self.failing = False
            await self._forget_kept()
            self._on_health()
        try:
            self._events.append(b"".join(batch.events))
            self._on_recorded(batch)
        except Exception:
            log.exception("outcomes are recorded, but not all hear of it")
        self._answered.set()

    async def _keep(self, batch: Batch, kept: int) -> int:
        """Keep what was delivered, but for the first settlements, which were kept; tell how many are kept now."""
        deliveries = [settlement for settlement in batch.settlements[kept:] if settlement.state is State.DELIVERED]
        try:
            if deliveries:
                await self._spool.keep(deliveries)
        except Exception as error:  # noqa: BLE001 - as above
            log.error("%s: if this process ends now, %d messages may be repeated", error, len(deliveries))  # noqa: TRY400
            return kept
        return len(batch.settlements)

    async def _forget_kept(self) -> None:
        try:
            await self._spool.forget_kept()
        except Exception as error:  # noqa: BLE001 - what is settled already is not settled again
            log.error("%s", error)  # noqa: TRY400


def _without(settlements: Sequence[Settlement], fenced: Collection[int]) -> list[Settlement]:
    """Leave out who is fenced, and whoever is there twice."""
    ours: dict[int, Settlement] = {}
    for settlement in settlements:
        if settlement.recipient_id not in fenced:
            ours.setdefault(settlement.recipient_id, settlement)
    return [*ours.values()]
