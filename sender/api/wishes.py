"""How a client wants its mail to be sent: what a body says beside the mail, checked."""

from __future__ import annotations

import base64
import binascii
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sender.api.errors import ApiError
from sender.core.options import OptionError, Options, checked_name, checked_times
from sender.intake.acceptance import Origin
from sender.intake.instants import parse_instant
from sender.writing.batch import checked_metadata
from sender.writing.compose import Attachment, Unsubscribing, checked_attachment, checked_headers, checked_unsubscribing
from sender.writing.fields import Mailbox, RefusedFieldError, parse_mailbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.requests import Request

    from sender.api.authorization import Caller
    from sender.api.models import AttachmentBody, BatchHead, MessageBody, UnsubscribeBody
    from sender.intake.acceptance import Acceptance

LISTENER = "http"  # in metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What an envelope has beside addresses."""

    stream: str
    priority: str
    expires_at: float | None
    options: Options


def wishes(body: MessageBody | BatchHead, caller: Caller, acceptance: Acceptance, **options: Any) -> Wishes:  # noqa: ANN401 - those of Options
    """Read how mail is to be sent. `options` are further ones. Raises RefusedFieldError."""
    stream = campaign = ""
    if body.stream is not None:
        with _field("stream"):
            stream = checked_name(body.stream)
    if body.campaign is not None:
        with _field("campaign"):
            campaign = checked_name(body.campaign)
    send_at, expires_at = _instant("send_at", body.send_at), _instant("expires_at", body.expires_at)
    now, max_hold_s = acceptance.clock.wall(), acceptance.settings.spool.max_hold
    with _field("send_at"):
        checked_times(send_at=send_at, expires_at=None, now=now, max_hold_s=max_hold_s)
    with _field("expires_at"):
        checked_times(send_at=send_at, expires_at=expires_at, now=now, max_hold_s=max_hold_s)
    return Wishes(
        stream=stream or "default",
        priority=body.priority or "",
        expires_at=expires_at,
        options=Options(
            send_at=send_at,
            campaign=campaign,
            submitter=caller.name,
            metadata=checked_metadata(body.metadata, "metadata"),
            **options,
        ),
    )


def _instant(field: str, value: str | None) -> float | None:
    with _field(field):
        return None if value is None else parse_instant(value)


@contextlib.contextmanager
def _field(field: str) -> Iterator[None]:
    """Say which field breaks a rule."""
    try:
        yield
    except OptionError as error:
        raise RefusedFieldError(field, error.rule) from error


def origin(request: Request, caller: Caller) -> Origin:
    """Tell where a message comes from."""
    address = request.client.host if request.client else "unknown"
    return Origin(
        listener=LISTENER,
        received=f"from [{'IPv6:' if ':' in address else ''}{address}]",
        protocol="HTTP",
        complete=True,
        senders=None if caller.token is None else caller.token.senders,
    )


def check_sender(caller: Caller, mailbox: str, field: str) -> None:
    """Check that somebody may use a mailbox. Raises ApiError."""
    if not caller.allows(mailbox):
        raise ApiError.of_fields([(field, "is not an address that the token may use")], status=403)


def mailboxes(values: Sequence[str], field: str) -> list[Mailbox]:
    """Read mailboxes. Raises RefusedFieldError."""
    return [parse_mailbox(value, f"{field}[{number}]") for number, value in enumerate(values)]


def headers(values: Mapping[str, str], unsubscribe: UnsubscribeBody | None, field: str) -> dict[str, str]:
    """Read a client's own fields. Raises RefusedFieldError."""
    return checked_headers(values, field, unsubscribing=unsubscribe is not None)


def attachments(bodies: Sequence[AttachmentBody], field: str, *, html: bool) -> list[Attachment]:
    """Read files. `html`: there is some that shows images. Raises RefusedFieldError."""
    found = []
    for number, one in enumerate(bodies):
        place = f"{field}[{number}]"
        attachment = Attachment(
            filename=one.filename,
            content=_decoded(one.content, f"{place}.content"),
            content_type=one.content_type,
            content_id=one.content_id,
        )
        if one.content_id and not html:
            raise RefusedFieldError(f"{place}.content_id", "must not be set where there is no html to show it")
        found.append(checked_attachment(attachment, place))
    return found


def _decoded(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedFieldError(field, "must be base64") from error


def content(text: str, field: str) -> bytes:
    """Give a message that was written as it is, or in base64: base64 has no colon, a message has. Raises as above."""
    return text.encode() if ":" in text else _decoded(text, field)


def unsubscribing(body: UnsubscribeBody | None, field: str, *, checked: bool) -> Unsubscribing | None:
    """Read how to leave a list. Raises RefusedFieldError."""
    if body is None:
        return None
    how = Unsubscribing(url=body.url, mailto=body.mailto, one_click=body.one_click)
    return checked_unsubscribing(how, field) if checked else how
