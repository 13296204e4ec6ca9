"""The window: rules as examples. Properties over random events are in `test_window_properties.py`."""

from __future__ import annotations

from random import Random

import pytest

from sender.core.window import Cause, Obstacle, Remembered, Ticket, Window
from sender.core.window_rules import USUAL, WindowRules

_DAY_S = 86400.0


def _window(
    *,
    start: int = 5,
    ceiling: int = 100,
    remembered: Remembered | None = None,
    now: float = 0.0,
    rules: WindowRules = USUAL,
) -> Window:
    return Window(start=start, ceiling=ceiling, now=now, rng=Random(1), remembered=remembered, rules=rules)


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


def _measured(limit: int, now: float = 0.0, rules: WindowRules = USUAL) -> tuple[Window, list[Ticket]]:
    """Give a window that was refused its next session at `limit` open ones, and has paid for that."""
    window = _window(rules=rules)
    tickets = _open(window, limit, now)
    window.refused(window.opening(now), now)
    _pay(window, now)
    return window, tickets


def _pay(window: Window, now: float) -> None:
    """Deliver as many messages as a refused try costs."""
    for _ in range(USUAL.price):
        window.answered(now)


def _close(window: Window, tickets: list[Ticket], now: float) -> None:
    for ticket in tickets:
        window.closed(ticket, now)


def _refuse(window: Window, now: float) -> None:
    """Open a session that the receiver refuses."""
    assert window.obstacle(now) is None
    window.refused(window.opening(now), now)


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
        for _ in range(USUAL.price):
            window.answered(now)
        waits.append(window.next_try_at - now)
        assert window.limit == 10
    for wait_s, expected_s in zip(waits, [10, 20, 40, 80, 160, 180, 180], strict=True):
        assert 0.8 * expected_s <= wait_s <= 1.2 * expected_s


def test_a_try_that_is_not_paid_for_waits_half_an_hour() -> None:
    """With too few deliveries after a refused try, the next one is made after 30 minutes."""
    window, _ = _measured(10)
    now = window.next_try_at
    _refuse(window, now)
    for _ in range(USUAL.price - 1):
        window.answered(now)
    assert window.next_try_at == now + 1800.0
    window.answered(now)
    assert window.next_try_at < now + 13.0


def test_a_refused_try_that_was_not_the_limit_is_given_back() -> None:
    """When one more is taken than were open at a refused try, what that try cost is given back."""
    window, _ = _measured(10)
    _refuse(window, window.next_try_at)
    assert window.owed == USUAL.price
    _open(window, 1, now=window.next_try_at)
    assert window.owed == 0


def test_tries_that_were_under_way_when_the_first_was_refused_are_one_event() -> None:
    """Two sessions that were opened together and refused one after the other double the wait once."""
    window, tickets = _measured(10)
    now = window.next_try_at
    one = window.opening(now)
    window.closed(tickets[0], now)
    other = window.opening(now)
    window.refused(one, now + 0.1)
    window.refused(other, now + 4.0)
    assert (window.wait_s, window.purse.debt) == (10.0, USUAL.price)
    assert window.limit == 10


def test_a_try_does_not_wait_for_replacements() -> None:
    """Where sessions come and go all the time, one beyond the limit is tried beside those that are being replaced."""
    window, tickets = _measured(10)
    now = window.next_try_at
    window.closed(tickets[0], now)
    window.opening(now)
    assert window.obstacle(now) is None
    window.opening(now)
    assert window.obstacle(now) == (Obstacle.OPENING, None)


def test_a_dip_while_growing_is_not_the_limit() -> None:
    """A refusal while fewer are open than were taken before is one inside the limit, though the window still grows."""
    window = _window()
    tickets = _open(window, 20)
    _close(window, tickets[:18], 50.0)
    _refuse(window, 100.0)
    assert (window.limit, window.growing) == (20, True)


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


