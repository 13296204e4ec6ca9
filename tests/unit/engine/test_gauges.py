"""The gauges of lanes, streams and the queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

from sender.engine.gauges import Gauges, Survey
from sender.engine.lane import Lane
from sender.observe.metrics import PROVIDERS, Metrics

NOW = 7.0


@dataclass
class _FakeLane:
    """A lane as the gauges see it."""

    metrics_of: Metrics
    site: str
    limit: str = ""
    provider: str | None = None
    sessions: int = 1
    window_limit: int = 4
    per_second: float | None = None
    state: str = "open"
    counted: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"default/{self.site}"

    def __post_init__(self) -> None:
        self.window = SimpleNamespace(limit=self.window_limit)
        self.metrics = self.metrics_of.lane(self.site, "default", self.provider)
        self.allowance = SimpleNamespace(name=self.limit or self.name)
        self.pace = SimpleNamespace(per_second=self.per_second)
        self.standing = SimpleNamespace(count=self.counted.append, state=self.state)


def _gauges(metrics: Metrics, *lanes: _FakeLane) -> Gauges:
    return Gauges(metrics, {lane.name: cast("Lane", lane) for lane in lanes})


def _surveyed(metrics: Metrics, survey: Survey, *lanes: _FakeLane) -> None:
    gauges = _gauges(metrics, *lanes)
    gauges.survey = survey
    gauges.set(NOW)


def _set(metrics: Metrics, *lanes: _FakeLane) -> None:
    _surveyed(metrics, Survey(lanes={lane.name: (10, 5.0) for lane in lanes}), *lanes)


def _value(metrics: Metrics, name: str, provider: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"provider": provider, "source": "default"})


def test_a_window_that_lanes_share_counts_once() -> None:
    """Lanes of one provider are added up, but a limit that some of them have together is one limit."""
    metrics = Metrics()
    lanes = [
        _FakeLane(metrics, "mx.a.test", "default/p", "p", per_second=5.0),
        _FakeLane(metrics, "mx.b.test", "default/p", "p", per_second=5.0),
        _FakeLane(metrics, "mx.c.test", "", "p", per_second=2.0),
        _FakeLane(metrics, "mx.d.test", "default/p", "q"),
    ]
    _set(metrics, *lanes)
    assert _value(metrics, "sender_lane_window", "p") == 8
    assert _value(metrics, "sender_lane_window", "q") == 4
    assert _value(metrics, "sender_lane_pace_per_second", "p") == 7.0
    assert _value(metrics, "sender_lane_sessions", "p") == 3
    assert _value(metrics, "sender_lane_queued", "p") == 30
    assert _value(metrics, "sender_lane_oldest_seconds", "p") == 5.0
    assert all(lane.counted == [NOW] for lane in lanes)


def test_a_lane_without_a_known_pace_has_no_pace() -> None:
    """There is no series where messages per second are not limited."""
    metrics = Metrics()
    _set(metrics, _FakeLane(metrics, "mx.a.test"))
    assert _value(metrics, "sender_lane_pace_per_second", "mx.a.test") is None


def test_narrow_lanes_are_those_with_mail_and_one_session() -> None:
    """A window of one counts only where mail waits for it."""
    metrics = Metrics()
    busy, idle = (_FakeLane(metrics, f"mx.{name}.test", provider="p", window_limit=1) for name in ("busy", "idle"))
    _surveyed(metrics, Survey(lanes={busy.name: (3, 1.0)}), busy, idle)
    assert _value(metrics, "sender_lanes_at_window_one", "p") == 1


def test_lanes_are_counted_by_state() -> None:
    """Every state has its series, those of no lane too."""
    metrics = Metrics()
    _set(metrics, *(_FakeLane(metrics, f"mx{n}.test", state=state) for n, state in enumerate(("open", "throttled"))))
    read = metrics.registry.get_sample_value
    states = ("open", "throttled", "suspended")
    assert [read("sender_lanes", {"state": state}) for state in states] == [1, 1, 0]


def test_what_a_lane_had_goes_when_it_falls_asleep() -> None:
    """A lane that is not there any more has no window."""
    metrics = Metrics()
    lane = _FakeLane(metrics, "mx.a.test")
    lanes = {lane.name: cast("Lane", lane)}
    gauges = Gauges(metrics, lanes)
    gauges.set(NOW)
    assert _value(metrics, "sender_lane_window", "mx.a.test") == 4
    lanes.clear()
    gauges.set(NOW)
    assert _value(metrics, "sender_lane_window", "mx.a.test") is None


def test_of_many_lanes_a_look_counts_only_those_with_series_of_their_own() -> None:
    """What the others have is summed up in slices before, and stands for all of them until the next time."""
    metrics = Metrics()
    lanes = [_FakeLane(metrics, f"mx{number}.test") for number in range(2500)]
    gauges = _gauges(metrics, *lanes)
    for _ in gauges.sweep(NOW):
        lanes[-1].sessions = 100  # a slice was summed up; this one is not in it
    gauges.set(NOW + 1)
    assert _value(metrics, "sender_lane_sessions", "other") == 2500 - PROVIDERS - 1 + 100
    assert _value(metrics, "sender_lane_sessions", "mx0.test") == 1
    assert (lanes[0].counted, lanes[-1].counted) == ([NOW + 1], [NOW])
    lanes[0].sessions, lanes[-1].sessions = 7, 0
    gauges.set(NOW + 2)
    assert _value(metrics, "sender_lane_sessions", "mx0.test") == 7
    assert _value(metrics, "sender_lane_sessions", "other") == 2500 - PROVIDERS - 1 + 100


def test_scheduled_mail_is_a_state_of_its_own() -> None:
    """Each state that a survey found has its series, those without mail too."""
    metrics = Metrics()
    _surveyed(metrics, Survey(recipients={"queued": 2, "scheduled": 3}, oldest_s={"queued": 5.0}))
    states = ("queued", "scheduled", "deferred", "suspended", "in_flight")
    read = metrics.registry.get_sample_value
    assert [read("sender_queue_recipients", {"state": state}) for state in states] == [2, 3, 0, 0, 0]
    assert [read("sender_queue_oldest_seconds", {"state": state}) for state in states] == [5, 0, 0, 0, 0]


def test_who_waits_for_whom_is_told_while_somebody_does() -> None:
    """A stream whose mail waits for a provider has a number and an age there, and nothing when it is through."""
    metrics = Metrics()
    gauges, read, labels = _gauges(metrics), metrics.registry.get_sample_value, {"provider": "p", "stream": "orders"}
    gauges.survey = Survey(waits={("p", "orders"): (2, 9.0)})
    gauges.set(NOW)
    assert read("sender_provider_stream_queued", labels) == 2
    assert read("sender_provider_stream_oldest_seconds", labels) == 9.0
    gauges.survey = Survey()
    gauges.set(NOW)
    assert read("sender_provider_stream_queued", labels) is None


def test_streams_without_a_label_of_their_own_are_added_up() -> None:
    """What is queued in streams that nobody has configured or counted is `other`, with the highest age."""
    metrics = Metrics()
    metrics.streams.fix(["orders"])
    _surveyed(metrics, Survey(streams={"orders": (2, 9.0), "a": (3, 4.0), "b": (5, 8.0)}))
    read = metrics.registry.get_sample_value
    assert read("sender_stream_queued", {"stream": "orders"}) == 2
    assert read("sender_stream_queued", {"stream": "other"}) == 8
    assert read("sender_stream_oldest_seconds", {"stream": "other"}) == 8.0
