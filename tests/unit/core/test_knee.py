"""The knee: from what messages took at first, whether they take longer now."""

from __future__ import annotations

from random import Random

import pytest

from sender.core.knee import Knee
from sender.core.window_rules import USUAL


def _serve(knee: Knee, times: list[float], *, held: bool = False, at: float = 0.0) -> None:
    for number, seconds in enumerate(times):
        knee.answered(at + number, seconds, held=held)


def _spread(seed: int, count: int, mean: float) -> list[float]:
    """Give service times that scatter as widely as real ones."""
    rng = Random(seed)
    return [mean * rng.lognormvariate(0.0, 0.8) for _ in range(count)]


def test_nothing_is_slower_before_enough_messages_were_seen() -> None:
    """Sixty messages tell what is usual, and twenty after them whether that has changed."""
    knee = Knee(USUAL)
    _serve(knee, [1.0, 1.1] * 30 + [9.0] * 19)
    assert not knee.slower
    _serve(knee, [9.0])
    assert knee.slower


def test_the_share_of_the_window_falls_with_how_much_longer_messages_take() -> None:
    """Messages that take four times as long leave half of the window, and the knee is met."""
    knee = Knee(USUAL)
    _serve(knee, [1.0, 1.1] * 30 + [4.0, 4.4] * 30)
    assert knee.share() == pytest.approx(0.5, rel=0.01)
    assert knee.met


def test_after_a_knee_each_growth_is_looked_at() -> None:
    """Once a knee was met, growth waits for the next twenty messages, and goes on when they are as quick as before."""
    knee = Knee(USUAL)
    _serve(knee, [1.0, 1.1] * 30 + [4.0, 4.4] * 30)
    knee.share()
    looked = [knee.slower]
    _serve(knee, [1.0, 1.1] * 10)
    looked.append(knee.slower)
    knee.look_again()
    looked.append(knee.slower)
    assert looked == [True, False, True]


@pytest.mark.parametrize("seed", range(8))
def test_widely_scattered_times_are_no_knee(seed: int) -> None:
    """Service times that scatter shrink no window, however long they go on."""
    knee = Knee(USUAL)
    for seconds in _spread(seed, 1000, 1.0):
        knee.answered(0.0, seconds, held=False)
        assert knee.share() is None


def test_a_slow_hour_while_the_window_is_held_becomes_the_usual_one() -> None:
    """Within minutes a held window takes slow messages for usual ones, so that they do not stop growth for ever."""
    knee = Knee(USUAL)
    _serve(knee, _spread(1, 60, 1.0))
    _serve(knee, _spread(2, 30, 3.0), held=True, at=60.0)
    assert knee.slower
    _serve(knee, _spread(3, 2000, 3.0), held=True, at=90.0)
    assert not knee.slower


def test_milliseconds_are_no_knee() -> None:
    """Messages that take 50 ms instead of 5 say nothing about the receiver: that may be our own machine."""
    knee = Knee(USUAL)
    _serve(knee, [0.005, 0.006] * 30 + [0.05] * 60)
    assert not knee.slower
    assert knee.share() is None
