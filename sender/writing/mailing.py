"""One template and many recipients: what is the same for all is written once, and each message joined from pieces.

What a message is made of is rendered and checked like what a client gives itself: a value that would end a field is
refused, wherever it came from.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sender.writing.compose import (
    Attachment,
    Unsubscribing,
    body,
    checked_headers,
    checked_unsubscribing,
    header,
    lines,
    quoted_printable,
    unsubscribing,
)
from sender.writing.fields import (
    Mailbox,
    RefusedFieldError,
    checked_address,
    checked_value,
    of_mailboxes,
    parse_mailbox,
    unstructured,
)
from sender.writing.template import TemplateFault, Templates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HEADERS_LIMIT = 64 * 1024  # bytes of all fields of one message
_QUOTED = 3  # times that a text may grow when it is encoded
_TEXTS = ("text", "html")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What a client wants to send. Strings are templates, but for `from_` and `reply_to`."""

    from_: Mailbox
    reply_to: Sequence[Mailbox] = ()
    mail_from: str | None = None  # None: the address of `from_`
    to: str = ""  # empty: the address of the recipient
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: Sequence[Attachment] = ()
    unsubscribing: Unsubscribing | None = None
    substitutions: Mapping[str, Any] = field(default_factory=dict)  # those who have none of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One recipient, whose addresses have been checked."""

    rcpt_to: str
    to: Mailbox | None = None
    substitutions: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to one recipient, rendered and not yet written."""

    mail_from: str
    fields: bytes
    texts: Sequence[tuple[str, str]]  # name and text


class Mailing:
    """Renders and writes messages. Not for several threads at once."""

    def __init__(self, outline: Outline) -> None:
        """Read the templates. Raises RefusedFieldError, whose field begins with `template` or is `mail_from`."""
        self._outline = outline
        self._templates = Templates()
        checked_headers(outline.headers, "template.headers", unsubscribing=outline.unsubscribing is not None)
        for name, place, source in self._sources():
            try:
                self._templates.add(name, source)
            except TemplateFault as fault:
                raise RefusedFieldError(place, fault.rule) from fault
        self._begin = of_mailboxes("From", [outline.from_])
        if outline.reply_to:
            self._begin += of_mailboxes("Reply-To", outline.reply_to)
        marks = {name: secrets.token_hex(16) for name in _TEXTS if getattr(outline, name) is not None}
        rest = body(marks.get("text"), marks.get("html"), outline.attachments, encoding="quoted-printable")
        self._pieces: list[bytes] = []
        for mark in marks.values():
            piece, rest = rest.split(f"{mark}\r\n".encode())
            self._pieces.append(piece)
        self._pieces.append(rest)
        self._texts = tuple(marks)
        self._size = sum(map(len, self._pieces))

    def _sources(self) -> Iterator[tuple[str, str, str]]:
        """Give each template with its name and its place in what the client sent."""
        outline = self._outline
        for name in (*_TEXTS, "subject", "to"):
            if getattr(outline, name) is not None:
                yield name, f"template.{name}", getattr(outline, name)
        if outline.mail_from is not None:
            yield "mail_from", "mail_from", outline.mail_from
        if outline.unsubscribing is not None:
            yield "url", "template.list_unsubscribe.url", outline.unsubscribing.url
            yield "mailto", "template.list_unsubscribe.mailto", outline.unsubscribing.mailto
        for name, value in outline.headers.items():
            yield f"header {name}", f"template.headers.{name}", value

    def letter(self, recipient: Recipient, *, max_size: int) -> Letter:
        """Render a message. Raises RefusedFieldError, whose field is that of the template or `mail_from`."""
        outline = self._outline
        values = {**outline.substitutions, **recipient.substitutions, "rcpt_to": recipient.rcpt_to}
        written = [self._begin, of_mailboxes("To", [recipient.to or self._to(recipient, values)])]
        if outline.subject:
            written.append(unstructured("Subject", self._value("subject", "template.subject", values)))
        for name in outline.headers:
            place = f"template.headers.{name}"
            written.append(header(name, self._value(f"header {name}", place, values), place))
        if outline.unsubscribing is not None:
            written.append(self._unsubscribing(outline.unsubscribing, values))
        texts = [(name, self._rendered(name, f"template.{name}", values)) for name in self._texts]
        for name, text in texts:
            if "\0" in text:
                raise RefusedFieldError(f"template.{name}", "must have no NUL in it")
        letter = Letter(self._mail_from(values), b"".join(written), texts)
        self._check_size(letter, max_size)
        return letter

    def write(self, letter: Letter) -> bytes:
        """Write a message that was rendered."""
        written = [letter.fields]
        for piece, (_, text) in zip(self._pieces, letter.texts, strict=False):
            written += (piece, quoted_printable(lines(text)))
        return b"".join((*written, self._pieces[-1]))

    def _check_size(self, letter: Letter, max_size: int) -> None:
        """Refuse what is too large; only what may be is written for it."""
        if len(letter.fields) > HEADERS_LIMIT:
            raise RefusedFieldError("template.headers", f"must be at most {HEADERS_LIMIT} bytes with all other fields")
        most = self._size + len(letter.fields) + _QUOTED * sum(4 * len(text) for _, text in letter.texts)
        if most > max_size and len(self.write(letter)) > max_size:
            raise RefusedFieldError("template", f"must make messages of at most {max_size} bytes")

    def _mail_from(self, values: Mapping[str, Any]) -> str:
        if self._outline.mail_from is None:
            return self._outline.from_.address
        address = self._rendered("mail_from", "mail_from", values)
        return checked_address(address, "mail_from") if address else ""

    def _to(self, recipient: Recipient, values: Mapping[str, Any]) -> Mailbox:
        if not self._outline.to:
            return Mailbox(recipient.rcpt_to)
        return parse_mailbox(self._rendered("to", "template.to", values), "template.to")

    def _unsubscribing(self, how: Unsubscribing, values: Mapping[str, Any]) -> bytes:
        place = "template.list_unsubscribe"
        rendered = Unsubscribing(
            url=self._rendered("url", f"{place}.url", values),
            mailto=self._rendered("mailto", f"{place}.mailto", values),
            one_click=how.one_click,
        )
        return unsubscribing(checked_unsubscribing(rendered, place))

    def _value(self, name: str, place: str, values: Mapping[str, Any]) -> str:
        return checked_value(self._rendered(name, place, values), place)

    def _rendered(self, name: str, place: str, values: Mapping[str, Any]) -> str:
        try:
            return self._templates.render(name, values)
        except TemplateFault as fault:
            raise RefusedFieldError(place, fault.rule) from fault
