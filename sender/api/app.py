"""The HTTP calls as a Starlette application. Errors are JSON with `error` and `detail`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from sender import __version__
from sender.api.authorization import Authorization, Caller
from sender.api.batches import Batches
from sender.api.bodies import Bodies
from sender.api.calls import Asked
from sender.api.console import Console
from sender.api.errors import ANSWERS, ApiError, http_error, json_answer
from sender.api.idempotency import Idempotency
from sender.api.models import checked
from sender.api.openapi import describe
from sender.api.operations import Operations
from sender.api.submission import Submission
from sender.api.table import OpenCalls, table
from sender.intake.tokens import Scope, Tokens
from sender.observe.events import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from sender.api.calls import Call
    from sender.clock import Clock
    from sender.engine.control import Control
    from sender.intake.acceptance import Acceptance
    from sender.settings import Settings
    from sender.spool.sqlite import SqliteSpool

_NOT_FOUND = 404


class Api:
    """`control` is None where this process does not deliver, `acceptance` where it does not accept.

    `alive` returns once everything has answered that must; `ready` tells why it is not ready, or "".
    """

    def __init__(
        self,
        settings: Settings,
        spool: SqliteSpool,
        clock: Clock,
        *,
        control: Control | None,
        acceptance: Acceptance | None,
        render_metrics: Callable[[str], Awaitable[tuple[bytes, str]]],
        alive: Callable[[], Awaitable[None]],
        ready: Callable[[], str],
    ) -> None:
        """Read the tokens. Raises ConfigError."""
        self._settings = settings
        self._render_metrics = render_metrics
        self._alive = alive
        self._ready = ready
        self._authorization = Authorization(self.read_tokens(), clock)
        self._bodies = Bodies(settings.http)
        self._idempotency = Idempotency(spool)
        submission = Submission(acceptance, self._idempotency)
        self.calls = table(
            settings,
            submission,
            Batches(submission, self._idempotency, self._bodies),
            Operations(control),
            OpenCalls(self._healthz, self._readyz, self._metrics, self._openapi, self._events_schema),
        )
        self._description = describe(self.calls)
        self._console = Console(
            settings.hostname, self._authorization, clock, self._bodies, control=control, acceptance=acceptance
        )

    def read_tokens(self) -> Tokens | None:
        """Read the file of tokens, if there is one. Raises ConfigError."""
        name = self._settings.http.tokens_file
        return Tokens.load(self._settings.path(name)) if name else None

    def use(self, tokens: Tokens | None) -> None:
        """Let others call from now on."""
        self._authorization.tokens = tokens

    def application(self) -> Starlette:
        """Make the application."""
        paths: dict[str, dict[str, Call]] = {}
        for call in self.calls:
            paths.setdefault(call.path, {})[call.method] = call
        routes = [Route(path, self._endpoint(calls), methods=list(calls)) for path, calls in paths.items()]
        answers = {**ANSWERS, HTTPException: self._http_error}
        application = Starlette(routes=[*routes, *self._console.routes()], exception_handlers=answers)
        application.router.redirect_slashes = False
        return application

    async def _http_error(self, request: Request, error: HTTPException) -> Response:
        """Answer browsers, which ask for pages, with a page."""
        if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/v1/"):
            text = f"there is no page {request.url.path}" if error.status_code == _NOT_FOUND else error.detail
            return self._console.refusal(error.status_code, text, error.headers)
        return await http_error(request, error)

    def _endpoint(self, calls: Mapping[str, Call]) -> Callable[[Request], Awaitable[Response]]:
        """Make what answers to one path."""

        async def endpoint(request: Request) -> Response:
            return await self._serve(calls["GET" if request.method == "HEAD" else request.method], request)

        return endpoint

    async def _serve(self, call: Call, request: Request) -> Response:
        """Make a call for whoever may make it. Raises what `ANSWERS` answers."""
        caller = Caller() if call.scope is None else self._authorization.admit(request, call.scope)
        if call.before is not None:
            call.before()
        if call.body is None:
            return await call.run(Asked(request, caller))
        with self._bodies.one_more():
            if call.streamed:
                return await call.run(Asked(request, caller))
            by_hand = call.scope is Scope.OPERATE
            raw, data = await self._bodies.json(
                request, call.limit, structure_limit=call.structure_limit, by_hand=by_hand
            )
            return await call.run(Asked(request, caller, raw, checked(call.body, data)))

    async def _healthz(self, _asked: Asked) -> Response:
        try:
            async with asyncio.timeout(self._settings.http.health_timeout):
                await self._alive()
        except TimeoutError as error:
            raise ApiError(503, "the spool does not answer") from error
        return json_answer({"status": "alive", "version": __version__})

    async def _readyz(self, _asked: Asked) -> Response:
        why_not = self._ready()
        if why_not:
            return json_answer({"status": "not ready", "detail": why_not}, 503)
        return json_answer({"status": "ready"})

    async def _metrics(self, asked: Asked) -> Response:
        text, content_type = await self._render_metrics(asked.request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    async def _openapi(self, _asked: Asked) -> Response:
        return json_answer(self._description)

    async def _events_schema(self, _asked: Asked) -> Response:
        return Response(SCHEMA.read_bytes(), media_type="application/schema+json")
