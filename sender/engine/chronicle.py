"""What is written of an attempt, as JSON: a line of the recipient's history, and an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sender.core.address import domain_of
from sender.core.identity import id_text
from sender.core.options import NO_OPTIONS
from sender.core.outcome import Reason
from sender.observe.events import instant, line
from sender.spool.contract import State

if TYPE_CHECKING:
    from sender.engine.results import Result, Way
    from sender.spool.contract import ClaimedMessage


class Chronicle:
    """Writes about the recipients of one transaction, at one instant (seconds since 1970)."""

    __slots__ = ("_at", "_message", "_message_id", "_now", "_way")

    def __init__(self, message: ClaimedMessage, way: Way, now: float) -> None:
        self._message = message
        self._way = way
        self._now = now
        self._at = instant(now)
        self._message_id = id_text(message.id)

    def write(
        self, result: Result, state: State, *, due_at: float, attempts: int, event: bool
    ) -> tuple[bytes, bytes | None]:
        """Write of one recipient, whose next attempt is at `due_at`, its history, and an event where one is wanted."""
        reply, verdict, way, message = result.reply, result.verdict, self._way, self._message
        word = "deferred" if state is State.QUEUED else state.word
        facts: dict[str, Any] = {
            "stage": result.stage,
            "code": reply.code if reply is not None else None,
            "enhanced_code": reply.enhanced if reply is not None else result.status,
            "reply": result.text,
            "reason": Reason.EXPIRED if state is State.EXPIRED else verdict.reason,
            "scope": verdict.scope,
            "host": way.host,
            "address": way.address,
            "tls": way.tls,
        }
        record = {"at": self._at, "outcome": word, **facts, "rule": verdict.rule}
        history = orjson.dumps({key: value for key, value in record.items() if value})
        if not event:
            return history, None
        told = {
            "at": self._at,
            "event": word,
            "message_id": self._message_id,
            "mail_from": message.mail_from,
            "rcpt_to": result.recipient.rcpt_to,
            "domain": domain_of(result.recipient.rcpt_to),
            "site": way.site,
            "source": way.source,
            "stream": message.stream,
            "attempt": attempts,
            **facts,
            "queued_s": round(max(0.0, self._now - message.began_at), 3),
            "session_s": round(way.session_s, 3),
            "size": message.size,
            "next_attempt_at": instant(due_at) if state is State.QUEUED else None,
        }
        if message.options is not NO_OPTIONS:
            told |= message.options.told
        return history, line(told)
