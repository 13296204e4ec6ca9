"""The histogram that is cheap to observe."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as Theirs

from sender.observe.tallies import Histogram

_BOUNDS = (0.1, 0.5, 1.0, 2.5)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.0, 5.0) | st.sampled_from(_BOUNDS))))
def test_it_is_scraped_as_the_library_s_own(values: list[tuple[str, float]]) -> None:
    """The same observations give the same lines; a value on a bound is within it."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = Histogram("x_seconds", "Help.", ("of",), _BOUNDS, ours)
    other = Theirs("x_seconds", "Help.", ("of",), buckets=_BOUNDS, registry=theirs)
    for label, value in values:
        mine.labels(label).observe(value)
        other.labels(label).observe(value)
    assert _lines(ours) == _lines(theirs)


def test_without_labels_it_is_there_from_the_beginning() -> None:
    """A histogram that nobody has observed yet is scraped with zeros."""
    registry = CollectorRegistry()
    Histogram("x_seconds", "Help.", (), _BOUNDS, registry)
    assert 'x_seconds_bucket{le="+Inf"} 0.0' in _lines(registry)


def _lines(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
