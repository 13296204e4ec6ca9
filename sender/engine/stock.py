"""What a lane has claimed and not yet tried, and how it claims more: in windows, and no more than it will soon need."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from sender.core.errors import SpoolError
from sender.engine.delivery import Delivery, split
from sender.engine.turns import Turns
from sender.spool.contract import FencedError, Priority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sender.engine.queue import Queue
    from sender.engine.surroundings import Surroundings

log = logging.getLogger(__name__)
_RETRY_S = 1.0
_QUEUES_AT_ONCE = 64
_DEPTH, _DEPTH_MAX = 10, 1000  # recipients claimed ahead
_BYTES_AHEAD = 8 * 2**20
_SLACK_S = 2.0  # a lane that claims less often than this claims less


class Stock:
    """The due queues of a lane and the deliveries that it has claimed from them."""

    def __init__(self, site: str, around: Surroundings) -> None:
        self.turns = Turns(lambda stream: around.settings.stream(stream).weight)
        self.claiming = False
        self._site = site
        self._around = around
        self._ready: tuple[deque[Delivery], deque[Delivery]] = (deque(), deque())  # urgent, others
        self._depth = _DEPTH
        self._ran_out = False  # a session found nothing since the last claim began, the time that it took included
        self._claimed_at = around.clock.steady()

    @property
    def waiting(self) -> int:
        """Count the deliveries that wait for a session."""
        return len(self._ready[0]) + len(self._ready[1])

    @property
    def low(self) -> bool:
        """Tell whether more should be claimed: little is left, or urgent mail may not wait behind what there is."""
        return bool(self.turns) and not self.claiming and (self.waiting <= self._depth // 2 or self.turns.urgent)

    def take(self) -> Delivery | None:
        """Take the next delivery, urgent ones first."""
        for ready in self._ready:
            if ready:
                return ready.popleft()
        self._ran_out = True
        return None

    def take_all(self) -> list[Delivery]:
        """Take every delivery."""
        deliveries = [*self._ready[0], *self._ready[1]]
        for ready in self._ready:
            ready.clear()
        return deliveries

    def put_first(self, deliveries: Sequence[Delivery]) -> None:
        """Put deliveries of one message back to the head: they lost no time of theirs."""
        for delivery in reversed(deliveries):
            self._line(delivery.message.priority).appendleft(delivery)

    def _line(self, priority: int) -> deque[Delivery]:
        return self._ready[priority != Priority.URGENT]

    def begin_claim(self, now: float, *, sessions: int) -> list[Queue]:
        """Choose from which queues to claim, and how much: twice as much whenever the last was used up quickly."""
        since_s = now - self._claimed_at
        if (self.waiting == 0 or self._ran_out) and since_s < _SLACK_S:
            self._depth = min(self._depth * 2, _DEPTH_MAX)
        elif since_s > _SLACK_S:
            self._depth = max(self._depth // 2, _DEPTH, 2 * sessions)
        self._claimed_at = now
        self._ran_out = False
        self.claiming = True
        return self.turns.take(_QUEUES_AT_ONCE)

    async def claim(self, queues: list[Queue], *, max_recipients: int) -> None:
        """Claim from queues, and tell the dispatcher of those in which nothing more is due. Raises SpoolError."""
        around, wall = self._around, self._around.clock.wall()
        arrivals = [queue.arrivals for queue in queues]
        try:
            claim = await around.spool.claim(
                [queue.id for queue in queues],
                site=self._site,
                now=wall,
                limit=self._depth,
                byte_limit=_BYTES_AHEAD,
                together=max_recipients,
            )
        except SpoolError:
            self.turns.put_back(queues, queues, 0)
            raise
        finally:
            self.claiming = False
        for queue, seen in zip(queues, arrivals, strict=True):
            # What came while the claim was under way, the claim may not have seen.
            next_due_at = wall if queue.arrivals != seen else claim.next_due_at[queue.id]
            queue.due_at = float("inf") if next_due_at is None else next_due_at
            queue.turning = queue.due_at <= wall
        count = 0
        for message in claim.messages:
            count += len(message.recipients)
            self._line(message.priority).extend(split(message, max_recipients))
        self.turns.put_back(queues, [queue for queue in queues if queue.turning], count)
        for queue in queues:
            if not queue.turning:
                around.next_due(queue.id, queue.due_at, True)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put claims back into the spool; their queues become due again when that is recorded."""
        recipients = [recipient for delivery in deliveries for recipient in delivery.recipients]
        if not recipients:
            return
        await self._release([recipient.id for recipient in recipients])
        for recipient in recipients:
            self._around.next_due(recipient.queue_id, recipient.due_at, False)

    async def _release(self, recipient_ids: Sequence[int]) -> None:
        """Give claims back as soon as the spool can record it; who ends before that leaves them to the next start."""
        while True:
            try:
                await self._around.spool.release(recipient_ids)
            except FencedError as error:
                log.error("%s", error)  # noqa: TRY400 - whoever has them now decides about them
                return
            except SpoolError as error:
                log.error("%s", error)  # noqa: TRY400 - as the docstring says
                await asyncio.sleep(_RETRY_S)
            else:
                return
