"""When a crew lets a session begin a message behind another one, and what becomes of that."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from sender.clock import Clock
from sender.core.outcome import Trouble
from sender.core.window import Ticket
from sender.engine.contact import NoSession
from sender.engine.crew import Crew
from sender.engine.delivery import Delivery
from sender.engine.surroundings import Surroundings
from sender.sandbox import Behaviour, Close, Receiver
from sender.settings import DeliverySettings
from sender.smtp.habits import Habits, Way
from sender.smtp.opening import Target, open_session
from sender.smtp.session import Answer, Session

from .values import message, recipients

PATIENCE_S = 10.0


class _Spool:
    """Has no further blocks, and knows what is in hand."""

    def __init__(self) -> None:
        self.in_hand: list[int] = []

    def take_in_hand(self, message_id: int) -> int:
        """Note it; its place is its id."""
        self.in_hand.append(message_id)
        return message_id

    def put_down(self, place: int) -> None:
        """Take the note back."""
        self.in_hand.remove(place)

    async def block(self, message_id: int, number: int) -> bytes:
        """Fail, as a disk does."""
        raise OSError("no block")


class _Lead:
    """A lane that hands out deliveries and writes down what it hears."""

    name = "default/mx.b.test"

    def __init__(self, receiver: Receiver, count: int, *, blocks: int = 1) -> None:
        claimed = [recipients(f"r{number}@b.test") for number in range(count)]
        self.waiting = deque(Delivery(replace(message(*each), blocks=blocks), each) for each in claimed)
        self.heard: list[str] = []
        self.answers: dict[str, list[Answer]] = {}
        self.proves = True
        self.stops_after: str = ""  # whose answer ends what may be done
        self.ends_after: str = ""  # and whose ends the session for there are too many
        self.enveloped_before_answer = False
        self.fails_at = ""  # where our own code does
        settings = SimpleNamespace(delivery=DeliverySettings.model_validate({"idle_timeout": "20ms"}))
        self.spool = _Spool()
        around = SimpleNamespace(clock=Clock(), spool=self.spool, settings=settings)
        self.crew = Crew(self, cast("Surroundings", around))
        self._receiver = receiver
        self._habits = Habits()
        self._stopped = False
        self._habits.worked(Way.OVERLAPPING)

    async def work(self) -> list[str]:
        """Let one session work until it ends; give what was heard."""
        self.crew.hire(Ticket(1))
        async with asyncio.timeout(PATIENCE_S):
            while self.crew.tasks:
                await asyncio.wait(self.crew.tasks)
        assert not self.spool.in_hand  # however it ended
        return self.heard

    def _perhaps_fail(self, at: str) -> None:
        if at == self.fails_at:
            raise ZeroDivisionError(at)

    async def contact(self) -> Session | NoSession:
        self._perhaps_fail("contact")
        target = Target(
            host="mx",
            address=self._receiver.host,
            port=self._receiver.port,
            source_address="",
            helo="a.test",
            tls="none",
        )
        session = await open_session(target, DeliverySettings(), self._habits)
        assert isinstance(session, Session)
        return session

    def connected(self, ticket: Ticket, session: Session) -> None:
        self._perhaps_fail("connected")
        ticket.open = True

    def not_connected(self, failure: NoSession, ticket: Ticket) -> bool:
        raise AssertionError(failure)

    def next_delivery(self) -> Delivery | None:
        if self._stopped or not self.waiting:
            return None
        delivery = self.waiting.popleft()
        self.heard.append(f"begin {_name(delivery)}")
        return delivery

    def answered(
        self, delivery: Delivery, session: Session, ticket: Ticket, answers: list[Answer], seconds: float
    ) -> bool:
        name = _name(delivery)
        self._perhaps_fail(f"answer {name}")
        self.heard.append(f"answer {name}")
        self.answers[name] = answers
        ticket.proven = self.proves
        self._stopped |= name == self.stops_after
        return name == self.ends_after

    def not_tried(self, delivery: Delivery, error: Exception, *, answered: bool = False) -> None:
        self.heard.append(f"{'late ' if answered else ''}fault {_name(delivery)}")

    def failed(self, error: Exception) -> None:
        self.heard.append(f"failed for {error}")

    def goes_on(self, session: Session) -> bool:
        self._perhaps_fail("goes on")
        return session.usable and not self._stopped

    def idle_enough(self) -> bool:
        return True

    def spares_one(self) -> bool:
        return False

    def put_back(self, delivery: Delivery) -> None:
        self.heard.append(f"back {_name(delivery)}")

    def enveloped(self, ticket: Ticket) -> None:
        self.enveloped_before_answer = not self.answers

    def left(self, ticket: Ticket | None, *, died: bool) -> None:
        self.heard.append("died" if died else "left")


def _name(delivery: Delivery) -> str:
    return delivery.recipients[0].rcpt_to.partition("@")[0]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Give a receiver that gets content by DATA."""
    async with Receiver(Behaviour(chunking=False)) as receiver:
        yield receiver


async def test_a_session_is_given_the_next_message_before_it_has_the_answer(receiver: Receiver) -> None:
    """From the second message on the next one is begun before the one before is answered, in their order."""
    lead = _Lead(receiver, 4)
    assert await lead.work() == [
        *["begin r0", "answer r0"],
        *["begin r1", "begin r2", "answer r1", "begin r3", "answer r2", "answer r3"],
        "left",
    ]
    assert all(answers[0].delivered for answers in lead.answers.values())


