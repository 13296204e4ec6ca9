"""What operators read and do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

from sender.api.errors import ApiError, json_answer
from sender.core.address import canonical_domain
from sender.core.errors import AddressError
from sender.core.quantity import parse_duration
from sender.core.selection import Kind, Selection
from sender.engine.control import FOUND, LARGEST
from sender.engine.listing import Listing, Order
from sender.observe.events import instant
from sender.observe.traces import TooManyFollowersError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from sender.api.calls import Asked
    from sender.api.models import LaneBody, MemoryBody, SelectionBody, SuspensionBody
    from sender.engine.control import Control
    from sender.observe.traces import Follower
    from sender.spool.contract import Suspension

NDJSON = "application/x-ndjson"
_LONGEST_S = 3650 * 86400.0
_FOLLOWED = {"lane", "site", "domain"}
_STATES = frozenset({"", "open", "throttled", "suspended"})
_DIGITS = 9
_MOST = 1000  # domains or recipients that are shown


def read_listing(given: Mapping[str, str]) -> Listing:
    """Read which lanes are asked for. Raises ApiError."""
    order = given.get("order") or Order.NAME
    if order not in set(Order):
        raise ApiError.of_fields([("order", f"must be one of {', '.join(Order)}")])
    state = given.get("state", "")
    if state not in _STATES:
        raise ApiError.of_fields([("state", "must be open, throttled or suspended")])
    return Listing(
        match=given.get("match", ""),
        state=state,
        order=Order(order),
        start=_count(given, "start") or 0,
        limit=_count(given, "limit"),
        brief=given.get("brief", "") not in {"", "0"},
    )


def _count(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise ApiError.of_fields([(name, "must be a number, 0 or more")])
    return int(text)


def suspensions_view(suspensions: Iterable[Suspension]) -> list[dict[str, Any]]:
    """Show what is held."""
    return [
        {
            "id": suspension.id,
            "kind": suspension.selection.kind,
            "value": suspension.selection.value,
            "since": instant(suspension.since),
            "until": None if suspension.until is None else instant(suspension.until),
            "reason": suspension.reason,
        }
        for suspension in suspensions
    ]


class Operations:
    """`control` is None where this process does not deliver."""

    def __init__(self, control: Control | None) -> None:
        self._control = control

    @property
    def _engine(self) -> Control:
        if self._control is None:
            raise ApiError(409, "this process only accepts mail; ask the delivering one")
        return self._control

    # reading

    async def queue(self, asked: Asked) -> Response:
        """Show recipients by state and domain."""
        wanted = {key: asked.request.query_params.get(key, "") for key in ("domain", "site", "stream")}
        return json_answer(await self._engine.queue(**wanted))

    async def ages(self, asked: Asked) -> Response:
        """Show recipients by age."""
        given = asked.request.query_params
        domain, site, stream = (given.get(key, "") for key in ("domain", "site", "stream"))
        limit = min(_count(given, "limit") or LARGEST, _MOST)
        return json_answer(await self._engine.ages(domain=domain, site=site, stream=stream, limit=limit))

    async def find(self, asked: Asked) -> Response:
        """Find recipients by their address or domain."""
        given = asked.request.query_params
        rcpt_to, domain = given.get("rcpt_to", ""), given.get("domain", "")
        if bool(rcpt_to) == bool(domain):
            raise ApiError.of_fields([("rcpt_to", "give one of rcpt_to, domain")])
        limit = min(_count(given, "limit") or FOUND, _MOST)
        return json_answer(await self._engine.find(rcpt_to=rcpt_to, domain=domain, limit=limit))

    async def lanes(self, asked: Asked) -> Response:
        """Show every lane, or those that are asked for."""
        listing = read_listing(asked.request.query_params)
        return json_answer(await self._engine.lanes(listing))

    async def lane(self, asked: Asked) -> Response:
        """Show one lane."""
        return json_answer(await self._engine.lane(asked.request.path_params["name"]))

    async def memory(self, asked: Asked) -> Response:
        """Show what was learned."""
        return json_answer(await self._engine.memory(asked.request.query_params.get("lane", "")))

    async def message(self, asked: Asked) -> Response:
        """Show one message."""
        message_id = asked.request.path_params["id"]
        message = await self._engine.message(message_id)
        if message is None:
            raise ApiError(404, f"there is no message {message_id!r}, or it ended and was forgotten")
        return json_answer(message)

    async def suspensions(self, _asked: Asked) -> Response:
        """Show what is held."""
        return json_answer({"suspensions": suspensions_view(self._engine.suspensions())})

    async def traces(self, asked: Asked) -> Response:
        """Follow SMTP dialogues as they go on."""
        given = {key: value for key, value in asked.request.query_params.items() if value}
        for_s = duration_of(given.pop("for", None))
        if len(given) != 1 or not given.keys() <= _FOLLOWED:
            raise ApiError.of_fields([("", f"exactly one of {', '.join(sorted(_FOLLOWED))} must be given")])
        if "lane" in given:
            given["name"] = given.pop("lane")
        if "domain" in given:
            given["domain"] = _domain(given["domain"])
        try:
            follower = await self._engine.follow(**given)
        except TooManyFollowersError as error:
            raise ApiError(503, str(error), retry_after_s=30) from error
        return _Followed(follower, for_s)

    # acting

    async def change_lane(self, asked: Asked) -> Response:
        """Set the window of a lane, or forget what it has learned."""
        body: LaneBody = asked.body
        name = asked.request.path_params["name"]
        if body.window is None:
            return json_answer(await self._engine.forget(name, body.reason))
        return json_answer(await self._engine.set_window(name, body.window, body.reason))

    async def bring_memory(self, asked: Asked) -> Response:
        """Take in what another daemon has learned."""
        body: MemoryBody = asked.body
        return json_answer(await self._engine.bring({"version": body.version, "lanes": body.lanes}, body.reason))

    async def suspend(self, asked: Asked) -> Response:
        """Hold a selection."""
        body: SuspensionBody = asked.body
        suspension_id, touched = await self._engine.suspend(
            selection_of(body), for_s=duration_of(body.for_), reason=body.reason
        )
        return json_answer({"id": suspension_id, "recipients": touched}, 201)

    async def resume(self, asked: Asked) -> Response:
        """Let a selection go again."""
        return json_answer({"recipients": await self._engine.resume(selection_of(asked.body), asked.body.reason)})

    async def resume_id(self, asked: Asked) -> Response:
        """End one suspension."""
        suspension_id = asked.request.path_params["id"]
        touched = await self._engine.resume_id(suspension_id) if suspension_id >> 63 == 0 else None
        if touched is None:
            raise ApiError(404, f"there is no suspension {suspension_id}")
        return json_answer({"recipients": touched})

    async def retry(self, asked: Asked) -> Response:
        """Make deferred mail due now."""
        return json_answer({"recipients": await self._engine.retry(selection_of(asked.body))})

    async def bounce(self, asked: Asked) -> Response:
        """Return mail to its senders."""
        body: SelectionBody = asked.body
        return json_answer({"recipients": await self._engine.bounce(mail_of(body), body.reason)})

    async def delete(self, asked: Asked) -> Response:
        """Remove mail without a notice."""
        body: SelectionBody = asked.body
        return json_answer({"recipients": await self._engine.delete(mail_of(body), body.reason)})


class _Followed(StreamingResponse):
    """Lines as they come. However it ends, also before the first one, nobody follows any more."""

    def __init__(self, follower: Follower, for_s: float | None) -> None:
        super().__init__(aiter(follower), media_type=NDJSON, headers={"Cache-Control": "no-store"})
        self._follower = follower
        self._for_s = for_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        loop = asyncio.get_running_loop()
        timer = None if self._for_s is None else loop.call_later(self._for_s, self._follower.end)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._follower.leave()
            if timer is not None:
                timer.cancel()


def selection_of(body: SelectionBody) -> Selection:
    """Read the one thing that a call is about."""
    kind = next(kind for kind in Kind if getattr(body, kind) is not None)
    value = "" if kind is Kind.ALL else getattr(body, kind)
    return Selection(kind, value.lower() if kind is Kind.DOMAIN else value)


def mail_of(body: SelectionBody) -> Selection:
    """Read what a call that ends mail is about. Raises ApiError."""
    selection = selection_of(body)
    if selection.kind is Kind.SOURCE:
        raise ApiError.of_fields([("source", "mail in the queue has no source yet; give another selection")])
    return selection


def _domain(text: str) -> str:
    try:
        return canonical_domain(text)
    except AddressError as error:
        raise ApiError.of_fields([("domain", error.rule)]) from error


def duration_of(text: str | None) -> float | None:
    """Read for how long; None: until it is resumed. Raises ApiError."""
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ApiError.of_fields([("for", str(error))]) from error
    if seconds > _LONGEST_S:
        raise ApiError.of_fields([("for", "must be at most 3650d; without it, there is no end")])
    return seconds
