"""The dispatcher: which queues are due, where their mail goes, and which lane carries it.

It holds one small object per queue that has mail, never the mail. A queue that is due is routed and offered to its
lane; the lane claims from it in windows and gives it back when nothing in it is due.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from typing import TYPE_CHECKING, Any

from sender.core.errors import SpoolError
from sender.core.selection import Kind, Selection
from sender.engine.contact import unroutable
from sender.engine.lane import Lane
from sender.engine.lasting import lasting
from sender.engine.learned import Learned
from sender.engine.limits import configured
from sender.engine.placement import place
from sender.engine.queue import Queue
from sender.engine.results import Way
from sender.observe.names import OTHER
from sender.route.router import Unroutable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping

    from sender.core.classify import Classifier
    from sender.engine.committer import Batch
    from sender.engine.surroundings import Surroundings
    from sender.route.router import Route
    from sender.settings import Settings
    from sender.spool.contract import ClaimedMessage, QueueRow, Suspension

log = logging.getLogger(__name__)
_NEVER = float("inf")
_AT_ONCE = 500  # queues that are routed in one go
_LOOKUPS = 100  # look-ups under way at once
_WINDOW = 500  # recipients that are settled together where there is no lane
_STEP_S = 0.1  # until what a step of the clock means is looked at again


class Dispatcher:
    """See the module. `on_empty` is called when the last recipient has left."""

    def __init__(self, *, on_empty: Callable[[], None]) -> None:
        self.lanes: dict[str, Lane] = {}
        self.queues: dict[int, Queue] = {}
        self.suspensions: list[Suspension] = []
        self._moving: list[Selection] = []  # what commands are moving now
        self.around: Surroundings  # set by `prepare`, as is
        self.learned: Learned
        self._on_empty = on_empty
        self._due: list[tuple[float, int]] = []  # heap of (instant, queue); what is outdated is passed over
        self._sites: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lookups = asyncio.Semaphore(_LOOKUPS)
        self._running = False  # from `start` to the stop
        self._reload: asyncio.TimerHandle | None = None  # when the next suspension ends

    async def prepare(self, around: Surroundings) -> None:
        """Take in what was learned and what is suspended. Commands that find no daemon go no further."""
        self.around = around
        self.learned = Learned(around, self.lanes)
        await self.learned.load()
        await self.reload_suspensions()

    def start(self, rows: Iterable[QueueRow]) -> None:
        """Take in what is queued, and begin."""
        self._running = True
        self.arrived(rows)
        self._spawn(lasting(self._run))

    def reload(self, settings: Settings, classifier: Classifier) -> None:
        """Go on under another configuration: mail that is routed from now on, and every lane's limits."""
        self.around.settings = settings
        self.around.classifier = classifier
        self.around.router.settings = settings
        self.around.settler.reload(settings)
        self.around.budget.most = settings.delivery.max_sessions
        for lane in self.lanes.values():
            lane.reconfigure()

    # what changes the queues

    def arrived(self, rows: Iterable[QueueRow]) -> None:
        """Mail was accepted, here or by another process."""
        for row in rows:
            queue = self.queues.get(row.id)
            if queue is None:
                queue = self.queues[row.id] = Queue(row.id, row.domain, row.stream, row.priority, _NEVER, 0)
            queue.queued += row.queued
            queue.arrivals += 1
            self._note_due(queue, row.due_at)
        if self._running and not self.around.settler.steps.unseen:
            self._route_due()

    def next_due(self, queue_id: int, due_at: float | None, exact: bool) -> None:  # noqa: FBT001 - see Surroundings
        """Hear when a queue's next recipient is due: `exact` after a claim, else of one recipient that came back."""
        queue = self.queues.get(queue_id)
        if queue is None:
            return
        at = _NEVER if due_at is None else due_at
        if exact:
            queue.due_at = _NEVER
            if at == _NEVER and queue.queued <= 0:
                del self.queues[queue_id]
                return
        else:
            queue.arrivals += 1
        self._note_due(queue, at)

    def recorded(self, batch: Batch) -> None:
        """Outcomes are recorded: who was deferred comes back, who ended has left."""
        for queue_id, due_at in batch.requeued:
            self.next_due(queue_id, due_at, exact=False)
        for queue_id, count in batch.ended.items():
            queue = self.queues.get(queue_id)
            if queue is not None:
                queue.queued -= count
                if queue.queued <= 0 and queue.due_at == _NEVER and not queue.turning:
                    del self.queues[queue_id]
        if batch.ended:
            self.tell_if_empty()

    def tell_if_empty(self) -> None:
        """Call `on_empty` where nothing is left."""
        if not any(queue.queued > 0 for queue in self.queues.values()):
            self._on_empty()

    def _note_due(self, queue: Queue, at: float) -> None:
        queue.due_at = min(queue.due_at, at)
        if queue.due_at == _NEVER or queue.turning or queue.routing:
            if queue.turning:
                self.lanes[queue.lane].pump()
            return
        heapq.heappush(self._due, (queue.due_at, queue.id))
        if self._due[0][1] == queue.id:
            self._changed.set()

    # routing what is due

    async def _run(self) -> None:
        while self._running:
            if self.around.settler.steps.unseen:
                await asyncio.sleep(_STEP_S)
                continue
            if self._route_due():
                await asyncio.sleep(0)
                continue
            self._changed.clear()
            wait_s = self._due[0][0] - self.around.clock.wall() if self._due else None
            # Not `wait_for`: it can miss that it is cancelled, when it ends at that very moment.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait_s is None else min(wait_s, 3600.0)):
                    await self._changed.wait()

    def _route_due(self) -> bool:
        """Route what is due, but no more than is quickly done; tell whether anything was."""
        due = self._take_due(self.around.clock.wall())
        by_domain: dict[str, list[Queue]] = {}
        for queue in due:
            queue.routing = not self.suspended(queue)  # what is held comes back when it is resumed
            if queue.routing:
                by_domain.setdefault(queue.domain, []).append(queue)
        configured = {domain: self.around.router.configured(domain) for domain in by_domain}
        known = {domain: (by_domain.pop(domain), route) for domain, route in configured.items() if route is not None}
        if known:
            self._offer(known)
        if by_domain:
            self._spawn(self._route_together(by_domain))
        return bool(due)

    def _take_due(self, now: float) -> list[Queue]:
        due: list[Queue] = []
        while self._due and self._due[0][0] <= now and len(due) < _AT_ONCE:
            at, queue_id = heapq.heappop(self._due)
            queue = self.queues.get(queue_id)
            if queue is not None and queue.due_at == at and not queue.turning and not queue.routing:
                queue.routing = True
                due.append(queue)
        return due

    async def _route_together(self, by_domain: Mapping[str, list[Queue]]) -> None:
        """Look up the ways of queues that became due together, and offer them together as far as that is quick.

        So the recipients of one message who share a site are found together, and share a transaction.
        """
        tasks = {asyncio.create_task(self._look_up(domain)): domain for domain in by_domain}
        wait_s: float | None = self.around.settings.delivery.sibling_wait
        pending: set[asyncio.Task[Route | Unroutable]] = set(tasks)
        while pending:
            done, pending = await asyncio.wait(
                pending, timeout=wait_s, return_when=asyncio.ALL_COMPLETED if wait_s else asyncio.FIRST_COMPLETED
            )
            wait_s = None
            self._offer({tasks[task]: (by_domain[tasks[task]], task.result()) for task in done})

    async def _look_up(self, domain: str) -> Route | Unroutable:
        async with self._lookups:
            return await self.around.router.route(domain)

    def _offer(self, found: Mapping[str, tuple[list[Queue], Route | Unroutable]]) -> None:
        lanes: dict[str, Lane] = {}
        sites: dict[str, str] = {}
        for domain, (queues, route) in found.items():
            if isinstance(route, Unroutable):
                for queue in queues:
                    self._spawn(self._fail(queue, route))
                continue
            lane = self._lane(domain, route)
            lanes[lane.name] = lane
            if self._sites.get(domain) != lane.site:
                sites[domain] = self._sites[domain] = lane.site
            for queue in queues:
                queue.routing = False
                if not self._running or self.suspended(queue):
                    continue
                lane.offer(queue)
        if sites:
            # Tasks begin in their order: the claims that follow stand behind it in the writer's order.
            self._spawn(self._remember_sites(sites))
        for lane in lanes.values():
            lane.pump()

    async def _remember_sites(self, sites: dict[str, str]) -> None:
        try:
            await self.around.spool.set_sites(sites)
        except SpoolError as error:
            log.error("%s", error)  # noqa: TRY400 - they are told again at the next look-up
            for domain in sites:
                self._sites.pop(domain, None)

    def _lane(self, domain: str, route: Route) -> Lane:
        """Give the lane for a domain."""
        around, placement = self.around, place(self.around.settings, domain, route)
        lane = self.lanes.get(placement.lane)
        if lane is None:
            ceiling = configured(around.settings, route.site, placement.provider).ceiling
            lane = Lane(
                placement=placement,
                route=route,
                allowance=self.learned.allowance(placement.allowance, ceiling=ceiling),
                around=around,
                memory=self.learned.row(placement.lane),
            )
            self.lanes[lane.name] = lane
            lane.suspend(suspended=self.suspension_of(lane) is not None)
        lane.route = route
        return lane

    async def _fail(self, queue: Queue, route: Unroutable) -> None:
        """Settle what is due in a queue that has no way, window by window."""
        around = self.around
        failure = unroutable(route)
        metrics = around.metrics.lane(OTHER, "default")
        while self._running:
            await around.committer.flushed()
            arrivals = queue.arrivals
            try:
                claim = await around.spool.claim(
                    [queue.id], site="", now=around.clock.wall(), limit=_WINDOW, byte_limit=_WINDOW * 10_000
                )
            except SpoolError as error:
                log.error("%s: %s", queue.domain, error)  # noqa: TRY400
                await asyncio.sleep(1.0)
                continue
            await around.holding.found(claim.damaged)
            for message in claim.messages:
                results = [failure.result_for(recipient) for recipient in message.recipients]
                around.settler.settle(message, results, Way(), metrics)
            next_due_at = claim.next_due_at[queue.id]
            if queue.arrivals == arrivals:
                queue.due_at = _NEVER
            if next_due_at is None or next_due_at > around.clock.wall():
                queue.routing = False
                self.next_due(queue.id, next_due_at, exact=False)
                return

    # operators

    def suspended(self, queue: Queue) -> bool:
        """Tell whether an operator holds this queue's mail, or a command is moving it."""
        if not self.suspensions and not self._moving:
            return False
        site, source = self._sites.get(queue.domain), queue.lane.partition("/")[0]
        return any(
            selection.covers(domain=queue.domain, site=site, source=source, stream=queue.stream)
            for selection in (*self._moving, *(suspension.selection for suspension in self.suspensions))
        )

    def suspension_of(self, lane: Lane) -> Suspension | None:
        """Find what holds all mail of a lane."""
        for suspension in self.suspensions:
            selection = suspension.selection
            if selection.kind in {Kind.ALL, Kind.SITE, Kind.SOURCE} and selection.covers(
                domain="", site=lane.site, source=lane.source, stream=""
            ):
                return suspension
        return None

    async def read_suspensions(self) -> None:
        """Read the suspensions again. That is all where single messages were held: the spool gives them to no lane."""
        before, now = self.suspensions, self.around.clock.wall()
        self.suspensions = await self.around.spool.suspensions(now)
        held = {suspension.id for suspension in self.suspensions}
        for suspension in before:
            if suspension.until is not None and suspension.until <= now and suspension.id not in held:
                event = {"event": "resumed", **suspension.selection.told, "reason": "its time is over"}
                self.around.events.write([{"at": now, **event}])

    async def reload_suspensions(self) -> None:
        """Read the suspensions again and let them take effect; come back when the next one ends."""
        await self.read_suspensions()
        for lane in self.lanes.values():
            lane.suspended = self.suspension_of(lane) is not None
            self.requeue(lane.let_go())
            lane.pump()
        self.requeue(self.queues.values())
        until = min((s.until for s in self.suspensions if s.until is not None), default=None)
        if until is not None:
            if self._reload is not None:
                self._reload.cancel()
            self._reload = asyncio.get_running_loop().call_later(
                max(0.0, until - self.around.clock.wall()) + 0.01, lambda: self._spawn(self._suspension_over())
            )

    async def _suspension_over(self) -> None:
        while True:
            try:
                await self.reload_suspensions()
                await self.refresh()  # messages that were held one by one are in their queues again
            except SpoolError as error:
                log.error("%s", error)  # noqa: TRY400 - tried again in a moment
                await asyncio.sleep(1.0)
            else:
                return

    def requeue(self, queues: Iterable[Queue]) -> None:
        """Look at queues again: they may go now, or no more."""
        for queue in queues:
            self._note_due(queue, queue.due_at)

    async def refresh(self) -> None:
        """Read from the spool when each queue is due, after an operator has changed that there."""
        for row in await self.around.spool.queues():
            queue = self.queues.get(row.id)
            if queue is None:
                self.arrived([row])
            else:
                queue.arrivals += 1
                self._note_due(queue, row.due_at)

    @contextlib.asynccontextmanager
    async def moving(self, selection: Selection) -> AsyncIterator[None]:
        """Give back what is claimed and not being tried, and claim nothing of a selection while a command moves it."""
        # Which queues a single message is in is not known here: for it, all of them wait this moment.
        held = Selection(Kind.ALL) if selection.kind is Kind.MESSAGE else selection
        self._moving.append(held)
        try:
            for lane in self.lanes.values():
                self.requeue(lane.let_go())
            # The lanes' tasks hand their claims to the spool; those under way are answered, and come back likewise.
            await asyncio.sleep(0)
            await self.around.spool.release([])
            await asyncio.sleep(0)
            yield
        finally:
            self._moving.remove(held)
            self.requeue(self.queues.values())

    async def remove(
        self, selection: Selection, reason: str, *, bounced: Callable[[ClaimedMessage], None] | None
    ) -> int:
        """Take a selection out of the queue: bounce it by `bounced`, or remove it silently. Give the recipients."""
        count = 0
        async with self.moving(selection):
            while messages := await self.around.spool.claim_selected(selection, limit=_WINDOW):
                for message in messages:
                    count += len(message.recipients)
                    if bounced is not None:
                        bounced(message)
                    else:
                        self.around.settler.remove(message, reason)
                await self.around.committer.flushed()
        await self.read_suspensions()  # those of messages end with them
        return count

    # stopping

    async def drain(self) -> None:
        """Start nothing more; finish what is open."""
        self._running = False
        if self._reload is not None:
            self._reload.cancel()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(lane.drain() for lane in self.lanes.values()))
        await self.around.committer.flushed()

    def abort(self) -> None:
        """Start nothing more, and cut every session off."""
        self._running = False
        for lane in self.lanes.values():
            lane.crew.abort()

    def memory(self, *, clean: bool, everything: bool) -> dict[str, dict[str, Any]]:
        """Give what lanes have learned since it was last asked for; lanes that sleep are remembered and dropped."""
        now = self.around.clock.steady()
        asleep: dict[str, dict[str, Any]] = {}
        for lane in [lane for lane in self.lanes.values() if not lane.has_news and lane.asleep(now)]:
            asleep |= self.learned.fell_asleep(self.lanes.pop(lane.name))
        return asleep | self.learned.awake(clean=clean, everything=everything)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("dispatcher: %r", error, exc_info=error)
