"""Any plan of a receiver, any segments: every recipient is answered once, and as it was (P19, P20)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, cycle

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from sender.core.outcome import Trouble
from sender.core.stage import Stage
from sender.smtp.habits import Habits
from sender.smtp.session import Answer, Outgoing, Session
from sender.smtp.wire import Wire
from tests.chaos.scale import scaled

from .model import IN_STEP, REFUSALS, Act, Loop, Receiver, Road, Truth
from .sending import letter, limits

SESSIONS_MAX = 60  # a plan that is not done after so many goes on for ever
EXTENSIONS = {
    "step by step": {},
    "pipelining": {"pipelining": ""},
    "chunking": {"pipelining": "", "chunking": ""},
}


@dataclass
class Run:
    """Messages, the receiver's truth about them, and the answers that each got."""

    extensions: str
    truth: Truth = field(default_factory=Truth)
    habits: Habits = field(default_factory=Habits)
    attempts: list[tuple[str, list[Answer], bool]] = field(default_factory=list)  # whose; begun behind another
    sessions: int = 0
    most_unanswered: int = 0  # contents at a time

    async def all(self, messages: list[Outgoing], plan: Iterator[Act], cuts: Iterator[int]) -> None:
        """Send messages over as many sessions as it takes, each until it was answered for its own sake."""
        waiting = deque(messages)
        while waiting:
            self.sessions += 1
            assert self.sessions < SESSIONS_MAX, "this goes on for ever"
            await self._session(waiting, plan, cuts)

    async def _session(self, waiting: deque[Outgoing], plan: Iterator[Act], cuts: Iterator[int]) -> None:
        loop = asyncio.get_running_loop()
        wire = Wire(loop)
        road = Road(loop, wire, Receiver(plan, self.truth), cuts)
        await wire.reply(1.0)
        session = Session(
            wire,
            host="model",
            address="",
            tls="",
            verified=False,
            extensions=EXTENSIONS[self.extensions],
            timeouts=limits(1.0),
            habits=self.habits,
        )
        taken: list[Outgoing] = []

        def following() -> Outgoing | None:
            if waiting:
                taken.append(waiting.popleft())
            return taken[-1] if taken else None

        again: list[Outgoing] = []
        behind = False
        while taken or (waiting and (session.usable or not session.transactions)):
            message = taken.pop() if taken else waiting.popleft()
            answers = await session.transact(message, following)
            self.attempts.append((message.mail_from, answers, behind))
            if any(answer.trouble is Trouble.UNTRIED for answer in answers):
                again.append(message)
            behind = bool(taken)
        waiting.extendleft(reversed(again))
        await session.quit()
        assert road.is_closing()
        self.most_unanswered = max(self.most_unanswered, road.most_unanswered)


def letters(sizes: list[int]) -> list[Outgoing]:
    """Make messages with so many recipients; the content of each is its name."""
    return [
        letter(
            *(f"r{index}@m{number}.test" for index in range(count)),
            mail_from=f"from@m{number}.test",
            content=f"from@m{number}.test\r\n".encode(),
        )
        for number, count in enumerate(sizes)
    ]


def carried(extensions: str, sizes: list[int], acts: dict[int, Act], cuts: list[int]) -> Run:
    """Send messages of so many recipients to a receiver with a plan, over a way that cuts."""
    run = Run(extensions)
    plan = [acts.get(number, Act.TAKE) for number in range(max(acts, default=-1) + 1)]
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(run.all(letters(sizes), iter(plan), chain.from_iterable(cycle([cuts]))))
        loop = runner.get_loop()
        assert isinstance(loop, Loop)
        assert loop.failures == []
    return run


def plans(acts: Iterable[Act], most: int) -> st.SearchStrategy[dict[int, Act]]:
    """Let a receiver take everything but a few things."""
    return st.dictionaries(st.integers(0, 70), st.sampled_from(sorted(acts, key=str)), max_size=most)


_extensions = st.sampled_from(sorted(EXTENSIONS))
_sizes = st.lists(st.sampled_from([1, 1, 1, 2, 3]), min_size=1, max_size=12)
_cuts = st.lists(st.one_of(st.integers(1, 12), st.integers(1, 200), st.just(10_000)), min_size=1, max_size=12)
_many = settings(max_examples=scaled(300, 10_000, soak=35_000), deadline=None, suppress_health_check=list(HealthCheck))


