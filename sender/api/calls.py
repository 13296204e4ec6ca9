"""A call as a value: what it answers to, who may make it, what it takes and gives. The table of them is in `app.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sender.api.authorization import Caller
from sender.writing.json_text import STRUCTURE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from sender.api.answers import Answer
    from sender.api.models import Body
    from sender.intake.tokens import Scope

SHORT = 64 * 1024  # bytes of most bodies


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that is made. `raw` and `body` are what came with it, as it came and as it was read."""

    request: Request
    caller: Caller = field(default_factory=Caller)
    raw: bytes = b""
    body: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One method of one path. `scope` None: everybody may make it."""

    method: str
    path: str
    summary: str
    run: Callable[[Asked], Awaitable[Response]]
    scope: Scope | None = None
    body: type[Body] | None = None
    limit: int = SHORT  # bytes of the body
    structure_limit: int = STRUCTURE_LIMIT  # of them, outside of strings
    streamed: bool = False  # `run` reads the body itself
    before: Callable[[], None] | None = None  # raises ApiError where no body need be read
    status: int = 200
    answer: type[Answer] | str = ""  # a model, or a media type
    query: Mapping[str, str] = field(default_factory=dict)  # names, and what they are for
    keyed: bool = False  # takes Idempotency-Key
    refusals: tuple[int, ...] = ()  # beside those that go without saying
