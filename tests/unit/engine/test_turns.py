"""Whose turn it is in a lane."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sender.engine.queue import Queue
from sender.engine.turns import Turns
from sender.spool.contract import Priority


def _queue(stream: str = "default", priority: Priority = Priority.NORMAL, *, number: int = 0) -> Queue:
    return Queue(id=number, domain=f"d{number}.example", stream=stream, priority=priority, due_at=0.0, queued=1)


def _turns(*queues: Queue, weights: dict[str, float] | None = None) -> Turns:
    turns = Turns(lambda stream: (weights or {}).get(stream, 1.0))
    for queue in queues:
        turns.add(queue)
    return turns


def _served(turns: Turns, rounds: int, each: int = 10) -> Counter[tuple[str, int]]:
    """Take one queue at a time, give it `each` recipients, and put it back."""
    had: Counter[tuple[str, int]] = Counter()
    for _ in range(rounds):
        (queue,) = turns.take(1)
        had[queue.stream, queue.priority] += each
        turns.put_back([queue], [queue], each)
    return had


def test_an_empty_lane_has_nobody_to_serve() -> None:
    """Without due queues nothing is taken, and the turns are false."""
    turns = _turns()
    assert not turns
    assert turns.take(10) == []


def test_domains_of_one_stream_take_turns() -> None:
    """Queues of one stream are served one after another, in the order in which they became due."""
    queues = [_queue(number=number) for number in range(3)]
    turns = _turns(*queues)
    order = []
    for _ in range(6):
        (queue,) = turns.take(1)
        order.append(queue.id)
        turns.put_back([queue], [queue], 1)
    assert order == [0, 1, 2, 0, 1, 2]


def test_urgent_mail_goes_before_everything_else() -> None:
    """As long as urgent mail is due nothing else is taken, and it is charged to nobody."""
    urgent = _queue("alerts", Priority.URGENT, number=1)
    turns = _turns(_queue(), urgent)
    for still_due in ([urgent], []):
        assert turns.urgent
        assert turns.take(10) == [urgent]
        turns.put_back([urgent], still_due, 1000)
    assert turns.urgent is False
    assert [queue.stream for queue in turns.take(10)] == ["default"]


def test_streams_share_by_weight() -> None:
    """A stream of weight 3 gets three times as much as one of weight 1."""
    turns = _turns(_queue("heavy", number=1), _queue("light", number=2), weights={"heavy": 3.0})
    had = _served(turns, 400)
    assert had["heavy", 1] / had["light", 1] == 3.0


def test_bulk_mail_weighs_a_tenth() -> None:
    """Bulk mail gets a tenth of what normal mail of the same weight gets, and never nothing."""
    turns = _turns(_queue(number=1), _queue(priority=Priority.BULK, number=2))
    had = _served(turns, 1100)
    assert had["default", Priority.NORMAL] == 10 * had["default", Priority.BULK]


def test_a_stream_that_was_away_gets_no_credit_for_it() -> None:
    """A stream that comes back starts where the others are, and gets its share from then on."""
    early, late = _queue("early", number=1), _queue("late", number=2)
    turns = _turns(early)
    _served(turns, 1000)
    turns.add(late)
    had = _served(turns, 100)
    assert abs(had["early", 1] - had["late", 1]) <= 10


def test_one_turn_is_of_one_stream() -> None:
    """What is taken together is of one stream, at most as many queues as were asked for."""
    turns = _turns(*(_queue("a", number=n) for n in range(5)), *(_queue("b", number=10 + n) for n in range(5)))
    taken = turns.take(3)
    assert [queue.id for queue in taken] == [0, 1, 2]
    turns.put_back(taken, taken, 30)
    assert {queue.stream for queue in turns.take(100)} == {"b"}


_kinds = st.tuples(st.sampled_from("abc"), st.sampled_from(Priority))


@given(st.lists(st.tuples(_kinds, st.integers(1, 3), st.integers(0, 20), st.booleans()), max_size=60))
def test_no_due_queue_is_lost_or_doubled(steps: list[tuple[tuple[str, Priority], int, int, bool]]) -> None:
    """Whatever is added, taken and put back: every due queue is there once."""
    turns, due = _turns(), set()
    for number, ((stream, priority), most, recipients, again) in enumerate(steps):
        queue = _queue(stream, priority, number=number)
        turns.add(queue)
        due.add(number)
        taken = turns.take(most)
        assert 1 <= len(taken) <= most
        still = taken if again else []
        turns.put_back(taken, still, recipients)
        due -= {queue.id for queue in taken} - {queue.id for queue in still}
        assert sorted(queue.id for queue in turns.queues()) == sorted(due)
        assert bool(turns) is bool(due)
    assert sorted(queue.id for queue in turns.clear()) == sorted(due)
    assert not turns
