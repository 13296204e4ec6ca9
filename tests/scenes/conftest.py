"""Every scene plays in a world of its own, and ends with its books balanced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.scenes.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here as scenes."""
    here = __file__.rpartition("/")[0]
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.scene)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a world; after the scene, conservation holds in it, and no notice is there that was not expected."""
    async with World(tmp_path) as world:
        yield world
        await world.balance()
