"""The pages of the console and what their forms do. They are no calls of the API, and stand in no description.

A browser is told to load nothing but our own style sheet and script, to send forms nowhere else, and to be framed by
nobody. Forms of other sites' pages are refused (`sessions.py`). After an action the browser is sent back to its page,
with what was done in a cookie that the next page takes out again: no link can claim that something was done.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sender.api.acting import act
from sender.api.calls import SHORT
from sender.api.errors import WORDS, ApiError
from sender.api.operations import read_listing, suspensions_view
from sender.api.sessions import NotLoggedInError, Sessions, check_form
from sender.console.pages import ACTIONS, ROWS, SPANS, Pages, Visit
from sender.core.errors import LaneError, SenderError, SpoolError
from sender.core.identity import id_number
from sender.engine.listing import Order
from sender.intake.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from sender.api.authorization import Authorization
    from sender.api.bodies import Bodies
    from sender.clock import Clock
    from sender.engine.control import Control
    from sender.intake.acceptance import Acceptance

    Endpoint = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Without a referrer, forms would come from nowhere.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_UNCHANGING = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_DONE = "sender_done"
_FIELDS, _DIGITS = 20, 15
_TITLES = {403: "Not allowed", 404: "Not found", 405: "Not so", 409: "Not here", 422: "Not understood", 503: "Not now"}


class _Look(NamedTuple):
    """Somebody looks at a page: who, whom to ask, and since when (steady clock)."""

    visit: Visit
    control: Control
    began_at: float


class Console:
    """`control` is None where this process does not deliver, `acceptance` where it does not accept."""

    def __init__(
        self,
        host: str,
        authorization: Authorization,
        clock: Clock,
        bodies: Bodies,
        *,
        control: Control | None,
        acceptance: Acceptance | None,
    ) -> None:
        self._sessions = Sessions(authorization, clock)
        self._clock = clock
        self._bodies = bodies
        self._control = control
        self._acceptance = acceptance
        self._pages = Pages(host)

    def routes(self) -> list[Route]:
        """Give every page and action."""
        pages: dict[str, Endpoint] = {
            "/": self._lanes,
            "/lanes/{name:path}": self._lane,
            "/queue": self._queue,
            "/messages/{id}": self._message,
            "/search": self._search,
            "/suspensions": self._suspensions,
        }
        return [
            *(Route(path, self._told(page), methods=["GET"]) for path, page in pages.items()),
            Route("/login", self._told(self._login), methods=["GET", "POST"]),
            Route("/logout", self._told(self._log_out), methods=["POST"]),
            Route("/act/{action}", self._told(self._act), methods=["POST"]),
            Route("/static/{name}", self._told(self._static), methods=["GET"]),
        ]

    def _told(self, page: Endpoint) -> Endpoint:
        """Let what goes wrong be told as a page."""

        async def endpoint(request: Request) -> Response:
            try:
                return await page(request)
            except NotLoggedInError:
                if "fragment" in request.query_params:
                    return _html("", 401)
                after = _path(request) if request.method == "GET" else "/"
                return RedirectResponse(f"/login?{urlencode({'after': after})}", 303, _HEADERS)
            except ApiError as error:
                return self.refusal(error.status, error.detail, error.headers)
            except SenderError as error:
                status = 404 if isinstance(error, LaneError) else 503 if isinstance(error, SpoolError) else 422
                return self.refusal(status, str(error))

        return endpoint

    def refusal(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
        """Say as a page why something is not there, or was not done."""
        visit = Visit(now=self._clock.wall(), path="/")
        title = _TITLES.get(status, WORDS.get(status, "error").replace("_", " ").capitalize())
        sentence = f"{text[:1].upper()}{text[1:]}"
        shown = self._pages.refusal(visit, title, sentence if sentence.endswith(".") else f"{sentence}.")
        return _html(shown, status, headers)

    # pages

    async def _lanes(self, request: Request) -> Response:
        look = self._begin(request)
        given = request.query_params
        asked = {
            "match": given.get("match", "").strip(),
            "state": given.get("state", ""),
            "order": given.get("order") or Order.QUEUED,
            "start": given.get("start", ""),
        }
        listing = read_listing({**asked, "limit": str(ROWS), "brief": "1"})
        seen = await look.control.overview(listing)
        closed = "" if self._acceptance is None else self._acceptance.closed_for
        return self._end(request, look, lambda visit: self._pages.lanes(visit, seen, asked, closed=closed))

    async def _lane(self, request: Request) -> Response:
        look = self._begin(request)
        lane = await look.control.lane(request.path_params["name"])
        span = request.query_params.get("span", "all")
        span = span if span in SPANS else "all"
        return self._end(request, look, lambda visit: self._pages.lane(visit, lane, span))

    async def _queue(self, request: Request) -> Response:
        look = self._begin(request)
        given = request.query_params
        domain, site, stream = (given.get(key, "").strip() for key in ("domain", "site", "stream"))
        ages = await look.control.ages(domain=domain, site=site, stream=stream)
        asked = {"domain": domain, "site": site, "stream": stream}
        return self._end(request, look, lambda visit: self._pages.queue(visit, ages, asked))

    async def _message(self, request: Request) -> Response:
        look = self._begin(request)
        message_id = request.path_params["id"]
        message = await look.control.message(message_id)
        if message is None:
            raise ApiError(404, f"there is no message {message_id}, or it ended and was forgotten")
        start = read_listing({"start": request.query_params.get("start", "")}).start
        return self._end(request, look, lambda visit: self._pages.message(visit, message, start))

    async def _search(self, request: Request) -> Response:
        look = self._begin(request)
        sought = request.query_params.get("q", "").strip().strip("<>")
        if _is_id(sought) and await look.control.message(sought) is not None:
            return RedirectResponse(f"/messages/{quote(sought)}", 303, _HEADERS)
        found = None
        if sought:
            whole = "@" in sought.strip("@")
            found = await look.control.find(rcpt_to=sought if whole else "", domain="" if whole else sought.strip("@"))
        return self._end(request, look, lambda visit: self._pages.search(visit, sought, found))

    async def _suspensions(self, request: Request) -> Response:
        look = self._begin(request)
        given = request.query_params
        rows = suspensions_view(look.control.suspensions())
        kind, value = given.get("kind", ""), given.get("value", "")
        return self._end(request, look, lambda visit: self._pages.suspensions(visit, rows, kind, value))

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = self._pages.rendering.files.get(name)
        if found is None:
            raise ApiError(404, f"there is no file {name}")
        return Response(found[0], headers=_UNCHANGING, media_type=found[1])

    def _begin(self, request: Request) -> _Look:
        """Let in who may read. Raises ApiError, NotLoggedInError."""
        token = self._sessions.reader(request)
        visit = Visit(
            now=self._clock.wall(),
            path=_path(request),
            name="" if token is None else token.name,
            logged_in=token is not None,
            may_act=token is None or token.may(Scope.OPERATE),
            fragment="fragment" in request.query_params,
            done=_read_done(request.cookies.get(_DONE, "")),
        )
        return _Look(visit, self._delivering, self._clock.steady())

    def _end(self, request: Request, look: _Look, make: Callable[[Visit], str]) -> Response:
        """Answer with a page, whose script comes back the later the longer it took."""
        visit = replace(look.visit, now=self._clock.wall(), took_s=self._clock.steady() - look.began_at)
        response = _html(make(visit), 200)
        if visit.done is not None and not visit.fragment and request.method == "GET":
            response.delete_cookie(_DONE, httponly=True, samesite="strict")
        return response

    @property
    def _delivering(self) -> Control:
        if self._control is None:
            raise ApiError(
                409, "this process only accepts mail; the console is where mail is delivered ([http] listen)"
            )
        return self._control

    # logging in and acting

    async def _login(self, request: Request) -> Response:
        if not self._sessions.needed:
            return RedirectResponse("/", 303, _HEADERS)
        visit = Visit(now=self._clock.wall(), path="/")
        if request.method != "POST":
            after = _here(request.query_params.get("after", ""))
            return _html(self._pages.login(visit, after=after), 200)
        check_form(request)
        form = await self._form(request)
        after = _here(form.get("after", ""))
        response: Response = RedirectResponse(after, 303, _HEADERS)
        if self._sessions.log_in(request, form.get("token", "").strip(), response) is None:
            log.warning("console: wrong token from %s", request.client.host if request.client else "?")
            wrong = "This token is not known, has expired, or has not the scope that is needed."
            return _html(self._pages.login(visit, after=after, wrong=wrong), 403)
        return response

    async def _log_out(self, request: Request) -> Response:
        check_form(request)
        response = RedirectResponse("/", 303, _HEADERS)
        self._sessions.log_out(request, response)
        return response

    async def _act(self, request: Request) -> Response:
        token = self._sessions.actor(request)
        control = self._delivering
        action = request.path_params["action"]
        if action not in ACTIONS:
            raise ApiError(404, f"there is no action {action}")
        form = await self._form(request)
        number = await act(control, action, form, by="" if token is None else token.name)
        log.info("console: %s %s by %s", action, _told_form(form), "this machine" if token is None else token.name)
        response = RedirectResponse(_here(form.get("back", "")), 303, _HEADERS)
        response.set_cookie(_DONE, f"{action}.{number}", max_age=60, httponly=True, samesite="strict")
        return response

    async def _form(self, request: Request) -> dict[str, str]:
        """Read a form. Raises ApiError."""
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            raise ApiError(415, "the body must be a form", ends=True)
        with self._bodies.one_more():
            data = b"".join([piece async for piece in self._bodies.pieces(request, SHORT)])
        try:
            return dict(parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict"))
        except ValueError:
            raise ApiError(400, "the body is no form") from None


def _html(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(text, status, {**(headers or {}), **_HEADERS}, media_type="text/html")


def _path(request: Request) -> str:
    """Give the path of a page with its query, to come back to."""
    query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "fragment"])
    return quote(request.url.path) + (f"?{query}" if query else "")


def _here(path: str) -> str:
    """Give a path of ours, whatever somebody would have us send browsers to."""
    good = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if good and path.isascii() and path.isprintable() else "/"


def _read_done(cookie: str) -> tuple[str, int] | None:
    action, _, number = cookie.partition(".")
    good = action in ACTIONS and number.isascii() and number.isdigit() and len(number) <= _DIGITS
    return (action, int(number)) if good else None


def _is_id(text: str) -> bool:
    try:
        id_number(text)
    except SenderError:
        return False
    return True


def _told_form(form: Mapping[str, str]) -> str:
    """Write for the log what a form is about."""
    return ", ".join(f"{name}={value!r}" for name, value in form.items() if value and name != "back")
