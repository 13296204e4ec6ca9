"""Whose turn it is among those that share a window."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sender.core.sharing import PROMISE_S, ROUND_S, SLICE_S, Sharing


def _sharing(**sessions: int) -> Sharing[str]:
    """Give a sharing in which each of these has opened so many sessions at 0."""
    sharing: Sharing[str] = Sharing()
    for who, count in sessions.items():
        for _ in range(count):
            sharing.opened(who, 0.0)
    return sharing


def test_who_has_fewest_sessions_goes_first_then_who_came_first() -> None:
    """The line is by sessions, then by coming; saying again that one waits keeps the place."""
    sharing = _sharing(many=3, one=1)
    for who in ("many", "one", "first", "second", "first"):
        sharing.waits(who, 1.0)
    assert sharing.next_few(3) == ["first", "second", "one"]
    order = []
    while (next_one := sharing.first) is not None:
        order.append(next_one)
        sharing.content(next_one)
    assert order == ["first", "second", "one", "many"]


def test_who_gets_a_session_goes_to_the_end_of_its_rank() -> None:
    """A session that is opened or ended moves one that waits behind those who have as many."""
    sharing = _sharing(b=1)
    for who in ("a", "b", "c"):
        sharing.waits(who, 1.0)
    sharing.opened("a", 2.0)
    assert sharing.first == "c"
    sharing.content("c")
    assert sharing.first == "b"
    sharing.closed("a", 3.0)
    assert sharing.first == "a"


def test_nobody_who_waits_for_nothing_is_in_line() -> None:
    """Without anybody who waits there is no first, nothing is given, and the sharing is false."""
    sharing = _sharing(a=2)
    sharing.content("b")
    assert not sharing
    assert sharing.first is None
    assert not sharing.gives("a", 100.0, idle=True)
    assert sharing.holders == ["a"]


def test_two_more_are_too_many_at_once() -> None:
    """Who has two sessions more than one that waits gives one, and no second for the same one."""
    sharing = _sharing(rich=3, poor=1)
    sharing.waits("poor", 1.0)
    assert sharing.gives("rich", 1.0)
    assert not sharing.gives("rich", 1.0)
    sharing.closed("rich", 1.5)
    sharing.opened("poor", 2.0)
    assert not sharing.gives("rich", 2.0)


@pytest.mark.parametrize(("sessions", "wait_s"), [({"holder": 1}, SLICE_S), ({"holder": 2, "poor": 1}, ROUND_S)])
def test_what_is_over_goes_round(sessions: dict[str, int], wait_s: float) -> None:
    """One session more is given after a while in which the other has waited and this one has had it."""
    sharing = _sharing(**sessions)
    sharing.waits("poor", 1.0)
    assert not sharing.gives("holder", wait_s + 0.9)
    assert sharing.gives("holder", wait_s + 1.0)


def test_a_session_that_is_idle_is_given_at_once() -> None:
    """Who has nothing to do gives its session to whoever waits, but not to itself."""
    sharing = _sharing(idle=1, poor=4)
    sharing.waits("poor", 1.0)
    assert sharing.gives("idle", 1.0, idle=True)
    assert not sharing.gives("poor", 99.0, idle=True)


def test_a_promise_that_was_not_kept_is_made_again() -> None:
    """Where a session that was ended for somebody never reached it, another one is ended after a while."""
    sharing = _sharing(rich=9)
    sharing.waits("poor", 1.0)
    assert sharing.gives("rich", 1.0)
    assert not sharing.gives("rich", 1.0 + PROMISE_S - 0.1)
    assert sharing.gives("rich", 1.0 + PROMISE_S)


@settings(max_examples=30, deadline=None)
@given(lanes=st.integers(2, 12), cap=st.integers(1, 8), each_s=st.sampled_from([0.2, 1.0, 3.0]))
def test_with_mail_without_end_all_get_their_share(lanes: int, cap: int, each_s: float) -> None:
    """Lanes that always have mail divide the sessions evenly in the long run, whoever came first."""
    sharing: Sharing[int] = Sharing()
    working: deque[tuple[float, int]] = deque()  # when a message is done, and whose it is; in that order
    had: Counter[int] = Counter()
    now = 0.0
    while now < 1200.0:
        for lane in range(lanes):
            sharing.waits(lane, now)
        while len(working) < cap and (opens := sharing.first) is not None:
            sharing.opened(opens, now)
            working.append((now + each_s, opens))
        assert len(working) <= cap
        now, who = working.popleft()
        if now > 120.0:
            had[who] += 1
        if sharing.gives(who, now):
            sharing.closed(who, now)
        else:
            working.append((now + each_s, who))
    share = sum(had.values()) / lanes
    assert min(had[lane] for lane in range(lanes)) > 0.8 * share
    assert max(had.values()) < 1.2 * share
