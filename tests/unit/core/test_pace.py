"""The pace: messages per second, once the receiver has said that they are too many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.pace import SLOWEST_PER_S, Pace


def _delivering(pace: Pace, per_second: float, start: float, end: float) -> None:
    """Deliver evenly from `start` to `end`."""
    for number in range(int((end - start) * per_second)):
        pace.delivered(start + number / per_second)


def test_there_is_no_pace_until_a_throttle() -> None:
    """Without a throttle every message may start at once, however many there were."""
    pace = Pace(0.0)
    for number in range(1000):
        pace.started(number / 1000)
        pace.delivered(number / 1000)
    assert pace.per_second is None
    assert pace.next_start_at(1.0) <= 1.0


def test_a_throttle_stops_the_lane_and_sets_the_rate_to_what_was_taken() -> None:
    """After a minute at 10 per second a throttle stops for 1 s and goes on at 97 % of 10."""
    pace = Pace(0.0)
    _delivering(pace, 10.0, 0.0, 60.0)
    pace.throttled(60.0)
    assert pace.next_start_at(60.0) == 61.0
    assert pace.per_second == pytest.approx(9.7, rel=0.02)


def test_a_named_wait_is_honoured_with_ten_percent_more() -> None:
    """A throttle that names 300 s stops the lane for 330 s."""
    pace = Pace(0.0)
    pace.throttled(100.0, 300.0)
    assert pace.next_start_at(100.0) == pytest.approx(430.0)


def test_the_pause_doubles_to_a_minute_while_nothing_gets_through() -> None:
    """Throttle after throttle without a delivery stops for 1, 2, 4 ... 60 s; a delivery begins anew."""
    pace, now, pauses = Pace(0.0), 0.0, []
    for _ in range(8):
        pace.throttled(now)
        pauses.append(pace.stopped_until - now)
        now = pace.stopped_until
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    pace.delivered(now)
    pace.throttled(now + 1)
    assert pace.stopped_until == now + 2


def test_throttles_during_a_stop_change_nothing() -> None:
    """Messages that were under way when the lane stopped, and are throttled too, are one event with the first."""
    pace = Pace(0.0)
    _delivering(pace, 10.0, 0.0, 60.0)
    pace.throttled(60.0)
    before = (pace.per_second, pace.stopped_until)
    for _ in range(50):
        pace.throttled(60.5)
    assert (pace.per_second, pace.stopped_until) == before


def test_throttles_that_follow_closely_cut_the_rate_once() -> None:
    """A second throttle within 15 s stops the lane again and leaves its rate."""
    pace = Pace(0.0)
    _delivering(pace, 10.0, 0.0, 60.0)
    pace.throttled(60.0)
    rate = pace.per_second
    pace.throttled(65.0)
    assert pace.per_second == rate
    assert pace.stopped_until == 67.0


def test_the_rate_grows_in_doubling_steps_while_nothing_is_refused() -> None:
    """From a minute after a throttle the rate grows by 5, 10, 20 ... at most 100 % every half minute of deliveries."""
    pace = Pace(0.0)
    _delivering(pace, 10.0, 0.0, 60.0)
    pace.throttled(60.0)
    rate, factors = pace.per_second or 0.0, []
    for second in range(61, 60 + 60 + 7 * 30):
        pace.delivered(float(second))
        if pace.per_second != rate:
            factors.append(round((pace.per_second or 0.0) / rate, 6))
            rate = pace.per_second or 0.0
    assert factors == [1.05, 1.1, 1.2, 1.4, 1.8, 2.0, 2.0]


def test_a_rate_does_not_grow_without_deliveries() -> None:
    """Time alone earns nothing: what was not tried is not known."""
    pace = Pace(0.0, per_second=5.0)
    for second in range(1000):
        pace.started(float(second))
    assert pace.per_second == 5.0


def test_a_receiver_that_takes_nothing_is_still_tried() -> None:
    """The rate never falls below one message in 20 s."""
    pace = Pace(0.0)
    for number in range(20):
        pace.delivered(100.0 * number)
        pace.throttled(100.0 * number + 59)
    assert pace.per_second == SLOWEST_PER_S


def test_a_throttle_before_anything_was_taken_sets_no_rate() -> None:
    """Where a receiver takes nothing there is nothing to measure: the lane pauses, and goes on at full speed."""
    pace = Pace(0.0)
    for number in range(5):
        pace.throttled(100.0 * number)
    assert pace.per_second is None
    assert pace.next_start_at(400.0) == 416.0


def test_a_throttle_that_was_not_the_lanes_is_forgiven() -> None:
    """When a throttle turns out to concern somebody else, the lane goes on at once as it went before."""
    pace = Pace(0.0, per_second=20.0)
    _delivering(pace, 10.0, 0.0, 60.0)
    pace.throttled(60.0)
    pace.forgive(60.5)
    assert (pace.per_second, pace.next_start_at(60.5)) == (20.0, 60.5)


@given(st.floats(min_value=0.05, max_value=500), st.lists(st.floats(min_value=0, max_value=30), max_size=60))
def test_unused_time_is_never_saved_up_for_a_burst(rate: float, idle: list[float]) -> None:
    """In any stretch of time no more messages start than the rate gives, plus two."""
    pace, now, starts = Pace(0.0, per_second=rate), 0.0, []
    for wait_s in idle:
        now += wait_s
        for _ in range(5):
            now = max(now, pace.next_start_at(now))
            pace.started(now)
            starts.append(now)
    for first in range(0, len(starts), 7):
        for last in range(first, len(starts), 5):
            assert last - first + 1 <= rate * (starts[last] - starts[first]) * (1 + 1e-6) + 2 + 1e-6


def test_a_slow_rate_holds_each_message_for_its_interval() -> None:
    """At one message in 2 s each message starts 2 s after the one before."""
    pace, now, starts = Pace(0.0, per_second=0.5), 0.0, []
    for _ in range(4):
        now = max(now, pace.next_start_at(now))
        pace.started(now)
        starts.append(now)
    assert starts == [0.0, 2.0, 4.0, 6.0]
