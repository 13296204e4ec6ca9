"""Messages that are held for a fault of their own: damaged ones, and those under which our own code fails.

Nobody has suspended them, and an operator decides about them: what they were tried with goes on without them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sender.core.errors import SpoolError
from sender.core.identity import id_text
from sender.core.selection import Fault, Kind, Selection
from sender.spool.contract import DamagedError
from sender.spool.recovery import CRASHES_MAX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from sender.clock import Clock
    from sender.observe.events import Events
    from sender.observe.metrics import Metrics
    from sender.spool.contract import ClaimedMessage
    from sender.spool.sqlite import SqliteSpool

log = logging.getLogger(__name__)
FAULTS_MAX = 3  # times that our own code may fail under a message
WAIT_S = 1.0  # after which it is tried again: others go first
_COUNTED = 1000  # messages; of more the first ones are forgotten


class Holding:
    """`on_held` has the suspensions read again. Raises nothing: who finds a fault has other mail to care for."""

    def __init__(
        self,
        spool: SqliteSpool,
        events: Events,
        metrics: Metrics,
        clock: Clock,
        *,
        on_held: Callable[[], Awaitable[None]],
    ) -> None:
        self._spool = spool
        self._events = events
        self._metrics = metrics
        self._clock = clock
        self._on_held = on_held
        self._faults: dict[int, int] = {}  # by message

    async def found(self, damaged: Mapping[int, str]) -> None:
        """Tell of messages that the spool holds, since they are damaged."""
        for message_id, why in damaged.items():
            self._tell(message_id, Fault.DAMAGED, why)
        if damaged:
            await self._take_effect()

    async def crashed(self, poisoned: Iterable[int]) -> None:
        """Tell of messages that the spool holds, since processes ended again and again that had them in hand."""
        for message_id in poisoned:
            self._tell(message_id, Fault.POISON, f"{CRASHES_MAX} processes ended while they had it in hand")

    async def failed(self, message: ClaimedMessage, error: Exception, *, answered: bool) -> float:
        """Hold a message that is damaged, or a trap; give the instant before which it shall not be tried otherwise.

        `answered`: the receiver had answered when the fault happened, and may have taken it. It is held at once.
        """
        if isinstance(error, DamagedError):
            await self._hold(message.id, Fault.DAMAGED, str(error.why))
        elif isinstance(error, SpoolError):
            return 0.0
        elif answered or self._count(message.id) >= FAULTS_MAX:
            self._faults.pop(message.id, None)
            await self._hold(message.id, Fault.POISON, repr(error))
        return self._clock.wall() + WAIT_S

    def _count(self, message_id: int) -> int:
        count = self._faults[message_id] = self._faults.pop(message_id, 0) + 1
        if len(self._faults) > _COUNTED:
            del self._faults[next(iter(self._faults))]
        return count

    async def _hold(self, message_id: int, fault: Fault, why: str) -> None:
        selection = Selection(Kind.MESSAGE, id_text(message_id))
        try:
            await self._spool.suspend(selection, now=self._clock.wall(), until=None, reason=fault.reason(why))
        except SpoolError as error:
            log.error("%s cannot be held: %s", selection, error)  # noqa: TRY400 - it is found again
            return
        self._tell(message_id, fault, why)
        await self._take_effect()

    def _tell(self, message_id: int, fault: Fault, why: str) -> None:
        reason = fault.reason(why)
        log.error("message %s is held: %s", id_text(message_id), reason)
        self._metrics.held.labels(fault).inc()
        event = {"event": "suspended", "message_id": id_text(message_id), "until": None, "reason": reason}
        self._events.write([{"at": self._clock.wall(), **event}])

    async def _take_effect(self) -> None:
        try:
            await self._on_held()
        except SpoolError as error:
            log.error("%s", error)  # noqa: TRY400 - they are read again with the next one
