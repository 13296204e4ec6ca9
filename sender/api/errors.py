"""Refusals and faults as HTTP answers: JSON with `error`, `detail`, and `field` where one is at fault."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sender.core.errors import LaneError, SenderError, SpoolError
from sender.writing.fields import RefusedFieldError
from sender.writing.json_text import NotJsonError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request

PROBLEMS_SHOWN = 20
WORDS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}


class ApiError(Exception):
    """A call that is refused. `problems` are fields with their rules; `ends`: the connection does not go on."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        problems: Iterable[tuple[str, str]] = (),
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        ends: bool = False,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.problems = tuple(problems)[:PROBLEMS_SHOWN]
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
        if ends:
            self.headers["Connection"] = "close"

    @classmethod
    def of_fields(cls, problems: Iterable[tuple[str, str]], *, status: int = 422) -> ApiError:
        """Refuse fields for their rules."""
        shown = tuple(problems)[:PROBLEMS_SHOWN]
        return cls(status, "; ".join(f"{field}: {rule}" if field else rule for field, rule in shown), problems=shown)

    @property
    def body(self) -> dict[str, Any]:
        """Give what the client reads."""
        body: dict[str, Any] = {"error": WORDS[self.status], "detail": self.detail}
        if self.problems and self.problems[0][0]:
            body["field"] = self.problems[0][0]
        if len(self.problems) > 1:
            body["problems"] = [{"field": field, "rule": rule} for field, rule in self.problems]
        return body


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


async def _refused(_request: Request, error: ApiError) -> Response:
    return json_answer(error.body, error.status, error.headers)


async def http_error(_request: Request, error: HTTPException) -> Response:
    """Answer for what has no such path or method."""
    body = {"error": WORDS.get(error.status_code, "error"), "detail": error.detail}
    return json_answer(body, error.status_code, error.headers)


async def _no_lane(request: Request, error: LaneError) -> Response:
    return await _refused(request, ApiError(404, str(error)))


async def _spool_error(request: Request, error: SpoolError) -> Response:
    return await _refused(request, ApiError(503, str(error), retry_after_s=30))


async def _field(request: Request, error: RefusedFieldError) -> Response:
    return await _refused(request, ApiError.of_fields([(error.field, error.rule)]))


async def _not_json(request: Request, error: NotJsonError) -> Response:
    return await _refused(request, ApiError(400, f"the body is not JSON as it is read here: {error.rule}"))


async def _sender_error(request: Request, error: SenderError) -> Response:
    return await _refused(request, ApiError(422, str(error)))


async def _our_error(request: Request, _error: Exception) -> Response:
    return await _refused(request, ApiError(500, "a fault of the daemon; its log tells more"))


ANSWERS: dict[Any, Any] = {
    ApiError: _refused,
    HTTPException: http_error,
    LaneError: _no_lane,
    SpoolError: _spool_error,
    RefusedFieldError: _field,
    NotJsonError: _not_json,
    SenderError: _sender_error,
    Exception: _our_error,
}
