"""The gauges of lanes, streams and the queue, set when somebody looks.

A look is to be short also where there are very many lanes. Those without series of their own are then summed up in
between, in slices, and a look sums up the others only.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sender.engine.lane import Lane
    from sender.observe.metrics import Metrics

_STATES = ("queued", "scheduled", "deferred", "suspended", "in_flight")
_LANE_STATES = ("open", "throttled", "suspended")
_FEW = 1000  # lanes that are summed up in one go

Labels = tuple[str, str]


@dataclass(slots=True)
class Survey:
    """What the last count of the spool found: recipients and oldest age by state, by lane, by stream, and who waits."""

    recipients: dict[str, int] = field(default_factory=dict)
    oldest_s: dict[str, float] = field(default_factory=dict)
    lanes: dict[str, tuple[int, float]] = field(default_factory=dict)
    streams: dict[str, tuple[int, float]] = field(default_factory=dict)
    waits: dict[Labels, tuple[int, float]] = field(default_factory=dict)  # by the labels of provider and stream


class _Sums:
    """Figures by labels. Lanes that share a label are added up; a limit that several of them share counts once."""

    def __init__(self) -> None:
        self.windows: dict[Labels, int] = defaultdict(int)
        self.sessions: dict[Labels, int] = defaultdict(int)
        self.paces: dict[Labels, float] = defaultdict(float)
        self.queued: dict[Labels, int] = defaultdict(int)
        self.oldest: dict[Labels, float] = defaultdict(float)
        self.narrow: dict[Labels, int] = defaultdict(int)
        self._seen: set[tuple[Labels, str]] = set()

    def copy(self) -> _Sums:
        """Give the same figures, to be added to under other labels."""
        other = _Sums()
        for name, value in vars(self).items():
            if name != "_seen":
                setattr(other, name, value.copy())
        return other

    def add(self, lane: Lane, survey: Survey, now: float) -> None:
        """Add one lane; `now` is of the steady clock."""
        labels = lane.metrics.labels
        if (labels, lane.allowance.name) not in self._seen:
            self._seen.add((labels, lane.allowance.name))
            self.windows[labels] += lane.window.limit
            if (per_second := lane.pace.per_second) is not None:
                self.paces[labels] += per_second
        self.sessions[labels] += lane.sessions
        count, oldest_s = survey.lanes.get(lane.name, (0, 0.0))
        self.queued[labels] += count
        self.oldest[labels] = max(self.oldest[labels], oldest_s)
        self.narrow[labels] += bool(count) and lane.window.limit == 1
        lane.standing.count(now)


class Gauges:
    """Sets the gauges of one daemon's metrics. Changed by `sweep` only, but for the survey, which others make."""

    def __init__(self, metrics: Metrics, lanes: Mapping[str, Lane]) -> None:
        self.survey = Survey()
        self._metrics = metrics
        self._lanes = lanes
        self._others = _Sums()  # of the last sweep
        self._named: list[Lane] = []
        self._states: dict[str, int] = {}

    def sweep(self, now: float) -> Iterator[None]:
        """Sum up the lanes in slices; between two of them others may do something."""
        named: list[Lane]
        others, named, states = _Sums(), [], dict.fromkeys(_LANE_STATES, 0)
        lanes = iter([*self._lanes.values()])
        while some := [*islice(lanes, _FEW)]:
            for lane in some:
                states[lane.standing.state] += 1
                if lane.metrics.named:
                    named.append(lane)
                else:
                    others.add(lane, self.survey, now)
            yield
        self._others, self._named, self._states = others, named, states

    def set(self, now: float) -> None:
        """Set them all. `now` is of the steady clock."""
        survey = self.survey
        if len(self._lanes) <= _FEW:
            for _ in self.sweep(now):
                pass
        sums = self._others.copy()
        for lane in self._named:
            if self._lanes.get(lane.name) is lane:
                sums.add(lane, survey, now)
        metrics = self._metrics
        metrics.window.set_all(sums.windows)
        metrics.sessions.set_all(sums.sessions)
        metrics.pace.set_all(sums.paces)
        metrics.lane_queued.set_all(sums.queued)
        metrics.lane_oldest.set_all(sums.oldest)
        metrics.narrow.set_all(sums.narrow)
        metrics.lanes.set_all({(state,): count for state, count in self._states.items()})
        metrics.queue_recipients.set_all({(state,): survey.recipients.get(state, 0) for state in _STATES})
        metrics.queue_oldest.set_all({(state,): survey.oldest_s.get(state, 0.0) for state in _STATES})
        metrics.certificates.set_all(metrics.certificate_expiries())
        metrics.waiting.set_all({labels: count for labels, (count, _) in survey.waits.items()})
        metrics.waiting_oldest.set_all({labels: oldest_s for labels, (_, oldest_s) in survey.waits.items()})
        self._set_streams(survey.streams.items())

    def _set_streams(self, streams: Iterable[tuple[str, tuple[int, float]]]) -> None:
        queued: dict[tuple[str, ...], int] = defaultdict(int)
        oldest: dict[tuple[str, ...], float] = defaultdict(float)
        for stream, (count, oldest_s) in streams:
            label = (self._metrics.streams.label(stream),)
            queued[label] += count
            oldest[label] = max(oldest[label], oldest_s)
        self._metrics.stream_queued.set_all(queued)
        self._metrics.stream_oldest.set_all(oldest)
