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
