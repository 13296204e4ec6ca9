"""A message as a program of this machine hands it to `sendmail`: looked over and completed before anybody else has it.

What a daemon would refuse later is refused here, while there is somebody to tell.
"""

from __future__ import annotations

import email.utils
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sender.core.address import split_mailbox
from sender.core.errors import AddressError
from sender.core.mailboxes import mailboxes, qualified
from sender.intake.acceptance import Envelope, as_wanted
from sender.intake.content import Reader, RefusedContentError
from sender.intake.headers import Headers, unfolded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from sender.core.options import Options
    from sender.settings import Settings

_PIECE = 64 * 1024
_TRACE = b"\r\n"  # what stands before headers that may be empty
_SECTION = re.compile(rb"(?:[!-9;-~]+[ \t]*:[^\r]*\r\n(?:[ \t][^\r]*\r\n)*)*")
_RECIPIENTS = re.compile(
    rb"^(resent-)?(?:to|cc|bcc)[ \t]*:([^\r]*(?:\r\n[ \t][^\r]*)*)(?:\r\n|\Z)", re.IGNORECASE | re.MULTILINE
)
_MBOX = (b"From ", b">From ")


class BadAddressesError(Exception):
    """Addresses that cannot be used: each, with its rule."""

    def __init__(self, errors: Iterable[AddressError]) -> None:
        self.errors = tuple(errors)
        super().__init__(*self.errors)

    def __str__(self) -> str:
        return "; ".join(map(str, self.errors))


class NoRecipientsError(Exception):
    """Nobody is to have the message."""

    def __str__(self) -> str:
        return "no recipients"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message that can go. Content has CRLF line ends."""

    mail_from: str  # empty: the null sender
    rcpt_tos: tuple[str, ...]
    content: bytes
    options: Options
    notify: str = ""  # NOTIFY of RFC 3461, for each recipient


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who hands a message over, and what is known of it beside its content."""

    mail_from: str
    header_from: str  # the address in a `From` that is added
    full_name: str
    rcpt_tos: tuple[str, ...]
    options: Options
    notify: str = ""
    from_headers: bool = False  # recipients stand in the headers, too


def read_all(file: BinaryIO, *, dot_ends: bool, limit: int) -> bytes:
    """Read a message, up to a line with a dot alone where that ends it; no more than one byte above the limit."""
    if not dot_ends:
        return file.read(limit + 1)
    pieces, size, begins = [], 0, True
    while size <= limit and (piece := file.readline(_PIECE)):
        if begins and piece.rstrip(b"\r\n") == b".":
            break
        pieces.append(piece)
        size += len(piece)
        begins = piece.endswith(b"\n")
    return b"".join(pieces)


def addresses(texts: Iterable[str], hostname: str) -> tuple[str, ...]:
    """Read addresses as `To` has them, each once; those without a domain get ours. Raises BadAddressesError."""
    found: dict[str, None] = {}
    errors = []
    for text in texts:
        try:
            named = [qualified(mailbox, hostname) for mailbox in mailboxes(text)]
        except AddressError as error:
            named = []
            errors.append(error)
        for mailbox in named:
            try:
                split_mailbox(mailbox)
            except AddressError as error:
                errors.append(error)
        found.update(dict.fromkeys(named))
    if errors:
        raise BadAddressesError(errors)
    return tuple(found)


def compose(raw: bytes, writer: Writer, settings: Settings, *, now: float) -> Letter:
    """Make a message that can go.

    Raises RefusedContentError, BadAddressesError, NoRecipientsError.
    """
    if raw.startswith(_MBOX):  # the first line of a message in a mailbox file is not of the message
        raw = raw.partition(b"\n")[2]
    draft, limit = _Draft(writer, settings, now), settings.smtp.max_message_size
    reader = Reader(trace=_TRACE, max_size=limit, on_headers=draft.on_headers)
    blocks = []
    for start in range(0, len(raw), _PIECE):
        reader.feed(raw[start : start + _PIECE])
        blocks += reader.blocks()
    content = b"".join((*blocks, reader.finish()))[len(_TRACE) :]
    if len(content) > limit:
        raise RefusedContentError(f"552 5.3.4 Message is larger than {limit} bytes", "too_large")
    if not draft.rcpt_tos:
        raise NoRecipientsError
    return Letter(
        mail_from=writer.mail_from,
        rcpt_tos=draft.rcpt_tos,
        content=content,
        options=writer.options,
        notify=writer.notify,
    )


class _Draft:
    """What is found out about a message by its headers."""

    def __init__(self, writer: Writer, settings: Settings, now: float) -> None:
        self.rcpt_tos = writer.rcpt_tos
        self._now = now
        self._writer = writer
        self._settings = settings

    def on_headers(self, section: bytes) -> bytes:
        """Look over what may be a header section; give it completed. Raises RefusedContentError, BadAddressesError."""
        match = _SECTION.match(section)
        assert match is not None  # noqa: S101 - it may be empty
        section, rest = match[0], section[match.end() :]
        headers = Headers.read(section, controls=True)
        writer, settings = self._writer, self._settings
        if writer.from_headers:
            self.rcpt_tos = addresses([*writer.rcpt_tos, *_recipients(section)], settings.hostname)
        envelope = Envelope(mail_from=writer.mail_from, rcpt_tos=self.rcpt_tos, options=writer.options)
        as_wanted(envelope, headers.controls, now=self._now, max_hold_s=settings.spool.max_hold)
        completed = Headers.read(section, controls=False).written(
            sender=_mailbox(writer.full_name, writer.header_from),
            date=email.utils.formatdate(self._now, localtime=True),
            message_id=email.utils.make_msgid(domain=settings.hostname).strip("<>"),
        )
        return completed + (b"\r\n" + rest if rest else b"")  # what is no field ends the section


def _recipients(section: bytes) -> list[str]:
    """Give the fields that name recipients: those of the last one who sent it on, where there is one."""
    fields = [(match[1] is not None, match[2]) for match in _RECIPIENTS.finditer(section)]
    resent = any(again for again, _ in fields)
    return [unfolded(value).decode(errors="surrogateescape") for again, value in fields if again == resent]


def _mailbox(name: str, address: str) -> str:
    try:
        return email.utils.formataddr((name, address))
    except UnicodeEncodeError:  # of an address that is not ASCII; names are encoded
        return f"<{address}>"
