"""The daemon's own lane before a receiver of the simulation, in an event loop whose time only jumps.

Everything of `engine/` is real, down to the answers of a transaction; the spool gives mail without end, or mail that
comes, and forgets what it is told.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from sender.clock import Clock
from sender.core.outcome import Reason
from sender.core.reply import Reply
from sender.core.stage import Stage
from sender.engine.allowance import Allowance
from sender.engine.committer import Committer
from sender.engine.contact import NoSession
from sender.engine.lane import Lane
from sender.engine.placement import Placement
from sender.engine.queue import Queue
from sender.engine.settling import Settler
from sender.engine.surroundings import Budget, Surroundings
from sender.observe.events import Events
from sender.observe.metrics import Metrics
from sender.route.router import Route
from sender.rules import classifier
from sender.settings import Settings
from sender.simulation.answers import Answer as Refusal
from sender.simulation.clockwork import Clockwork
from sender.simulation.mail import Mail, Message
from sender.simulation.receiver import Receiver, Visit
from sender.simulation.scenario import Scenario
from sender.smtp.offer import Announced, Offer
from sender.smtp.session import Answer, Outgoing, Session
from sender.spool.contract import Claim, ClaimedMessage, ClaimedRecipient

_TEXTS = {
    Reason.CONNECTION_LIMIT: "421 4.7.0 too many connections",
    Reason.MESSAGE_RATE: "451 4.7.1 too many messages, slow down",
    Reason.SESSION_MESSAGE_LIMIT: "421 4.7.0 too many messages in this session",
    Reason.GREYLISTED: "451 4.7.1 greylisted",
    Reason.UNCLASSIFIED: "451 4.7.0 Try again later",
    Reason.OVERLOADED: "451 4.3.2 system overloaded",
    Reason.REPUTATION: "421 4.7.0 blocked for the reputation of your address",
}
_QUEUE = 7


class _Jump(selectors.DefaultSelector):
    """Waits for nothing: the time is then what one would have waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let the time pass."""
        assert timeout is not None, "nothing will ever happen"
        self.now += max(0.0, timeout)
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop without I/O, in simulated time."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """Give the simulated time."""
        return self._jump.now


class _LoopClockwork(Clockwork):
    """The clockwork of a receiver that lives in the time of an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    @property
    def now(self) -> float:  # type: ignore[override]
        """Give the loop's time."""
        return self._loop.time()

    def at(self, at: float, call: Callable[..., None], *arguments: object) -> None:
        """Let something happen at an instant."""
        self._loop.call_at(at, call, *arguments)

    def after(self, seconds: float, call: Callable[..., None], *arguments: object) -> None:
        """Let something happen when some time has passed."""
        self._loop.call_later(seconds, call, *arguments)


class _Spool:
    """Gives mail, and forgets it."""

    def __init__(self, *, endless: bool) -> None:
        self.waiting = 0
        self._endless = endless
        self._number = 0

    async def claim(self, queue_ids: Sequence[int], *, limit: int, **_: object) -> Claim:
        """Give as much as is asked for, or as there is."""
        count = limit if self._endless else min(limit, self.waiting)
        self.waiting -= 0 if self._endless else count
        return Claim([self._message() for _ in range(count)], dict.fromkeys(queue_ids, 0.0 if self._more else None))

    @property
    def _more(self) -> bool:
        return self._endless or self.waiting > 0

    def _message(self) -> ClaimedMessage:
        self._number += 1
        recipient = ClaimedRecipient(
            id=self._number, queue_id=_QUEUE, rcpt_to="a@b.test", due_at=0.0, attempts=0, warned=False
        )
        return ClaimedMessage(
            id=self._number,
            mail_from="me@example.com",
            size=100,
            stream="default",
            priority=1,
            eight_bit=False,
            smtputf8=False,
            accepted_at=0.0,
            expires_at=None,
            blocks=1,
            content=b"x",
            recipients=[recipient],
        )

    def take_in_hand(self, message_id: int) -> int | None:
        """Remember nothing."""
        return None

    def put_down(self, place: int | None) -> None:
        """Likewise."""

    async def settle(self, *_: object) -> None:
        """Forget it."""

    async def release(self, recipient_ids: Sequence[int]) -> None:
        """Take claims back."""
        self.waiting += 0 if self._endless else len(recipient_ids)


class _ModelSession(Session):
    """A session with the model receiver."""

    def __init__(self, receiver: Receiver, visit: Visit, seen: Seen) -> None:
        self.host, self.address, self.tls, self.certificate_expires_at = "mx.b.test", "192.0.2.1", "", None
        self.transactions = 0
        self.closed_by = None
        self.announced = Announced()
        self._over = False
        self._offer = Offer()
        self._receiver = receiver
        self._visit: Visit | None = visit
        self._seen = seen

    @property
    def usable(self) -> bool:
        """Tell whether another transaction may be tried."""
        return not self._over and self.closed_by is None

    async def transact(
        self,
        message: Outgoing,
        following: Callable[[], Outgoing | None] = lambda: None,
        on_envelope: Callable[[], None] | None = None,
    ) -> list[Answer]:
        """Carry a message as the model says."""
        assert self._visit is not None
        refusal = self._receiver.mail(self._visit, Message(0, 0.0))
        seconds = self._receiver.seconds(refusal)
        if refusal is None and seconds > self._receiver.envelope_s:
            await asyncio.sleep(self._receiver.envelope_s)
            seconds -= self._receiver.envelope_s
            if on_envelope is not None:
                on_envelope()
        await asyncio.sleep(seconds)
        self._receiver.done()
        self.transactions += 1
        if refusal is None:
            self._seen.delivered += 1
            return [Answer(Stage.END_OF_DATA, Reply.parse("250 2.0.0 taken"))]
        self._seen.throttles += refusal.throttle
        words = reply(refusal)
        if refusal.closes:
            self.closed_by = words
            self._leave()
        return [Answer(Stage.MAIL, words)]

    async def quit(self) -> None:
        """Say goodbye, unless the receiver has done so."""
        if self._visit is not None:
            await asyncio.sleep(self._receiver.round_trip_s / 2)
            self._leave()
            await asyncio.sleep(self._receiver.round_trip_s / 2)

    @property
    def died(self) -> bool:
        """Tell whether the connection is gone without a word."""
        return False

    def abort(self) -> None:
        """Be gone."""
        self._leave()

    def _leave(self) -> None:
        if self._visit is not None:
            self._receiver.leave(self._visit)
            self._seen.open -= 1
            self._visit = None