async def test_a_session_that_is_not_proven_carries_one_message_at_a_time(receiver: Receiver) -> None:
    """What a receiver may still refuse as a session has nothing begun on it that would have to be carried on."""
    lead = _Lead(receiver, 3)
    lead.proves = False
    assert await lead.work() == [*(f"{what} r{number}" for number in range(3) for what in ("begin", "answer")), "left"]


async def test_nothing_is_begun_when_the_crew_is_stopping(receiver: Receiver) -> None:
    """A crew that drains ends the message that is under way, and begins none behind it."""
    lead = _Lead(receiver, 3)
    lead.crew.stopping = True
    assert await lead.work() == ["begin r0", "answer r0", "left"]


async def test_what_was_begun_is_carried_on_whatever_the_answer_before_it_said(receiver: Receiver) -> None:
    """When an answer stops the lane, the message behind it has gone too far: it is ended, and nothing follows it."""
    lead = _Lead(receiver, 5)
    lead.stops_after = "r1"
    assert await lead.work() == ["begin r0", "answer r0", "begin r1", "begin r2", "answer r1", "answer r2", "left"]
    assert lead.answers["r2"][0].delivered
    assert receiver.tally.quits == 1


async def test_what_was_begun_when_the_session_ended_is_told_to_be_untried(receiver: Receiver) -> None:
    """A message that had not its turn is answered for as well: nothing of it stays with the crew."""
    receiver.behaviour = Behaviour(chunking=False, scripted={"end_of_data": ["250 ok", Close()]})
    lead = _Lead(receiver, 4)
    assert await lead.work() == ["begin r0", "answer r0", "begin r1", "begin r2", "answer r1", "answer r2", "left"]
    assert lead.answers["r1"][0].trouble is Trouble.LOST_AFTER_CONTENT
    assert lead.answers["r2"][0].trouble is Trouble.UNTRIED


async def test_what_was_begun_on_a_session_that_the_receiver_ends_is_put_back(receiver: Receiver) -> None:
    """When a session is closed because there are too many, the message behind it had not its turn."""
    closing = [Close(reply="421 4.7.0 too many connections")]
    receiver.behaviour = Behaviour(chunking=False, scripted={"end_of_data": ["250 ok", *closing]})
    lead = _Lead(receiver, 4)
    lead.ends_after = "r1"
    assert await lead.work() == ["begin r0", "answer r0", "begin r1", "begin r2", "answer r1", "back r2", "left"]


async def test_the_first_envelope_is_told_before_the_content_is_answered(receiver: Receiver) -> None:
    """So a lane may open the next session while a content takes its time."""
    lead = _Lead(receiver, 1)
    await lead.work()
    assert lead.enveloped_before_answer


async def test_a_fault_of_ours_is_told_once_for_each_message_that_was_taken(receiver: Receiver) -> None:
    """Content that cannot be read ends the session, and only the message that it is of was under way."""
    lead = _Lead(receiver, 3, blocks=2)
    assert await lead.work() == ["begin r0", "fault r0", "left"]


async def test_who_is_idle_gets_the_next_message_first(receiver: Receiver) -> None:
    """While another session waits for work no message is begun behind one that is not answered."""
    lead = _Lead(receiver, 3)
    loop = asyncio.get_running_loop()
    lead.crew._idle[loop.create_future()] = loop.call_later(PATIENCE_S, lambda: None)
    assert await lead.work() == [*(f"{what} r{number}" for number in range(3) for what in ("begin", "answer")), "left"]


@pytest.mark.parametrize("stage", ["contact", "connected"])
async def test_a_session_that_cannot_be_set_up_is_told(receiver: Receiver, stage: str) -> None:
    """Whatever our own code raises there, the lane hears of it before it hears that the session has ended."""
    lead = _Lead(receiver, 1)
    lead.fails_at = stage
    assert await lead.work() == [f"failed for {stage}", "left"]
    assert len(lead.waiting) == 1


async def test_a_fault_between_messages_ends_the_session_and_is_told(receiver: Receiver) -> None:
    """Nothing that our own code raises is repeated at once without the lane's knowledge."""
    lead = _Lead(receiver, 2)
    lead.proves, lead.fails_at = False, "goes on"
    assert await lead.work() == ["begin r0", "answer r0", "failed for goes on", "left"]


async def test_a_fault_after_the_answer_is_told_as_one(receiver: Receiver) -> None:
    """What a receiver has answered and nobody could record is not taken for what was not tried."""
    lead = _Lead(receiver, 3)
    lead.fails_at = "answer r0"
    assert await lead.work() == ["begin r0", "late fault r0", "left"]


async def test_what_was_begun_behind_a_fault_is_put_back(receiver: Receiver) -> None:
    """The message behind one under which our own code fails is not blamed for it."""
    lead = _Lead(receiver, 4)
    lead.fails_at = "answer r1"
    assert await lead.work() == [
        *["begin r0", "answer r0"],
        *["begin r1", "begin r2", "late fault r1", "back r2", "left"],
    ]


async def test_a_goodbye_that_fails_leaves_no_session(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where our own code fails as a session is to end, it is ended all the same, and the lane hears of it."""

    async def fail(_session: Session) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Session, "quit", fail)
    lead = _Lead(receiver, 1)
    assert await lead.work() == ["begin r0", "answer r0", "left"]
    await receiver.until_idle()
