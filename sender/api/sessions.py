"""Who is logged in to the console: a signed cookie, for which nothing is kept here.

It has the name of a token and an instant, under a key of this process. A browser shows cookies to every port of a
host, so it is not the token itself, and opens no call of `/v1`. It ends after twelve hours, at the next start of the
daemon, and with its token: when that is taken out of the file, replaced or expires.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import TYPE_CHECKING

from sender.api.authorization import check_local, check_origin, from_our_host
from sender.api.errors import ApiError
from sender.intake.tokens import Scope

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from sender.api.authorization import Authorization
    from sender.clock import Clock
    from sender.intake.tokens import Token

LASTS_S = 12 * 3600
_COOKIE = "sender_session"
_DIGITS = 12


class NotLoggedInError(Exception):
    """Somebody must show a token first."""


class Sessions:
    """Those of one process."""

    def __init__(self, authorization: Authorization, clock: Clock) -> None:
        self._authorization = authorization
        self._clock = clock
        self._key = secrets.token_bytes(32)

    @property
    def needed(self) -> bool:
        """Tell whether anybody has to log in."""
        return self._authorization.tokens is not None

    def reader(self, request: Request) -> Token | None:
        """Find who may read pages; None: somebody on this machine. Raises ApiError, NotLoggedInError."""
        if self._authorization.tokens is None:
            check_local(request)
            # A link from elsewhere may lead here: what it opens, its page does not see.
            if (
                request.headers.get("sec-fetch-mode") != "navigate"
                or request.headers.get("sec-fetch-dest") != "document"
            ):
                check_origin(request)
            return None
        token = self._find(request.cookies.get(_COOKIE, ""))
        if token is None:
            raise NotLoggedInError
        if not token.may(Scope.READ):
            raise ApiError(403, f"the token {token.name} has no scope {Scope.READ}")
        return token

    def actor(self, request: Request) -> Token | None:
        """Find who may act; None: somebody on this machine. Raises ApiError, NotLoggedInError."""
        check_form(request)
        token = self.reader(request)
        if token is not None and not token.may(Scope.OPERATE):
            raise ApiError(403, f"the token {token.name} has no scope {Scope.OPERATE}")
        return token

    def log_in(self, request: Request, shown: str, response: Response) -> Token | None:
        """Begin a session for a token that somebody shows; None: it opens nothing."""
        tokens = self._authorization.tokens
        token = None if tokens is None else tokens.find(shown, self._clock.wall())
        if token is None or not token.may(Scope.READ):
            return None
        until = int(self._clock.wall()) + LASTS_S
        name = base64.urlsafe_b64encode(token.name.encode()).decode()
        self._set(request, response, f"{name}.{until}.{self._signature(token, until)}", LASTS_S)
        return token

    def log_out(self, request: Request, response: Response) -> None:
        """End a session in the browser."""
        self._set(request, response, "", 0)

    def _set(self, request: Request, response: Response, value: str, age_s: int) -> None:
        """Set the cookie. Whether the browser came by https, a proxy may not tell; the browser's own `Origin` does."""
        secure = request.headers.get("origin", "").startswith("https://")
        response.set_cookie(_COOKIE, value, max_age=age_s, httponly=True, samesite="strict", secure=secure)

    def _find(self, cookie: str) -> Token | None:
        name, _, rest = cookie.partition(".")
        until, _, signature = rest.partition(".")
        if self._authorization.tokens is None or not (until.isascii() and until.isdigit() and len(until) <= _DIGITS):
            return None
        now = self._clock.wall()
        try:
            token = self._authorization.tokens.named(base64.urlsafe_b64decode(name).decode(), now)
        except ValueError:
            return None
        if token is None or now >= int(until):
            return None
        good = hmac.compare_digest(signature.encode(), self._signature(token, int(until)).encode())
        return token if good else None

    def _signature(self, token: Token, until: int) -> str:
        return hmac.new(self._key, f"{token.digest} {until}".encode(), "sha256").hexdigest()


def check_form(request: Request) -> None:
    """Let only forms of our own pages act: browsers say where a form comes from. Raises ApiError.

    Behind a proxy that changes the Host, `Sec-Fetch-Site` tells; browsers leave it out where there is no TLS, and
    then `Origin` has to be the Host.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        raise ApiError(403, "only a form of the console itself may do this")
    if site is None and not from_our_host(request):
        raise ApiError(403, "only a form of the console itself may do this")
