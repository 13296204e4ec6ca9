"""The window: rules as examples. Properties over random events are in `test_window_properties.py`."""

from __future__ import annotations

from random import Random

import pytest

from sender.core.window import DEBT, Cause, Obstacle, Remembered, Ticket, Window

_DAY_S = 86400.0


def _window(*, start: int = 5, ceiling: int = 100, remembered: Remembered | None = None, now: float = 0.0) -> Window:
    return Window(start=start, ceiling=ceiling, now=now, rng=Random(1), remembered=remembered)


def _open(window: Window, count: int, now: float = 0.0) -> list[Ticket]:
    """Open sessions one after another, each proven before the next."""
    tickets = []
    for _ in range(count):
        assert window.obstacle(now) is None
        ticket = window.opening(now)
        window.taken(ticket)
        window.prove(ticket, now)
        tickets.append(ticket)
    return tickets


def _measured(limit: int, now: float = 0.0) -> tuple[Window, list[Ticket]]:
    """Give a window that was refused its next session at `limit` open ones."""
    window = _window()
    tickets = _open(window, limit, now)
    window.refused(window.opening(now), now)
    return window, tickets


@pytest.mark.parametrize("taken", [1, 2, 5, 9, 40])
def test_a_refusal_while_growing_measures_the_limit(taken: int) -> None:
    """When k sessions are open and the next is refused, the limit is k."""
    window, _ = _measured(taken)
    assert window.limit == taken
    assert not window.growing
    assert window.changes[-1].after == taken
    assert window.changes[-1].cause is Cause.REFUSED


def test_a_refusal_before_any_session_leaves_a_limit_of_one() -> None:
    """A receiver that refuses the first session of all is tried again with one, after a wait."""
    window = _window()
    window.refused(window.opening(0.0), 0.0)
    assert window.limit == 1
    obstacle = window.obstacle(0.1)
    assert obstacle is not None
    assert obstacle[0] is Obstacle.RETRY
    assert window.obstacle(3.0) is None


def test_the_window_grows_one_session_at_a_time_at_first_and_faster_later() -> None:
    """Beyond the limit as many sessions are opened at once as there are eights of proven ones, at least one."""
    window = _window(start=1)
    _open(window, 16)
    window.opening(0.0)
    assert window.obstacle(0.0) is None
    window.opening(0.0)
    assert window.obstacle(0.0) == (Obstacle.OPENING, None)


def test_a_session_beyond_the_limit_that_is_taken_raises_it() -> None:
    """The sixth session of a window that starts at five, once proven, makes the limit six."""
    window = _window()
    _open(window, 6)
    assert window.limit == 6
    assert [(change.before, change.after, change.cause) for change in window.changes] == [(5, 6, Cause.TAKEN)]


def test_a_session_counts_only_once_its_envelope_was_taken() -> None:
    """A banner proves nothing: a session beyond the limit raises it with its first MAIL or RCPT."""
    window = _window()
    _open(window, 5)
    ticket = window.opening(0.0)
    window.taken(ticket)
    assert window.limit == 5
    window.prove(ticket, 0.0)
    assert window.limit == 6


def test_a_measured_limit_is_held_until_its_next_try() -> None:
    """After a refusal no session beyond the limit is opened before the wait of about 5 s is over."""
    window, _ = _measured(10)
    obstacle = window.obstacle(0.0)
    assert obstacle == (Obstacle.WINDOW, window.next_try_at)
    assert 4.0 <= window.next_try_at <= 6.0
    assert window.obstacle(window.next_try_at) is None


def test_a_try_that_is_taken_lets_the_window_grow_again() -> None:
    """When the receiver takes one session beyond a held limit, the next follows at once."""
    window, _ = _measured(10)
    _open(window, 1, now=10.0)
    assert (window.limit, window.growing, window.wait_s) == (11, True, 5.0)
    assert window.obstacle(10.0) is None


def test_each_refused_try_doubles_the_wait_and_costs_deliveries() -> None:
    """Tries that are refused come after 10, 20, 40 ... 180 s, each paid for with deliveries, and cut nothing."""
    window, _ = _measured(10)
    now, waits = 0.0, []
    for _ in range(7):
        now = window.next_try_at
        assert window.obstacle(now) is None
        window.refused(window.opening(now), now)
        for _ in range(DEBT):
            window.answered(now)
        waits.append(window.next_try_at - now)
        assert window.limit == 10
    for wait_s, expected_s in zip(waits, [10, 20, 40, 80, 160, 180, 180], strict=True):
        assert 0.8 * expected_s <= wait_s <= 1.2 * expected_s


def test_a_try_that_is_not_paid_for_waits_half_an_hour() -> None:
    """With too few deliveries after a refused try, the next one is made after 30 minutes."""
    window, _ = _measured(10)
    now = window.next_try_at
    window.refused(window.opening(now), now)
    for _ in range(DEBT - 1):
        window.answered(now)
    assert window.next_try_at == now + 1800.0
    window.answered(now)
    assert window.next_try_at < now + 13.0


