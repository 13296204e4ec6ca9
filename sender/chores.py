"""What a daemon does now and again, each as a task that does not end. What fails is said, and tried again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sender.core.errors import SpoolError
from sender.engine.steps import LEAST_S
from sender.observe.names import RANK_EVERY_S
from sender.spool.disk import look

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sender.clock import Clock
    from sender.engine.control import Control
    from sender.engine.dispatcher import Dispatcher
    from sender.engine.gauges import Gauges
    from sender.engine.learned import Learned
    from sender.observe.metrics import Metrics
    from sender.settings import SpoolSettings
    from sender.spool.sqlite import SqliteSpool

log = logging.getLogger(__name__)
_SAVE_EVERY_S = 5.0
_SURVEY_EVERY_S = 5.0
_SURVEY_SHARE = 20  # of the time, one part goes into counting
_DISK_EVERY_S = 5.0
_CLOCK_EVERY_S = 1.0
_FORGET_EVERY_S = 3600.0
_PURGE = 1000
_PURGE_EVERY_S, _PURGE_MORE_S = 10.0, 0.05
_LAG_EVERY_S = 0.02


async def keep_memory(save: Callable[[], Awaitable[None]]) -> None:
    """Keep what lanes learn."""
    while True:
        await asyncio.sleep(_SAVE_EVERY_S)
        await save()


async def purge(spool: SqliteSpool, settings: SpoolSettings, clock: Clock) -> None:
    """Forget what ended long ago."""
    while True:
        try:
            purged = await spool.purge(clock.wall() - settings.keep_ended, _PURGE)
        except SpoolError as error:
            log.error("%s", error)  # noqa: TRY400 - it is tried again
            purged = 0
        await asyncio.sleep(_PURGE_MORE_S if purged == _PURGE else _PURGE_EVERY_S)


async def forget_keys(spool: SqliteSpool, settings: SpoolSettings, clock: Clock) -> None:
    """Forget under which keys mail was taken; after the drop folder was looked at, whose files are such keys."""
    while True:
        try:
            await spool.forget_receipts(clock.wall() - settings.keep_keys)
        except SpoolError as error:
            log.error("%s", error)  # noqa: TRY400 - it is tried again
        await asyncio.sleep(_PURGE_EVERY_S)


async def forget_lanes(learned: Learned) -> None:
    """Forget lanes that have had no mail for long."""
    while True:
        try:
            await learned.forget_old()
        except SpoolError as error:
            log.error("%s", error)  # noqa: TRY400 - it is tried again
        await asyncio.sleep(_FORGET_EVERY_S)


async def survey(control: Control, gauges: Gauges, clock: Clock) -> None:
    """Count the queue and the lanes for the gauges; what takes long to count is counted less often."""
    while True:
        began_at = clock.steady()
        try:
            gauges.survey = await control.survey()
        except SpoolError as error:
            log.error("%s", error)  # noqa: TRY400 - it is tried again
        for _ in gauges.sweep(clock.steady()):
            await asyncio.sleep(0)
        await asyncio.sleep(max(_SURVEY_EVERY_S, _SURVEY_SHARE * (clock.steady() - began_at)))


async def watch_clock(dispatcher: Dispatcher, metrics: Metrics, clock: Clock) -> None:
    """Where the wall clock steps, let what waits go on waiting as long as it had to."""
    around, steps = dispatcher.around, dispatcher.around.settler.steps
    while True:
        await asyncio.sleep(_CLOCK_EVERY_S)
        step_s = steps.look()
        if not step_s:
            continue
        log.warning("the clock has stepped by %+.0f s: for an hour nothing expires", step_s)
        now = clock.wall()
        try:
            latest = now + around.settler.longest_wait_s
            await around.spool.redate(by_s=step_s, after=now - step_s, latest=latest)
            await dispatcher.refresh()
        except SpoolError as error:
            log.error("%s", error)  # noqa: TRY400 - what waits does so by the old clock
        steps.seen(step_s)
        metrics.clock_steps.labels("forward" if step_s > 0 else "back").inc()


async def mend_dates(dispatcher: Dispatcher, clock_was_at: float, clock: Clock) -> None:
    """Where the clock stands before what it has shown once, let nobody wait for long; before the queues are read."""
    now = clock.wall()
    if now >= clock_was_at - LEAST_S:
        return
    log.warning("the clock has stood %.0f s later than now: it was wrong, or is", clock_was_at - now)
    latest = now + dispatcher.around.settler.longest_wait_s
    await dispatcher.around.spool.redate(by_s=0.0, after=latest, latest=latest)


async def rank(metrics: Metrics, clock: Clock) -> None:
    """Give the busiest sites and streams series of their own."""
    while True:
        await asyncio.sleep(RANK_EVERY_S)
        metrics.rank(clock.steady())


async def watch_disk(spool: SqliteSpool, metrics: Metrics) -> None:
    """Measure the spool and its disk."""
    while True:
        try:
            disk = await asyncio.to_thread(look, spool.path)
        except OSError as error:
            log.error("%s: %s", spool.path, error)  # noqa: TRY400 - it is tried again
        else:
            metrics.disk_bytes.set(disk.size)
            metrics.disk_free.set(disk.free)
            metrics.spool_bytes.set(disk.spool)
        await asyncio.sleep(_DISK_EVERY_S)


async def watch_lag(metrics: Metrics) -> None:
    """Measure how late the event loop is."""
    loop = asyncio.get_running_loop()
    while True:
        due_at = loop.time() + _LAG_EVERY_S
        await asyncio.sleep(_LAG_EVERY_S)
        metrics.loop_lag.observe(max(0.0, loop.time() - due_at))
