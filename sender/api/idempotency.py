"""Calls that may be repeated: under one key, one thing is done once, and told the same each time."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sender.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from sender.spool.contract import Receipt
    from sender.spool.sqlite import SqliteSpool

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[!-~]{1,255}")


@dataclass(slots=True)
class _Turn:
    """Of those who use one key."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wanted: int = 0  # by so many, with the one whose turn it is


class Idempotency:
    """The keys that are in use in this process; what they led to stands in the spool."""

    def __init__(self, spool: SqliteSpool) -> None:
        self._spool = spool
        self._turns: dict[tuple[str, str], _Turn] = {}

    def busy(self, owner: str, key: str) -> bool:
        """Tell whether something is being done under a key."""
        return (owner, key) in self._turns

    @contextlib.asynccontextmanager
    async def turn(self, owner: str, key: str) -> AsyncIterator[None]:
        """Wait until nobody else here does anything under this key; without one there is nothing to wait for."""
        if not key:
            yield
            return
        turn = self._turns.setdefault((owner, key), _Turn())
        turn.wanted += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                del self._turns[owner, key]

    async def earlier(self, owner: str, key: str, digest: bytes) -> Receipt | None:
        """Read what was taken under a key. Raises ApiError where that was something else; SpoolError."""
        receipt = await self._spool.receipt(owner, key) if key else None
        if receipt is not None:
            check_same(receipt, digest)
        return receipt


def check_same(receipt: Receipt, digest: bytes) -> None:
    """Refuse another body under a key that was used. Raises ApiError."""
    if receipt.digest != digest:
        raise ApiError.of_fields([(HEADER, "was used with another body")], status=409)


def key_of(request: Request) -> str:
    """Read the key; empty where there is none. Raises ApiError."""
    keys = request.headers.getlist(HEADER)
    if not keys:
        return ""
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise ApiError.of_fields([(HEADER, "must stand once, with 1 to 255 visible ASCII characters")])
    return keys[0]
