"""The world of the scenes, and the report."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.report import FILE, Report
from tests.scenes.conftest import world

__all__ = ["report", "world"]


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Give the report of one test."""
    file = os.environ.get(FILE)
    return Report(request.node.nodeid, Path(file) if file else None)
