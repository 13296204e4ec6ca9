"""What answers mean to a window and a pace."""

from __future__ import annotations

from random import Random

import pytest

from sender.core.governor import Governor
from sender.core.outcome import Outcome, Reason, Scope, Verdict
from sender.core.pace import Pace
from sender.core.window import Cause, Ticket, Window


def _governor() -> Governor:
    return Governor(Window(start=5, ceiling=100, now=0.0, rng=Random(1)), Pace(0.0))


def _verdict(reason: Reason, *, wait_s: float | None = None, outcome: Outcome = Outcome.DEFERRED) -> Verdict:
    return Verdict(outcome=outcome, scope=Scope.LANE, reason=reason, retry_after_s=wait_s)


def _open(governor: Governor, count: int, *, proven: bool = True) -> list[Ticket]:
    tickets = []
    for _ in range(count):
        ticket = governor.window.opening(0.0)
        governor.window.taken(ticket)
        if proven:
            assert governor.proven(ticket, 0.0)
        tickets.append(ticket)
    return tickets


@pytest.mark.parametrize("reason", [Reason.CONNECTION_LIMIT, Reason.CONNECTION_RATE])
def test_a_session_that_is_refused_for_our_pace_is_a_limit(reason: Reason) -> None:
    """Its ticket has ended, and what is open is the limit."""
    governor = _governor()
    _open(governor, 3)
    assert governor.not_connected(governor.window.opening(1.0), _verdict(reason), 1.0, others=True)
    assert (governor.window.in_use, governor.window.limit) == (3, 3)


def test_a_session_that_fails_beside_others_is_a_limit() -> None:
    """Whatever the refusal calls itself."""
    governor = _governor()
    _open(governor, 2)
    ticket = governor.window.opening(1.0)
    assert governor.not_connected(ticket, _verdict(Reason.CONNECT_FAILED), 1.0, others=True)
    assert governor.window.limit == 2


def test_a_session_that_fails_alone_is_no_limit() -> None:
    """There is no connection now; the ticket is the caller's to end."""
    governor = _governor()
    ticket = governor.window.opening(0.0)
    assert not governor.not_connected(ticket, _verdict(Reason.CONNECT_FAILED), 0.0, others=False)
    assert (governor.window.in_use, governor.window.limit) == (1, 5)
    assert governor.held_until(1.0) <= 1.0


def test_a_session_that_is_refused_for_our_reputation_lets_everything_wait() -> None:
    """As long as the reply asks, and a little longer."""
    governor = _governor()
    ticket = governor.window.opening(0.0)
    assert not governor.not_connected(ticket, _verdict(Reason.REPUTATION, wait_s=100.0), 0.0, others=False)
    assert governor.held_until(0.0) == pytest.approx(110.0)


def test_a_session_is_proven_once() -> None:
    """That it is is news the first time only."""
    governor = _governor()
    [ticket] = _open(governor, 1)
    assert not governor.proven(ticket, 1.0)


def test_a_throttled_message_slows_the_pace() -> None:
    """The session stays, and the window too; the next message waits."""
    governor = _governor()
    [ticket] = _open(governor, 1)
    assert not governor.throttled(ticket, _verdict(Reason.MESSAGE_RATE, wait_s=60.0), 1.0, usable=True)
    assert governor.held_until(1.0) == pytest.approx(67.0)
    assert (governor.window.in_use, governor.window.limit) == (1, 5)


def test_a_limit_that_is_told_to_the_first_message_refuses_the_session() -> None:
    """Some receivers let every session in and refuse its first MAIL."""
    governor = _governor()
    _open(governor, 2)
    [ticket] = _open(governor, 1, proven=False)
    assert governor.throttled(ticket, _verdict(Reason.CONNECTION_LIMIT), 1.0, usable=True)
    assert (governor.window.in_use, governor.window.limit) == (2, 2)


def test_a_limit_that_is_told_once_to_a_session_that_works_is_noise() -> None:
    """A share of the answers would not be."""
    governor = _governor()
    tickets = _open(governor, 3)
    assert not governor.throttled(tickets[0], _verdict(Reason.CONNECTION_LIMIT), 1.0, usable=True)
    assert governor.window.limit == 5


def test_a_session_that_works_and_is_closed_lowers_the_window() -> None:
    """What is open now is the limit."""
    governor = _governor()
    tickets = _open(governor, 3)
    assert governor.throttled(tickets[0], _verdict(Reason.CONNECTION_LIMIT), 1.0, usable=False)
    assert governor.window.limit == 2
    assert governor.window.changes[-1].cause is Cause.THROTTLED


@pytest.mark.parametrize(
    ("reason", "cause"), [(Reason.REPUTATION, Cause.BLOCKED), (Reason.OVERLOADED, Cause.OVERLOADED)]
)
def test_what_the_receiver_says_of_itself_or_of_us_holds_the_window(reason: Reason, cause: Cause) -> None:
    """A transient verdict does; a final one is about its message."""
    governor = _governor()
    _open(governor, 4)
    governor.troubled(_verdict(reason, outcome=Outcome.BOUNCED), 1.0)
    assert governor.window.changes == []
    governor.troubled(_verdict(reason), 1.0)
    assert governor.window.changes[-1].cause is cause
    assert governor.held_until(1.0) > 1.0


def test_a_delivery_pays_and_is_counted_for_the_pace() -> None:
    """Both hear of it: what was taken before a throttle is what the pace goes on with."""
    governor = _governor()
    _open(governor, 1)
    for _ in range(2):
        governor.window.purse.pay(0.0, 1, 1.0)
    debt = governor.window.purse.debt
    for second in range(1, 31):
        governor.pace.started(float(second))
        governor.delivered(float(second), 1.0)
    assert governor.window.purse.debt < debt
    governor.pace.throttled(31.0)
    assert governor.pace.per_second is not None
