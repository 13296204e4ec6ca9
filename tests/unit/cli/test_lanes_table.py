"""The table of lanes that is printed."""

from __future__ import annotations

from io import BytesIO, TextIOWrapper
from typing import Any

import pytest
from rich.console import Console

from sender.cli.tables import LanesTable

_LANE: dict[str, Any] = {
    "name": "default/mx.example.org",
    "window": 3,
    "sessions": 2,
    "queued": 1200,
    "deferred": 30,
    "delivered_per_minute": 240,
    "state": "throttled",
    "blocked_by": "\x1b[2J[red]",
    "trend": {"windows": [5] * 20 + [3] * 20},
}


def _printed(width: int, encoding: str) -> str:
    output = TextIOWrapper(BytesIO(), encoding=encoding, write_through=True)
    Console(file=output, width=width).print(LanesTable([_LANE]))
    output.seek(0)
    return output.read()


@pytest.mark.parametrize(
    ("width", "encoding", "trend"), [(110, "utf-8", "█▅"), (110, "ascii", "@+"), (80, "utf-8", "")], ids=str
)
def test_a_wide_screen_shows_the_trend_of_the_window(width: int, encoding: str, trend: str) -> None:
    """Where there is room the window's way is drawn, with what the encoding has; a narrow screen keeps its figures."""
    printed = _printed(width, encoding)
    assert all(word in printed for word in ("3", "1200", "240", "throttled", "?[2J"))
    assert ("trend" in printed) is bool(trend)
    assert trend in printed
    assert max(map(len, printed.splitlines())) <= width
    if encoding == "ascii":
        assert printed.isascii()
