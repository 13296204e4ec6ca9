"""A lane without sockets: it drives its controller as `engine/lane.py` and `engine/crew.py` do, in simulated time.

A session is opened when mail waits that no session will take and nothing forbids it; it is taken after its greeting,
proven by its first envelope, carries messages until it shall not go on, goes idle where nothing may be sent, and ends
its ticket when QUIT is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.core.outcome import Reason
from sender.simulation.receiver import Visit
from sender.simulation.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from sender.core.window import Remembered, Ticket
    from sender.simulation.answers import Answer
    from sender.simulation.clockwork import Clockwork
    from sender.simulation.controllers import Controller
    from sender.simulation.mail import Mail, Message
    from sender.simulation.receiver import Receiver

_TICK_S = 1.0  # while messages go out the daemon claims more about so often, and looks at what it may do each time
_SHORTEST_S = 0.001  # between an alarm and now
_CLAIMED = 10  # messages that the daemon has claimed ahead, at least
_OF_THE_RECEIVER = frozenset({Reason.OVERLOADED, Reason.REPUTATION})


class _Session:
    """One session, from its first packet to its last."""

    __slots__ = ("began_at", "counted", "gone", "message", "open", "ticket", "transactions", "visit")

    def __init__(self, ticket: Ticket) -> None:
        self.ticket: Ticket | None = ticket  # None: it has ended
        self.visit = Visit()
        self.open = False
        self.counted = False  # by the receiver, which is to hear that it is over
        self.gone = False  # nobody waits any more for what is under way
        self.transactions = 0
        self.message: Message | None = None  # under way
        self.began_at = 0.0


class Lane:
    """See the module. `make` gives a controller, anew after each start."""

    def __init__(
        self,
        *,
        clockwork: Clockwork,
        receiver: Receiver,
        mail: Mail,
        idle_timeout_s: float,
        make: Callable[[Remembered | None], Controller],
    ) -> None:
        self.mail = mail
        self.record = Record()
        self.controller = make(None)
        self._clockwork = clockwork
        self._receiver = receiver
        self._idle_timeout_s = idle_timeout_s
        self._make = make
        self._sessions: dict[_Session, None] = {}  # in the order in which they began
        self._idle: dict[_Session, float] = {}  # since when; the last one first
        self._alarm_at: float | None = None
        self._flowing = False  # messages were started since the last look
        self._running = False
        self._stopping = False
        self._restarting = False

    # from outside

    def start(self) -> None:
        """Begin to work."""
        self._running = True
        self._tick()
        self.pump()

    def stop(self) -> None:
        """Begin nothing more, let every transaction end, and QUIT."""
        self._stopping = True
        while self._idle:
            self._quit(self._idle.popitem()[0])

    def restart(self) -> None:
        """Stop, and begin anew with what is remembered when the last session has ended."""
        self.stop()
        self._restarting = True
        self._begin_anew_when_empty()

    def crash(self) -> None:
        """Be gone, and begin anew with what was remembered: the receiver goes on counting what was open."""
        for session in self._sessions:
            session.gone = True
            if session.message is not None:
                self._receiver.done()
                self.mail.put_first(session.message)
            if session.counted:
                self._receiver.leave(session.visit, clean=False)
        self._sessions.clear()
        self._idle.clear()
        self._begin_anew(clean=False)

    def cut(self) -> None:
        """Lose every connection, without a word to the receiver."""
        self._idle.clear()
        for session in [session for session in self._sessions if session.open]:
            session.gone = True
            if session.message is not None:
                self._receiver.done()
                self.mail.defer(session.message)
            self._lose(session)

    def pump(self) -> None:
        """Do whatever can be done now: give work to idle sessions, open more, set the next alarm."""
        if not self._running or self._stopping:
            return
        now, controller, mail = self._clockwork.now, self.controller, self.mail
        while self._idle and (message := self._started(now)) is not None:
            self._transact(self._idle.popitem()[0], message)
        if now >= controller.held_until(now):
            while controller.wants_session(now, waiting=mail.waiting, idle=len(self._idle)):
                self._dial(controller.opening(now))
        self._set_alarm(now)

    # the way of a session

    def _dial(self, ticket: Ticket) -> None:
        session = _Session(ticket)
        self._sessions[session] = None
        self._clockwork.after(self._receiver.round_trip_s, self._knock, session)

    def _knock(self, session: _Session) -> None:
        if session.gone:
            return
        answer = self._receiver.knock(session.visit)
        if answer is None:
            session.counted = True
            self._clockwork.after(self._receiver.greeting_s, self._opened, session)
        else:
            self._clockwork.after(self._receiver.refusal_s, self._not_opened, session, answer)

    def _opened(self, session: _Session) -> None:
        if session.gone or session.ticket is None:
            return
        session.open = True
        self.controller.connected(session.ticket)
        self._go_on(session)

    def _not_opened(self, session: _Session, answer: Answer) -> None:
        if session.gone or session.ticket is None:
            return
        now, controller = self._clockwork.now, self.controller
        self.record.refused(now, answer)
        if controller.no_session(session.ticket, answer.verdict, now):
            session.ticket = None
            if controller.parks is not None:
                self._park(self.mail.take(controller.allowed))
        else:
            self._fail_claimed(answer)
        self._left(session)

    def _go_on(self, session: _Session) -> None:
        """Carry the next message, or wait for one."""
        now = self._clockwork.now
        if self._stopping:
            self._quit(session)
        elif (message := self._started(now)) is not None:
            self._transact(session, message)
        else:
            self.pump()
            self._idle[session] = now
            self._clockwork.after(self._idle_timeout_s, self._idle_too_long, session, now)

    def _started(self, now: float) -> Message | None:
        """Take the next message, if one may be started now."""
        controller = self.controller
        message = self.mail.take(controller.allowed) if now >= controller.held_until(now) else None
        if message is not None:
            controller.started(now)
            self._flowing = True
        return message

    def _transact(self, session: _Session, message: Message) -> None:
        receiver = self._receiver
        session.message, session.began_at = message, self._clockwork.now
        answer = receiver.mail(session.visit, message)
        seconds = receiver.seconds(answer)
        if session.transactions == 0 and seconds > receiver.envelope_s:
            self._clockwork.after(receiver.envelope_s, self._enveloped, session)
        self._clockwork.after(seconds, self._answered, session, message, answer)

    def _enveloped(self, session: _Session) -> None:
        if not session.gone:
            self._prove(session)

    def _prove(self, session: _Session) -> None:
        if session.ticket is not None and self.controller.proven(session.ticket, self._clockwork.now):
            self.pump()

    def _answered(self, session: _Session, message: Message, answer: Answer | None) -> None:
        if session.gone:
            return
        now = self._clockwork.now
        self._receiver.done()
        session.message = None
        session.transactions += 1
        if answer is None:
            if session.transactions == 1:
                self._prove(session)
            self.controller.delivered(now, now - session.began_at)
            self.controller.took(message, now)
            self.record.delivered += 1
            self.mail.delivered_one()
        else:
            self._hear(session, message, answer)
            if not answer.replied:
                self._lose(session)
                return
            if answer.closes:
                self._receiver.leave(session.visit)
                self._left(session)
                return
        if session.ticket is not None and self.controller.goes_on(session.transactions, now):
            self._go_on(session)
        else:
            self._quit(session)

    def _quit(self, session: _Session) -> None:
        """Say goodbye; the receiver hears it half a round trip later, we its answer after a whole one."""
        session.open = session.counted = False
        round_trip_s = self._receiver.round_trip_s
        self._clockwork.after(round_trip_s / 2, self._receiver.leave, session.visit)
        self._clockwork.after(round_trip_s, self._left, session)

    def _lose(self, session: _Session) -> None:
        """The connection is gone, and the receiver does not know it."""
        self._receiver.leave(session.visit, clean=False)
        self._left(session, died=True)

    def _left(self, session: _Session, *, died: bool = False) -> None:
        if session not in self._sessions:
            return
        del self._sessions[session]
        session.open = session.counted = False
        if session.ticket is not None:
            self.controller.ended(session.ticket, self._clockwork.now, died=died)
            session.ticket = None
        if self._stopping:
            self._begin_anew_when_empty()
        else:
            self.pump()

    # what answers mean

    def _hear(self, session: _Session, message: Message, answer: Answer) -> None:
        """Draw the consequences of a message that was not taken, as a lane does (`Lane.answered`)."""
        now, controller, verdict = self._clockwork.now, self.controller, answer.verdict
        ticket = session.ticket
        assert ticket is not None  # noqa: S101 - a session carries messages only while its ticket runs
        if answer.throttle:
            self.record.throttled(now, answer)
        if answer.proves:
            self._prove(session)
        if not verdict.throttles:
            vague = answer.throttle and verdict.reason not in _OF_THE_RECEIVER
            rests_until = controller.unexplained(message, now) if vague else None
            if rests_until is None:
                self.mail.defer(message, verdict.retry_after_s)
            else:
                self.mail.rest(message, rests_until)
            if verdict.reason in _OF_THE_RECEIVER:
                controller.troubled(verdict, now)
            return
        if controller.parks is not None and answer.throttle:
            self._park(message)
        else:
            self.mail.put_first(message)
        usable = not answer.closes
        if controller.throttle(ticket, verdict, now, transactions=session.transactions, usable=usable):
            session.ticket = None

    def _park(self, message: Message | None) -> None:
        if message is not None:
            self.mail.defer(message, policy=self.controller.parks)

    def _fail_claimed(self, answer: Answer) -> None:
        """There is no way to the receiver now: what was claimed ahead is deferred (`Lane._fail_stock`)."""
        for _ in range(max(_CLAIMED, 2 * self.controller.limit)):
            message = self.mail.take()
            if message is None:
                return
            self.mail.defer(message, answer.verdict.retry_after_s)

    # what happens by itself

    def _tick(self) -> None:
        sessions = sum(session.open for session in self._sessions)
        self.record.sample(self._clockwork.now, open_=sessions, limit=self.controller.limit, room=self._receiver.room)
        self.record.note(self.controller.changes())
        if self._flowing or self.controller.allowed is not None:
            self._flowing = False
            self.pump()
        self._clockwork.after(_TICK_S, self._tick)

    def _idle_too_long(self, session: _Session, since: float) -> None:
        """End a session that has been idle for its time; one that will be wanted is looked at again."""
        if self._idle.get(session) != since:
            return
        if self.mail.waiting:
            self._clockwork.after(self._idle_timeout_s, self._idle_too_long, session, since)
        else:
            del self._idle[session]
            self._quit(session)

    def _begin_anew_when_empty(self) -> None:
        if self._restarting and not self._sessions:
            self._begin_anew(clean=True)

    def _begin_anew(self, *, clean: bool) -> None:
        now = self._clockwork.now
        self.record.note(self.controller.changes())
        self.controller = self._make(self.controller.remember(now, clean=clean))
        self._stopping = self._restarting = False
        self.pump()

    def _set_alarm(self, now: float) -> None:
        """Come again when what holds the lane back ends by itself."""
        until = self._held_until(now) if self.mail.waiting else None
        if until is None:
            self._alarm_at = None
            return
        until = max(until, now + _SHORTEST_S)
        if until != self._alarm_at:
            self._alarm_at = until
            self._clockwork.at(until, self._alarm, until)

    def _held_until(self, now: float) -> float | None:
        held_until = self.controller.held_until(now)
        if held_until > now:
            return held_until
        obstacle = self.controller.obstacle(now)
        return None if obstacle is None else obstacle[1]

    def _alarm(self, at: float) -> None:
        if at == self._alarm_at:
            self._alarm_at = None
            self.pump()
