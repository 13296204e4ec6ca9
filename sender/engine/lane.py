"""A lane: one source to one site. It decides how many sessions there are, when a message may start, and what follows.

All its state is changed by synchronous methods, with no await inside: its `stock` claims mail, its `crew` talks, and
both come back here with what they got. `pump` is called after anything has changed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sender.core.errors import SpoolError
from sender.core.memory import Memory
from sender.core.outcome import Reason
from sender.core.rate import PerMinute
from sender.core.window import Obstacle
from sender.engine.crew import Crew
from sender.engine.delivery import Delivery, Judgement, again, judge, way_of
from sender.engine.dialing import Dialing
from sender.engine.limits import configured
from sender.engine.restraint import Restraint
from sender.engine.results import Way
from sender.engine.sizes import Sizes
from sender.engine.standing import Standing
from sender.engine.stock import Stock
from sender.spool.contract import DamagedError

if TYPE_CHECKING:
    from sender.core.pace import Pace
    from sender.core.window import Ticket, Window
    from sender.engine.allowance import Allowance
    from sender.engine.contact import NoSession
    from sender.engine.placement import Placement
    from sender.engine.queue import Queue
    from sender.engine.surroundings import Surroundings
    from sender.route.router import Route
    from sender.smtp.session import Answer, Session

log = logging.getLogger(__name__)
_ASLEEP_S = 300.0


class Lane:
    """See the module."""

    def __init__(
        self,
        *,
        placement: Placement,
        route: Route,
        allowance: Allowance,
        around: Surroundings,
        memory: dict[str, Any] | None,
    ) -> None:
        settings, now = around.settings, around.clock.steady()
        self.source, self.site, self.name = source, site, _ = placement.source, placement.site, placement.lane
        self.route = route
        self.around = around
        self.provider = provider = placement.provider
        self.allowance = allowance
        self.metrics = around.metrics.lane(site, source, provider.name if provider else None)
        self.restraint = Restraint(site, around, memory)
        limits = configured(settings, route.site, provider)
        self.ceiling = limits.ceiling  # of its own sessions
        self.sizes = Sizes(limits, Memory.of(memory) if memory else Memory(at=0.0), around.clock.wall())
        self.stock = Stock(site, around, self.restraint, self.sizes)
        self.crew = Crew(self, around)
        self.tickets: set[Ticket] = set()  # its sessions in the eyes of the window; the allowance keeps them
        self.delivered, self.deferrals = PerMinute(), PerMinute()
        self.changed = False  # there is something new to remember
        self.suspended = False
        self._recalls = 0  # times that everything was let go
        self._active_at = now
        self.dialing = Dialing(placement, limits.forbidden, around, memory)
        self.standing = Standing(self)
        allowance.join(self)

    # what it is

    @property
    def window(self) -> Window:
        """What is allowed at a time, to this lane and to those that share it."""
        return self.allowance.window

    @property
    def pace(self) -> Pace:
        """What is allowed per second, likewise."""
        return self.allowance.pace

    @property
    def sessions(self) -> int:
        """Count the sessions that are open or being opened."""
        return len(self.tickets)

    @property
    def unproven(self) -> int:
        """Count those of them that the receiver has not taken for certain."""
        return sum(not ticket.proven for ticket in self.tickets) if self.window.unproven else 0  # it may have thousands

    @property
    def has_spare_session(self) -> bool:
        """Tell whether a session has nothing to do, and none of this lane's mail is on its way to it."""
        return self.crew.idle > 0 and self._idle

    @property
    def has_news(self) -> bool:
        """Tell whether there is something new to remember."""
        return self.changed or self.dialing.habits.news or self.allowance.changed

    def asleep(self, now: float) -> bool:
        """Tell whether nothing has happened here for a while, so that its memory alone need be kept."""
        if self.crew.tasks or self.stock.waiting or self.stock.turns or self.suspended:
            self._active_at = now
        held_until = max(self.dialing.until, self.window.hold_until, self.restraint.lane_until)
        return now - self._active_at > _ASLEEP_S and now >= held_until

    def memory(self, *, clean: bool) -> dict[str, Any]:
        """Give what the lane has learned. `clean`: every session has said QUIT, so no receiver counts one any more."""
        own = {
            "at": self.around.clock.wall(),
            **self.sizes.memory(),
            "mishandled": self.dialing.habits.remember(self.around.clock.wall()),
            "provider": self.provider.name if self.provider else None,
            "rests": self.restraint.rests.remember(self.around.clock.wall()),
        }
        name = self.allowance.name
        return {**own, "shares": name} if name != self.name else {**own, **self.allowance.memory(clean=clean)}

    # from outside

    def offer(self, queue: Queue) -> None:
        """Take a queue that is due into the turns."""
        queue.lane, queue.turning = self.name, True
        if override := self.around.settings.destination(queue.domain).max_window:
            self.ceiling = min(self.ceiling, override)
            self.allowance.fit()
        self.stock.turns.add(queue)

    def pump(self) -> None:
        """Do whatever can be done now: give work to idle sessions, claim, open a session, set the next alarm."""
        now = self.around.clock.steady()
        if now < self.restraint.lane_until:
            self.give_back_stock()
        while self.crew.idle and (delivery := self._started(now)) is not None:
            self.crew.hand(delivery)
        self._claim_more(now)
        if not self._held(now):
            self._open_more(now)
        self.allowance.waits(self, now, wants=self._wants_session(now))
        self.standing.look(now)
        self.allowance.pass_on(self)

    def prepare(self) -> None:
        """Claim mail: a session is soon to be had."""
        self._claim_more(self.around.clock.steady())

    def suspend(self, *, suspended: bool) -> None:
        """Stop or go on."""
        self.suspended = suspended
        self.pump()

    def let_go(self) -> list[Queue]:
        """Give up what is claimed and not being tried, and every queue in the turns; claims under way come back too."""
        self._recalls += 1
        self.give_back_stock()
        queues = self.stock.turns.clear()
        for queue in queues:
            queue.turning = False
        return queues

    def give_back_stock(self, *, untouched_s: float = 0.0) -> None:
        """Give back what was claimed and could not be tried for so long: in the spool it can be moved, or expire."""
        if self.stock.waiting and self.around.clock.steady() - self.stock.touched_at >= untouched_s:
            self.crew.spawn(self.stock.give_back(self.stock.take_all()))

    def try_now(self) -> None:
        """Forget that a connection failed, and who rests: an operator says that it works again."""
        self.dialing.forget()
        self.restraint.forget()

    def reconfigure(self) -> None:
        """Take the limits of a configuration that was reloaded; what was learned stays within them."""
        limits = configured(self.around.settings, self.route.site, self.provider)
        self.ceiling = limits.ceiling
        self.allowance.fit()
        self.sizes.fit(limits)
        self.restraint.reload(self.around.settings.rests)
        self.dialing.reconfigure(limits.forbidden)
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
            or now < max(self.window.hold_until, self.restraint.lane_until)
            or now < self.allowance.next_start_at(self, now)
        )

    def obstacle(self, now: float) -> tuple[str, float | None] | None:
        """Tell what forbids another session, and until when (None: until something happens)."""
        if now < self.dialing.until:
            return "connect_failed", self.dialing.until
        if self.sessions >= self.ceiling:
            return Obstacle.MAX_WINDOW, None
        return self.allowance.obstacle(self, now)

    @property
    def _short_of_sessions(self) -> bool:
        """Tell whether there is mail that no session will take."""
        due = self.stock.claiming or bool(self.stock.turns)
        return self.stock.waiting > self.crew.idle + self.unproven or (not self.tickets and due)

    @property
    def _idle(self) -> bool:
        return not (self.stock.waiting or self.stock.claiming or self.stock.turns)

    def _wants_session(self, now: float) -> bool:
        """Tell whether nothing but the window, and others that share it, stands between the lane and a session."""
        return (
            self._short_of_sessions
            and not (self.suspended or self.crew.stopping or self.around.committer.failing)
            and now >= self.dialing.until
            and self.sessions < self.ceiling
        )

    def _claim_more(self, now: float) -> None:
        if not self.stock.low or self.crew.stopping or self.suspended or self.around.committer.failing:
            return
        hopeless = not self.tickets and self.obstacle(now) is not None and not self.allowance.is_next(self, now)
        if hopeless or now < self.restraint.lane_until:
            return  # nothing could be tried: what is not claimed can still be moved, held or removed
        self.crew.spawn(self._claim(self.stock.begin_claim(now, sessions=self.sessions)))

    async def _claim(self, queues: list[Queue]) -> None:
        recalls = self._recalls
        try:
            await self.stock.claim(queues)
            self._put_off_resting()
        except SpoolError as error:
            log.error("%s: %s", self.name, error)  # noqa: TRY400 - tried again in a moment
            self.dialing.pause()
        if self._recalls != recalls or self.crew.stopping or self.suspended:
            for queue in self.let_go():
                self.around.next_due(queue.id, queue.due_at, False)
        self.pump()

    def _open_more(self, now: float) -> None:
        """Open sessions, one for each delivery that no session will take, as far as the window lets us."""
        while self.stock.waiting > self.crew.idle + self.unproven and self.obstacle(now) is None:
            if not self.around.budget.take(self.pump):
                return
            self.crew.hire(self.allowance.opening(self, now))

    # what the crew asks

    async def contact(self) -> Session | NoSession:
        """Open one session."""
        return await self.dialing.contact(self.route)

    def next_delivery(self) -> Delivery | None:
        """Give what a session shall do next, or None while there is nothing or nothing may be sent."""
        now = self.around.clock.steady()
        delivery = self._started(now)
        if delivery is None:
            self.pump()
        else:
            self._claim_more(now)
        return delivery

    def _started(self, now: float) -> Delivery | None:
        """Take the next delivery, if one may be started now."""
        delivery = None if self._held(now) else self.stock.take()
        if delivery is not None:
            self.allowance.started(self, now)
        return delivery

    def goes_on(self, session: Session) -> bool:
        """Tell whether a session shall do more: beyond our limit while none could be opened, never beyond theirs."""
        now, allowance = self.around.clock.steady(), self.allowance
        if not session.usable or allowance.window.surplus() or allowance.gives(self, now):
            return False
        most = self.sizes.in_session(session.announced)
        theirs = most < self.around.settings.delivery.messages_per_session
        return session.transactions < most or not (theirs or self.window.may_retire(now))

    def spares_one(self) -> bool:
        """Tell whether a session that has nothing to do shall end at once: another lane waits for it."""
        return self._idle and self.allowance.gives(self, self.around.clock.steady(), idle=True)

    def idle_enough(self) -> bool:
        """Tell whether an idle session shall end: not while mail waits that it will be wanted for."""
        return not (self.stock.waiting or self.stock.claiming)

    def left(self, ticket: Ticket | None, *, died: bool) -> None:
        """Hear that a session has ended. `died`: without a word to the receiver."""
        now = self.around.clock.steady()
        if ticket is not None:
            self.window.closed(ticket, now, died=died)
            self.allowance.ended(self, ticket, now)
        self.allowance.note_changes(self)
        self.around.budget.give_back()
        if not self.crew.stopping:
            self.pump()

    # what follows

    def connected(self, ticket: Ticket, session: Session) -> None:
        """Hear that a session is open."""
        self.window.taken(ticket)
        self.sizes.announced(session.announced)
        self.metrics.opened(session.tls, session.certificate_expires_at)
        self.dialing.connected()

    def not_connected(self, failure: NoSession, ticket: Ticket) -> bool:
        """Draw the consequences of a session that was not opened."""
        now = self.around.clock.steady()
        reason = failure.verdict.reason or Reason.UNCLASSIFIED
        self.metrics.refused(reason)
        self.allowance.diary.heard(failure.stage, failure.text, failure.host)
        if failure.local:
            log.error("%s: %s", self.name, failure.text)
            self.dialing.pause()
            return False
        if reason is Reason.DAILY_LIMIT:
            self.metrics.deferred(reason)
            self._rest(failure.verdict.retry_after_s)
            return False
        if self.allowance.not_connected(self, ticket, failure.verdict, now):
            if failure.verdict.throttles:
                self.metrics.deferred(reason)
            return True
        self.dialing.failed(failure.text)
        self._fail_stock(failure)
        return False

    def _fail_stock(self, failure: NoSession) -> None:
        """Settle what was claimed: there is no way to this site now."""
        way = Way(site=self.site, source=self.source, host=failure.host.partition("[")[0])
        for delivery in self.stock.take_all():
            results = [failure.result_for(recipient) for recipient in delivery.recipients]
            self.deferrals.add(self.around.clock.steady(), len(results))
            self.around.settler.settle(delivery.message, results, way, self.metrics)

    def not_tried(self, delivery: Delivery, error: Exception, *, answered: bool = False) -> None:
        """Let a message wait that failed for a fault of ours, or hold it. For one that is damaged no other waits."""
        if not isinstance(error, DamagedError):
            self.failed(error)
        self.crew.spawn(self._set_aside(delivery, error, answered=answered))

    async def _set_aside(self, delivery: Delivery, error: Exception, *, answered: bool) -> None:
        not_before = await self.around.holding.failed(delivery.message, error, answered=answered)
        await self.stock.give_back([delivery], not_before)

    def failed(self, error: Exception) -> None:
        """Wait a moment for a fault of ours: what has caused it would cause it again at once."""
        log.error("%s: %r", self.name, error, exc_info=None if isinstance(error, SpoolError) else error)
        self.dialing.pause()

    def put_back(self, delivery: Delivery) -> None:
        """Take back what had not its turn: it pays nothing."""
        self.stock.put_first(delivery)

    def enveloped(self, ticket: Ticket) -> None:
        """Hear that the receiver has dealt with an envelope on a session: where that proves it, the next may follow."""
        if self.allowance.governor.proven(ticket, self.around.clock.steady()):
            self.allowance.note_changes(self)
            self.pump()

    def answered(
        self, delivery: Delivery, session: Session, ticket: Ticket, answers: list[Answer], seconds: float
    ) -> bool:
        """Draw the consequences of one transaction; tell whether the receiver refused the session itself."""
        now, wall = self.around.clock.steady(), self.around.clock.wall()
        judgement = judge(delivery, session, answers, self.around.classifier, wall)
        began_to_rest = self.restraint.weigh(delivery, judgement, wall)
        self._count(judgement, session, len(answers), seconds, now)
        grew = judgement.proven and self.allowance.governor.proven(ticket, now)
        refused = self._learn(judgement, delivery, session, ticket, now)
        if judgement.settled:
            way = way_of(session, site=self.site, source=self.source, seconds=seconds)
            self.around.settler.settle(delivery.message, judgement.settled, way, self.metrics)
        if judgement.again:
            self.stock.put_first(again(judgement, delivery))
        if began_to_rest:
            self.changed = True
            self._put_off_resting()
        if judgement.session_over:
            session.leave()
        self.allowance.note_changes(self)
        if grew:
            self.pump()
        self.allowance.pass_on()
        return refused

    def _count(self, judgement: Judgement, session: Session, recipients: int, seconds: float, now: float) -> None:
        if judgement.delivered:
            self.metrics.transaction(seconds)
            self.allowance.governor.delivered(now, seconds)
            self.delivered.add(now, judgement.delivered)
        if judgement.ambiguous:
            self.metrics.ambiguous()
            log.warning("%s: %s: lost after the content of a message: it may arrive twice", self.name, session.endpoint)
        if judgement.delivered < recipients:
            self.deferrals.add(now, recipients - judgement.delivered)
        if judgement.last_refusal is not None:
            self.allowance.diary.heard(*judgement.last_refusal, session.endpoint)

    def _learn(self, judgement: Judgement, delivery: Delivery, session: Session, ticket: Ticket, now: float) -> bool:
        """Let window and pace hear of throttles; tell whether the session was refused as such."""
        refused = False
        self.changed |= bool(judgement.throttles)
        for reason, verdict in judgement.throttles.items():
            self.metrics.deferred(reason)
            if reason is Reason.DAILY_LIMIT:
                self._rest(verdict.retry_after_s)
            elif reason is Reason.RECIPIENT_LIMIT:
                taken = judgement.delivered or max(1, len(delivery.recipients) // 2)
                self.sizes.too_many_recipients(taken, self.around.clock.wall())
            elif reason is Reason.SESSION_MESSAGE_LIMIT and session.transactions > 1:
                self.sizes.too_many_messages(session.transactions - 1, self.around.clock.wall())
            elif not refused:
                if not ticket.proven:
                    self.metrics.refused(reason)
                refused = self.allowance.throttled(self, ticket, verdict, now, usable=session.usable)
        if judgement.absolved:
            self.pace.forgive(now)
        elif judgement.lane_suspected and not judgement.throttles:
            self.pace.pause(now)
        if judgement.lane_verdict is not None:
            self.allowance.governor.troubled(judgement.lane_verdict, now)
        return refused

    def _rest(self, retry_after_s: float | None) -> None:
        self.restraint.rest_lane(retry_after_s, self.allowance.diary.reply)
        self.changed = True

    def _put_off_resting(self) -> None:
        """Give back who rests: it is no use to wait for them here, and others shall not wait behind them."""
        if self.restraint.rests and (resting := self.stock.sift()):
            self.crew.spawn(self.stock.put_off(resting))
