"""Whether there is room for more mail: the disk's free bytes and the length of the queue, looked at now and again.

Where there is none, nothing is accepted, and deliveries go on: they make room.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sender.core.errors import SpoolError
from sender.spool.disk import look

if TYPE_CHECKING:
    from sender.settings import Settings
    from sender.spool.sqlite import SqliteSpool

log = logging.getLogger(__name__)
_LOOK_EVERY_S = 1.0
_ENDED = ("delivered", "bounced", "expired", "removed")


class Pressure:
    """`why` says why nothing can be taken now; it is empty where it can."""

    def __init__(self, settings: Settings, spool: SqliteSpool) -> None:
        self._limits = settings.spool
        self.why = ""
        self._spool = spool

    async def look(self) -> None:
        """Look once."""
        try:
            why = await self._find()
        except (OSError, SpoolError) as error:
            why = "the spool cannot be read"
            if not self.why:
                log.error("%s", error)  # noqa: TRY400 - the cause is the message
        if why != self.why:
            log.warning("nothing is accepted: %s", why) if why else log.warning("mail is accepted again")
        self.why = why

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self.look()

    async def _find(self) -> str:
        limits = self._limits
        if (await asyncio.to_thread(look, self._spool.path)).free < limits.min_free:
            return "the disk is nearly full"
        totals = await self._spool.totals()
        queued = totals.get("accepted", 0) - sum(totals.get(word, 0) for word in _ENDED)
        return "the queue is full" if queued >= limits.max_queued else ""
