"""A lane: one source to one site, with its window, its pace, its sessions and the mail that it has claimed.

All state is changed by the synchronous methods here, with no await inside; I/O is done by the session tasks and by the
claiming task, which then come back with what they got. `pump` is what is called after anything has changed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from sender.core.errors import SpoolError
from sender.core.outcome import Outcome, Reason
from sender.core.pace import Pace
from sender.core.rate import PerMinute
from sender.core.window import Obstacle, Remembered, Window
from sender.engine.contact import Caller, NoSession, contact
from sender.engine.delivery import Delivery, in_order, judge, split
from sender.engine.diary import Diary
from sender.engine.settling import Result, Way
from sender.engine.turns import Turns
from sender.observe.metrics import LaneMetrics
from sender.smtp.session import Session
from sender.spool.contract import Priority

if TYPE_CHECKING:

    from sender.core.window import Ticket
    from sender.engine.queue import Queue
    from sender.engine.surroundings import Surroundings
    from sender.route.router import Route
    from sender.settings import Tls
    from sender.smtp.session import Answer

log = logging.getLogger(__name__)
_QUEUES_AT_ONCE = 64
_DEPTH, _DEPTH_MAX = 10, 1000  # recipients claimed ahead
_BYTES_AHEAD = 8 * 2**20
_SLACK_S = 2.0  # a lane that claims less often than this claims less
_LOCAL_PAUSE_S = 1.0
_CONNECT_FAILED, _MAX_SESSIONS, _PACE, _SUSPENDED, _SPOOL = "connect_failed", "max_sessions", "pace", "suspended", "spool"


class Lane:
    """See the module."""

    def __init__(
        self, *, source: str, site: str, route: Route, tls: Tls, around: Surroundings, memory: dict[str, Any] | None, clean: bool
    ) -> None:
        settings, now = around.settings, around.clock.steady()
        self.source = source
        self.site = site
        self.route = route
        self.around = around
        self.tls: Tls = tls
        self.metrics = LaneMetrics(around.metrics, site, source)
        self.diary = Diary.restored(memory)
        self.messages_per_session, self.max_recipients = self._configured_sizes()
        self.window = Window(
            start=settings.window.start,
            ceiling=self._configured_ceiling(),
            now=now,
            rng=around.rng,
            remembered=self._remembered(memory, clean=clean),
        )
        self.pace = Pace(now, (memory or {}).get("per_second"))
        self.turns = Turns(lambda stream: settings.stream(stream).weight)
        self.delivered, self.deferrals = PerMinute(), PerMinute()
        self.changed = False  # there is something new to remember
        self.blocked_by = ""
        self.connect_failure = ""  # why there is no connection, while there is none
        self._ready: tuple[deque[Delivery], deque[Delivery]] = (deque(), deque())  # urgent, others
        self._idle: list[asyncio.Future[bool]] = []  # True: there is work; False: it was idle too long, or the lane stops
        self._tasks: set[asyncio.Task[None]] = set()
        self._dialing: set[asyncio.Task[None]] = set()  # of these, those that have no session yet
        self._claiming = False
        self._claimed_at = now
        self._depth = _DEPTH
        self._blocked_since = now
        self._dial_at = now
        self._backoff_s = settings.delivery.connect_backoff
        self._stopping = False
        self.suspended = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        source_settings = settings.sources[source]
        self._caller = Caller(
            source_address=source_settings.address, helo=source_settings.helo or settings.hostname, tls=tls
        )
        self._note_changes()

    @property
    def name(self) -> str:
        """`source/site`."""
        return f"{self.source}/{self.site}"

    @property
    def waiting(self) -> int:
        """Deliveries that are claimed and wait for a session."""
        return len(self._ready[0]) + len(self._ready[1])

    @property
    def sessions(self) -> int:
        """Sessions that are open or being opened."""
        return self.window.in_use

    @property
    def busy(self) -> bool:
        """Tell whether anything is claimed, being tried or open."""
        return bool(self._tasks) or self.waiting > 0 or self._claiming

    @property
    def next_change_at(self) -> float | None:
        """The instant (steady clock) at which a lane that is held back goes on by itself."""
        now = self.around.clock.steady()
        times = [self.window.hold_until, self.window.retry_at, self._dial_at, self.pace.stopped_until]
        if self.window.in_use >= self.window.limit and not self.window.growing:
            times.append(self.window.next_try_at)
        later = [at for at in times if at > now]
        return min(later, default=None)

    # from outside

    def offer(self, queue: Queue) -> None:
        """Take a queue that is due into the turns."""
        queue.lane, queue.turning = self, True
        if override := self.around.settings.destination(queue.domain).max_window:
            self.window.ceiling = min(self.window.ceiling, override)
        self.turns.add(queue)

    def pump(self) -> None:
        """Do whatever can be done now: hand deliveries to idle sessions, claim, open a session, set the next alarm."""
        now = self.around.clock.steady()
        if not self._held(now):
            self._end_idle(self.waiting, work=True)
        self._claim_more(now)
        self._open_more(now)
        self._set_alarm(now)

    def suspend(self, *, suspended: bool) -> None:
        """Stop or go on; what was claimed goes back to the spool, so that operators can act on it."""
        self.suspended = suspended
        if suspended:
            self.let_go()
        self.pump()

    def let_go(self) -> list[Queue]:
        """Give up what is claimed and not being tried, and every queue in the turns."""
        recipients = []
        for ready in self._ready:
            recipients += [recipient for delivery in ready for recipient in delivery.recipients]
            ready.clear()
        if recipients:
            self._spawn(self._release([(r.id, r.queue_id, r.due_at) for r in recipients]))
        queues = self.turns.clear()
        for queue in queues:
            queue.turning = False
        return queues

    def try_now(self) -> None:
        """Forget a connection that failed: an operator says that it works again."""
        self._dial_at = self.around.clock.steady()
        self._backoff_s = self.around.settings.delivery.connect_backoff

    async def drain(self) -> None:
        """Finish the open transactions and QUIT every session."""
        self._stopping = True
        self.let_go()
        self._end_idle(len(self._idle), work=False)
        for task in self._dialing:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def abort(self) -> None:
        """Stop at once: what is open is cut off, what is claimed is found again at the next start."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()

    def memory(self, *, clean: bool) -> dict[str, Any]:
        """Give what the lane has learned."""
        remembered = self.window.remember(self.around.clock.wall(), clean=clean)
        return {
            "limit": remembered.limit,
            "rest_s": remembered.rest_s,
            "at": remembered.at,
            "per_second": self.pace.per_second,
            "messages_per_session": self.messages_per_session,
            "history": self.diary.entries(),
        }

    # claiming

    def _claim_more(self, now: float) -> None:
        if self._claiming or not self.turns or self._stopping or self.suspended or self.around.committer.failing:
            return
        if self.waiting > self._depth // 2 and not self.turns.urgent:
            return
        if self.window.in_use == 0 and self._obstacle(now) is not None:
            return  # nothing could be tried: what is not claimed can still be moved, held or removed
        if self.waiting == 0 and now - self._claimed_at < _SLACK_S:
            self._depth = min(self._depth * 2, _DEPTH_MAX)
        elif now - self._claimed_at > _SLACK_S:
            self._depth = max(self._depth // 2, _DEPTH, 2 * self.window.in_use)
        self._claimed_at = now
        self._claiming = True
        self._spawn(self._claim(self.turns.take(_QUEUES_AT_ONCE)))

    async def _claim(self, queues: list[Queue]) -> None:
        around = self.around
        wall = around.clock.wall()
        arrivals = [queue.arrivals for queue in queues]
        try:
            claim = await around.spool.claim(
                [queue.id for queue in queues], site=self.site, now=wall, limit=self._depth, byte_limit=_BYTES_AHEAD
            )
        except SpoolError as error:
            log.error("%s: %s", self.name, error)  # noqa: TRY400
            self._dial_at = around.clock.steady() + _LOCAL_PAUSE_S
            self.turns.put_back(queues, queues, 0)
            self._claiming = False
            return
        still_due = []
        for queue, seen in zip(queues, arrivals, strict=True):
            next_due_at = wall if queue.arrivals != seen else claim.next_due_at[queue.id]
            queue.due_at = float("inf") if next_due_at is None else next_due_at
            queue.turning = queue.due_at <= wall
            if queue.turning:
                still_due.append(queue)
        count = 0
        for message in claim.messages:
            count += len(message.recipients)
            self._ready[message.priority != Priority.URGENT].extend(split(message, self.max_recipients))
        self.turns.put_back(queues, still_due, count)
        for queue in queues:
            if not queue.turning:
                around.next_due(queue.id, queue.due_at, True)
        self._claiming = False
        if self._stopping or self.suspended:
            self.let_go()
        self.pump()

    async def _release(self, claims: list[tuple[int, int, float]]) -> None:
        """Put claims back; their queues become due again when that is recorded."""
        try:
            await self.around.spool.release([recipient_id for recipient_id, _, _ in claims])
        except SpoolError as error:
            log.error("%s: %s", self.name, error)  # noqa: TRY400 - they are found again at the next start
        for _, queue_id, due_at in claims:
            self.around.next_due(queue_id, due_at, False)

    # sessions

    def _obstacle(self, now: float) -> tuple[str, float | None] | None:
        """Tell what forbids another session, and until when."""
        if now < self._dial_at:
            return _CONNECT_FAILED, self._dial_at
        return self.window.obstacle(now)

    def _held(self, now: float) -> bool:
        """Tell whether no message may be started now, whatever sessions there are."""
        return (
            self.suspended
            or self._stopping
            or self.around.committer.failing
            or self.pace.next_start_at(now) > now
            or now < self.window.hold_until
        )

    def _open_more(self, now: float) -> None:
        """Open sessions, one for each delivery that no session will take, as far as the window lets us."""
        if self._held(now):
            return
        while self.waiting > len(self._idle) + self.window.unproven and self._obstacle(now) is None:
            if not self.around.budget.take(self.pump):
                return
            self._dialing.add(self._spawn(self._run_session(self.window.opening())))

    async def _run_session(self, ticket: Ticket) -> None:
        """Open a session, serve with it while there is work, QUIT."""
        around = self.around
        session: Session | None = None
        ended = False
        try:
            opened = await contact(self.route, around.router, self._caller, around.settings.delivery)
            self._dialed()
            if isinstance(opened, Session):
                session = opened
                self._connected(ticket)
                ended = await self._serve(session, ticket)
            else:
                ended = self._not_connected(opened, ticket)
        finally:
            if session is not None:
                if self._aborted():
                    session.abort()
                else:
                    await session.quit()
            if not ended:
                self.window.closed(ticket, around.clock.steady())
            self._note_changes()
            around.budget.give_back()
            if not self._aborted():
                self.pump()

    def _dialed(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._dialing.discard(task)

    @staticmethod
    def _aborted() -> bool:
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    def _connected(self, ticket: Ticket) -> None:
        self.window.taken(ticket)
        self.metrics.opened()
        self.connect_failure = ""
        self._backoff_s = self.around.settings.delivery.connect_backoff

    async def _serve(self, session: Session, ticket: Ticket) -> bool:
        """Carry deliveries until the session is over; tell whether the window has ended its ticket already."""
        clock = self.around.clock
        while True:
            delivery = self._next_delivery()
            if delivery is None:
                if not await self._work_came():
                    return False
                continue
            began_at = clock.steady()
            try:
                answers = await session.transact(delivery.outgoing(self.around.spool))
            except SpoolError as error:
                log.error("%s: %s", self.name, error)  # noqa: TRY400
                self._unreadable(delivery, str(error))
                return False
            if self._answered(delivery, session, ticket, answers, clock.steady() - began_at):
                return True
            if not self._goes_on(session):
                return False

    def _next_delivery(self) -> Delivery | None:
        now = self.around.clock.steady()
        if self._held(now):
            return None
        for ready in self._ready:
            if ready:
                delivery = ready.popleft()
                self.pace.started(now)
                if self.waiting <= self._depth // 2:
                    self._claim_more(now)
                return delivery
        self.pump()
        return None

    def _goes_on(self, session: Session) -> bool:
        if self._stopping or not session.usable or self.window.surplus():
            return False
        return session.transactions < self.messages_per_session or not self.window.may_retire(self.around.clock.steady())

    async def _work_came(self) -> bool:
        """Wait for work; False when there was none for the idle time, or the lane stops."""
        if self._stopping:
            return False
        future: asyncio.Future[bool] = self._loop.create_future()
        self._idle.append(future)
        timer = self._loop.call_later(self.around.settings.delivery.idle_timeout, self._idle_too_long, future)
        try:
            return await future
        except asyncio.CancelledError:
            if future in self._idle:
                self._idle.remove(future)
            raise
        finally:
            timer.cancel()

    def _idle_too_long(self, future: asyncio.Future[bool]) -> None:
        """End a session that had nothing to do, unless there is mail that must wait: it will be wanted then."""
        if future in self._idle:
            self._idle.remove(future)
            future.set_result(self.waiting > 0 or self._claiming)

    def _end_idle(self, most: int, *, work: bool) -> None:
        """Wake the sessions that went idle last: those before them may end."""
        for _ in range(min(most, len(self._idle))):
            self._idle.pop().set_result(work)

    # what happened

    def _answered(
        self, delivery: Delivery, session: Session, ticket: Ticket, answers: list[Answer], seconds: float
    ) -> bool:
        """Draw the consequences of one transaction; tell whether the receiver refused the session itself."""
        now = self.around.clock.steady()
        judgement = judge(delivery, session, answers)
        if judgement.proven:
            self.window.prove(ticket, now)
        if judgement.delivered:
            self.metrics.transaction(seconds)
            self.pace.delivered(now)
            self.delivered.add(now, judgement.delivered)
            self.window.answered(now)
        if judgement.ambiguous:
            self.metrics.ambiguous()
            log.warning("%s: %s: lost after the content of a message: it may arrive twice", self.name, session.endpoint)
        if len(answers) > judgement.delivered:
            self.deferrals.add(now, len(answers) - judgement.delivered)
        if judgement.last_refusal is not None:
            stage, text = judgement.last_refusal
            self.diary.heard(stage, text)
        refused = self._learn(judgement.throttles, judgement.lane_verdict, delivery, session, ticket, answers)
        if judgement.settled:
            way = Way(
                site=self.site,
                source=self.source,
                host=session.host,
                address=session.address,
                tls=session.tls,
                session_s=seconds,
            )
            self.around.settler.settle(delivery.message, judgement.settled, way, self.metrics)
        if judgement.again:
            again = in_order(judgement.again, delivery)
            again.reconnected |= not judgement.throttles
            self._ready[delivery.message.priority != Priority.URGENT].extendleft(
                reversed([Delivery(again.message, part.recipients, again.reconnected) for part in self._parts(again)])
            )
        self._note_changes()
        if judgement.session_over:
            session.closed_by = session.closed_by or next((answer.reply for answer in answers if answer.reply), None)
        return refused

    def _parts(self, delivery: Delivery) -> list[Delivery]:
        recipients, most = delivery.recipients, self.max_recipients
        return [in_order(recipients[start : start + most], delivery) for start in range(0, len(recipients), most)]

    def _learn(
        self,
        throttles: dict[Reason, Any],
        lane_verdict: Any,
        delivery: Delivery,
        session: Session,
        ticket: Ticket,
        answers: list[Answer],
    ) -> bool:
        """Let window and pace hear of throttles; tell whether the session was refused as such."""
        now = self.around.clock.steady()
        refused = False
        for reason, verdict in throttles.items():
            self.metrics.deferred(reason)
            if reason is Reason.MESSAGE_RATE:
                self.pace.throttled(now, verdict.retry_after_s)
                self.changed = True
            elif reason is Reason.RECIPIENT_LIMIT:
                taken = sum(answer.delivered for answer in answers)
                self.max_recipients = taken or max(1, len(delivery.recipients) // 2)
            elif reason is Reason.SESSION_MESSAGE_LIMIT and session.transactions > 1:
                self.messages_per_session = max(1, session.transactions - 1)
            elif not ticket.proven:
                self.window.refused(ticket, now, verdict.retry_after_s)
                self.metrics.refused(reason)
                refused = True
            elif session.usable:
                self.window.throttled(now)
            else:
                self.window.cut(now)
        if lane_verdict is not None and lane_verdict.outcome is Outcome.DEFERRED:
            if lane_verdict.reason is Reason.REPUTATION:
                self.window.blocked(now, lane_verdict.retry_after_s)
            else:
                self.window.overloaded(now)
        return refused

    def _not_connected(self, failure: NoSession, ticket: Ticket) -> bool:
        """Draw the consequences of a session that was not opened; tell whether the window has ended its ticket."""
        now = self.around.clock.steady()
        reason = failure.verdict.reason or Reason.UNCLASSIFIED
        self.metrics.refused(reason)
        self.diary.heard(failure.stage, failure.text)
        if failure.local:
            log.error("%s: %s", self.name, failure.text)
            self._dial_at = now + _LOCAL_PAUSE_S
            return False
        if failure.verdict.throttles or self.window.proven > 0:
            # Others are open and this one is not: that is a limit, whatever it calls itself.
            self.window.refused(ticket, now, failure.verdict.retry_after_s)
            if failure.verdict.throttles:
                self.metrics.deferred(reason)
            return True
        if reason is Reason.REPUTATION:
            self.window.blocked(now, failure.verdict.retry_after_s)
        self.connect_failure = failure.text
        self._dial_at = now + self._backoff_s * self.around.rng.uniform(0.8, 1.2)
        self._backoff_s = min(self._backoff_s * 2, self.around.settings.delivery.connect_backoff_max)
        self._fail_ready(failure)
        return False

    def _fail_ready(self, failure: NoSession) -> None:
        """Settle what was claimed: there is no way to this site now."""
        host = failure.host.partition("[")[0]
        way = Way(site=self.site, source=self.source, host=host)
        for ready in self._ready:
            while ready:
                delivery = ready.popleft()
                results = [
                    Result(
                        recipient=recipient,
                        verdict=failure.verdict,
                        stage=failure.stage,
                        reply=failure.reply,
                        detail=failure.detail,
                        status=failure.status,
                    )
                    for recipient in delivery.recipients
                ]
                self.deferrals.add(self.around.clock.steady(), len(results))
                self.around.settler.settle(delivery.message, results, way, self.metrics)

    def _unreadable(self, delivery: Delivery, detail: str) -> None:
        """The content cannot be read: the message waits, the receiver has nothing to do with it."""
        log.error("%s: content of a message cannot be read: %s", self.name, detail)
        self._spawn(self._release([(r.id, r.queue_id, r.due_at) for r in delivery.recipients]))
        self._dial_at = self.around.clock.steady() + _LOCAL_PAUSE_S

    # bookkeeping

    def _note_changes(self) -> None:
        """Write changes of the window into the diary, the events and the metrics."""
        if not self.window.changes:
            return
        for change in self.window.changes:
            entry = self.diary.note(change, self.around.clock)
            self.metrics.window_changed(change.before, change.after, change.cause)
            self.around.events.write(
                [{"event": "window", "site": self.site, "source": self.source, **entry, "at": self.around.clock.wall()}]
            )
        self.window.changes.clear()
        self.changed = True

    def _set_alarm(self, now: float) -> None:
        """Note what holds the lane back, and come again when that ends by itself."""
        by, until = self._blocked(now)
        if by != self.blocked_by:
            self.count_blocked(now)
            self.blocked_by = by
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if until is not None:
            self._timer = self._loop.call_later(max(0.001, until - now), self.pump)

    def count_blocked(self, now: float) -> None:
        """Add the time since the last count to what holds the lane back."""
        if self.blocked_by:
            self.metrics.blocked(self.blocked_by, now - self._blocked_since)
        self._blocked_since = now

    def _blocked(self, now: float) -> tuple[str, float | None]:
        """Tell what keeps waiting mail from going out now; empty where nothing waits or all is well."""
        if not (self.waiting or self.turns) or self._stopping:
            return "", None
        if self.suspended:
            return _SUSPENDED, None
        if self.around.committer.failing:
            return _SPOOL, now + 1.0
        if now < self.window.hold_until:
            return Obstacle.HOLD, self.window.hold_until
        next_start_at = self.pace.next_start_at(now)
        if next_start_at > now:
            return _PACE, next_start_at
        obstacle = self._obstacle(now)
        if obstacle is None:
            exhausted = self.around.budget.used >= self.around.budget.most
            return (_MAX_SESSIONS, None) if exhausted and self.waiting else ("", None)
        return obstacle

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name=self.name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._dialing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: %r", self.name, error, exc_info=error)

    def reconfigure(self) -> None:
        """Take the limits of a configuration that was reloaded; what was learned stays within them."""
        self.window.ceiling = self._configured_ceiling()
        self.messages_per_session, self.max_recipients = self._configured_sizes()
        self.pump()

    def _configured_sizes(self) -> tuple[int, int]:
        settings = self.around.settings
        here = settings.destination(self.site)
        return (
            here.messages_per_session or settings.delivery.messages_per_session,
            here.max_recipients or settings.delivery.max_recipients,
        )

    def _configured_ceiling(self) -> int:
        settings = self.around.settings
        here = settings.destination(self.site)
        ceiling = here.max_window or settings.window.max
        if here.cap is not None:
            ceiling = min(ceiling, max(1, int(here.cap * settings.window.headroom)))
        return ceiling

    def _remembered(self, memory: dict[str, Any] | None, *, clean: bool) -> Remembered | None:
        if not memory:
            return None
        clock = self.around.clock
        age_s = max(0.0, clock.wall() - memory["at"])
        return Remembered(memory["limit"], memory["rest_s"], clock.steady() - age_s, clean)


