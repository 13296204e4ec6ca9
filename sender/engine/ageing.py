"""Mail that has waited too long without an attempt: its site is never there, or held it back all the time."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sender.core.errors import SpoolError
from sender.core.identity import id_text
from sender.engine.settling import PATIENCE
from sender.observe.names import OTHER

if TYPE_CHECKING:
    from sender.engine.dispatcher import Dispatcher

log = logging.getLogger(__name__)
_EVERY_S = 60.0
_STALE_S = 300.0  # that a lane may keep claims of which it touches none
_AT_ONCE = 500  # recipients


async def expire_aged(dispatcher: Dispatcher) -> None:
    """Let such mail expire, for ever; what was never tried gets twice the time.

    Only while the clock can be trusted, and every queue has had its turn since the start: see `steps.py`.
    """
    while True:
        for lane in dispatcher.lanes.values():
            lane.give_back_stock(untouched_s=_STALE_S)
        if not (dispatcher.around.settler.steps.calm and await _expire(dispatcher)):
            await asyncio.sleep(_EVERY_S)


async def _expire(dispatcher: Dispatcher) -> bool:
    """Let some expire; tell whether there were any."""
    around = dispatcher.around
    now, max_age_s = around.clock.wall(), around.settler.longest_max_age_s
    try:
        messages = await around.spool.claim_aged(
            tried_before=now - max_age_s,
            untried_before=now - PATIENCE * max_age_s,
            limit=_AT_ONCE,
            held=[queue.id for queue in dispatcher.queues.values() if dispatcher.suspended(queue)],
        )
    except SpoolError as error:
        log.error("%s", error)  # noqa: TRY400 - tried again in a while
        return False
    metrics = around.metrics.lane(OTHER, "default")
    for message in messages:
        try:
            around.settler.expire(message, metrics, "it could not be delivered in time")
        except Exception:
            log.exception("message %s cannot expire, and waits for the next start", id_text(message.id))
    await around.committer.flushed()
    return bool(messages)
