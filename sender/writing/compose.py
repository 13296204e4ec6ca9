"""Messages made from parts: fields, texts, images that a text shows, files.

Text and HTML are alternatives, images stand beside the HTML that shows them, files behind all of it. Everything goes
out as ASCII, but for addresses that are not; `Date` and `Message-ID` are added where the message is accepted.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from email.message import Message
from email.policy import compat32
from typing import TYPE_CHECKING
from urllib.parse import quote

from sender.writing.fields import (
    Mailbox,
    RefusedFieldError,
    checked_address,
    checked_field_name,
    checked_value,
    of_mailboxes,
    parse_mailbox,
    unstructured,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_POLICY = compat32.clone(linesep="\r\n", max_line_length=0)  # fields are short or folded here
_LINE_END = re.compile(r"\r\n?")
_NOT_PLAIN = re.compile(rb"[^\n]{79}|^From |[\x00-\x08\x0b-\x1f\x7f]", re.MULTILINE)
_FROM = re.compile(rb"^From ", re.MULTILINE)
_LONG = re.compile(rb"^(.{74,})(=20|=09)$", re.MULTILINE)
_ASCII = bytes(range(128))
_URL_LIMIT = 900  # characters: a line holds 998
_URL = re.compile(r"https://[!-;=?-~]+")
_MAILTO = re.compile(r"mailto:[!-;=?-~]+")
_FILE_LIMIT = 255  # bytes of a file's name
_NOT_IN_A_FILE_NAME = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_WORD_OF_A_TYPE = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_PARAMETER = rf';[ \t]*{_WORD_OF_A_TYPE}=(?:{_WORD_OF_A_TYPE}|"[ !#-\[\]-~]*")[ \t]*'
_CONTENT_TYPE = re.compile(rf"({_WORD_OF_A_TYPE})/{_WORD_OF_A_TYPE}[ \t]*(?:{_PARAMETER}){{0,8}}")
_CONTENT_TYPE_LIMIT = 300
_CONTENT_ID = re.compile(r"[A-Za-z0-9._@+-]{1,200}")
_OURS = {"received", "return-path", "bcc", "resent-bcc", "mime-version"}
_OF_MAILBOXES = {"sender", "resent-from", "resent-to", "resent-cc", "resent-sender", "disposition-notification-to"}
_WITH_KEYS = {"from": "from", "to": "to", "cc": "cc", "reply-to": "reply_to", "subject": "subject"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file, or, with a content id, an image that the HTML shows. All of it has been checked."""

    filename: str
    content: bytes
    content_type: str = "application/octet-stream"
    content_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribing:
    """How to leave a list (RFC 2369, RFC 8058)."""

    url: str = ""
    mailto: str = ""
    one_click: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a message is made of. `headers` have been checked by `checked_headers`."""

    from_: Mailbox
    to: Sequence[Mailbox] = ()
    cc: Sequence[Mailbox] = ()
    reply_to: Sequence[Mailbox] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: Sequence[Attachment] = ()
    unsubscribing: Unsubscribing | None = None


def compose(parts: Parts) -> bytes:
    """Write a message. Raises RefusedFieldError for a field of the client's own that should be a mailbox."""
    written = [of_mailboxes("From", [parts.from_])]
    for name, mailboxes in (("To", parts.to), ("Cc", parts.cc), ("Reply-To", parts.reply_to)):
        if mailboxes:
            written.append(of_mailboxes(name, mailboxes))
    if parts.subject:
        written.append(unstructured("Subject", parts.subject))
    written += [header(name, value, f"headers.{name}") for name, value in parts.headers.items()]
    if parts.unsubscribing is not None:
        written.append(unsubscribing(parts.unsubscribing))
    written.append(body(parts.text, parts.html, parts.attachments))
    return b"".join(written)


def body(text: str | None, html: str | None, attachments: Sequence[Attachment], *, encoding: str = "") -> bytes:
    """Write the MIME fields of a message and what follows them. `encoding`: of both texts; else what suits each."""
    texts = [] if text is None else [_text(text, "plain", encoding)]
    if html is not None:
        images = [_file(one) for one in attachments if one.content_id]
        texts.append(_multipart("related", [_text(html, "html", encoding), *images]))
    files = [_file(one) for one in attachments if not one.content_id]
    whole = _multipart("mixed", [_multipart("alternative", texts), *files])
    whole["MIME-Version"] = "1.0"
    return whole.as_bytes()


def _multipart(kind: str, parts: Sequence[Message]) -> Message:
    """Put parts into one; a single one needs no other around it."""
    if len(parts) == 1:
        return parts[0]
    whole = Message(_POLICY)
    whole.add_header("Content-Type", f"multipart/{kind}")
    for part in parts:
        whole.attach(part)
    return whole


def _text(text: str, kind: str, encoding: str) -> Message:
    data = lines(text)
    encoding = encoding or _suitable(data)
    part = Message(_POLICY)
    part["Content-Type"] = f'text/{kind}; charset="{"us-ascii" if encoding == "7bit" else "utf-8"}"'
    part["Content-Transfer-Encoding"] = encoding
    part.set_payload(_encoded(data, encoding).decode())
    return part


def lines(text: str) -> bytes:
    """Give a text in UTF-8, whose lines all end in LF."""
    data = (_LINE_END.sub("\n", text) if "\r" in text else text).encode()
    return data if data.endswith(b"\n") else data + b"\n"