def test_refusals_within_a_second_are_one_event() -> None:
    """Two sessions that were opened together and refused together double the wait once."""
    window, _ = _measured(10)
    now = window.next_try_at
    one, other = window.opening(0.0), window.opening(0.0)
    window.refused(one, now)
    window.refused(other, now + 0.5)
    assert (window.wait_s, window.debt) == (10.0, DEBT)


def test_one_refusal_inside_the_limit_changes_nothing_but_a_short_wait() -> None:
    """A refusal below the limit is followed by one more try, 2 s later or so."""
    window, tickets = _measured(10)
    for ticket in tickets[:3]:
        window.closed(ticket, 50.0)
    window.refused(window.opening(100.0), 100.0)
    assert window.limit == 10
    obstacle = window.obstacle(100.0)
    assert obstacle == (Obstacle.RETRY, window.retry_at)
    assert 101.6 <= window.retry_at <= 102.4


def test_a_second_refusal_inside_the_limit_lowers_it_to_what_is_open() -> None:
    """A refusal below the limit that repeats after its wait makes the limit what is open now."""
    window, tickets = _measured(10)
    for ticket in tickets[:3]:
        window.closed(ticket, 50.0)
    window.refused(window.opening(100.0), 100.0)
    window.refused(window.opening(103.0), 103.0)
    assert window.limit == 7
    assert window.changes[-1].cause is Cause.REFUSED_INSIDE


def test_a_session_that_works_between_two_refusals_inside_clears_the_first() -> None:
    """A refusal inside the limit is forgotten when the next session is taken."""
    window, tickets = _measured(10)
    for ticket in tickets[:3]:
        window.closed(ticket, 50.0)
    window.refused(window.opening(100.0), 100.0)
    _open(window, 1, now=103.0)
    window.refused(window.opening(110.0), 110.0)
    assert window.limit == 10


def test_a_slot_that_we_gave_up_rests_when_the_receiver_lets_go_late() -> None:
    """Refusals right after a session was closed, once and again, teach to wait before that slot is used again."""
    window, tickets = _measured(10)
    for number, closed_at in enumerate((100.0, 200.0)):
        window.closed(tickets[number], closed_at)
        assert window.obstacle(closed_at) is None
        window.refused(window.opening(closed_at + 0.1), closed_at + 0.1)
        assert window.rest_s == (0.0 if number == 0 else 0.5)
        tickets += _open(window, 1, now=closed_at + 50.0)
    window.closed(tickets[2], 300.0)
    assert window.obstacle(300.1) == (Obstacle.REST, 300.5)
    assert window.obstacle(300.5) is None


def test_a_slot_that_rests_keeps_no_other_slot_from_use() -> None:
    """Only the slots that were just left rest: one that was left long ago is used at once."""
    window, tickets = _measured(10)
    window.rest_s = 5.0
    window.closed(tickets[0], 100.0)
    window.closed(tickets[1], 200.0)
    assert window.obstacle(201.0) is None
    _open(window, 1, now=201.0)
    assert window.obstacle(201.5) == (Obstacle.REST, 205.0)


def test_the_way_back_to_a_plateau_is_not_paid_for() -> None:
    """After the limit was lowered, tries below the old one owe no deliveries; each that is refused lowers the aim."""
    window, tickets = _measured(10)
    for ticket in tickets[:5]:
        window.closed(ticket, 50.0)
    window.refused(window.opening(100.0), 100.0)
    window.refused(window.opening(103.0), 103.0)
    assert (window.limit, window.plateau) == (5, 10.0)
    now = window.next_try_at
    window.refused(window.opening(now), now)
    assert (window.limit, window.debt) == (5, 0)
    assert 5 < window.plateau < 10
    assert window.next_try_at < now + 60.0


def test_sessions_that_a_receiver_closes_are_the_last_that_are_closed() -> None:
    """A receiver that closes working sessions has closed them: of those that are left none is closed by us."""
    window, tickets = _measured(10)
    window.closed(tickets[0], 100.0)
    window.cut(100.0)
    assert (window.limit, window.surplus()) == (9, False)


def test_a_rest_fades_with_clean_opens() -> None:
    """After some hundreds of sessions that were taken without a refusal no slot rests any more."""
    window, tickets = _measured(10)
    window.closed(tickets[0], 100.0)
    window.refused(window.opening(100.1), 100.1)
    for number in range(1000):
        ticket = window.opening(0.0)
        window.prove(ticket, 200.0 + number)
        window.closed(ticket, 200.0 + number)
    assert window.rest_s == 0.0


