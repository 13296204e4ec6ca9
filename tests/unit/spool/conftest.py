"""A spool of each implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sender.spool.contract import Spool

from .place import PLACES, Place


@pytest.fixture(params=sorted(PLACES))
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Give a place for a spool; what is left open is closed."""
    place = PLACES[request.param](tmp_path)
    yield place
    await place.close()


@pytest.fixture
async def spool(place: Place) -> Spool:
    """Give a delivering process's spool."""
    return await place.open()
