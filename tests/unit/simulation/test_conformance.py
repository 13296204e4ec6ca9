"""The simulated lane does what the daemon's lane does: both before the same receiver, in simulated time."""

from __future__ import annotations

import pytest

from sender.simulation.run import simulate
from sender.simulation.scenario import load
from tests.unit.simulation import daemon
from tests.unit.simulation.values import scenario


@pytest.mark.parametrize("name", ["steady2", "steady10", "msgs20", "lag2s", "rate5", "rate_win", "trickle"])
def test_the_daemon_delivers_what_the_simulation_says(name: str) -> None:
    """Message for message, but for those under way at the end, with as many throttles."""
    chosen = load(name, {"duration": "10m"})
    seen, run = daemon.run(chosen), simulate(chosen)
    assert seen.delivered == pytest.approx(run.delivered, rel=0.002)
    assert seen.throttles == run.throttles


@pytest.mark.parametrize("name", ["steady10_mail", "badnode25", "penalty", "overload"])
def test_the_daemon_does_about_what_the_simulation_says_where_chance_decides(name: str) -> None:
    """Where a refusal changes all that follows, the figures are near."""
    chosen = load(name, {"duration": "10m"})
    seen, run = daemon.run(chosen), simulate(chosen)
    assert seen.delivered == pytest.approx(run.delivered, rel=0.05)
    assert seen.throttles == pytest.approx(run.throttles, rel=0.2, abs=3)


def test_the_daemon_finds_a_changed_cap_when_the_simulation_does() -> None:
    """The windows go the same way, but for a few seconds here and there."""
    changes = [{"at": "120s", "connections": 5}, {"at": "300s", "connections": 25}]
    chosen = scenario(
        "changes",
        duration="7m",
        receiver={"connections": 15, "changes": changes},
        sender={"messages_per_session": 50},
    )
    seen, run = daemon.run(chosen), simulate(chosen)
    simulated = run.records[0].limit[1:]
    differences = [abs(one - other) for one, other in zip(seen.windows, simulated, strict=False)]
    assert sum(difference > 1 for difference in differences) <= 5
    assert sum(map(bool, differences)) < 20
    assert {5, 15} <= set(seen.windows)


def test_the_daemon_finds_a_cap_of_fifty_in_twenty_seconds() -> None:
    """Each session that is proven lets the next one begin, at once."""
    seen = daemon.run(load("steady50", {"duration": "1m"}))
    assert next(second for second, window in enumerate(seen.windows) if window >= 40) <= 20


def test_the_daemon_opens_no_session_for_a_message_that_an_idle_one_takes() -> None:
    """Mail that comes now and then is carried by one session."""
    sparse = scenario(
        duration="5m", mail={"rate": "0.5/s"}, receiver={"service_time": "10ms", "service_variation": 0.0}
    )
    seen = daemon.run(sparse)
    assert seen.delivered > 100
    assert seen.opened <= 1 + seen.delivered // 8  # a pause of five seconds ends it
