"""`POST /v1/messages`: one message, accepted as over SMTP, and answered when it is durable."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from sender.api import wishes
from sender.api.bodies import SMALL
from sender.api.errors import ApiError, json_answer
from sender.api.idempotency import check_same, key_of
from sender.core.errors import SpoolError
from sender.core.identity import id_text
from sender.core.notify import DsnError, checked_envelope_id, checked_notify, encoded
from sender.core.notify import parameters as dsn_parameters
from sender.intake.acceptance import Envelope
from sender.intake.content import RefusedContentError
from sender.spool.contract import Receipt, ReceiptError
from sender.writing.compose import Parts, compose
from sender.writing.fields import RefusedFieldError, checked_address, checked_value, parse_mailbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from sender.api.calls import Asked
    from sender.api.idempotency import Idempotency
    from sender.api.models import MessageBody
    from sender.intake.acceptance import Acceptance, Draft

REPLAYED = {"Idempotent-Replayed": "true"}
_RETRY_S = 30.0
_STATUS = {"552": 413, "553": 403}  # of SMTP's replies to content; the others are 422


class Submission:
    """Takes single messages. `acceptance` None: this process only delivers."""

    def __init__(self, acceptance: Acceptance | None, idempotency: Idempotency) -> None:
        self._acceptance = acceptance
        self._idempotency = idempotency

    @property
    def acceptance(self) -> Acceptance:
        """Where mail goes. Raises ApiError."""
        if self._acceptance is None:
            raise ApiError(409, "this process only delivers mail; ask an accepting one")
        return self._acceptance

    def check_open(self) -> None:
        """Check that anything can be taken now. Raises ApiError."""
        if why := self.acceptance.closed_for:
            self.acceptance.refused(wishes.LISTENER, "no_room")
            raise ApiError(503, f"nothing is accepted now: {why}", retry_after_s=_RETRY_S, ends=True)

    async def message(self, asked: Asked) -> Response:
        """Accept one message. Raises ApiError, RefusedFieldError, SpoolError."""
        key, owner, digest = key_of(asked.request), asked.caller.name, hashlib.sha256(asked.raw).digest()
        async with self._idempotency.turn(owner, key):
            receipt = await self._idempotency.earlier(owner, key, digest)
            if receipt is None:
                try:
                    return await self._accepted(asked, key, digest)
                except ReceiptError as error:  # another process was faster
                    check_same(error.found, digest)
                    receipt = error.found
            return json_answer(orjson.loads(receipt.answer), 202, REPLAYED)

    async def _accepted(self, asked: Asked, key: str, digest: bytes) -> Response:
        acceptance, body = self.acceptance, asked.body
        try:
            envelope, content = await self._read(asked)
            asked.caller.spend(acceptance.clock.steady(), len(envelope.rcpt_tos))
        except RefusedFieldError:
            acceptance.refused(wishes.LISTENER, "malformed")
            raise
        draft = acceptance.draft(envelope, wishes.origin(asked.request, asked.caller))
        ids = [id_text(draft.id)]
        answer: dict[str, Any] = {"id": ids[0], "ids": ids, "recipients": len(envelope.rcpt_tos)}
        receipt = None
        if key:
            owner, told = asked.caller.name, orjson.dumps(answer)
            receipt = Receipt(owner=owner, key=key, digest=digest, taken=len(envelope.rcpt_tos), answer=told)
        try:
            await commit(draft, content, receipt)
        except RefusedContentError as error:
            acceptance.refused(wishes.LISTENER, error.reason)
            raise _refusal(error, parts=body.content is None) from error
        except SpoolError as error:
            if not isinstance(error, ReceiptError):
                acceptance.refused(wishes.LISTENER, "spool")
            raise
        return json_answer(answer, 202)

    async def _read(self, asked: Asked) -> tuple[Envelope, bytes]:
        """Make envelope and content of a body. Raises ApiError, RefusedFieldError."""
        body: MessageBody = asked.body
        if body.content is not None and body.parts_given:
            raise RefusedFieldError(body.parts_given[0], "must not stand beside content")
        if body.content is not None:
            content = wishes.content(body.content, "content")
            mail_from, rcpt_tos = body.mail_from, body.rcpt_tos
            if mail_from is None:
                raise RefusedFieldError("mail_from", "must be set where content is")
        else:
            parts, bcc = _parts(body)
            content = compose(parts) if len(asked.raw) <= SMALL else await asyncio.to_thread(compose, parts)
            mail_from = parts.from_.address if body.mail_from is None else body.mail_from
            rcpt_tos = body.rcpt_tos
            if rcpt_tos is None:
                rcpt_tos = [mailbox.address for mailbox in (*parts.to, *parts.cc)] + bcc
        envelope = self._envelope(asked, mail_from, self._recipients(rcpt_tos))
        if mail_from:
            checked_address(mail_from, "mail_from")
        wishes.check_sender(asked.caller, mail_from, "mail_from")
        return envelope, content

    def _recipients(self, rcpt_tos: Sequence[str] | None) -> Sequence[str]:
        most = self.acceptance.settings.http.max_recipients
        if not rcpt_tos:
            raise RefusedFieldError("rcpt_tos", "must have at least one recipient")
        if len(rcpt_tos) > most:
            raise RefusedFieldError("rcpt_tos", f"must be at most {most} recipients")
        for number, rcpt_to in enumerate(rcpt_tos):
            checked_address(rcpt_to, f"rcpt_tos[{number}]")
        return tuple(dict.fromkeys(rcpt_tos))

    def _envelope(self, asked: Asked, mail_from: str, rcpt_tos: Sequence[str]) -> Envelope:
        body: MessageBody = asked.body
        try:
            field = "notify"
            dsn = dsn_parameters(notify=checked_notify(",".join(body.notify))) if body.notify else ""
            field = "envelope_id"
            envelope_id = checked_envelope_id(encoded(body.envelope_id)) if body.envelope_id else ""
        except DsnError as error:
            raise RefusedFieldError(field, error.rule) from error
        wanted = wishes.wishes(body, asked.caller, self.acceptance, envelope_id=envelope_id)
        return Envelope(
            mail_from=mail_from,
            rcpt_tos=rcpt_tos,
            dsn=(dsn,) * len(rcpt_tos),
            smtputf8=True,
            stream=wanted.stream,
            priority=wanted.priority,
            expires_at=wanted.expires_at,
            options=wanted.options,
        )


def _parts(body: MessageBody) -> tuple[Parts, list[str]]:
    """Read the parts, and the addresses of `bcc`. Raises RefusedFieldError."""
    if body.from_ is None:
        raise RefusedFieldError("from", "must be set where content is not")
    if body.text is None and body.html is None:
        raise RefusedFieldError("text", "must be set, or html, or content")
    for name, text in (("text", body.text), ("html", body.html)):
        if text is not None and "\0" in text:
            raise RefusedFieldError(name, "must have no NUL in it")
    parts = Parts(
        from_=parse_mailbox(body.from_, "from"),
        to=wishes.mailboxes(body.to, "to"),
        cc=wishes.mailboxes(body.cc, "cc"),
        reply_to=wishes.mailboxes(body.reply_to, "reply_to"),
        subject=checked_value(body.subject, "subject"),
        text=body.text,
        html=body.html,
        headers=wishes.headers(body.headers, body.list_unsubscribe, "headers"),
        attachments=wishes.attachments(body.attachments, "attachments", html=body.html is not None),
        unsubscribing=wishes.unsubscribing(body.list_unsubscribe, "list_unsubscribe", checked=True),
    )
    return parts, [mailbox.address for mailbox in wishes.mailboxes(body.bcc, "bcc")]


async def commit(draft: Draft, content: bytes, receipt: Receipt | None) -> None:
    """Make a message the spool's, or leave nothing of it. Raises RefusedContentError, SpoolError."""
    try:
        await draft.feed(content)
        await draft.commit(receipt)
    except BaseException:
        await draft.drop()
        raise


def _refusal(error: RefusedContentError, *, parts: bool) -> ApiError:
    """Say with HTTP's words what SMTP would have answered."""
    code, _, rest = error.reply.partition(" ")
    status = _STATUS.get(code, 422)
    whole = "from" if status == _STATUS["553"] else ""
    return ApiError.of_fields([(whole if parts else "content", rest.partition(" ")[2])], status=status)
