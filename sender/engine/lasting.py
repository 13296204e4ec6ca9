"""Work that must not end while a daemon runs, whatever goes wrong in it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)
_AGAIN_S = 1.0


async def lasting(work: Callable[[], Awaitable[None]]) -> None:
    """Do it, and begin again a moment after a fault of ours has ended it."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("a fault of ours has ended what must go on; it begins again")
            await asyncio.sleep(_AGAIN_S)
        else:
            return
