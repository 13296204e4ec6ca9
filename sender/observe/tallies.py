"""Metrics of our own kinds: a histogram that costs little, and gauges that are set all at once.

One thread observes, so there is no lock, and one search finds a histogram's bucket.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from sender.core.identity import id_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client import CollectorRegistry


class Series:
    """The observations under one set of labels."""

    __slots__ = ("_bounds", "counts", "examples", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # for each bucket alone; the last is beyond all bounds
        self.examples: dict[int, tuple[int, float]] = {}  # by bucket: the last message, and its value
        self.sum = 0.0

    def observe(self, value: float, message_id: int | None = None) -> None:
        """Count a value, with the message that it is of."""
        bucket = bisect_left(self._bounds, value)
        self.counts[bucket] += 1
        self.sum += value
        if message_id is not None:
            self.examples[bucket] = message_id, value


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
            counts = zip(self._ends, accumulate(series.counts), strict=True)
            family.add_metric(
                values, [_bucket(series, at, end, count) for at, (end, count) in enumerate(counts)], series.sum
            )
        yield family

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """Forget all series with these labels."""
        for values in [*self._series]:
            named = dict(zip(self._labelnames, values, strict=True))
            if labels.items() <= named.items():
                del self._series[values]


def exemplar_labels(message_id: int) -> dict[str, str]:
    """Say of which message a figure is."""
    return {"message_id": id_text(message_id)}


def _bucket(series: Series, at: int, end: str, count: int) -> tuple[str, float] | tuple[str, float, Exemplar]:
    example = series.examples.get(at)
    return (end, count) if example is None else (end, count, Exemplar(exemplar_labels(example[0]), example[1]))


class GaugeFamily(Collector):
    """A family of gauges that are set together: what is not set again is gone."""

    _type = "gauge"

    def __init__(self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name, self._text, self._labelnames = name, text, labels
        self._values: Mapping[tuple[str, ...], float] = {}
        registry.register(self)

    def set_all(self, values: Mapping[Any, float]) -> None:
        """Set the value of each tuple of labels."""
        self._values = values

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give all of them."""
        family = GaugeMetricFamily(self._name, self._text, labels=self._labelnames)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family
