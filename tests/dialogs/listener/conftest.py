"""Listeners, closed when their test is over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from .house import House, open_house

if TYPE_CHECKING:
    import asyncio

MakeHouse = Callable[..., Awaitable[House]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run these tests on the event loop that the daemon has."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def make_house(tmp_path: Path) -> AsyncIterator[MakeHouse]:
    """Give a function that opens listeners."""
    houses: list[House] = []

    async def make(**options: Any) -> House:  # noqa: ANN401 - passed on
        house = await open_house(tmp_path / str(len(houses)), **options)
        houses.append(house)
        return house

    yield make
    for house in houses:
        await house.listener.close(0.0)
        await house.close_spool()


@pytest.fixture
async def house(make_house: MakeHouse) -> House:
    """Give a listener with the default settings."""
    return await make_house()