def final(run: Run, sizes: list[int]) -> dict[str, list[Answer]]:
    """Give the answers that count for each message: those of its last attempt, before which it was not tried."""
    attempts: dict[str, list[list[Answer]]] = {}
    for name, answers, _ in run.attempts:
        attempts.setdefault(name, []).append(answers)
    assert len(attempts) == len(sizes)
    for number, count in enumerate(sizes):
        *before, last = attempts[f"from@m{number}.test"]
        assert all(len(answers) == count for answers in (*before, last))
        assert all(answer.trouble is Trouble.UNTRIED for answers in before for answer in answers)
        assert all(answer.trouble is not Trouble.UNTRIED for answer in last)
    return {name: answers[-1] for name, answers in attempts.items()}


def check_in_step(run: Run, sizes: list[int], note: Callable[[str], object]) -> None:
    """Check what was answered against the truth of a receiver that is in step."""
    assert run.most_unanswered <= (2 if run.extensions == "chunking" else 1)
    assert run.truth.mixed == []
    assert run.habits.remember(0.0).keys() <= {"overlapping", "doubling", "chunking"}
    for name, answers in final(run, sizes).items():
        for index, answer in enumerate(answers):
            rcpt_to = f"r{index}@{name.partition('@')[2]}"
            note(f"{run.extensions}: {answer.stage} {answer.trouble or (answer.reply and answer.reply.code)}")
            assert (answer.reply is None) is (answer.trouble is not None)
            taken = run.truth.taken[rcpt_to]
            if answer.delivered:
                assert str(answer.reply) == f"250 end_of_data {name}"
                assert taken == run.truth.told[rcpt_to] == 1
            elif answer.reply is not None:
                whose = rcpt_to if answer.stage is Stage.RCPT else name
                closed = answer.reply.code == 421
                assert answer.reply.text == f"{answer.stage} {whose}" or closed
                assert taken == 0
            elif not answer.ambiguous:
                assert taken == 0
    assert all(count == 1 for count in run.truth.taken.values())
    for _, answers, behind in run.attempts:
        for answer in answers:
            if behind and answer.stage is not Stage.END_OF_DATA and answer.trouble is not None:
                assert answer.ambiguous or answer.trouble is Trouble.UNTRIED


@_many
@given(_extensions, _sizes, plans(IN_STEP, 6), _cuts)
def test_p19_p20_a_receiver_in_step_is_believed_in_each_word(
    extensions: str, sizes: list[int], acts: dict[int, Act], cuts: list[int]
) -> None:
    """Delivered is who was told so, refused who was refused, unknown whose content was sent and is not answered.

    Nobody is answered twice or with another's words, nobody arrives twice but who was unknown, and what was begun
    behind another message pays nothing for the end of the session.
    """
    check_in_step(carried(extensions, sizes, acts, cuts), sizes, event)


@_many
@given(_extensions, _sizes, plans(Act, 6), _cuts)
def test_p19_a_receiver_out_of_step_is_never_believed_for_long(
    extensions: str, sizes: list[int], acts: dict[int, Act], cuts: list[int]
) -> None:
    """Whatever a receiver does, each recipient is answered once at last, and a message goes again for a reason."""
    run = carried(extensions, sizes, acts, cuts)
    for answers in final(run, sizes).values():
        assert all((answer.reply is None) is (answer.trouble is not None) for answer in answers)


@_many
@given(_extensions, _sizes, plans(REFUSALS, 40), _cuts)
def test_p19_refusals_end_no_session(extensions: str, sizes: list[int], acts: dict[int, Act], cuts: list[int]) -> None:
    """A receiver that only refuses gets everything on one session, and nothing is held against it."""
    run = carried(extensions, sizes, acts, cuts)
    assert run.sessions == 1
    assert run.habits.remember(0.0) == {}
    assert run.truth.mixed == []
    assert all(answer.reply is not None for _, answers, _ in run.attempts for answer in answers)