def test_a_session_that_takes_a_lower_place_does_not_clear_a_refusal_inside() -> None:
    """Refused at nine, a session that is taken as the seventh says nothing about the tenth."""
    window, tickets = _measured(10)
    window.closed(tickets[0], 50.0)
    _refuse(window, 100.0)
    _close(window, tickets[1:4], 101.0)
    _open(window, 1, now=103.0)
    _refuse(window, 104.0)
    assert window.limit == 7


def test_after_a_refusal_inside_sessions_are_felt_for_one_at_a_time() -> None:
    """Until one is taken, one session is opened at a time; then more, but for those beyond what was open before."""
    window, tickets = _measured(20)
    _close(window, tickets[:10], 50.0)
    _refuse(window, 100.0)
    first = window.opening(103.0)
    assert window.obstacle(103.0) == (Obstacle.OPENING, None)
    _close(window, tickets[10:14], 103.0)
    window.prove(first, 104.0)
    for _ in range(3):
        assert window.obstacle(104.0) is None
        window.opening(104.0)
    assert window.in_use == 10
    assert window.obstacle(104.0) == (Obstacle.OPENING, None)


def test_a_doubt_ends_after_a_minute() -> None:
    """A minute after the last refusal inside the limit sessions are opened as before."""
    window, tickets = _measured(20)
    _close(window, tickets[:10], 50.0)
    _refuse(window, 100.0)
    window.opening(161.0)
    assert window.obstacle(161.0) is None


def test_the_wait_inside_the_limit_doubles_and_ends_when_a_third_of_the_sessions_has_gone() -> None:
    """While a receiver lets us drain to a lower cap, it is asked again as sessions end, not only as time passes."""
    window, tickets = _measured(20)
    waits = []
    for number, now in enumerate((100.0, 103.0, 106.0, 112.0)):
        window.closed(tickets[number], now)
        _refuse(window, now)
        waits.append(window.retry_at - now)
    for wait_s, expected_s in zip(waits, [2, 2, 4, 8], strict=True):
        assert 0.8 * expected_s <= wait_s <= 1.2 * expected_s
    assert window.limit == 16
    _close(window, tickets[4:8], 114.0)
    assert window.obstacle(114.0) == (Obstacle.RETRY, window.retry_at)
    window.closed(tickets[8], 114.0)
    assert window.obstacle(114.0) is None


def test_sessions_that_work_are_kept_where_new_ones_are_refused() -> None:
    """Each refusal inside the limit that was not the limit keeps old sessions longer: 30, 60 ... 600 s."""
    window, tickets = _measured(10)
    now, kept = 100.0, []
    for _ in range(7):
        assert window.may_retire(now)
        window.closed(tickets.pop(0), now)
        _refuse(window, now)
        tickets += _open(window, 1, now=now + 6.0)
        kept.append(window.keep_s)
        assert not window.may_retire(now + 6.0 + kept[-1] - 0.1)
        now += 6.0 + kept[-1]
    assert kept == [30, 60, 120, 240, 480, 600, 600]


def test_after_sessions_were_kept_they_are_replaced_one_after_another() -> None:
    """Sessions that have all grown old while they were kept do not end all at once."""
    window, tickets = _measured(10)
    window.closed(tickets[0], 100.0)
    _refuse(window, 100.0)
    _open(window, 1, now=103.0)
    now = 103.0 + USUAL.keep_s
    window.closed(tickets[1], now)
    assert not window.may_retire(now)
    _open(window, 1, now=now)
    assert window.may_retire(now)


def test_sessions_of_a_limit_that_has_dropped_are_not_kept() -> None:
    """When less than three quarters of the old limit are left, sessions end for their age: the cap is lower now."""
    window, tickets = _measured(20)
    _close(window, tickets[:2], 50.0)
    _refuse(window, 100.0)
    assert not window.may_retire(100.0)
    _close(window, tickets[2:8], 101.0)
    _refuse(window, 103.0)
    assert window.limit == 12
    assert window.may_retire(103.0)


