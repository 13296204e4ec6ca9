"""Steps of the wall clock."""

from __future__ import annotations

import pytest

from sender.clock import Clock
from sender.engine.steps import CALM_S, LEAST_S, Steps


class _Time:
    """Both clocks."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.steady = 500.0
        self.steps = Steps(Clock(wall=lambda: self.wall, steady=lambda: self.steady))

    def go(self, seconds: float) -> None:
        """Let time go by."""
        self.wall += seconds
        self.steady += seconds


@pytest.mark.parametrize("step_s", [3600.0, 5 * 86400.0, -86400.0, -1_790_000_000.0, LEAST_S, -LEAST_S])
def test_a_step_is_told_until_it_is_dealt_with_and_known_for_an_hour(step_s: float) -> None:
    """A look tells by how much the clock has stepped, until that is dealt with; for an hour it was lately."""
    time = _Time()
    time.go(10.0)
    assert (time.steps.look(), time.steps.lately) == (0.0, False)
    time.wall += step_s
    assert time.steps.look() == pytest.approx(step_s)
    assert (time.steps.unseen, time.steps.lately) == (True, True)
    time.go(1.0)  # while it is dealt with
    time.steps.seen(step_s)
    assert (time.steps.look(), time.steps.unseen, time.steps.lately) == (0.0, False, True)
    time.go(CALM_S - 1)
    assert time.steps.lately
    time.go(1)
    assert not time.steps.lately


def test_a_clock_that_is_kept_does_not_step() -> None:
    """What a time server corrects little by little is none, however far it goes."""
    time = _Time()
    for _ in range(1000):
        time.go(1.0)
        time.wall += 1.0
        assert (time.steps.look(), time.steps.lately) == (0.0, False)


def test_it_is_calm_after_an_hour() -> None:
    """A process that has begun knows nothing about the clock yet; nor does one whose clock has stepped."""
    time = _Time()
    calm = []
    for seconds in (CALM_S - 1, 1):
        time.go(seconds)
        calm.append(time.steps.calm)
    time.wall += 86400.0
    calm.append(time.steps.calm)
    assert calm == [False, True, False]
