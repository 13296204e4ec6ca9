"""Durations, sizes and rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.quantity import duration_text, exact_duration, parse_duration, parse_rate, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("90s", 90), ("5m", 300), ("2h", 7200), ("3d", 259200), ("1w", 604800), ("1.5h", 5400)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    """Durations are read in seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("0B", 0), ("64KiB", 65536), ("25MiB", 26214400), ("1GB", 10**9), ("1.5KB", 1500)]
)
def test_a_size_is_a_number_and_a_unit(text: str, size: int) -> None:
    """Sizes are read in bytes."""
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "per_second"), [("10/s", 10), ("300/min", 5), ("1800/h", 0.5), ("1.5/s", 1.5)])
def test_a_rate_is_a_number_and_a_unit(text: str, per_second: float) -> None:
    """Rates are read in events per second."""
    assert parse_rate(text) == per_second


@pytest.mark.parametrize("text", ["", "5", "5/", "/s", "-5/s", "5 /s", "5/m", "5/week"])
def test_what_is_no_rate_is_refused_with_the_rule(text: str) -> None:
    """A rate without unit, with a sign, a space or another unit is refused."""
    with pytest.raises(ValueError, match="must be a rate such as"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 s", "5S", "1h30m", "5y", ".5s", "1e3s", "25MiB"])
def test_what_is_no_duration_is_refused_with_the_rule(text: str) -> None:
    """A duration without unit, with a sign, a space or another unit is refused."""
    with pytest.raises(ValueError, match="must be a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "25", "MiB", "-1B", "25mib", "25M", "5m"])
def test_what_is_no_size_is_refused_with_the_rule(text: str) -> None:
    """A size without unit, with a sign or another unit is refused."""
    with pytest.raises(ValueError, match="must be a size such as"):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.25, "250ms"),
        (1, "1s"),
        (59.7, "1m"),
        (90, "1m 30s"),
        (3600, "1h"),
        (3661, "1h 1m"),
        (86400, "1d"),
        (3 * 86400 + 7200, "3d 2h"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(seconds: float, text: str) -> None:
    """People read at most two units."""
    assert duration_text(seconds) == text


@given(st.integers(0, 10**10).map(lambda milliseconds: milliseconds / 1000))
def test_an_exact_duration_reads_back(seconds: float) -> None:
    """What the configuration is shown with can stand in a configuration."""
    assert parse_duration(exact_duration(seconds)) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0ms"), (0.25, "250ms"), (90, "90s"), (300, "5m"), (7200, "2h"), (259200, "3d")]
)
def test_an_exact_duration_has_one_unit(seconds: float, text: str) -> None:
    """An exact duration is a whole number of its largest unit."""
    assert exact_duration(seconds) == text
