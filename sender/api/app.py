"""The HTTP calls, as a Starlette application. Errors are JSON with `error` and `detail`."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from sender import __version__
from sender.core.errors import LaneError, SenderError
from sender.core.quantity import parse_duration
from sender.core.selection import Kind, Selection
from sender.observe.events import instant
from sender.observe.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from sender.engine.control import Control

_BODY_LIMIT = 64 * 1024
_MEMORY_LIMIT = 256 * 1024 * 1024
_SELECTING = (*map(str, Kind), "for", "reason")


class Api:
    """Routes to `control`. `control` is None where this process does not deliver; `ready` tells why not, or ""."""

    def __init__(
        self, *, control: Control | None, render_metrics: Callable[[], bytes], ready: Callable[[], str]
    ) -> None:
        self._control = control
        self._render_metrics = render_metrics
        self._ready = ready

    def application(self) -> Starlette:
        """Make the application."""
        routes = [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
            Route("/v1/queue", _local(self._queue)),
            Route("/v1/lanes", _local(self._lanes)),
            Route("/v1/lanes/{name:path}", _local(self._lane), methods=["GET"]),
            Route("/v1/lanes/{name:path}", _local(self._change_lane), methods=["POST"]),
            Route("/v1/memory", _local(self._memory), methods=["GET"]),
            Route("/v1/memory", _local(self._bring_memory), methods=["POST"]),
            Route("/v1/messages/{id}", _local(self._message)),
            Route("/v1/suspensions", _local(self._suspensions), methods=["GET"]),
            Route("/v1/suspensions", _local(self._suspend), methods=["POST"]),
            Route("/v1/suspensions", _local(self._resume), methods=["DELETE"]),
            Route("/v1/suspensions/{id:int}", _local(self._resume_id), methods=["DELETE"]),
            Route("/v1/retries", _local(self._retry), methods=["POST"]),
            Route("/v1/bounces", _local(self._bounce), methods=["POST"]),
            Route("/v1/deletions", _local(self._delete), methods=["POST"]),
        ]
        handlers: dict[Any, Any] = {
            HTTPException: _http_error,
            LaneError: _no_lane,
            SenderError: _sender_error,
            Exception: _our_error,
        }
        return Starlette(routes=routes, exception_handlers=handlers)

    @property
    def _engine(self) -> Control:
        if self._control is None:
            raise HTTPException(409, "this process only accepts mail; ask the delivering one")
        return self._control

    async def _healthz(self, _request: Request) -> Response:
        return _json({"status": "alive", "version": __version__})

    async def _readyz(self, _request: Request) -> Response:
        why_not = self._ready()
        return _json(
            {"status": "ready"} if not why_not else {"status": "not ready", "detail": why_not}, 503 if why_not else 200
        )

    async def _metrics(self, _request: Request) -> Response:
        return Response(self._render_metrics(), media_type=CONTENT_TYPE)

    async def _queue(self, request: Request) -> Response:
        wanted = {key: request.query_params.get(key, "") for key in ("domain", "site", "stream")}
        return _json(await self._engine.queue(**wanted))

    async def _lanes(self, request: Request) -> Response:
        brief = request.query_params.get("brief", "") not in {"", "0"}
        return _json({"lanes": await self._engine.lanes(brief=brief), "totals": await self._engine.totals()})

    async def _lane(self, request: Request) -> Response:
        return _json(await self._engine.lane(request.path_params["name"]))

    async def _change_lane(self, request: Request) -> Response:
        name, body = request.path_params["name"], await _body(request, known=("window", "forget", "reason"))
        if ("window" in body) == ("forget" in body):
            raise HTTPException(422, "give one of window, forget")
        if "forget" in body:
            if body["forget"] is not True:
                raise HTTPException(422, f"forget = {json.dumps(body['forget'])}: must be true")
            return _json(await self._engine.forget(name, _reason(body)))
        window = body["window"]
        if not isinstance(window, int) or isinstance(window, bool):
            raise HTTPException(422, f"window = {json.dumps(window)}: must be a whole number")
        return _json(await self._engine.set_window(name, window, _reason(body)))

    async def _memory(self, request: Request) -> Response:
        return _json(await self._engine.memory(request.query_params.get("lane", "")))

    async def _bring_memory(self, request: Request) -> Response:
        known = ("version", "at", "lanes", "reason")
        body = await _body(request, known=known, limit=_MEMORY_LIMIT)
        return _json(await self._engine.bring(body, _reason(body)))

    async def _message(self, request: Request) -> Response:
        message_id = request.path_params["id"]
        message = await self._engine.message(message_id)
        if message is None:
            raise HTTPException(404, f"there is no message {message_id!r}, or it ended and was forgotten")
        return _json(message)

    async def _suspensions(self, _request: Request) -> Response:
        return _json(
            {
                "suspensions": [
                    {
                        "id": suspension.id,
                        "kind": suspension.selection.kind,
                        "value": suspension.selection.value,
                        "since": instant(suspension.since),
                        "until": None if suspension.until is None else instant(suspension.until),
                        "reason": suspension.reason,
                    }
                    for suspension in self._engine.suspensions()
                ]
            }
        )

    async def _suspend(self, request: Request) -> Response:
        body = await _body(request)
        selection, for_s = _selection(body), _duration(body)
        suspension_id, touched = await self._engine.suspend(selection, for_s=for_s, reason=_reason(body))
        return _json({"id": suspension_id, "recipients": touched}, 201)

    async def _resume(self, request: Request) -> Response:
        return _json({"recipients": await self._engine.resume(_selection(await _body(request)))})

    async def _resume_id(self, request: Request) -> Response:
        touched = await self._engine.resume_id(request.path_params["id"])
        if touched is None:
            raise HTTPException(404, f"there is no suspension {request.path_params['id']}")
        return _json({"recipients": touched})

    async def _retry(self, request: Request) -> Response:
        return _json({"recipients": await self._engine.retry(_selection(await _body(request)))})

    async def _bounce(self, request: Request) -> Response:
        body = await _body(request)
        return _json({"recipients": await self._engine.bounce(_of_mail(body), _reason(body))})

    async def _delete(self, request: Request) -> Response:
        body = await _body(request)
        return _json({"recipients": await self._engine.delete(_of_mail(body), _reason(body))})


def _local(call: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Let only this machine call: there are no tokens."""

    async def checked(request: Request) -> Response:
        host = request.client.host if request.client else ""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            address = None
        if address is None or not address.is_loopback:
            raise HTTPException(403, "only this machine may call")
        if request.headers.get("origin") or request.headers.get("sec-fetch-site") == "cross-site":
            raise HTTPException(403, "pages of other sites may not call")
        return await call(request)

    return checked


