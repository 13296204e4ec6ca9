"""Events per minute, and per hour by name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sender.core.rate import PerHour, PerMinute


@given(st.lists(st.tuples(st.floats(min_value=0, max_value=40), st.integers(0, 5)), max_size=60))
def test_the_rate_counts_the_events_of_the_last_sixty_seconds(steps: list[tuple[float, int]]) -> None:
    """The value is the number of events in the last 60 whole seconds, the current one included."""
    rate, now, events = PerMinute(), 1000.0, []
    for wait_s, count in steps:
        now += wait_s
        rate.add(now, count)
        events.append((now, count))
        assert rate.value(now) == sum(count for at, count in events if int(at) > int(now) - 60)


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    """Events leave the rate a minute after they came in, without further events."""
    rate = PerMinute()
    rate.add(100.0, 7)
    assert rate.value(159.9) == 7
    assert rate.value(160.0) == 0


def test_the_present_rate_is_that_of_the_time_in_which_events_came() -> None:
    """Events that began a few seconds ago are projected to a minute; a full minute of them is its own rate."""
    rate = PerMinute()
    assert rate.present(1000.0) == 0
    for second in range(10):
        rate.add(1000.0 + second, 4)
    assert rate.present(1009.0) == 240
    assert rate.value(1009.0) == 40
    for second in range(10, 100):
        rate.add(1000.0 + second, 4)
    assert rate.present(1099.0) == rate.value(1099.0) == 240
    rate = PerMinute()
    rate.add(1000.0, 6)
    assert rate.present(1000.0) == 120
    assert rate.present(1029.0) == 12
    assert rate.present(1060.0) == 0


def test_an_hour_begins_with_the_first_event_that_is_counted_in_it() -> None:
    """Each name has an hour of its own; when that is over, the next event is the first of another."""
    told = PerHour()
    assert [told.add("a", at) for at in (100.0, 200.0, 3699.9)] == [1, 2, 3]
    assert told.add("b", 3699.9) == 1
    assert [told.add("a", at) for at in (3700.0, 3701.0)] == [1, 2]
    assert told.add("b", 3702.0) == 2


def test_of_too_many_names_the_one_that_began_first_is_forgotten() -> None:
    """Memory is bounded: who is forgotten begins anew."""
    told = PerHour(most_names=2)
    assert [told.add(name, 1.0) for name in ("a", "b", "a", "c")] == [1, 1, 2, 1]
    assert [told.add(name, 2.0) for name in ("b", "c", "a")] == [2, 2, 1]


def test_a_name_whose_hour_began_anew_is_not_the_oldest() -> None:
    """The order in which names are forgotten is that of their present hours."""
    told = PerHour(most_names=2)
    for name, at in (("a", 1.0), ("b", 2.0), ("a", 3601.0), ("c", 3601.0)):
        told.add(name, at)
    assert [told.add(name, 3601.0) for name in ("a", "c")] == [2, 2]
