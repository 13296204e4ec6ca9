"""The gauges of lanes and queues, set when somebody looks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sender.engine.lane import Lane
    from sender.observe.metrics import Metrics

_STATES = ("queued", "scheduled", "deferred", "suspended", "in_flight")


@dataclass(slots=True)
class Survey:
    """What the last count of the spool found: recipients and oldest age by state, and by lane."""

    recipients: dict[str, int] = field(default_factory=dict)
    oldest_s: dict[str, float] = field(default_factory=dict)
    lanes: dict[str, tuple[int, float]] = field(default_factory=dict)


def observe(metrics: Metrics, lanes: Iterable[Lane], survey: Survey, now: float) -> None:
    """Set the gauges. Lanes that share a label are added up."""
    windows: dict[tuple[str, str], int] = defaultdict(int)
    sessions: dict[tuple[str, str], int] = defaultdict(int)
    queued: dict[tuple[str, str], int] = defaultdict(int)
    oldest: dict[tuple[str, str], float] = defaultdict(float)
    seen: set[tuple[tuple[str, str], str]] = set()  # a window that several lanes share counts once
    for lane in lanes:
        labels = (lane.metrics.provider, lane.source)
        if (labels, lane.allowance.name) not in seen:
            seen.add((labels, lane.allowance.name))
            windows[labels] += lane.window.limit
        sessions[labels] += lane.sessions
        count, oldest_s = survey.lanes.get(lane.name, (0, 0.0))
        queued[labels] += count
        oldest[labels] = max(oldest[labels], oldest_s)
        lane.standing.count(now)
    for gauge, values in (
        (metrics.window, windows),
        (metrics.sessions, sessions),
        (metrics.lane_queued, queued),
        (metrics.lane_oldest, oldest),
    ):
        for labels, value in values.items():
            gauge.labels(*labels).set(value)
    for state in _STATES:
        metrics.queue_recipients.labels(state).set(survey.recipients.get(state, 0))
        metrics.queue_oldest.labels(state).set(survey.oldest_s.get(state, 0.0))
