"""Throttles on sessions that work."""

from __future__ import annotations

from sender.core.noise import Noise
from sender.core.window_rules import USUAL


def test_two_throttles_are_noise_and_three_are_not() -> None:
    """Without other answers the third throttle within a minute is more than noise, and the count begins anew."""
    noise = Noise(USUAL)
    assert [noise.throttled(float(at)) for at in range(6)] == [False, False, True, False, False, True]


def test_a_small_share_of_the_answers_is_noise() -> None:
    """As long as forty messages are answered for their own sake for each throttle, throttles are noise."""
    noise = Noise(USUAL)
    for number in range(200):
        assert not noise.throttled(number / 10)
        for _ in range(40):
            noise.answered(number / 10)
