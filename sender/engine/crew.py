"""The sessions of a lane at work: each is one task that opens, serves, waits for work, and says QUIT.

The crew does the I/O; what may be done, and what follows from what happened, the lane decides.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sender.smtp.session import Session

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from sender.core.window import Ticket
    from sender.engine.contact import NoSession
    from sender.engine.delivery import Delivery
    from sender.engine.surroundings import Surroundings
    from sender.smtp.session import Answer, Outgoing

log = logging.getLogger(__name__)


class Lead(Protocol):
    """What a crew asks of its lane. The calls that tell whether a ticket has ended are about the window."""

    name: str

    async def contact(self) -> Session | NoSession:
        """Open one session."""

    def connected(self, ticket: Ticket, session: Session) -> None:
        """Hear that a session is open."""

    def not_connected(self, failure: NoSession, ticket: Ticket) -> bool:
        """Hear that a session was not opened; tell whether that ended its ticket."""

    def next_delivery(self) -> Delivery | None:
        """Give what a session shall do next, or None while there is nothing or nothing may be sent."""

    def enveloped(self, ticket: Ticket) -> None:
        """Hear that the receiver has taken an envelope on a session."""

    def answered(
        self, delivery: Delivery, session: Session, ticket: Ticket, answers: list[Answer], seconds: float
    ) -> bool:
        """Hear the answers to a delivery; tell whether they ended the session's ticket."""

    def not_tried(self, delivery: Delivery, error: Exception, *, answered: bool = False) -> None:
        """Hear that a delivery failed for a fault of ours, such as content that cannot be read.

        `answered`: the receiver had answered, and nobody has recorded what.
        """

    def failed(self, error: Exception) -> None:
        """Hear that a session was not opened, or ended, for a fault of ours: the next one shall not fail at once."""

    def put_back(self, delivery: Delivery) -> None:
        """Take back what was begun behind a message and had not its turn."""

    def goes_on(self, session: Session) -> bool:
        """Tell whether a session shall do more."""

    def idle_enough(self) -> bool:
        """Tell whether a session that has been idle for its time shall end."""

    def spares_one(self) -> bool:
        """Tell whether a session that has nothing to do shall end at once."""

    def left(self, ticket: Ticket | None, *, died: bool) -> None:
        """Hear that a session has ended; with a ticket where the window does not know yet. `died`: without a word."""


@dataclass(slots=True)
class _Turn:
    """A delivery that a session carries."""

    delivery: Delivery
    outgoing: Outgoing
    began_at: float
    place: int | None  # of the note that it is in hand


@dataclass(slots=True)
class _Shift:
    """A session at work; `following` was begun behind the message that it carries now, or that is to be the last."""

    session: Session
    ticket: Ticket
    following: _Turn | None = None
    last: bool = False

    def take_following(self) -> _Turn | None:
        """Go on to what was begun ahead."""
        following, self.following = self.following, None
        return following