def test_tries_are_cheaper_where_refusals_were_not_the_limit() -> None:
    """A receiver that refuses what it then takes is asked five times as often."""
    window, tickets = _measured(10)
    window.closed(tickets[0], 1.0)
    _refuse(window, 1.0)
    _open(window, 1, now=4.0)
    _refuse(window, 10.0)
    assert window.owed == 0.2 * USUAL.price


def test_the_way_back_to_a_plateau_costs_a_fifth() -> None:
    """After the limit was lowered, tries below the old one are made on credit; each refused one lowers the aim."""
    window, tickets = _measured(10)
    _close(window, tickets[:5], 50.0)
    _refuse(window, 100.0)
    _refuse(window, 103.0)
    assert (window.limit, window.plateau, window.purse.debt) == (5, 10.0, 0)
    now = window.next_try_at
    _refuse(window, now)
    assert (window.limit, window.purse.debt, window.owed) == (5, 0.2 * USUAL.price, 0)
    assert window.plateau == 8.5
    assert window.next_try_at < now + 60.0


def test_a_refusal_after_sessions_died_lowers_the_limit_at_once_and_the_aim_never() -> None:
    """The receiver may count what broke for half an hour: it is asked for it again and again, less and less often."""
    window, tickets = _measured(10)
    for ticket in tickets[:4]:
        window.closed(ticket, 100.0, died=True)
    _refuse(window, 101.0)
    assert (window.limit, window.plateau) == (6, 10.0)
    now, waits = 101.0, []
    for _ in range(4):
        now = window.next_try_at
        _refuse(window, now)
        waits.append(window.wait_s)
    assert (window.limit, window.plateau, waits) == (6, 10.0, [10, 20, 40, 80])
    now = 100.0 + USUAL.died_s + 1.0
    _refuse(window, now)
    assert window.plateau == 6 + USUAL.fade * 4


def test_sessions_that_were_closed_explain_no_refusal() -> None:
    """Only what ended without a word may be counted still: after a QUIT a refusal is tried once more first."""
    window, tickets = _measured(10)
    _close(window, tickets[:4], 100.0)
    _refuse(window, 101.0)
    assert window.limit == 10


def test_a_plateau_that_is_regained_ends_the_growth() -> None:
    """Back at the old limit the window grows no further by itself: what lies beyond is a matter of tries again."""
    window, tickets = _measured(10)
    _close(window, tickets[:5], 50.0)
    _refuse(window, 100.0)
    _refuse(window, 103.0)
    _open(window, 5, now=200.0)
    assert (window.limit, window.growing) == (10, False)
    assert window.obstacle(200.0) == (Obstacle.WINDOW, window.next_try_at)


def test_a_receiver_that_closes_another_session_for_a_try_has_answered_it() -> None:
    """When one too many is taken and a working one is closed for it, the next try waits twice as long."""
    window, tickets = _measured(10)
    waits = []
    for _ in range(4):
        now = window.next_try_at
        for _ in range(USUAL.price):
            window.answered(now)
        tickets += _open(window, 1, now=now)
        assert window.limit == 11
        window.cut(tickets.pop(0), now + 1.0)
        assert (window.limit, window.growing) == (10, False)
        waits.append(window.wait_s)
    assert waits == [10, 20, 40, 80]


def test_a_cut_while_nothing_was_tried_lowers_the_limit() -> None:
    """A receiver that closes working sessions has a lower cap; the way back is cheap; none is closed by us."""
    window, tickets = _measured(10)
    window.cut(tickets[0], 100.0)
    window.cut(tickets[1], 100.0)
    assert (window.limit, window.plateau, window.surplus()) == (8, 10.0, False)
    assert window.changes[-1].cause is Cause.THROTTLED


def test_a_named_wait_holds_back_new_sessions_and_no_working_one() -> None:
    """A refusal that says "try again in 300 s" stops tries and reopenings for 330 s; nothing is surplus meanwhile."""
    window, tickets = _measured(10)
    window.closed(tickets[0], 90.0)
    window.refused(window.opening(100.0), 100.0, retry_after_s=300.0)
    assert window.obstacle(429.9) == (Obstacle.RETRY, window.retry_at)
    assert window.retry_at == pytest.approx(430.0)
    assert not window.may_retire(429.9)
    assert not window.surplus()
    _open(window, 1, now=430.1)
    assert window.may_retire(430.2 + USUAL.keep_s)