@dataclass
class Seen:
    """What happened."""

    delivered: int = 0
    throttles: int = 0
    open: int = 0
    opened: int = 0
    refused: int = 0
    windows: list[int] = field(default_factory=list)  # one a second


class ModelLane(Lane):
    """A lane that calls the model receiver."""

    receiver: Receiver
    seen: Seen

    async def contact(self) -> Session | NoSession:
        """Open one session as the model says."""
        receiver, visit = self.receiver, Visit()
        await asyncio.sleep(receiver.round_trip_s)
        refusal = receiver.knock(visit)
        if refusal is None:
            await asyncio.sleep(receiver.greeting_s)
            self.seen.open += 1
            self.seen.opened += 1
            return _ModelSession(receiver, visit, self.seen)
        await asyncio.sleep(receiver.refusal_s)
        self.seen.throttles += 1
        self.seen.refused += 1
        words = reply(refusal)
        verdict = self.around.classifier.classify(Stage.BANNER, words, "mx.b.test")
        return NoSession(verdict=verdict, stage=Stage.BANNER, reply=words, host="mx.b.test")


def reply(refusal: Refusal) -> Reply:
    """Put an answer of the model in words."""
    verdict = refusal.verdict
    wait = f", try again in {verdict.retry_after_s:g} seconds" if verdict.retry_after_s else ""
    assert verdict.reason is not None
    return Reply.parse(_TEXTS[verdict.reason] + wait)


def run(scenario: Scenario, seed: int = 0, kind: type[ModelLane] = ModelLane) -> Seen:
    """Let the daemon's lane work for the time of a scenario."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(_run(scenario, seed, kind))


async def _run(scenario: Scenario, seed: int, kind: type[ModelLane]) -> Seen:
    loop = asyncio.get_running_loop()
    stream = f"{seed}/{scenario.name}"
    receiver = Receiver(scenario.receiver, clockwork=_LoopClockwork(loop), domains=1, seed=stream)
    spool = _Spool(endless=scenario.mail.rate is None)
    lane = _lane(scenario, loop, spool, Random(f"{stream}/0/controller"), kind)
    lane.receiver, lane.seen = receiver, Seen()
    queue = Queue(id=_QUEUE, domain="b.test", stream="default", priority=1, due_at=0.0, queued=1)
    if scenario.mail.rate is None:
        lane.offer(queue)
        lane.pump()
    else:
        Mail(
            scenario.mail,
            clockwork=_LoopClockwork(loop),
            policy=lane.around.settings.retry.policy(),
            rng=Random(f"{stream}/0/mail"),
            on_news=lambda: _arrive(lane, queue, spool),
        )
    for _ in range(int(scenario.duration_s)):
        await asyncio.sleep(1.0)
        lane.seen.windows.append(lane.window.limit)
    lane.crew.abort()
    await asyncio.sleep(1.0)
    await lane.around.committer.close()
    return lane.seen


def _arrive(lane: Lane, queue: Queue, spool: _Spool) -> None:
    """A message comes, and the dispatcher tells the lane."""
    spool.waiting += 1
    queue.arrivals += 1
    queue.due_at = 0.0
    if not queue.turning:
        lane.offer(queue)
    lane.pump()


def _lane(
    scenario: Scenario, loop: asyncio.AbstractEventLoop, spool: _Spool, rng: Random, kind: type[ModelLane]
) -> ModelLane:
    table = scenario.sender
    settings = Settings.model_validate(
        {
            "hostname": "mta.example.com",
            "window": {"start": table.start_window, "max": table.max_window},
            "delivery": {
                "messages_per_session": table.messages_per_session,
                "idle_timeout": f"{table.idle_timeout}s",
            },
        }
    )
    clock = Clock(wall=loop.time, steady=loop.time)
    events, metrics = Events(), Metrics()
    committer = Committer(
        cast("Any", spool), events, clock, interval_s=0.1, on_recorded=lambda _batch: None, on_health=lambda: None
    )
    around = Surroundings(
        settings=settings,
        classifier=classifier(None),
        spool=cast("Any", spool),
        router=cast("Any", None),
        settler=Settler(settings, cast("Any", spool), committer, clock, rng, metrics, events=False),
        committer=committer,
        holding=cast("Any", None),
        metrics=metrics,
        events=events,
        clock=clock,
        rng=rng,
        budget=Budget(settings.delivery.max_sessions),
        next_due=lambda _queue, _at, _exact: None,
    )
    route = Route(site="mx.b.test", hosts=(), port=25, static=True)
    placement = Placement(source="default", site="mx.b.test", tls="none", provider=None, limited_as="mx.b.test")
    allowance = Allowance(placement.allowance, around, None, ceiling=table.max_window)
    return kind(placement=placement, route=route, allowance=allowance, around=around, memory=None)
