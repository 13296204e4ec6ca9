"""The window under any legal sequence of events."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sender.core.window import Remembered, Ticket, Window

_waits = st.one_of(st.none(), st.floats(min_value=0, max_value=10_000))
_memories = st.one_of(
    st.none(),
    st.builds(Remembered, st.integers(1, 200), st.floats(min_value=-200_000, max_value=1000), st.booleans()),
)


class AnyEvents(RuleBasedStateMachine):
    """Sessions are opened only where `obstacle` allows it; everything else may happen at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.window = Window(start=5, ceiling=30, now=0.0, rng=Random(1))
        self.new: list[Ticket] = []  # opening, not taken
        self.open: list[Ticket] = []
        self.seen = 0

    @precondition(lambda self: not self.seen and not self.new and not self.open)
    @rule(start=st.integers(1, 50), ceiling=st.integers(1, 40), remembered=_memories, seed=st.integers(0, 9))
    def begin(self, start: int, ceiling: int, remembered: Remembered | None, seed: int) -> None:
        """Begin with another configuration and memory."""
        self.window = Window(start=start, ceiling=ceiling, now=self.now, rng=Random(seed), remembered=remembered)
        self.seen = len(self.window.changes)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.5, 1.5, 3.0, 10.0, 60.0, 200.0, 2000.0]))
    def wait(self, seconds: float) -> None:
        """Time passes; where nothing has happened, the instant that the obstacle names is an advance."""
        obstacle = self.window.obstacle(self.now)
        if obstacle is not None and obstacle[1] is not None:
            assert obstacle[1] > self.now
            later = self.window.obstacle(obstacle[1] + 1e-6)
            assert later is None or later[0] is not obstacle[0]
        self.now += seconds

    @rule(most=st.integers(1, 6))
    def opening(self, most: int) -> None:
        """Open what is allowed."""
        for _ in range(most):
            if self.window.obstacle(self.now) is not None:
                break
            self.new.append(self.window.opening(self.now))

    @precondition(lambda self: self.new)
    @rule(choice=st.randoms(use_true_random=False))
    def taken(self, choice: Random) -> None:
        """The receiver takes a session."""
        ticket = self.new.pop(choice.randrange(len(self.new)))
        self._unrelated(lambda: self.window.taken(ticket))
        self.open.append(ticket)

    @precondition(lambda self: self.new)
    @rule(choice=st.randoms(use_true_random=False), retry_after_s=_waits)
    def refused(self, choice: Random, retry_after_s: float | None) -> None:
        """The receiver refuses a session: at the limit that measures it, and nothing raises it."""
        ticket = self.new.pop(choice.randrange(len(self.new)))
        growing, others, limit = self.window.growing, self.window.in_use - 1, self.window.limit
        self.window.refused(ticket, self.now, retry_after_s)
        if others > limit and not growing:
            assert self.window.limit == limit
        elif growing and others >= limit:
            assert (self.window.limit, self.window.growing) == (others, False)
        else:
            assert self.window.limit in {limit, max(1, others)}

    @precondition(lambda self: self.new)
    @rule(choice=st.randoms(use_true_random=False))
    def failed(self, choice: Random) -> None:
        """A session does not come about for another cause: no route, no descriptor."""
        ticket = self.new.pop(choice.randrange(len(self.new)))
        self._unrelated(lambda: self.window.closed(ticket, self.now))

    @precondition(lambda self: self.open)
    @rule(choice=st.randoms(use_true_random=False))
    def proved(self, choice: Random) -> None:
        """The receiver takes an envelope on a session, perhaps not the first one."""
        ticket = choice.choice(self.open)
        self._unrelated(lambda: self.window.prove(ticket, self.now))

    @precondition(lambda self: self.open)
    @rule(choice=st.randoms(use_true_random=False))
    def closed(self, choice: Random) -> None:
        """A session ends."""
        ticket = self.open.pop(choice.randrange(len(self.open)))
        self._unrelated(lambda: self.window.closed(ticket, self.now))

    @precondition(lambda self: self.open)
    @rule(choice=st.randoms(use_true_random=False))
    def refused_later(self, choice: Random) -> None:
        """An open session is refused for there are too many (some receivers say so to MAIL)."""
        ticket = self.open.pop(choice.randrange(len(self.open)))
        self.window.refused(ticket, self.now)

    @rule(count=st.sampled_from([1, 3, 100, 1500]))
    def answered(self, count: int) -> None:
        """Messages are answered."""
        for _ in range(count):
            self._unrelated(lambda: self.window.answered(self.now))

    @rule(seconds=st.sampled_from([0.1, 1.0, 1.1, 30.0]))
    def answered_after(self, seconds: float) -> None:
        """Messages take their time: that may shrink a window that grows, and a held one never."""
        for _ in range(70):
            before, growing = self.window.limit, self.window.growing
            self.window.answered(self.now, seconds)
            assert self.window.limit <= before
            assert growing or self.window.limit == before

    @precondition(lambda self: self.open)
    @rule(choice=st.randoms(use_true_random=False))
    def cut(self, choice: Random) -> None:
        """The receiver closes a working session for there are too many."""
        before = self.window.limit
        self.window.cut(self.open.pop(choice.randrange(len(self.open))), self.now)
        assert self.window.limit <= before

    @rule(event=st.sampled_from(["throttled", "overloaded", "blocked"]))
    def against(self, event: str) -> None:
        """The receiver says no on a working session: no such answer raises the limit."""
        before = self.window.limit
        getattr(self.window, event)(self.now)
        assert self.window.limit <= before

    @rule(limit=st.integers(-5, 60))
    def operator(self, limit: int) -> None:
        """An operator sets the limit."""
        self.window.set_limit(limit, self.now)

    def _unrelated(self, event: Callable[[], None]) -> None:
        """What is no refusal never lowers the limit."""
        before = self.window.limit
        event()
        assert self.window.limit >= before

    @invariant()
    def the_figures_are_possible(self) -> None:
        """Sessions are counted exactly, the unproven among them, and never above the ceiling; the limit is positive."""
        window = self.window
        assert window.in_use == len(self.new) + len(self.open)
        assert 0 <= window.unproven <= window.in_use <= window.ceiling
        assert window.unproven == sum(not ticket.proven for ticket in (*self.new, *self.open))
        assert 1 <= window.limit <= window.ceiling

    @invariant()
    def the_changes_tell_the_whole_story(self) -> None:
        """Each change begins where the one before ended, and the last one ends at the limit."""
        changes = self.window.changes
        for before, after in pairwise(changes):
            assert before.after == after.before
        if changes:
            assert changes[-1].after == self.window.limit


TestAnyEvents = AnyEvents.TestCase
TestAnyEvents.__doc__ = "The window keeps its invariants under any legal sequence of events."
TestAnyEvents.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
