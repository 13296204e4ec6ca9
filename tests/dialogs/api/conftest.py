"""Houses, closed when their test is over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from .house import House, open_house

MakeHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def make_house(tmp_path: Path) -> AsyncIterator[MakeHouse]:
    """Give a function that opens houses."""
    houses: list[House] = []

    async def make(**options: Any) -> House:  # noqa: ANN401 - passed on
        house = await open_house(tmp_path / str(len(houses)), **options)
        houses.append(house)
        return house

    yield make
    for house in houses:
        await house.daemon.stop(drain_s=0)


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    """Give a house without a file of tokens."""
    return await make_house()
