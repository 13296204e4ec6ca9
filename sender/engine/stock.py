"""What a lane has claimed and not yet tried, and how it claims more: in windows, and no more than it will soon need."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from sender.core.address import domain_of
from sender.core.errors import SpoolError
from sender.engine.delivery import Delivery, split
from sender.engine.turns import Turns
from sender.spool.contract import FencedError, Priority

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sender.engine.queue import Queue
    from sender.engine.restraint import Restraint
    from sender.engine.sizes import Sizes
    from sender.engine.surroundings import Surroundings
    from sender.spool.contract import ClaimedRecipient

log = logging.getLogger(__name__)
_RETRY_S = 1.0
_QUEUES_AT_ONCE = 64
_DEPTH, _DEPTH_MAX = 10, 250  # recipients claimed ahead; urgent mail waits while the spool claims so many
_BYTES_AHEAD = 8 * 2**20
_FITS = 1.5  # times what would fit if the next were as large
_LOOKED_AT = 100  # messages, for one to others than a suspect
_CAME_BACK = 16  # messages that sessions may have put back, about
_SLACK_S = 2.0  # a lane that claims less often than this claims less


class Stock:
    """The due queues of a lane and the deliveries that it has claimed from them."""

    def __init__(self, site: str, around: Surroundings, restraint: Restraint, sizes: Sizes) -> None:
        self.turns = Turns(lambda stream: around.settings.stream(stream).weight)
        self._claims: set[bool] = set()  # under way, one of urgent mail (True) and one of other mail
        self.touched_at = around.clock.steady()  # when something was last taken or claimed
        self._site = site
        self._around = around
        self._restraint = restraint
        self._sizes = sizes
        self._ready: tuple[deque[Delivery], deque[Delivery]] = (deque(), deque())  # urgent, others
        self._depth = _DEPTH
        self._fits = _DEPTH_MAX  # recipients whose contents may be claimed at once, as the last ones were
        self._ran_out = False  # a session found nothing since the last claim began, the time that it took included
        self._claimed_at = around.clock.steady()

    @property
    def claiming(self) -> bool:
        """Tell whether mail is on its way here."""
        return bool(self._claims)

    @property
    def waiting(self) -> int:
        """Count the deliveries that wait for a session."""
        return len(self._ready[0]) + len(self._ready[1])

    @property
    def low(self) -> bool:
        """Tell whether more should be claimed: little is left, or urgent mail may not wait behind what there is."""
        if self.turns.urgent:
            return True not in self._claims
        return False not in self._claims and self.waiting <= self._depth // 2 and bool(self.turns)

    def take(self) -> Delivery | None:
        """Take the next delivery, urgent ones first; where somebody is suspected, a few for others go before."""
        self.touched_at = self._around.clock.steady()
        suspect = self._restraint.suspect()
        for ready in self._ready:
            if ready:
                return self._fitting(ready.popleft() if suspect is None else self._take_another(ready, suspect))
        self._ran_out = True
        return None

    def _fitting(self, delivery: Delivery) -> Delivery:
        """Give what the receiver takes at a time, which may be less than when it was claimed: the rest goes next."""
        first, *rest = self._envelopes(delivery)
        if rest:
            self._insert(rest)
        return first

    def _envelopes(self, delivery: Delivery) -> list[Delivery]:
        return split(delivery, self._sizes.max_recipients, self._sizes.max_domains)

    def _take_another(self, ready: deque[Delivery], suspect: str) -> Delivery:
        place = _place_of_another(ready, suspect)
        if place == 0 and ready[0].recipients[0].rcpt_to == suspect:
            self._depth = min(self._depth * 2, _DEPTH_MAX)  # more is claimed, in which others may be
        delivery = ready[place]
        del ready[place]
        return delivery

    def take_all(self) -> list[Delivery]:
        """Take every delivery."""
        deliveries = [*self._ready[0], *self._ready[1]]
        for ready in self._ready:
            ready.clear()
        return deliveries

    def before(self, message_id: int, rcpt_to: str) -> int | None:
        """Count the recipients that go before one that was claimed; None where it is not here: it is being tried."""
        count = 0
        for delivery in (*self._ready[0], *self._ready[1]):
            mine = delivery.message.id == message_id
            if mine and any(recipient.rcpt_to == rcpt_to for recipient in delivery.recipients):
                return count
            count += len(delivery.recipients)
        return None

    def put_first(self, delivery: Delivery) -> None:
        """Put a delivery back to the head, behind older ones that came back before: no order is lost."""
        self._insert(self._envelopes(delivery))

    def _insert(self, deliveries: Sequence[Delivery]) -> None:
        message = deliveries[0].message
        line = self._line(message.priority)
        older = 0
        while older < min(_CAME_BACK, len(line)) and line[older].message.id < message.id:
            older += 1
        for delivery in reversed(deliveries):
            line.insert(older, delivery)

    def sift(self) -> list[tuple[ClaimedRecipient, float]]:
        """Take out who rests now, each with the end of the rest."""
        resting: list[tuple[ClaimedRecipient, float]] = []
        now = self._around.clock.wall()
        for ready in self._ready:
            for _ in range(len(ready)):
                delivery = ready.popleft()
                ends = [self._restraint.until(delivery.message, one.rcpt_to, now) for one in delivery.recipients]
                resting += [(one, end) for one, end in zip(delivery.recipients, ends, strict=True) if end is not None]
                delivery.recipients = [one for one, end in zip(delivery.recipients, ends, strict=True) if end is None]
                if delivery.recipients:
                    ready.append(delivery)
        return resting

    def _line(self, priority: int) -> deque[Delivery]:
        return self._ready[priority != Priority.URGENT]

    def begin_claim(self, now: float, *, sessions: int) -> list[Queue]:
        """Choose from which queues to claim, and how much: twice as much whenever the last was used up quickly.

        Urgent mail is claimed beside other mail, and waits for none of it.
        """
        self.touched_at = now
        if self.turns.urgent:
            self._claims.add(True)
            return self.turns.take(_QUEUES_AT_ONCE)
        since_s = now - self._claimed_at
        if (self.waiting == 0 or self._ran_out) and since_s < _SLACK_S:
            self._depth = min(self._depth * 2, _DEPTH_MAX)
        elif since_s > _SLACK_S:
            self._depth = max(self._depth // 2, _DEPTH, 2 * sessions)
        self._claimed_at = now
        self._ran_out = False
        self._claims.add(False)
        return self.turns.take(max(_QUEUES_AT_ONCE, self._depth // 2))

    def _set_resting_aside(self, queues: list[Queue], wall: float) -> list[Queue]:
        """Give the queues back whose whole domain rests, and the others to the caller."""
        free: list[Queue] = []
        for queue in queues:
            until = self._restraint.domain_until(queue.domain, wall)
            if until is None:
                free.append(queue)
            else:
                queue.turning = False
                self._around.next_due(queue.id, until, True)
        return free

    async def claim(self, queues: list[Queue]) -> None:
        """Claim from queues, and tell the dispatcher of those in which nothing more is due. Raises SpoolError."""
        around, wall = self._around, self._around.clock.wall()
        urgent = queues[0].priority == Priority.URGENT
        taken, queues = queues, self._set_resting_aside(queues, wall)
        if not queues:
            self._claims.discard(urgent)
            self.turns.put_back(taken, [], 0)
            return
        arrivals = [queue.arrivals for queue in queues]
        try:
            claim = await around.spool.claim(
                [queue.id for queue in queues],
                site=self._site,
                now=wall,
                limit=min(self._depth, self._fits),
                byte_limit=_BYTES_AHEAD,
                together=self._sizes.max_recipients,
            )
        except SpoolError:
            self.turns.put_back(queues, queues, 0)
            raise
        finally:
            self._claims.discard(urgent)
        for queue, seen in zip(queues, arrivals, strict=True):
            # What came while the claim was under way, the claim may not have seen.
            next_due_at = wall if queue.arrivals != seen else claim.next_due_at[queue.id]
            queue.due_at = float("inf") if next_due_at is None else next_due_at
            queue.turning = queue.due_at <= wall
        count = size = 0
        for message in claim.messages:
            count += len(message.recipients)
            size += len(message.content)
            self._line(message.priority).extend(self._envelopes(Delivery(message, message.recipients)))
        if size:
            # More than fits would be read for nothing.
            self._fits = max(_DEPTH, round(_FITS * count * _BYTES_AHEAD / size))
        self.turns.put_back(queues, [queue for queue in queues if queue.turning], count)
        for queue in queues:
            if not queue.turning:
                around.next_due(queue.id, queue.due_at, True)
        if claim.damaged:
            await around.holding.found(claim.damaged)

    async def give_back(self, deliveries: Sequence[Delivery], not_before: float = 0.0) -> None:
        """Put claims back into the spool; their queues become due again when that is recorded."""
        await self.put_off([(recipient, not_before) for delivery in deliveries for recipient in delivery.recipients])

    async def put_off(self, recipients: Sequence[tuple[ClaimedRecipient, float]]) -> None:
        """Put claims back that are not to be tried before an instant each."""
        if not recipients:
            return
        await self._release({recipient.id: not_before for recipient, not_before in recipients})
        for recipient, not_before in recipients:
            self._around.next_due(recipient.queue_id, max(recipient.due_at, not_before), False)

    async def _release(self, not_before: Mapping[int, float]) -> None:
        """Give claims back as soon as the spool can record it; who ends before that leaves them to the next start."""
        while not_before:
            try:
                await self._around.spool.release(list(not_before), not_before)
            except FencedError as error:
                log.error("%s", error)  # noqa: TRY400 - whoever has them now decides about them
                if not error.fenced:
                    return
                not_before = {one: at for one, at in not_before.items() if one not in error.fenced}
            except SpoolError as error:
                log.error("%s", error)  # noqa: TRY400 - as the docstring says
                await asyncio.sleep(_RETRY_S)
            else:
                return


def _place_of_another(line: deque[Delivery], suspect: str) -> int:
    """Find the first message for another domain than a mailbox's, else for another mailbox; 0 where none is near."""
    domain, place = domain_of(suspect), 0
    for index, delivery in enumerate(islice(line, _LOOKED_AT)):
        mailbox = delivery.recipients[0].rcpt_to
        if domain_of(mailbox) != domain:
            return index
        if not place and mailbox != suspect:
            place = index
    return place
