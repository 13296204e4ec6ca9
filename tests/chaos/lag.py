"""How late the event loop of a daemon was, by its own metric."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.scenes.metrics import Metrics

if TYPE_CHECKING:
    from tests.scenes.world import World


async def looks(world: World) -> Counter[float]:
    """Count the looks at the event loop by the bound within which it was late."""
    status, page = await world.get("/metrics")
    assert status == 200
    samples = Metrics(page.decode(), "").samples["sender_event_loop_lag_seconds_bucket"]
    counts, below = Counter[float](), 0.0
    for labels, count in samples:
        counts[float(labels["le"])] = int(count - below)
        below = count
    return counts


async def looked(world: World, count: int) -> bool:
    """Tell whether there were so many looks."""
    return (await looks(world)).total() >= count


def within(counts: Counter[float], share: float) -> float:
    """Give the bound within which such a share of the looks was."""
    seen = 0
    for bound, count in sorted(counts.items()):
        seen += count
        if seen >= share * counts.total():
            return bound
    raise AssertionError