def test_a_named_wait_holds_back_new_sessions_and_no_working_one() -> None:
    """A refusal that says "try again in 300 s" stops tries and reopenings for 330 s; nothing is surplus meanwhile."""
    window, tickets = _measured(10)
    window.closed(tickets[0], 90.0)
    window.refused(window.opening(100.0), 100.0, retry_after_s=300.0)
    assert window.obstacle(429.9) == (Obstacle.RETRY, window.retry_at)
    assert window.retry_at == pytest.approx(430.0)
    assert not window.may_retire(429.9)
    assert window.may_retire(430.1)
    assert not window.surplus()


def test_one_throttle_on_a_working_session_is_noise() -> None:
    """Three refusals of messages among ninety answers change nothing."""
    window, tickets = _measured(10)
    window.closed(tickets[0], 90.0)
    for number in range(3):
        window.throttled(100.0 + number)
        for _ in range(30):
            window.answered(100.0 + number)
    assert window.limit == 10


def test_a_share_of_throttles_on_working_sessions_lowers_the_window() -> None:
    """Three throttles within a minute that are more than a twentieth of the answers make the limit what is open."""
    window, tickets = _measured(10)
    for ticket in tickets[:4]:
        window.closed(ticket, 90.0)
    for number in range(3):
        window.throttled(100.0 + number)
    assert window.limit == 6
    assert window.changes[-1].cause is Cause.THROTTLED


def test_throttles_that_are_more_than_a_minute_apart_never_add_up() -> None:
    """Old throttles are forgotten."""
    window, tickets = _measured(10)
    window.closed(tickets[0], 90.0)
    for number in range(20):
        window.throttled(100.0 + 40.0 * number)
    assert window.limit == 10


def test_an_overloaded_receiver_gets_half_and_no_new_session_for_a_while() -> None:
    """Overload halves what is open, holds new sessions for about 30 s, and makes the rest surplus."""
    window, tickets = _measured(10)
    window.overloaded(100.0)
    assert window.limit == 5
    obstacle = window.obstacle(100.0)
    assert obstacle == (Obstacle.HOLD, window.hold_until)
    assert 124.0 <= window.hold_until <= 136.0
    window.overloaded(110.0)
    assert window.limit == 5
    closed = 0
    while window.surplus():
        window.closed(tickets[closed], 111.0)
        closed += 1
    assert window.in_use == 5


def test_a_block_stops_everything_and_comes_back_with_one_session() -> None:
    """After a block nothing is opened for about 15 minutes; then one session, and quick growth once it delivers."""
    window, tickets = _measured(10)
    window.blocked(100.0)
    for ticket in tickets:
        assert window.surplus() is (ticket is not tickets[-1])
        window.closed(ticket, 101.0)
    assert window.limit == 1
    assert window.obstacle(101.0) == (Obstacle.HOLD, window.hold_until)
    assert 820.0 <= window.hold_until <= 1180.0
    now = window.hold_until
    _open(window, 5, now=now)
    assert window.limit == 5


def test_a_clean_stop_is_followed_by_the_remembered_limit() -> None:
    """What was measured before a clean stop holds at once, and is not grown beyond without a try."""
    window = _window(remembered=Remembered(20, 1.0, 0.0, clean=True), now=10.0)
    assert window.limit == 20
    assert not window.growing
    assert window.rest_s == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("limit", [1, 2, 10, 99])
def test_an_unclean_stop_is_followed_by_eighty_percent_at_most(limit: int) -> None:
    """After a crash, when old sessions may still be counted, at most 80 % of the limit hold, and at least one."""
    window = _window(remembered=Remembered(limit, 0.0, 0.0, clean=False))
    assert window.limit == max(1, int(limit * 0.8))


def test_what_is_remembered_fades_over_a_day() -> None:
    """A memory that is half a day old is half way to the start, one of a day is the start."""
    assert _window(remembered=Remembered(25, 0.0, 0.0, clean=True), now=_DAY_S / 2).limit == 15
    assert _window(remembered=Remembered(25, 0.0, 0.0, clean=True), now=_DAY_S).limit == 5
    assert _window(remembered=Remembered(25, 0.0, 0.0, clean=True), now=9 * _DAY_S).growing


def test_a_memory_from_the_future_is_taken_as_fresh() -> None:
    """A clock that was set back makes nothing fade."""
    assert _window(remembered=Remembered(25, 0.0, 1e9, clean=True), now=0.0).limit == 25


def test_an_operator_sets_the_limit_within_the_ceiling() -> None:
    """A limit that is set holds at once, is never above the ceiling or below one, and ends a hold."""
    window, _ = _measured(10)
    window.overloaded(100.0)
    window.set_limit(500, 101.0)
    assert window.limit == 100
    assert window.obstacle(101.0) is None
    window.set_limit(0, 102.0)
    assert window.limit == 1
    assert window.surplus()


def test_the_ceiling_stops_growth() -> None:
    """A window never grows above its configured maximum, however much the receiver takes."""
    window = _window(ceiling=8)
    _open(window, 8)
    assert window.obstacle(1e9) == (Obstacle.MAX_WINDOW, None)
    assert window.limit == 8
