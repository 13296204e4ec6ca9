"""The pace: messages per second, once the receiver has said that they are too many."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.pace import USUAL, Pace

_FASTEST_PER_S = 40.0


class _Bucket:
    """A receiver that takes so many messages per second, and a burst."""

    def __init__(self, per_second: float, burst: float) -> None:
        self.per_second = per_second
        self._burst = self._tokens = burst
        self._at = 0.0

    def takes(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class _Windows:
    """A receiver that takes so many messages in each minute, from the first of them."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._count = 0
        self._began_at = -60.0

    def takes(self, now: float) -> bool:
        if now - self._began_at >= 60.0:
            self._began_at, self._count = now, 0
        self._count += 1
        return self._count <= self._per_minute


def _send(pace: Pace, receiver: _Bucket | _Windows, start: float, end: float) -> tuple[int, list[float]]:
    """Send as fast as the pace lets us; give how many messages were taken, and when others were throttled."""
    now, taken, throttled_at = start, 0, []
    while now < end:
        pace.started(now)
        if receiver.takes(now):
            taken += 1
            pace.delivered(now)
        else:
            throttled_at.append(now)
            pace.throttled(now)
        now = max(now + 1 / _FASTEST_PER_S, pace.next_start_at(now))
    return taken, throttled_at


def _started(pace: Pace, per_second: float, start: float, end: float) -> None:
    """Start and deliver messages evenly."""
    for number in range(round((end - start) * per_second)):
        pace.started(start + number / per_second)
        pace.delivered(start + number / per_second)


def test_there_is_no_pace_until_a_throttle() -> None:
    """Without a throttle every message may start at once, however many there were."""
    pace = Pace(0.0)
    for number in range(1000):
        pace.started(number / 1000)
        pace.delivered(number / 1000)
    assert pace.per_second is None
    assert pace.next_start_at(1.0) <= 1.0


def test_the_first_throttle_stops_the_lane_and_halves_its_speed() -> None:
    """After a throttle at 10 per second the lane stops for 1 s and goes on at 5: much of that was a burst."""
    pace = Pace(0.0)
    _started(pace, 10.0, 0.0, 60.0)
    pace.throttled(60.0)
    assert pace.next_start_at(60.0) == 61.0
    assert pace.per_second == pytest.approx(5.0, rel=0.05)


def test_little_traffic_is_no_measure() -> None:
    """A lane whose second message in an hour is throttled goes on with one per second."""
    pace = Pace(0.0)
    pace.started(0.0)
    pace.started(3600.0)
    pace.throttled(3600.0)
    assert pace.per_second == 1.0


@pytest.mark.parametrize(("per_second", "burst"), [(0.6, 20), (2.0, 50), (5.0, 5), (5.0, 50), (12.0, 200), (30.0, 100)])
def test_a_bucket_is_measured_from_throttle_to_throttle(per_second: float, burst: float) -> None:
    """After some ten throttles four fifths of what flows into a shallow bucket are used, of a deep one nearly all."""
    pace, receiver = Pace(0.0), _Bucket(per_second, burst)
    _, throttled_at = _send(pace, receiver, 0.0, 900.0)
    assert len(throttled_at) <= 12
    taken, _ = _send(pace, receiver, 900.0, 2400.0)
    assert taken >= (0.95 if burst > per_second else 0.8) * per_second * 1500.0


def test_a_receiver_that_counts_by_the_minute_gets_nearly_all_that_it_takes() -> None:
    """At 300 messages in a minute nine of ten are used in the second half hour, at under 3 throttles in 1,000."""
    pace, receiver = Pace(0.0), _Windows(300)
    _send(pace, receiver, 0.0, 1800.0)
    taken, throttled_at = _send(pace, receiver, 1800.0, 3600.0)
    assert taken >= 0.9 * 300 * 30
    assert len(throttled_at) <= 0.003 * taken


def test_a_rate_that_has_risen_is_found_within_some_minutes() -> None:
    """When a bucket takes five times as much, the pace follows within ten minutes."""
    pace, receiver = Pace(0.0), _Bucket(3.0, 30.0)
    _send(pace, receiver, 0.0, 1800.0)
    receiver.per_second = 15.0
    _send(pace, receiver, 1800.0, 2400.0)
    taken, _ = _send(pace, receiver, 2400.0, 3000.0)
    assert taken >= 0.85 * 15.0 * 600.0


def test_a_named_wait_is_honoured_with_ten_percent_more() -> None:
    """A throttle that names 300 s stops the lane for 330 s."""
    pace = Pace(0.0)
    pace.throttled(100.0, 300.0)
    assert pace.next_start_at(100.0) == pytest.approx(430.0)


def test_the_pause_doubles_to_a_minute_while_nothing_gets_through() -> None:
    """Throttle after throttle without a delivery stops for 1, 2, 4 ... 60 s; a delivery begins anew."""
    pace, now, pauses = Pace(0.0, rules=replace(USUAL, slowest_per_s=1.0)), 0.0, []
    for _ in range(8):
        pace.throttled(now)
        pauses.append(pace.stopped_until - now)
        now = pace.stopped_until
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    pace.started(now)
    pace.delivered(now)
    pace.throttled(now + 1)
    assert pace.stopped_until == now + 2


