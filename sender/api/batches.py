"""`POST /v1/batches`: one template, many recipients, in bounded memory.

The body goes into a file that has no name. Everything in it is checked, and every message rendered, before the first
one is accepted; then they are accepted in groups. With a key, each group's commit has a receipt in it that tells how
far it came, so that whoever asks again after a crash has the rest done, and nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import orjson

from sender.api import wishes
from sender.api.bodies import check_type
from sender.api.errors import PROBLEMS_SHOWN, ApiError, json_answer
from sender.api.idempotency import check_same, key_of
from sender.api.models import BatchHead, checked
from sender.api.submission import REPLAYED
from sender.core.errors import SpoolError
from sender.core.identity import id_text
from sender.intake.acceptance import Envelope
from sender.spool.contract import Receipt, ReceiptError
from sender.writing.batch import checked_metadata, read_recipient, recipients, survey
from sender.writing.fields import RefusedFieldError, parse_mailbox
from sender.writing.mailing import Letter, Mailing, Outline, Recipient

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from sender.api.bodies import Bodies
    from sender.api.calls import Asked
    from sender.api.idempotency import Idempotency
    from sender.api.submission import Submission
    from sender.api.wishes import Wishes
    from sender.intake.acceptance import Draft, Origin
    from sender.spool.contract import NewMessage

T = TypeVar("T")
_WRITTEN = 2**20  # bytes that are written to the file at once
_GROUP = 100  # messages in a commit, and no more than so many bytes
_GROUP_BYTES = 8 * 2**20
_AT_ONCE = 16  # messages that are made ready before others have a turn
_CHECKED = 500  # recipients that are checked before one may be cut off
_UNAVAILABLE = 503
_RETRY_S = 30.0
_STEPS = 2  # heavy steps that are taken at the same time, each in a thread


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """What is to be sent, all of it checked."""

    file: BinaryIO
    mailing: Mailing
    wanted: Wishes
    origin: Origin
    recipients: int
    max_size: int


@dataclass(frozen=True, slots=True)
class _Ready:
    """A message of a batch, written."""

    letter: Letter
    recipient: Recipient
    content: bytes


class Batches:
    """Takes batches; `submission` knows where to."""

    def __init__(self, submission: Submission, idempotency: Idempotency, bodies: Bodies) -> None:
        self._submission = submission
        self._idempotency = idempotency
        self._bodies = bodies
        self._turns = asyncio.Semaphore(_STEPS)

    async def batch(self, asked: Asked) -> Response:
        """Accept a batch. Raises ApiError, NotJsonError, RefusedFieldError, SpoolError."""
        acceptance, key, owner = self._submission.acceptance, key_of(asked.request), asked.caller.name
        check_type(asked.request)
        try:
            with tempfile.TemporaryFile(dir=acceptance.settings.spool_path.parent) as file:
                digest = await self._store(asked.request, file, acceptance.settings.http.max_batch_size)
                if key and self._idempotency.busy(owner, key):
                    raise ApiError(409, "a request with this key is under way", retry_after_s=1.0)
                async with self._idempotency.turn(owner, key):
                    return await self._once(asked, file, key, digest)
        except OSError as error:
            raise SpoolError("keep a batch", error) from error

    async def _store(self, request: Request, file: BinaryIO, limit: int) -> bytes:
        """Write the body into a file; give its digest. Raises ApiError, OSError."""
        digest, waiting = hashlib.sha256(), bytearray()

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        async with aclosing(self._bodies.pieces(request, limit)) as pieces:
            async for piece in pieces:
                waiting += piece
                if len(waiting) >= _WRITTEN:
                    await asyncio.to_thread(write, bytes(waiting))
                    waiting.clear()
        await asyncio.to_thread(write, bytes(waiting))
        return digest.digest()

    async def _once(self, asked: Asked, file: BinaryIO, key: str, digest: bytes) -> Response:
        acceptance, owner = self._submission.acceptance, asked.caller.name
        receipt = await self._idempotency.earlier(owner, key, digest)
        if receipt is not None and receipt.answer:
            return json_answer(orjson.loads(receipt.answer), 202, REPLAYED)
        batch = await self._checked(asked, file)
        begun = receipt or Receipt(owner=owner, key=key, digest=digest, taken=0)
        asked.caller.spend(acceptance.clock.steady(), batch.recipients - begun.taken)
        return json_answer(await self._accept(batch, begun), 202)

    # checking

    async def _checked(self, asked: Asked, file: BinaryIO) -> _Batch:
        """Read the head, and check every recipient. Raises ApiError, NotJsonError, RefusedFieldError."""
        acceptance, caller = self._submission.acceptance, asked.caller
        max_size = acceptance.settings.smtp.max_message_size
        found = await self._in_turns(survey(file, head_limit=max_size * 4 // 3 + 2**20))
        head = checked(BatchHead, found.head)
        if not found.has_list or not found.recipients:
            raise RefusedFieldError("recipients", "must be an array with at least one recipient")
        wanted = wishes.wishes(head, caller, acceptance)
        mailing = await self._step(lambda: Mailing(_outline(head)))
        wishes.check_sender(caller, parse_mailbox(head.template.from_, "template.from").address, "template.from")
        batch = _Batch(
            file=file,
            mailing=mailing,
            wanted=wanted,
            origin=wishes.origin(asked.request, caller),
            recipients=found.recipients,
            max_size=max_size,
        )
        problems = await self._in_turns(_check(batch, caller.allows))
        if problems:
            acceptance.refused(wishes.LISTENER, "malformed")
            raise ApiError.of_fields(problems)
        return batch

    async def _in_turns(self, steps: Generator[None, None, T]) -> T:
        """Run something long in a thread, step by step, so that it can be cut off between them."""

        def step() -> tuple[bool, T | None]:
            try:
                next(steps)
            except StopIteration as end:
                return True, end.value
            return False, None

        ended = False
        while not ended:
            ended, value = await self._step(step)
        return value  # type: ignore[return-value] # it has ended

    async def _step(self, work: Callable[[], T]) -> T:
        async with self._turns:
            return await asyncio.to_thread(work)

    # accepting

    async def _accept(self, batch: _Batch, begun: Receipt) -> dict[str, Any]:
        """Accept what was not yet, group by group; give the answer. Raises ApiError, SpoolError."""
        answer: dict[str, Any] = {
            "accepted": batch.recipients,
            "recipients": batch.recipients,
            "campaign": batch.wanted.options.campaign,
            "first_id": None,  # of one that was begun before, it is not known
            "last_id": None,
        }
        groups = _groups(batch, begun.taken)
        following = asyncio.create_task(self._step(lambda: next(groups, ())))
        receipt = begun
        try:
            while group := await following:
                following = asyncio.create_task(self._step(lambda: next(groups, ())))
                self._submission.check_open()
                messages = await self._messages(batch, group)
                if not begun.taken:
                    answer["first_id"] = answer["first_id"] or id_text(messages[0].id)
                answer["last_id"] = id_text(messages[-1].id)
                taken = receipt.taken + len(messages)
                told = orjson.dumps(answer) if taken == batch.recipients else b""
                after = replace(receipt, taken=taken, answer=told)
                await self._commit(messages, after, receipt.taken)
                receipt = after
        except (ApiError, SpoolError) as error:
            raise _stopped(error, receipt, batch) from error
        finally:
            await asyncio.gather(following, return_exceptions=True)  # it reads the file
        return answer

    async def _messages(self, batch: _Batch, group: Sequence[_Ready]) -> list[NewMessage]:
        """Make messages ready to be accepted. Raises SpoolError."""
        wanted, acceptance = batch.wanted, self._submission.acceptance
        drafts: list[Draft] = []
        messages: list[NewMessage] = []
        try:
            for number, ready in enumerate(group):
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)
                options = wanted.options
                if ready.recipient.metadata:
                    options = replace(options, metadata={**options.metadata, **ready.recipient.metadata})
                envelope = Envelope(
                    mail_from=ready.letter.mail_from,
                    rcpt_tos=(ready.recipient.rcpt_to,),
                    smtputf8=True,
                    stream=wanted.stream,
                    priority=wanted.priority,
                    expires_at=wanted.expires_at,
                    options=options,
                )
                drafts.append(acceptance.draft(envelope, batch.origin))
                await drafts[-1].feed(ready.content)
                messages.append(await drafts[-1].finish())
        except BaseException:
            for draft in drafts:
                await draft.drop()
            raise
        return messages

    async def _commit(self, messages: Sequence[NewMessage], receipt: Receipt, before: int) -> None:
        """Accept a group. Raises ApiError, SpoolError."""
        acceptance = self._submission.acceptance
        try:
            await acceptance.accept(*messages, receipt=receipt if receipt.key else None, taken_before=before)
        except SpoolError as error:
            for message in messages:
                if message.blocks > 1:
                    await acceptance.spool.drop_blocks(message.id)
            if isinstance(error, ReceiptError):  # another process has the same batch
                check_same(error.found, receipt.digest)
                raise ApiError(409, "a request with this key is under way", retry_after_s=1.0) from error
            acceptance.refused(wishes.LISTENER, "spool")
            raise


def _stopped(error: ApiError | SpoolError, receipt: Receipt, batch: _Batch) -> ApiError:
    """Say how far a batch came."""
    if isinstance(error, ApiError) and error.status != _UNAVAILABLE:
        return error
    advice = "send it again with the same key" if receipt.key else "with an Idempotency-Key, it could be sent again"
    detail = f"{error}; {receipt.taken} of {batch.recipients} recipients are accepted: {advice}"
    return ApiError(_UNAVAILABLE, detail, retry_after_s=_RETRY_S)


def _outline(head: BatchHead) -> Outline:
    """Read a template. Raises RefusedFieldError."""
    body = head.template
    if body.text is None and body.html is None:
        raise RefusedFieldError("template.text", "must be set, or html")
    return Outline(
        from_=parse_mailbox(body.from_, "template.from"),
        reply_to=wishes.mailboxes(body.reply_to, "template.reply_to"),
        mail_from=head.mail_from,
        to=body.to,
        subject=body.subject,
        text=body.text,
        html=body.html,
        headers=body.headers,
        attachments=wishes.attachments(body.attachments, "template.attachments", html=body.html is not None),
        unsubscribing=wishes.unsubscribing(body.list_unsubscribe, "template.list_unsubscribe", checked=False),
        substitutions=head.substitutions,
    )


def _check(batch: _Batch, allows: Callable[[str], bool]) -> Generator[None, None, list[tuple[str, str]]]:
    """Check recipients and render their messages, stopping now and again; give the first problems."""
    problems: list[tuple[str, str]] = []
    for number, item in enumerate(recipients(batch.file)):
        if number % _CHECKED == 0:
            yield
        place = f"recipients[{number}]"
        try:
            recipient = read_recipient(item, place)
            checked_metadata({**batch.wanted.options.metadata, **recipient.metadata}, f"{place}.metadata")
            letter = batch.mailing.letter(recipient, max_size=batch.max_size)
        except RefusedFieldError as error:
            problems.append(_named(error, place))
        else:
            if not allows(letter.mail_from):
                rule = "mail_from is not an address that the token may use"
                raise ApiError.of_fields([(place, rule)], status=403)
        if len(problems) >= PROBLEMS_SHOWN:
            break
    return problems


def _named(error: RefusedFieldError, place: str) -> tuple[str, str]:
    """Say whose problem it is; where a template is the place, the recipient is too."""
    return (error.field, error.rule) if error.field.startswith(place) else (place, f"{error.field}: {error.rule}")


def _groups(batch: _Batch, skipped: int) -> Iterator[Sequence[_Ready]]:
    """Write the messages, all but the first ones, in groups that are committed together."""
    group: list[_Ready] = []
    size = 0
    for item in islice(recipients(batch.file), skipped, None):
        recipient = read_recipient(item, "recipients")
        letter = batch.mailing.letter(recipient, max_size=batch.max_size)
        ready = _Ready(letter, recipient, batch.mailing.write(letter))
        group.append(ready)
        size += len(ready.content)
        if len(group) == _GROUP or size > _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