class Crew:
    """The tasks of one lane. `tasks` are all that run, `dialing` those without a session yet."""

    def __init__(self, lead: Lead, around: Surroundings) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.stopping = False
        self._lead = lead
        self._around = around
        self._dialing: set[asyncio.Task[None]] = set()
        self._idle: dict[asyncio.Future[Delivery | None], asyncio.TimerHandle] = {}  # None: go home

    @property
    def idle(self) -> int:
        """Count the sessions that wait for work."""
        return len(self._idle)

    def hire(self, ticket: Ticket) -> None:
        """Open one session more and let it work."""
        self._dialing.add(self.spawn(self._work(ticket)))

    def hand(self, delivery: Delivery) -> None:
        """Give work to an idle session, to the one that went idle last: the others may end."""
        self._leave_idle(delivery)

    def send_home(self) -> None:
        """End the session that has been idle for longest."""
        longest = next(iter(self._idle))
        self._idle.pop(longest).cancel()
        longest.set_result(None)

    async def drain(self) -> None:
        """Let open transactions end and QUIT every session; who has none after a short while is called off.

        A session that is just being opened is one that the receiver may count already.
        """
        self.stopping = True
        while self._idle:
            self._leave_idle(None)
        grace_s = self._around.settings.delivery.quit_timeout
        calling_off = asyncio.get_running_loop().call_later(grace_s, self._call_off)
        try:
            while self.tasks:
                await asyncio.wait(self.tasks)
        finally:
            calling_off.cancel()

    def _call_off(self) -> None:
        for task in self._dialing:
            task.cancel()

    def abort(self) -> None:
        """Cut every session off."""
        self.stopping = True
        for task in self.tasks:
            task.cancel()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task of the lane; `drain` waits for it."""
        task = asyncio.get_running_loop().create_task(work, name=self._lead.name)
        self.tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self._dialing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: %r", self._lead.name, error, exc_info=error)

    async def _work(self, ticket: Ticket) -> None:
        session: Session | None = None
        ended = False
        cut_off = True
        try:
            opened = await self._lead.contact()
            self._dialing.discard(asyncio.current_task())
            if isinstance(opened, Session):
                session = opened
                self._lead.connected(ticket, session)
                ended = await self._serve(session, ticket)
            else:
                ended = self._lead.not_connected(opened, ticket)
            cut_off = False
        except Exception as error:  # noqa: BLE001 - whatever it is, it shall not be repeated without end
            self._lead.failed(error)
        finally:
            died = session is not None and session.died
            try:
                if session is not None and not cut_off:
                    await session.quit()
            finally:
                # Whatever became of the goodbye: a session that nobody counts down is one that no other may take.
                if session is not None:
                    session.abort()
                self._lead.left(None if ended else ticket, died=died)

    async def _serve(self, session: Session, ticket: Ticket) -> bool:
        """Carry deliveries until the session is over; tell whether the window has ended its ticket already."""
        shift = _Shift(session, ticket)
        try:
            return await self._carry(shift)
        finally:
            if shift.following is not None:
                self._around.spool.put_down(shift.following.place)

    async def _carry(self, shift: _Shift) -> bool:
        session, ticket = shift.session, shift.ticket
        look_ahead = functools.partial(self._look_ahead, shift)
        on_envelope = functools.partial(self._lead.enveloped, ticket)
        while True:
            turn = shift.take_following() or self._turn(self._lead.next_delivery() or await self._handed())
            if turn is None:
                return False
            answers: list[Answer] | None = None
            try:
                answers = await session.transact(turn.outgoing, look_ahead, None if ticket.proven else on_envelope)
                now = self._around.clock.steady()
                over = ended = self._lead.answered(turn.delivery, session, ticket, answers, now - turn.began_at)
            except Exception as error:  # noqa: BLE001 - whatever it is, no message must stay claimed by nobody
                session.abort()
                self._lead.not_tried(turn.delivery, error, answered=answers is not None)
                over, ended = True, False
            finally:
                self._around.spool.put_down(turn.place)
            if over:
                if shift.following is not None:
                    self._lead.put_back(shift.following.delivery)
                return ended
            if shift.following is not None:
                # It is carried on, whatever was answered: of that the receiver may have the whole. Its time begins now.
                shift.following.began_at = now
            elif self.stopping or shift.last or not self._lead.goes_on(session):
                return False

    def _turn(self, delivery: Delivery | None) -> _Turn | None:
        if delivery is None:
            return None
        spool = self._around.spool
        place = spool.take_in_hand(delivery.message.id)
        return _Turn(delivery, delivery.outgoing(spool), self._around.clock.steady(), place)

    def _look_ahead(self, shift: _Shift) -> Outgoing | None:
        """Give a session what it may begin before its message is answered, if it would go on and nobody else is free.

        A session that is not proven may be refused as such: what it carries is enough to be sent again.
        """
        if self.stopping or self._idle or not shift.ticket.proven:
            return None
        if not self._lead.goes_on(shift.session):
            shift.last = True  # said once: it may be for another lane, which counts on it
            return None
        shift.following = self._turn(self._lead.next_delivery())
        return shift.following.outgoing if shift.following is not None else None

    async def _handed(self) -> Delivery | None:
        """Wait to be given work; None when it is time to end."""
        if self.stopping or self._lead.spares_one():
            return None
        future: asyncio.Future[Delivery | None] = asyncio.get_running_loop().create_future()
        self._idle[future] = self._look_later(future)
        try:
            return await future
        finally:
            if future in self._idle:
                self._idle.pop(future).cancel()

    def _look_later(self, future: asyncio.Future[Delivery | None]) -> asyncio.TimerHandle:
        idle_timeout_s = self._around.settings.delivery.idle_timeout
        return asyncio.get_running_loop().call_later(idle_timeout_s, self._idle_too_long, future)

    def _idle_too_long(self, future: asyncio.Future[Delivery | None]) -> None:
        """End a session that has been idle for its time; one that will be wanted is looked at again."""
        if self._lead.idle_enough():
            del self._idle[future]
            future.set_result(None)
        else:
            self._idle[future] = self._look_later(future)

    def _leave_idle(self, delivery: Delivery | None) -> None:
        """Let the session that went idle last have a delivery, or end."""
        future, timer = self._idle.popitem()
        timer.cancel()
        future.set_result(delivery)