def test_a_receiver_that_stays_shut_is_asked_less_and_less() -> None:
    """After half an hour in which nothing got through the pauses are a third of the time that it has been shut."""
    pace, now = Pace(0.0), 0.0
    while now < 1800.0:
        pace.throttled(now)
        now = pace.stopped_until
    pace.throttled(now)
    assert 300.0 <= pace.stopped_until - now <= 700.0


def test_a_message_that_began_before_the_stop_says_nothing_about_it() -> None:
    """Only a delivery that began after the stop ends the doubling of pauses."""
    pace = Pace(0.0)
    pace.throttled(100.0)
    pace.delivered(103.0, 5.0)
    pace.throttled(104.0)
    assert pace.stopped_until == 106.0
    pace.delivered(108.0, 1.0)
    pace.throttled(109.0)
    assert pace.stopped_until == 110.0


def test_after_a_stop_single_messages_feel_the_way() -> None:
    """Until one of them is delivered, messages are a second apart, whatever the pace."""
    pace = Pace(0.0)
    _started(pace, 38.0, 0.0, 10.0)
    pace.throttled(10.0)
    now = pace.next_start_at(10.0)
    pace.started(now)
    assert pace.next_start_at(now) == now + 1.0
    pace.delivered(now + 0.5, 0.5)
    pace.started(now + 1.0)
    assert pace.next_start_at(now + 1.0) < now + 1.1


def test_throttles_during_a_stop_change_nothing() -> None:
    """Messages that were under way when the lane stopped, and are throttled too, are one event with the first."""
    pace = Pace(0.0)
    _started(pace, 10.0, 0.0, 60.0)
    pace.throttled(60.0)
    before = (pace.per_second, pace.stopped_until)
    for _ in range(50):
        pace.throttled(60.5)
    assert (pace.per_second, pace.stopped_until) == before


def test_the_rate_grows_in_doubling_steps_while_nothing_is_refused() -> None:
    """A rate that was known grows by 5, 10, 20 ... at most 100 %, from a minute on, as long as it is used."""
    pace, now, factors = Pace(0.0, per_second=10.0), 0.0, []
    rate = 10.0
    while now < 195.0:
        pace.started(now)
        pace.delivered(now)
        if pace.per_second != rate:
            factors.append(round((pace.per_second or 0.0) / rate, 6))
            rate = pace.per_second or 0.0
        now = pace.next_start_at(now)
    assert factors == [1.05, 1.1, 1.2, 1.4, 1.8, 2.0, 2.0]


def test_a_rate_does_not_grow_without_use() -> None:
    """Neither time nor a trickle of deliveries earns more: what was not tried is not known."""
    pace = Pace(0.0, per_second=5.0)
    for second in range(1000):
        pace.started(float(second))
        pace.delivered(float(second))
    assert pace.per_second == 5.0


def test_a_refused_step_is_paid_for_with_deliveries() -> None:
    """Steps up are refused less than once in some six hundred deliveries; were they free, it would be more often."""
    throttles = {}
    for price in (0, USUAL.price):
        pace = Pace(0.0, 10.0, rules=replace(USUAL, price=price, wait_most_s=60.0))
        receiver = _Bucket(10.3, 20.0)
        taken, throttled_at = _send(pace, receiver, 0.0, 3600.0)
        throttles[price] = len(throttled_at) / taken
    assert throttles[USUAL.price] <= 1 / 600
    assert throttles[0] > throttles[USUAL.price]


@given(st.lists(st.tuples(st.floats(0.0, 400.0), st.integers(0, 60)), max_size=40))
def test_a_receiver_is_always_tried_again(events: list[tuple[float, int]]) -> None:
    """Whatever was met, the rate is one message in 20 s at least, and no stop is longer than a third of the outage."""
    pace, now = Pace(0.0), 0.0
    for wait_s, taken in events:
        now += wait_s
        for _ in range(taken):
            pace.started(now)
            pace.delivered(now)
        pace.throttled(now)
        assert (pace.per_second or 1.0) >= USUAL.slowest_per_s
        assert pace.stopped_until <= now + max(60.0, now / 3, 1 / USUAL.slowest_per_s)


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
    _started(pace, 10.0, 0.0, 60.0)
    pace.throttled(60.0)
    pace.forgive(60.5)
    assert (pace.per_second, pace.next_start_at(60.5)) == (20.0, 60.5)


def test_a_pause_for_a_doubt_ends_with_the_first_message_that_is_taken() -> None:
    """It doubles while nothing gets through, once for all refusals of one moment; who is taken clears the lane."""
    pace = Pace(0.0)
    for now, until in ((0.0, 1.0), (0.5, 1.0), (1.0, 3.0), (3.0, 7.0)):
        pace.pause(now)
        assert pace.next_start_at(now) == until
    pace.delivered(4.0, 2.0)
    assert pace.next_start_at(4.0) == 4.0
    pace.pause(5.0)
    assert pace.next_start_at(5.0) == 6.0


def test_throttles_that_were_not_the_lanes_are_forgiven_together() -> None:
    """It may take some until it is known whose they are: the rate is that before the first of them."""
    pace = Pace(0.0)
    _started(pace, 10.0, 0.0, 10.0)
    for now in (10.0, 12.0, 20.0):
        pace.started(now - 0.1)
        pace.throttled(now)
    pace.forgive(20.5)
    assert (pace.per_second, pace.next_start_at(20.5)) == (None, 20.5)
