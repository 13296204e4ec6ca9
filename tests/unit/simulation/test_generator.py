"""Receivers drawn at random."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.errors import ConfigError
from sender.simulation.generator import drawn, named

_SAMPLE = [drawn(seed) for seed in range(300)]


@given(st.integers(0, 10**9))
def test_every_receiver_that_is_drawn_is_a_scenario(seed: int) -> None:
    """Its figures are within their bounds, and the same seed gives the same receiver."""
    scenario = drawn(seed)
    assert 3 <= (scenario.receiver.connections or 0) <= 80
    assert 0.1 <= scenario.receiver.service_time <= 4.0
    assert scenario.sender.messages_per_session in {20, 50, 100, 200}
    assert scenario == drawn(seed)


def test_receivers_are_odd_in_many_ways() -> None:
    """Among 300 there are some of each kind, and some that are not odd at all."""
    receivers = [scenario.receiver for scenario in _SAMPLE]
    kinds = (
        *("release_delay", "greylisted", "others", "broken_nodes", "changes", "rate", "knee"),
        *("connection_quota", "messages_per_connection", "lost"),
    )
    for kind in kinds:
        assert 10 < sum(bool(getattr(receiver, kind)) for receiver in receivers) < 150, kind
    assert sum(receiver.refuses_at == "mail" for receiver in receivers) > 30
    plain = {"connections", "service_time"}
    assert any(set(receiver.model_dump(exclude_defaults=True)) == plain for receiver in receivers)


def test_caps_are_spread_over_their_range() -> None:
    """A quarter of them is below 7, a quarter above 35: each doubling is as likely as the next."""
    caps = sorted(scenario.receiver.connections or 0 for scenario in _SAMPLE)
    assert 5 <= caps[75] <= 9
    assert 28 <= caps[225] <= 45


def test_a_receiver_is_named_by_its_number() -> None:
    """`random:7` is the seventh, and some of its keys may be changed."""
    assert named("random:7", {}) == drawn(7)
    changed = named("random:7", {"receiver": {"connections": 5}, "duration": "1m"})
    assert (changed.receiver.connections, changed.duration_s) == (5, 60.0)


@pytest.mark.parametrize("name", ["random:", "random:x", "random:-1", "random:1.5", "random:²"])
def test_what_is_no_number_names_no_receiver(name: str) -> None:
    """The refusal says what would."""
    with pytest.raises(ConfigError, match="must be random: and a whole number"):
        named(name, {})
