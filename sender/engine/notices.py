"""Notices to senders: of what they want to hear (RFC 3461), what comes back with it, and how many they get at most."""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING

from sender.core.address import domain_of
from sender.core.bounce import WHOLE_LIMIT, Action, Notice, Recipient, compose, headers_of, status_for
from sender.core.identity import id_text
from sender.core.notify import Occasion, decoded, occasions, original_recipient
from sender.core.options import NO_OPTIONS, Options
from sender.core.outcome import Outcome
from sender.core.rate import PerHour
from sender.core.schedule import first_turn_at
from sender.spool.contract import NewMessage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sender.clock import Clock
    from sender.engine.results import Result, Way
    from sender.observe.metrics import Metrics
    from sender.settings import Settings
    from sender.spool.contract import ClaimedMessage
    from sender.spool.sqlite import SqliteSpool

log = logging.getLogger(__name__)
_OCCASIONS = {Action.FAILED: Occasion.FAILURE, Action.DELAYED: Occasion.DELAY, Action.RELAYED: Occasion.SUCCESS}


def is_wanted(action: Action, dsn: str) -> bool:
    """Tell whether a sender wants to hear of a recipient with these parameters; who says nothing, of what goes wrong.

    RFC 3461 section 4.1.
    """
    wanted = occasions(dsn) if dsn else None
    return action is not Action.RELAYED if wanted is None else _OCCASIONS[action] in wanted


class Notices:
    """Writes them. None is written about a message without a sender, such as a notice is."""

    def __init__(self, spool: SqliteSpool, clock: Clock, metrics: Metrics) -> None:
        self._spool = spool
        self._clock = clock
        self._metrics = metrics
        self._told = PerHour()

    def reload(self, settings: Settings) -> None:
        """Write by another configuration from now on."""
        self._hostname = settings.hostname
        self._most = settings.notices.max_per_hour

    def write(
        self, action: Action, message: ClaimedMessage, results: Iterable[Result], way: Way, *, retry_until: float | None
    ) -> NewMessage | None:
        """Write one to the sender of a message, about those of whom it wants to hear; None where that is nobody."""
        told = [result for result in results if is_wanted(action, result.recipient.dsn)] if message.mail_from else []
        if not told or self._has_enough(message.mail_from):
            return None
        now, options = self._clock.wall(), message.options
        notice_id = self._spool.ids.next(now)
        whole = action is Action.FAILED and _comes_back(message)
        content = compose(
            Notice(
                action=action,
                hostname=self._hostname,
                message_id=id_text(notice_id),
                original_id=id_text(message.id),
                mail_from=message.mail_from,
                accepted_at=message.accepted_at,
                now=now,
                recipients=[_recipient(action, result, way) for result in told],
                returned=message.content if whole else headers_of(message.content),
                whole=whole,
                envelope_id=decoded(options.envelope_id),
                retry_until=retry_until,
            )
        )
        return NewMessage(
            id=notice_id,
            mail_from="",
            rcpt_tos=(message.mail_from,),
            domains=(domain_of(message.mail_from),),
            content=content,
            size=len(content),
            accepted_at=now,
            due_ats=(first_turn_at(accepted_at=now, position=0, size=len(content)),),
            eight_bit=not content.isascii(),
            smtputf8=not message.mail_from.isascii(),
            listener="notice",
            # RFC 8689 section 5: what comes back is protected as what it is about.
            options=Options(require_tls=True) if options.require_tls else NO_OPTIONS,
            checksum=zlib.crc32(content),
        )

    def _has_enough(self, mail_from: str) -> bool:
        """Count one notice more, and tell whether it is one too many; the log hears of the first of an hour."""
        beyond = self._told.add(mail_from.lower(), self._clock.steady()) - self._most
        if beyond == 1:
            log.warning(
                "<%s> has had %d notices within an hour (notices.max_per_hour) and gets no more of them",
                mail_from,
                self._most,
            )
        if beyond > 0:
            self._metrics.notices_suppressed.inc()
        return beyond > 0


def _comes_back(message: ClaimedMessage) -> bool:
    """Tell whether a message comes back whole: on request, and never one that needs TLS (RFC 8689 section 5)."""
    return (
        message.options.returns == "FULL"
        and not message.options.require_tls
        and len(message.content) == message.size <= WHOLE_LIMIT
    )


def _recipient(action: Action, result: Result, way: Way) -> Recipient:
    expired = result.verdict.outcome is Outcome.DEFERRED and action is Action.FAILED
    enhanced = result.reply.enhanced if result.reply is not None else result.status
    text = result.text
    if expired:
        enhanced = "5.4.7"
        text = f"not delivered in time; the last answer was: {text}"
    return Recipient(
        rcpt_to=result.recipient.rcpt_to,
        status=status_for(enhanced, action=action),
        diagnostic=text,
        remote_host=way.host if result.reply is not None and not result.ours else "",
        original=original_recipient(result.recipient.dsn),
    )
