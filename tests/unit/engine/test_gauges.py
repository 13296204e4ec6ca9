"""The gauges of lanes."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

from sender.engine.gauges import Survey, observe
from sender.engine.lane import Lane
from sender.observe.metrics import Metrics


@dataclass
class _FakeLane:
    """A lane as the gauges see it."""

    site: str
    limit: str
    provider: str
    sessions: int = 1
    source: str = "default"
    counted: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.source}/{self.site}"

    def __post_init__(self) -> None:
        self.window = SimpleNamespace(limit=4)
        self.metrics = SimpleNamespace(provider=self.provider)
        self.allowance = SimpleNamespace(name=self.limit)
        self.standing = SimpleNamespace(count=self.counted.append)


def _observed(*lanes: _FakeLane) -> Metrics:
    metrics = Metrics()
    survey = Survey(lanes={lane.name: (10, 5.0) for lane in lanes})
    observe(metrics, [cast("Lane", lane) for lane in lanes], survey, 7.0)
    return metrics


def _value(metrics: Metrics, name: str, provider: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"provider": provider, "source": "default"})


def test_a_window_that_lanes_share_counts_once() -> None:
    """Lanes of one provider are added up, but a window that some of them have together is one window."""
    lanes = [
        _FakeLane("mx.a.test", "default/p", "p"),
        _FakeLane("mx.b.test", "default/p", "p"),
        _FakeLane("mx.c.test", "default/mx.c.test", "p"),
        _FakeLane("mx.d.test", "default/p", "q"),
    ]
    metrics = _observed(*lanes)
    assert _value(metrics, "sender_lane_window", "p") == 8
    assert _value(metrics, "sender_lane_window", "q") == 4
    assert _value(metrics, "sender_lane_sessions", "p") == 3
    assert _value(metrics, "sender_lane_queued", "p") == 30
    assert all(lane.counted == [7.0] for lane in lanes)


def test_scheduled_mail_is_a_state_of_its_own() -> None:
    """Each state that a survey found has its series, those without mail too."""
    metrics = Metrics()
    observe(metrics, [], Survey(recipients={"queued": 2, "scheduled": 3}, oldest_s={"queued": 5.0}), 7.0)
    states = ("queued", "scheduled", "deferred", "suspended", "in_flight")
    read = metrics.registry.get_sample_value
    assert [read("sender_queue_recipients", {"state": state}) for state in states] == [2, 3, 0, 0, 0]
    assert [read("sender_queue_oldest_seconds", {"state": state}) for state in states] == [5, 0, 0, 0, 0]
