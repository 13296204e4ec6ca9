"""Bodies of requests: how large they may be, how long they may take, how many may come in at a time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from sender.api.errors import ApiError
from sender.writing.json_text import STRUCTURE_LIMIT, read_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from starlette.requests import Request

    from sender.settings import HttpSettings

SMALL = 64 * 1024  # bytes that are read at once where they come in; more are read beside it
_RETRY_S = 1.0
_OF_CURL = frozenset({"", "application/x-www-form-urlencoded"})
_OF_BROWSERS = ("origin", "sec-fetch-site", "referer")


class Bodies:
    """Those of all requests of a process."""

    def __init__(self, limits: HttpSettings) -> None:
        self._limits = limits
        self._open = 0

    @contextlib.contextmanager
    def one_more(self) -> Iterator[None]:
        """Count a request with a body while it is served. Raises ApiError."""
        if self._open >= self._limits.max_requests:
            raise ApiError(503, "too many requests at the same time", retry_after_s=_RETRY_S, ends=True)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def json(
        self, request: Request, limit: int, *, structure_limit: int = STRUCTURE_LIMIT, by_hand: bool = False
    ) -> tuple[bytes, Any]:
        """Read JSON of at most `limit` bytes, as it came and as it is. Raises ApiError, NotJsonError.

        `by_hand`: it need not be said that it is JSON.
        """
        check_type(request, by_hand=by_hand)
        data = b"".join([piece async for piece in self.pieces(request, limit)])
        if len(data) <= SMALL:
            return data, read_json(data)
        return data, await asyncio.to_thread(read_json, data, structure_limit=structure_limit)

    async def pieces(self, request: Request, limit: int) -> AsyncGenerator[bytes, None]:
        """Give a body as it comes in. Raises ApiError."""
        refusal = ApiError(413, f"the body must be at most {limit} bytes", ends=True)
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > limit:
            raise refusal
        taken = 0
        stream = request.stream()
        while True:
            try:
                async with asyncio.timeout(self._limits.body_timeout):
                    piece = await anext(stream, None)
            except TimeoutError:
                raise ApiError(408, "the body comes too slowly", ends=True) from None
            except ClientDisconnect:
                raise ApiError(400, "the body has no end", ends=True) from None
            if piece is None:
                return
            taken += len(piece)
            if taken > limit:
                raise refusal
            if piece:
                yield piece


def check_type(request: Request, *, by_hand: bool = False) -> None:
    """Check that a body is said to be JSON, as it is. Raises ApiError.

    `by_hand`: what `curl -d` says, or nothing, will do, if it is no browser that says so: a page could send a form.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "the body must not be compressed", ends=True)
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.partition("charset=")[2].strip(' "').lower()
    kind = kind.strip().lower()
    if by_hand and kind in _OF_CURL and not any(name in request.headers for name in _OF_BROWSERS):
        return
    if kind != "application/json" or charset not in {"", "utf-8", "utf8"}:
        raise ApiError(415, "the body must be application/json", ends=True)
