"""What receivers count with."""

from __future__ import annotations

from random import Random

import pytest

from sender.simulation.meters import CountingWindow, Crowd, PenaltyBox, TokenBucket


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    """Ten tokens are there; after them one comes every half second."""
    bucket = TokenBucket(2.0, burst=10)
    assert [bucket.take(0.0) for _ in range(11)] == [True] * 10 + [False]
    assert bucket.next_at(0.0) == pytest.approx(0.5)
    assert bucket.take(bucket.next_at(0.0))
    assert not bucket.take(0.6)


def test_a_bucket_holds_no_more_than_its_burst() -> None:
    """After a long rest there are as many tokens as at the start."""
    bucket = TokenBucket(2.0, burst=3)
    assert sum(bucket.take(1000.0) for _ in range(10)) == 3


def test_a_bucket_takes_another_rate_from_an_instant_on() -> None:
    """What came before came at the old rate."""
    bucket = TokenBucket(1.0, burst=10)
    assert all(bucket.take(0.0) for _ in range(10))
    bucket.change(5.0, 2.0)
    assert sum(bucket.take(3.0) for _ in range(10)) == 2 + 5


def test_a_window_counts_from_its_first_one() -> None:
    """Three in a minute that begins with the first; at its end three more."""
    window = CountingWindow(3, 60.0, counts_refused=False)
    assert [window.take(100.0 + second) for second in range(5)] == [True, True, True, False, False]
    assert window.next_at(105.0) == 160.0
    assert [window.take(160.0) for _ in range(4)] == [True, True, True, False]


def test_a_window_may_count_those_that_it_refused() -> None:
    """Places left are counted down by everybody who comes."""
    window = CountingWindow(2, 60.0, counts_refused=True)
    assert window.left(0.0) == 2
    assert [window.take(0.0) for _ in range(3)] == [True, True, False]
    assert window.left(59.0) == 0
    assert window.left(60.0) == 2


def test_a_penalty_box_closes_after_more_refusals_than_it_bears() -> None:
    """Two in ten seconds are borne, the third closes the door for a minute."""
    box = PenaltyBox(2, within_s=10.0, lasts_s=60.0)
    box.refused(0.0)
    box.refused(1.0)
    assert not box.closed(1.0)
    box.refused(2.0)
    assert box.closed(61.9)
    assert not box.closed(62.0)


def test_old_refusals_are_forgotten_by_a_penalty_box() -> None:
    """Refusals that are far apart never close the door."""
    box = PenaltyBox(2, within_s=10.0, lasts_s=60.0)
    for second in range(0, 100, 6):
        box.refused(float(second))
        assert not box.closed(float(second))


def test_knocking_at_a_closed_door_keeps_it_closed_for_longer() -> None:
    """Each knock is answered by half of the penalty again."""
    box = PenaltyBox(0, within_s=10.0, lasts_s=60.0)
    box.refused(0.0)
    box.knocked(50.0)
    assert box.closed(79.9)
    assert not box.closed(80.0)


def test_a_crowd_comes_as_far_as_there_is_room_and_goes() -> None:
    """It fills what is free, at most half of what it wants in a second, and leaves again when its wave falls."""
    crowd = Crowd(sessions=20.0, amplitude=20.0, period_s=400.0, noise=0.0, rng=Random(1))
    crowd.move(0.0, free=3)
    assert crowd.sessions == 3
    for second in range(1, 101):
        crowd.move(float(second), free=100)
    assert crowd.sessions == pytest.approx(40, abs=2)
    for second in range(101, 301):
        crowd.move(float(second), free=100)
    assert crowd.sessions <= 4


def test_a_crowd_with_noise_is_the_same_for_the_same_seed() -> None:
    """Chance has a seed."""
    walks = []
    for _ in range(2):
        crowd = Crowd(sessions=20.0, amplitude=0.0, period_s=100.0, noise=5.0, rng=Random("x"))
        walk = []
        for second in range(200):
            crowd.move(float(second), free=100)
            walk.append(crowd.sessions)
        walks.append(walk)
    assert walks[0] == walks[1]
    assert len(set(walks[0])) > 3