def _suitable(data: bytes) -> str:
    """Choose how a text is encoded: not at all if it is plain, else as the shorter of the two ways."""
    if data.isascii() and not _NOT_PLAIN.search(data):
        return "7bit"
    beyond = len(data.translate(None, _ASCII))
    return "quoted-printable" if beyond * 6 < len(data) else "base64"


def _encoded(data: bytes, encoding: str) -> bytes:
    match encoding:
        case "quoted-printable":
            return quoted_printable(data)
        case "base64":
            return base64.encodebytes(data)
        case _:
            return data


def quoted_printable(data: bytes) -> bytes:
    """Encode lines that end in LF (RFC 2045 section 6.7); those of the result end in CRLF."""
    encoded = binascii.b2a_qp(data)
    if b"From " in encoded:  # what a mailbox file takes for the beginning of a message
        encoded = _FROM.sub(b"=46=\nrom ", encoded)
    if b"=20\n" in encoded or b"=09\n" in encoded:  # binascii does not count what it makes of a space at the end
        encoded = _LONG.sub(rb"\1=\n\2", encoded)
    return encoded.replace(b"\n", b"\r\n")


def _file(one: Attachment) -> Message:
    part = Message(_POLICY)
    part["Content-Type"] = one.content_type
    part["Content-Transfer-Encoding"] = "base64"
    name = one.filename if one.filename.isascii() else ("utf-8", "", one.filename)
    part.add_header("Content-Disposition", "inline" if one.content_id else "attachment", filename=name)
    if one.content_id:
        part["Content-ID"] = f"<{one.content_id}>"
    part.set_payload(base64.encodebytes(one.content).decode())
    return part


def header(name: str, value: str, field: str) -> bytes:
    """Write a field of the client's own, whose name and value have been checked. Raises RefusedFieldError."""
    if name.lower() in _OF_MAILBOXES:
        return of_mailboxes(name, [parse_mailbox(value, field)])
    return unstructured(name, value)


def checked_headers(headers: Mapping[str, str], field: str, *, unsubscribing: bool) -> dict[str, str]:
    """Check fields of the client's own; what other keys are for may not be among them. Raises RefusedFieldError."""
    checked: dict[str, str] = {}
    for name, value in headers.items():
        place = f"{field}.{name}"
        lowered = checked_field_name(name, place).lower()
        if lowered in _WITH_KEYS:
            raise RefusedFieldError(place, f"must be given as {_WITH_KEYS[lowered]}")
        if lowered.startswith("x-sender-"):
            raise RefusedFieldError(place, "must not be given: there is a key for what it says")
        if lowered in _OURS or lowered.startswith("content-"):
            raise RefusedFieldError(place, "must not be given: it is made here")
        if unsubscribing and lowered in {"list-unsubscribe", "list-unsubscribe-post"}:
            raise RefusedFieldError(place, "must not stand beside list_unsubscribe")
        if lowered in {known.lower() for known in checked}:
            raise RefusedFieldError(place, "must stand once")
        checked[name] = checked_value(value, place)
    return checked


def unsubscribing(how: Unsubscribing) -> bytes:
    """Write the fields of RFC 2369 and RFC 8058, whose values have been checked."""
    ways = [f"<{way}>" for way in (how.url, how.mailto) if way]
    written = f"List-Unsubscribe: {',{}'.join(ways)}\r\n".replace("{}", "\r\n ")
    if how.one_click:
        written += "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    return written.encode()


def checked_unsubscribing(how: Unsubscribing, field: str) -> Unsubscribing:
    """Check how to leave a list; `mailto` may be an address alone. Raises RefusedFieldError."""
    url, mailto = checked_value(how.url, f"{field}.url"), checked_value(how.mailto, f"{field}.mailto")
    if url and (not _URL.fullmatch(url) or len(url) > _URL_LIMIT):
        raise RefusedFieldError(f"{field}.url", f"must be an https: URL of at most {_URL_LIMIT} ASCII characters")
    if how.one_click and not url:
        raise RefusedFieldError(f"{field}.url", "must be set where one_click is (RFC 8058)")
    if mailto and not mailto.startswith("mailto:"):
        mailto = f"mailto:{quote(checked_address(mailto, f'{field}.mailto'), safe='@')}"
    if mailto and (not _MAILTO.fullmatch(mailto) or len(mailto) > _URL_LIMIT):
        raise RefusedFieldError(f"{field}.mailto", "must be an address, or a mailto: URL")
    if not url and not mailto:
        raise RefusedFieldError(field, "must have a url, a mailto, or both")
    return Unsubscribing(url=url, mailto=mailto, one_click=how.one_click)


def checked_attachment(one: Attachment, field: str) -> Attachment:
    """Check what describes a file. Raises RefusedFieldError."""
    name = one.filename
    wrong = name in {"", ".", ".."} or name != name.strip() or _NOT_IN_A_FILE_NAME.search(name)
    if wrong or len(name.encode()) > _FILE_LIMIT:
        rule = f"must be a name of 1 to {_FILE_LIMIT} bytes, without path, control characters and space around it"
        raise RefusedFieldError(f"{field}.filename", rule)
    match = _CONTENT_TYPE.fullmatch(one.content_type)
    if match is None or len(one.content_type) > _CONTENT_TYPE_LIMIT:
        raise RefusedFieldError(f"{field}.content_type", "must be a media type such as image/png")
    if match[1].lower() in {"multipart", "message"}:
        raise RefusedFieldError(f"{field}.content_type", "must not be multipart or message: give a file of octets")
    if one.content_id and not _CONTENT_ID.fullmatch(one.content_id):
        raise RefusedFieldError(f"{field}.content_id", "must be 1 to 200 letters, digits or . _ @ + -")
    return one
