"""The limits of a site, as they are configured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sender.engine.limits import Limits, configured
from sender.settings import from_tables


@pytest.mark.parametrize(
    ("destination", "limits"),
    [
        ({}, Limits(100, 1000, 100)),
        ({"max_window": 7}, Limits(7, 1000, 100)),
        ({"cap": 20}, Limits(16, 1000, 100)),
        ({"cap": 1}, Limits(1, 1000, 100)),
        ({"cap": 500}, Limits(100, 1000, 100)),
        ({"cap": 20, "max_window": 10}, Limits(10, 1000, 100)),
        ({"messages_per_session": 5, "max_recipients": 2}, Limits(100, 5, 2)),
    ],
)
def test_a_site_has_its_own_limits_or_the_general_ones(destination: dict[str, Any], limits: Limits) -> None:
    """Of a known cap 80 % are used, at least one session; a smaller maximum goes before it."""
    settings = from_tables({"destinations": {"mx.example": destination}}, Path("sender.toml"))
    assert configured(settings, "mx.example") == limits
    assert configured(settings, "other.example") == Limits(100, 1000, 100)