def test_after_a_named_wait_old_sessions_take_turns_before_more_are_tried() -> None:
    """The next try comes some seconds after the wait that was named: what was kept for it is replaced first."""
    window, _ = _measured(10)
    window.refused(window.opening(100.0), 100.0, retry_after_s=300.0)
    assert window.next_try_at >= 430.0 + 0.8 * window.wait_s


def test_a_refusal_after_a_named_wait_is_the_second_one() -> None:
    """Refused inside the limit, and again when the wait that was named is over: the limit is what is open now."""
    window, tickets = _measured(10)
    _close(window, tickets[:3], 50.0)
    window.refused(window.opening(100.0), 100.0, retry_after_s=300.0)
    _refuse(window, 431.0)
    assert window.limit == 7


def test_messages_that_take_longer_stop_the_growth_and_clearly_longer_ones_shrink_the_window() -> None:
    """A receiver that slows down instead of refusing gets as many sessions as it can serve."""
    window = _window()
    _open(window, 30)
    for number in range(60):
        window.answered(float(number), 1.0 + number % 2 * 0.1)
    for _ in range(20):
        window.answered(60.0, 1.5)
    assert window.obstacle(60.0) == (Obstacle.SLOWER, None)
    for _ in range(60):
        window.answered(61.0, 3.0)
    assert 15 <= window.limit <= 25
    assert (window.growing, window.surplus(), window.changes[-1].cause) == (False, True, Cause.SLOWER)


def test_a_held_window_never_shrinks_for_slow_messages() -> None:
    """A slow hour at the receiver changes nothing about how many sessions it takes."""
    window, _ = _measured(10)
    for number in range(60):
        window.answered(float(number), 1.0)
    for number in range(5000):
        window.answered(60.0 + number, 5.0)
    assert window.limit == 10


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
    """After a block nothing is opened for about 10 minutes; then one session, and quick growth once it delivers."""
    window, tickets = _measured(10)
    window.blocked(100.0)
    for ticket in tickets:
        assert window.surplus() is (ticket is not tickets[-1])
        window.closed(ticket, 101.0)
    assert window.limit == 1
    assert window.obstacle(101.0) == (Obstacle.HOLD, window.hold_until)
    assert 580.0 <= window.hold_until <= 820.0
    now = window.hold_until
    _open(window, 5, now=now)
    assert window.limit == 5


def test_a_clean_stop_is_followed_by_the_remembered_limit() -> None:
    """What was measured before a clean stop holds at once, and is not grown beyond without a try."""
    window = _window(remembered=Remembered(20, 0.0, clean=True), now=10.0)
    assert window.limit == 20
    assert not window.growing


@pytest.mark.parametrize("limit", [1, 2, 10, 99])
def test_an_unclean_stop_is_followed_by_eighty_percent_at_most(limit: int) -> None:
    """After a crash, when old sessions may still be counted, at most 80 % of the limit hold, and at least one."""
    window = _window(remembered=Remembered(limit, 0.0, clean=False))
    assert window.limit == max(1, int(limit * 0.8))


def test_what_is_remembered_fades_over_a_day() -> None:
    """A memory that is half a day old is half way to the start, one of a day is the start."""
    assert _window(remembered=Remembered(25, 0.0, clean=True), now=_DAY_S / 2).limit == 15
    assert _window(remembered=Remembered(25, 0.0, clean=True), now=_DAY_S).limit == 5
    assert _window(remembered=Remembered(25, 0.0, clean=True), now=9 * _DAY_S).growing


def test_a_memory_from_the_future_is_taken_as_fresh() -> None:
    """A clock that was set back makes nothing fade."""
    assert _window(remembered=Remembered(25, 1e9, clean=True), now=0.0).limit == 25


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