async def _body(request: Request, *, known: tuple[str, ...] = _SELECTING, limit: int = _BODY_LIMIT) -> dict[str, Any]:
    """Read a JSON object of a modest size, with known keys. Raises HTTPException."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise HTTPException(413, f"the body must be at most {limit} bytes")
    try:
        body = json.loads(data or b"{}")
    except ValueError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise HTTPException(422, "the body must be an object")
    unknown = sorted(body.keys() - known)
    if unknown:
        raise HTTPException(422, f"{unknown[0]}: unknown key; known: {', '.join(known)}")
    return body


def _selection(body: dict[str, Any]) -> Selection:
    """Read the one thing that a command is about: `{"domain": "example.org"}` or `{"all": true}`."""
    named = [kind for kind in Kind if kind in body]
    if len(named) != 1:
        raise HTTPException(422, f"give one of {', '.join(Kind)}")
    kind, value = named[0], body[named[0]]
    if kind is Kind.ALL:
        if value is not True:
            raise HTTPException(422, f"all = {json.dumps(value)}: must be true")
        return Selection(kind)
    if not isinstance(value, str) or not value:
        raise HTTPException(422, f"{kind} = {json.dumps(value)}: must be a string that is not empty")
    return Selection(kind, value.lower() if kind is Kind.DOMAIN else value)


def _of_mail(body: dict[str, Any]) -> Selection:
    selection = _selection(body)
    if selection.kind is Kind.SOURCE:
        raise HTTPException(422, "source: mail in the queue has no source yet; give another selection")
    return selection


def _duration(body: dict[str, Any]) -> float | None:
    value = body.get("for")
    if value is None:
        return None
    if not isinstance(value, str):
        raise HTTPException(422, f'for = {json.dumps(value)}: must be a duration such as "1h"')
    try:
        return parse_duration(value)
    except ValueError as error:
        raise HTTPException(422, f"for = {json.dumps(value)}: {error}") from error


def _reason(body: dict[str, Any]) -> str:
    value = body.get("reason", "")
    if not isinstance(value, str):
        raise HTTPException(422, f"reason = {json.dumps(value)}: must be a string")
    return value


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


_WORDS = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    422: "invalid",
}


async def _http_error(_request: Request, error: HTTPException) -> Response:
    return _json({"error": _WORDS.get(error.status_code, "error"), "detail": error.detail}, error.status_code)


async def _no_lane(_request: Request, error: LaneError) -> Response:
    return _json({"error": "not_found", "detail": str(error)}, 404)


async def _sender_error(_request: Request, error: SenderError) -> Response:
    return _json({"error": "invalid", "detail": str(error)}, 422)


async def _our_error(_request: Request, _error: Exception) -> Response:
    return _json({"error": "internal", "detail": "a fault of the daemon; its log tells more"}, 500)
