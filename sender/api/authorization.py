"""Who may call: whoever shows a token that is good for it; without a file of tokens this machine, and nobody else.

A browser on this machine shows no token, so a page that it has from elsewhere must not speak for its user: what it asks
for carries an `Origin` that is not ours, or a `Host` that only its own name server says is here.
"""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sender.api.errors import ApiError

if TYPE_CHECKING:
    from starlette.requests import Request

    from sender.clock import Clock
    from sender.intake.tokens import Scope, Token, Tokens

log = logging.getLogger(__name__)
_SCHEME = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may make a call. Without a token: somebody on this machine, who may do everything."""

    token: Token | None = None

    @property
    def name(self) -> str:
        """The name of the token; empty without one."""
        return "" if self.token is None else self.token.name

    def allows(self, mailbox: str) -> bool:
        """Tell whether a mailbox may be used as a sender."""
        return self.token is None or self.token.senders.allows(mailbox)

    def spend(self, now: float, recipients: int) -> None:
        """Take recipients from what may be sent. Raises ApiError."""
        wait_s = 0.0 if self.token is None else self.token.wait_s(now, recipients)
        if wait_s:
            raise ApiError(429, f"too many recipients for now, try again in {wait_s:.0f} seconds", retry_after_s=wait_s)


class Authorization:
    """`tokens` None: there is no file of them."""

    def __init__(self, tokens: Tokens | None, clock: Clock) -> None:
        self.tokens = tokens
        self._clock = clock

    def admit(self, request: Request, scope: Scope) -> Caller:
        """Find who calls. Raises ApiError."""
        if self.tokens is None:
            check_local(request)
            check_origin(request)
            return Caller()
        shown = request.headers.getlist("authorization")
        if not shown:
            raise ApiError(401, "a token is needed: Authorization: Bearer ...", headers={"WWW-Authenticate": "Bearer"})
        token = None
        if len(shown) == 1 and shown[0].lower().startswith(_SCHEME):
            token = self.tokens.find(shown[0][len(_SCHEME) :].strip(), self._clock.wall())
        if token is None:
            log.warning("wrong or expired token from %s", request.client.host if request.client else "?")
            headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise ApiError(401, "the token is not known, or has expired", headers=headers)
        if not token.may(scope):
            headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
            raise ApiError(403, f"the token has no scope {scope}", headers=headers)
        return Caller(token)


def check_local(request: Request) -> None:
    """Let only this machine call, under its own name. Raises ApiError."""
    if not _is_loopback(request.client.host if request.client else ""):
        raise ApiError(403, "only this machine may call: there is no http.tokens_file")
    try:
        name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        name = ""
    if name != "localhost" and not _is_loopback(name):
        raise ApiError(403, "the Host of the request is not this machine")


def check_origin(request: Request) -> None:
    """Let no page of another site call. Raises ApiError."""
    elsewhere = "origin" in request.headers and not from_our_host(request)
    if elsewhere or request.headers.get("sec-fetch-site") == "cross-site":
        raise ApiError(403, "pages of other sites may not call")


def from_our_host(request: Request) -> bool:
    """Tell whether a browser says that a request comes from a page of the host that it goes to."""
    try:
        place = urlsplit(request.headers.get("origin", "")).netloc
    except ValueError:
        return False
    return bool(place) and place.lower() == request.headers.get("host", "").lower()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
