"""A lane: one source to one site. It decides how many sessions there are, when a message may start, and what follows.

All its state is changed by synchronous methods, with no await inside: its `stock` claims mail, its `crew` talks, and
both come back here with what they got. `pump` is called after anything has changed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from sender.core.backoff import Backoff
from sender.core.errors import SpoolError
from sender.core.outcome import Outcome, Reason
from sender.core.pace import Pace
from sender.core.rate import PerMinute
from sender.core.window import Obstacle, Remembered, Window
from sender.engine.contact import Caller, NoSession, contact
from sender.engine.crew import Crew
from sender.engine.delivery import Delivery, Judgement, in_order, judge
from sender.engine.diary import Diary
from sender.engine.limits import configured
from sender.engine.settling import Way
from sender.engine.stock import Stock
from sender.observe.metrics import LaneMetrics
from sender.providers import provider_of_all
from sender.smtp.habits import Habits

if TYPE_CHECKING:
    from sender.core.window import Ticket
    from sender.engine.queue import Queue
    from sender.engine.surroundings import Surroundings
    from sender.route.router import Route
    from sender.settings import Tls
    from sender.smtp.session import Answer, Session

log = logging.getLogger(__name__)
_LOCAL_PAUSE_S = 1.0
_ASLEEP_S = 300.0
_HELD_BY_RECEIVER = frozenset({"hold", "retry", "pace", "window", "connect_failed"})


class Lane:
    """See the module."""

    def __init__(
        self,
        *,
        source: str,
        site: str,
        route: Route,
        tls: Tls,
        around: Surroundings,
        memory: dict[str, Any] | None,
    ) -> None:
        settings, now = around.settings, around.clock.steady()
        self.source = source
        self.site = site
        self.name = f"{source}/{site}"
        self.route = route
        self.around = around
        self.provider = provider_of_all(host.name for host in route.hosts)
        self.metrics = LaneMetrics(around.metrics, self.provider.name if self.provider else site, source)
        self.diary = Diary.restored(memory)
        self.stock = Stock(site, around)
        self.crew = Crew(self, around)
        limits = configured(settings, site, self.provider)
        self.messages_per_session, self.max_recipients = limits.messages_per_session, limits.max_recipients
        self.window = Window(
            start=settings.window.start,
            ceiling=limits.ceiling,
            now=now,
            rng=around.rng,
            remembered=self._remembered(memory),
        )
        self.pace = Pace(now, (memory or {}).get("per_second"))
        self.delivered, self.deferrals = PerMinute(), PerMinute()
        self.changed = False  # there is something new to remember
        self.blocked_by = ""
        self.connect_failure = ""  # why there is no connection, while there is none
        self.suspended = False
        self._recalls = 0  # times that everything was let go
        self._active_at = now
        self._blocked_since = now
        self.dialing = Backoff(
            now, first_s=settings.delivery.connect_backoff, most_s=settings.delivery.connect_backoff_max
        )
        self._timer: asyncio.TimerHandle | None = None
        self.habits = Habits(self.name, limits.forbidden, (memory or {}).get("mishandled", {}), around.clock.wall())
        self._caller = Caller(
            source_address=settings.sources[source].address,
            helo=settings.sources[source].helo or settings.hostname,
            tls=tls,
            habits=self.habits,
        )
        self._note_changes()

    # what it is

    @property
    def sessions(self) -> int:
        """Count the sessions that are open or being opened."""
        return self.window.in_use

    @property
    def state(self) -> str:
        """Say `open`, `throttled` (by the receiver) or `suspended` (by an operator)."""
        if self.suspended:
            return "suspended"
        return "throttled" if self.blocked_by in _HELD_BY_RECEIVER else "open"

    @property
    def next_change_at(self) -> float | None:
        """The instant (steady clock) at which a lane that is held back goes on by itself."""
        now = self.around.clock.steady()
        times = [self.window.hold_until, self.window.retry_at, self.dialing.until, self.pace.stopped_until]
        if self.window.in_use >= self.window.limit and not self.window.growing:
            times.append(self.window.next_try_at)
        return min((at for at in times if at > now), default=None)

    def asleep(self, now: float) -> bool:
        """Tell whether nothing has happened here for a while, so that its memory alone need be kept."""
        if self.crew.tasks or self.stock.waiting or self.stock.turns or self.suspended:
            self._active_at = now
        return now - self._active_at > _ASLEEP_S and now >= self.dialing.until and now >= self.window.hold_until

    def memory(self, *, clean: bool) -> dict[str, Any]:
        """Give what the lane has learned. `clean`: every session has said QUIT, so no receiver counts one any more."""
        remembered = self.window.remember(self.around.clock.wall(), clean=clean)
        return {
            "limit": remembered.limit,
            "rest_s": remembered.rest_s,
            "at": remembered.at,
            "clean": remembered.clean,
            "per_second": self.pace.per_second,
            "messages_per_session": self.messages_per_session,
            "mishandled": self.habits.remember(self.around.clock.wall()),
            "history": self.diary.entries(),
        }

    # from outside

    def offer(self, queue: Queue) -> None:
        """Take a queue that is due into the turns."""
        queue.lane, queue.turning = self.name, True
        if override := self.around.settings.destination(queue.domain).max_window:
            self.window.ceiling = min(self.window.ceiling, override)
        self.stock.turns.add(queue)

    def pump(self) -> None:
        """Do whatever can be done now: wake idle sessions, claim, open a session, set the next alarm."""
        now = self.around.clock.steady()
        if not self._held(now):
            self.crew.wake(self.stock.waiting)
        self._claim_more(now)
        if not self._held(now):
            self._open_more(now)
        self._set_alarm(now)

    def suspend(self, *, suspended: bool) -> None:
        """Stop or go on."""
        self.suspended = suspended
        self.pump()

    def let_go(self) -> list[Queue]:
        """Give up what is claimed and not being tried, and every queue in the turns; claims under way come back too."""
        self._recalls += 1
        self.crew.spawn(self.stock.give_back(self.stock.take_all()))
        queues = self.stock.turns.clear()
        for queue in queues:
            queue.turning = False
        return queues

    def try_now(self) -> None:
        """Forget that a connection failed: an operator says that it works again."""
        self.dialing.forget(self.around.clock.steady())

    def reconfigure(self) -> None:
        """Take the limits of a configuration that was reloaded; what was learned stays within them."""
        limits = configured(self.around.settings, self.site, self.provider)
        self.window.ceiling = limits.ceiling
        self.messages_per_session, self.max_recipients = limits.messages_per_session, limits.max_recipients
        self.habits.forbid(limits.forbidden)
        delivery = self.around.settings.delivery
        self.dialing.first_s, self.dialing.most_s = delivery.connect_backoff, delivery.connect_backoff_max
        self.pump()

    async def drain(self) -> None:
        """Finish the open transactions and QUIT every session."""
        self.crew.stopping = True
        self.let_go()
        await self.crew.drain()

    # what may be done

    def _held(self, now: float) -> bool:
        """Tell whether no message may be started now, whatever sessions there are."""
        return (
            self.suspended
            or self.crew.stopping
            or self.around.committer.failing
            or now < self.window.hold_until
            or now < self.pace.next_start_at(now)
        )

    def _obstacle(self, now: float) -> tuple[str, float | None] | None:
        """Tell what forbids another session, and until when (None: until something happens)."""
        if now < self.dialing.until:
            return "connect_failed", self.dialing.until
        return self.window.obstacle(now)

    def _claim_more(self, now: float) -> None:
        if not self.stock.low or self.crew.stopping or self.suspended or self.around.committer.failing:
            return
        if self.window.in_use == 0 and self._obstacle(now) is not None:
            return  # nothing could be tried: what is not claimed can still be moved, held or removed
        self.crew.spawn(self._claim(self.stock.begin_claim(now, sessions=self.window.in_use)))

    async def _claim(self, queues: list[Queue]) -> None:
        recalls = self._recalls
        try:
            await self.stock.claim(queues, max_recipients=self.max_recipients)
        except SpoolError as error:
            log.error("%s: %s", self.name, error)  # noqa: TRY400 - tried again in a moment
            self.dialing.pause(self.around.clock.steady(), _LOCAL_PAUSE_S)
        if self._recalls != recalls or self.crew.stopping or self.suspended:
            for queue in self.let_go():
                self.around.next_due(queue.id, queue.due_at, False)
        self.pump()

    def _open_more(self, now: float) -> None:
        """Open sessions, one for each delivery that no session will take, as far as the window lets us."""
        while self.stock.waiting > self.crew.idle + self.window.unproven and self._obstacle(now) is None:
            if not self.around.budget.take(self.pump):
                return
            self.crew.hire(self.window.opening(now))

    # what the crew asks

    async def contact(self) -> Session | NoSession:
        """Open one session."""
        around = self.around
        return await contact(self.route, around.router, self._caller, around.settings.delivery, around.classifier)

    def next_delivery(self) -> Delivery | None:
        """Give what a session shall do next, or None while there is nothing or nothing may be sent."""
        now = self.around.clock.steady()
        delivery = None if self._held(now) else self.stock.take()
        if delivery is None:
            self.pump()
            return None
        self.pace.started(now)
        self._claim_more(now)
        return delivery

    def goes_on(self, session: Session) -> bool:
        """Tell whether a session shall do more; one that works is not ended for its age while none could be opened."""
        if not session.usable or self.window.surplus():
            return False
        young = session.transactions < self.messages_per_session
        return young or not self.window.may_retire(self.around.clock.steady())

    def idle_enough(self) -> bool:
        """Tell whether an idle session shall end: not while mail waits that it will be wanted for."""
        return not (self.stock.waiting or self.stock.claiming)

    def left(self, ticket: Ticket | None) -> None:
        """Hear that a session has ended."""
        if ticket is not None:
            self.window.closed(ticket, self.around.clock.steady())
        self._note_changes()
        self.around.budget.give_back()
        if not self.crew.stopping:
            self.pump()

    # what follows

    def connected(self, ticket: Ticket) -> None:
        """Hear that a session is open."""
        self.window.taken(ticket)
        self.metrics.opened()
        self.connect_failure = ""
        self.dialing.succeeded()

    def not_connected(self, failure: NoSession, ticket: Ticket) -> bool:
        """Draw the consequences of a session that was not opened."""
        now = self.around.clock.steady()
        reason = failure.verdict.reason or Reason.UNCLASSIFIED
        self.metrics.refused(reason)
        self.diary.heard(failure.stage, failure.text)
        if failure.local:
            log.error("%s: %s", self.name, failure.text)
            self.dialing.pause(now, _LOCAL_PAUSE_S)
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
        self.dialing.failed(now, self.around.rng)
        self._fail_stock(failure)
        return False

    def _fail_stock(self, failure: NoSession) -> None:
        """Settle what was claimed: there is no way to this site now."""
        way = Way(site=self.site, source=self.source, host=failure.host.partition("[")[0])
        for delivery in self.stock.take_all():
            results = [failure.result_for(recipient) for recipient in delivery.recipients]
            self.deferrals.add(self.around.clock.steady(), len(results))
            self.around.settler.settle(delivery.message, results, way, self.metrics)

    def not_tried(self, delivery: Delivery, error: Exception) -> None:
        """Let a message wait that failed for a fault of ours: the receiver has nothing to do with it."""
        log.error("%s: %r", self.name, error, exc_info=None if isinstance(error, SpoolError) else error)
        self.crew.spawn(self.stock.give_back([delivery]))
        self.dialing.pause(self.around.clock.steady(), _LOCAL_PAUSE_S)

    def answered(
        self, delivery: Delivery, session: Session, ticket: Ticket, answers: list[Answer], seconds: float
    ) -> bool:
        """Draw the consequences of one transaction; tell whether the receiver refused the session itself."""
        now = self.around.clock.steady()
        judgement = judge(delivery, session, answers, self.around.classifier, self.around.clock.wall())
        self._count(judgement, session, len(answers), seconds, now)
        if judgement.proven:
            self.window.prove(ticket, now)
        refused = self._learn(judgement, delivery, session, ticket, now)
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
            self.stock.put_first(in_order(judgement, delivery, self.max_recipients))
        if judgement.session_over:
            session.leave()
        self._note_changes()
        return refused

    def _count(self, judgement: Judgement, session: Session, recipients: int, seconds: float, now: float) -> None:
        if judgement.delivered:
            self.metrics.transaction(seconds)
            self.pace.delivered(now)
            self.delivered.add(now, judgement.delivered)
            self.window.answered(now)
        if judgement.ambiguous:
            self.metrics.ambiguous()
            log.warning("%s: %s: lost after the content of a message: it may arrive twice", self.name, session.endpoint)
        if judgement.delivered < recipients:
            self.deferrals.add(now, recipients - judgement.delivered)
        if judgement.last_refusal is not None:
            self.diary.heard(*judgement.last_refusal)

    def _learn(self, judgement: Judgement, delivery: Delivery, session: Session, ticket: Ticket, now: float) -> bool:
        """Let window and pace hear of throttles; tell whether the session was refused as such."""
        refused = False
        for reason, verdict in judgement.throttles.items():
            self.metrics.deferred(reason)
            if reason is Reason.MESSAGE_RATE:
                self.pace.throttled(now, verdict.retry_after_s)
                self.changed = True
            elif reason is Reason.RECIPIENT_LIMIT:
                self.max_recipients = judgement.delivered or max(1, len(delivery.recipients) // 2)
            elif reason is Reason.SESSION_MESSAGE_LIMIT and session.transactions > 1:
                self.messages_per_session = session.transactions - 1
            elif not ticket.proven:
                self.window.refused(ticket, now, verdict.retry_after_s)
                self.metrics.refused(reason)
                refused = True
            elif session.usable:
                self.window.throttled(now)
            else:
                self.window.cut(now)
        state = judgement.lane_verdict
        if state is not None and state.outcome is Outcome.DEFERRED:
            if state.reason is Reason.REPUTATION:
                self.window.blocked(now, state.retry_after_s)
            else:
                self.window.overloaded(now)
        return refused

    # bookkeeping

    def _note_changes(self) -> None:
        """Write changes of the window into the diary, the events and the metrics."""
        self.changed |= self.habits.news
        for change in self.window.changes:
            entry = self.diary.note(change, self.around.clock)
            self.changed = True
            if change.before != change.after:
                self.metrics.window_changed(change.before, change.after, change.cause)
                self.around.events.write([{"event": "window", "site": self.site, "source": self.source, **entry}])
        self.window.changes.clear()

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
            self._timer = asyncio.get_running_loop().call_later(max(0.001, until - now), self.pump)

    def count_blocked(self, now: float) -> None:
        """Add the time since the last count to what holds the lane back."""
        if self.blocked_by:
            self.metrics.blocked(self.blocked_by, now - self._blocked_since)
        self._blocked_since = now

    def _blocked(self, now: float) -> tuple[str, float | None]:
        """Tell what keeps waiting mail from going out now; empty where nothing waits or all is well."""
        held: tuple[str, float | None] = ("", None)
        next_start_at = self.pace.next_start_at(now)
        if not (self.stock.waiting or self.stock.turns) or self.crew.stopping:
            pass
        elif self.suspended:
            held = "suspended", None
        elif self.around.committer.failing:
            held = "spool", None
        elif now < self.window.hold_until:
            held = Obstacle.HOLD, self.window.hold_until
        elif next_start_at > now:
            held = "pace", next_start_at
        elif (obstacle := self._obstacle(now)) is not None:
            held = obstacle
        elif self.around.budget.used >= self.around.budget.most:
            held = "max_sessions", None
        return held

    def _remembered(self, memory: dict[str, Any] | None) -> Remembered | None:
        if not memory:
            return None
        clock = self.around.clock
        age_s = max(0.0, clock.wall() - memory["at"])
        return Remembered(memory["limit"], memory["rest_s"], clock.steady() - age_s, memory["clean"])
