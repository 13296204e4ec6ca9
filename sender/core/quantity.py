"""Durations, sizes and rates as people write them: "90s", "250ms", "25MiB", "300/min"."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_PER = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]+)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)/([a-z]+)")


def parse_duration(text: str) -> float:
    """Read a duration in seconds. Raises ValueError with the rule."""
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in _SECONDS:
        raise ValueError('must be a duration such as "250ms", "90s", "5m", "2h" or "3d"')
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(text: str) -> int:
    """Read a size in bytes. Raises ValueError with the rule."""
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in _BYTES:
        raise ValueError('must be a size such as "64KiB", "25MiB" or "1GB"')
    return int(float(match[1]) * _BYTES[match[2]])


def parse_rate(text: str) -> float:
    """Read a rate in events per second. Raises ValueError with the rule."""
    match = _RATE.fullmatch(text)
    if match is None or match[2] not in _PER:
        raise ValueError('must be a rate such as "10/s", "300/min", "5000/h" or "100000/d"')
    return float(match[1]) / _PER[match[2]]


def exact_duration(seconds: float) -> str:
    """Write a duration so that `parse_duration` reads it back, in the largest unit that divides it."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds / _SECONDS[unit])}{unit}"
    return f"{seconds * 1000:.12g}ms"


def duration_text(seconds: float) -> str:
    """Write a duration for people: the two largest units that say something."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    rest = round(seconds)
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, int(_SECONDS[unit]))
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
        if len(parts) == 2:  # noqa: PLR2004
            break
    return " ".join(filter(None, parts))
