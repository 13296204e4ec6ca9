"""A histogram that costs little to observe: one thread does, so there is no lock, and one search finds the bucket."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import CollectorRegistry


class Series:
    """The observations under one set of labels."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # for each bucket alone; the last is beyond all bounds
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


class Histogram(Collector):
    """A family of series; `bounds` are the upper ends of its buckets, in the unit of its name."""

    _type = "histogram"  # as in the library's own, like the names of the attributes

    def __init__(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name, self._text, self._labelnames = name, text, labels
        self._bounds = tuple(bounds)
        self._ends = [*map(floatToGoString, self._bounds), "+Inf"]
        self._series: dict[tuple[str, ...], Series] = {}
        if not labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """Give the series of these labels."""
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Series(self._bounds)
        return series

    def observe(self, value: float) -> None:
        """Count a value, where there are no labels."""
        self.labels().observe(value)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Give all series as Prometheus has them: each bucket with all that are below it."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labelnames)
        for values, series in [*self._series.items()]:
            family.add_metric(values, list(zip(self._ends, accumulate(series.counts), strict=True)), series.sum)
        yield family
