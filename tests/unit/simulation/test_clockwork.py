"""Simulated time."""

from __future__ import annotations

from sender.simulation.clockwork import Clockwork


def test_events_happen_in_the_order_of_their_instants() -> None:
    """What is set for an earlier instant happens first, at one instant what was set first."""
    clockwork = Clockwork()
    seen: list[tuple[float, str]] = []
    for at, name in ((3.0, "c"), (1.0, "a"), (3.0, "d"), (2.0, "b")):
        clockwork.at(at, lambda name=name: seen.append((clockwork.now, name)))
    clockwork.run(10.0)
    assert seen == [(1.0, "a"), (2.0, "b"), (3.0, "c"), (3.0, "d")]
    assert clockwork.now == 10.0


def test_what_lies_beyond_the_end_does_not_happen_yet() -> None:
    """A run ends at its instant; what is due later happens in the next one."""
    clockwork = Clockwork()
    seen: list[str] = []
    clockwork.after(5.0, seen.append, "late")
    clockwork.run(4.0)
    assert (seen, clockwork.now) == ([], 4.0)
    clockwork.run(6.0)
    assert seen == ["late"]


def test_an_event_that_was_set_for_the_past_happens_now() -> None:
    """Time never goes back."""
    clockwork = Clockwork()
    seen: list[float] = []
    clockwork.at(5.0, lambda: clockwork.at(1.0, lambda: seen.append(clockwork.now)))
    clockwork.run(9.0)
    assert seen == [5.0]


def test_a_run_can_be_stopped_at_an_event() -> None:
    """After `stop` nothing more happens, and the time stands still."""
    clockwork = Clockwork()
    seen: list[str] = []
    clockwork.at(2.0, clockwork.stop)
    clockwork.at(3.0, seen.append, "after")
    clockwork.run(9.0)
    assert (seen, clockwork.now) == ([], 2.0)
