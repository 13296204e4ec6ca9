"""Delivery status notifications (RFC 3461, RFC 3464): pure text from facts.

A notice goes to the envelope sender of the message, from the null sender, and never for a message that has none.
Header or address beyond ASCII make it one of RFC 6533; an 8-bit body that comes back does not.
"""

from __future__ import annotations

import email.utils
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING

from sender.core.reply import sanitised

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADERS_LIMIT = 64 * 1024
WHOLE_LIMIT = 64 * 1024  # bytes of a message that comes back whole
_EIGHT_BIT = "Content-Transfer-Encoding: 8bit\r\n"
_RETURNED = {  # whether all of it comes back, and whether its header or what is said of it is beyond ASCII
    (False, False): "text/rfc822-headers",
    (False, True): "message/global-headers",
    (True, False): "message/rfc822",
    (True, True): "message/global",
}
_LINE_LIMIT = 900  # octets that fit into a line beside the name of a field
_WRAP = 76
_LONGEST_WORD = 3 * _WRAP  # characters: in UTF-8, with what stands before it, still within the 998 octets of a line


class Action(StrEnum):
    """RFC 3464 section 2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    RELAYED = "relayed"  # taken by a receiver that tells nobody what becomes of it


_CLASSES = {Action.FAILED: "5", Action.DELAYED: "4", Action.RELAYED: "2"}
_SUBJECTS = {
    Action.FAILED: "Undelivered mail returned to sender",
    Action.DELAYED: "Delayed mail (still being retried)",
    Action.RELAYED: "Relayed mail (its delivery will not be confirmed)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """What became of one recipient, for its notice."""

    rcpt_to: str
    status: str  # RFC 3463; its class fits the action
    diagnostic: str  # the receiver's reply, or our own words
    remote_host: str = ""  # empty: the failure is ours
    original: str = ""  # `Original-Recipient`; empty: nobody said


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The facts of one notification."""

    action: Action
    hostname: str
    message_id: str  # of the notice itself
    original_id: str
    mail_from: str  # who is told
    accepted_at: float
    now: float
    recipients: Sequence[Recipient]
    returned: bytes  # of the original message, with CRLF: its header section or, where `whole`, all of it
    whole: bool = False
    envelope_id: str = ""
    retry_until: float | None = None


def status_for(enhanced: str | None, *, action: Action) -> str:
    """Give a status whose class fits the action; without a code from the receiver, the general one."""
    expected = _CLASSES[action]
    if enhanced is None:
        return f"{expected}.0.0"
    return f"{expected}{enhanced[1:]}"


def headers_of(content: bytes) -> bytes:
    """Cut the header section out of a message, for `message/rfc822-headers`."""
    end = content.find(b"\r\n\r\n")
    headers = content if end < 0 else content[: end + 2]
    if len(headers) <= HEADERS_LIMIT:
        return headers
    return headers[: headers.rfind(b"\r\n", 0, HEADERS_LIMIT) + 2]


def compose(notice: Notice) -> bytes:
    """Write the notice as a message with CRLF line ends; 8 bit only where what comes back is, or what is said of it."""
    boundary = _boundary(notice)
    heading = headers_of(notice.returned) if notice.whole else notice.returned
    utf8 = not (heading.isascii() and notice.mail_from.isascii() and all(map(_is_ascii, notice.recipients)))
    returned_type = _RETURNED[notice.whole, utf8]
    status_type = "message/global-delivery-status" if utf8 else "message/delivery-status"
    encoding = _EIGHT_BIT if utf8 else ""
    returned_encoding = encoding if notice.returned.isascii() else _EIGHT_BIT
    parts = [
        (
            f"Date: {email.utils.formatdate(notice.now, usegmt=True)}\r\n"
            f"From: Mail Delivery System <MAILER-DAEMON@{notice.hostname}>\r\n"
            f"To: <{notice.mail_from}>\r\n"
            f"Subject: {_SUBJECTS[notice.action]}\r\n"
            f"Message-ID: <{notice.message_id}@{notice.hostname}>\r\n"
            "Auto-Submitted: auto-replied\r\n"
            "MIME-Version: 1.0\r\n"
            f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"\r\n'
            f"{returned_encoding}\r\n"
            f"--{boundary}\r\n"
            f"Content-Type: text/plain; charset={'utf-8' if utf8 else 'us-ascii'}\r\n{encoding}\r\n"
        ),
        _explanation(notice),
        f"\r\n--{boundary}\r\nContent-Type: {status_type}\r\n{encoding}\r\n",
        _status(notice),
        f"\r\n--{boundary}\r\nContent-Type: {returned_type}\r\n{returned_encoding}\r\n",
    ]
    return "".join(parts).encode() + notice.returned + f"\r\n--{boundary}--\r\n".encode()


def _boundary(notice: Notice) -> str:
    """Give a boundary that does not occur in what comes back, whatever its author has put there."""
    first = f"=_{notice.message_id}"
    if first.encode() not in notice.returned:
        return first
    return next(each for number in count(1) if (each := f"{first}.{number}.").encode() not in notice.returned)


def _is_ascii(recipient: Recipient) -> bool:
    return recipient.rcpt_to.isascii() and recipient.diagnostic.isascii() and recipient.original.isascii()


def _explanation(notice: Notice) -> str:
    lines = [f"This is the mail system at {notice.hostname}.", ""]
    match notice.action:
        case Action.FAILED:
            lines += ["Your message could not be delivered to the recipients below.", "It will not be tried again."]
        case Action.DELAYED:
            lines += [
                "Your message has not been delivered yet to the recipients below.",
                "You need not send it again: it is retried until " + _date(notice.retry_until or notice.now) + ".",
            ]
        case Action.RELAYED:
            lines += [
                "Your message was taken for the recipients below by a system that confirms no delivery.",
                "You asked to hear of it: this is all that can be said from here.",
            ]
    for recipient in notice.recipients:
        lines += ["", f"<{recipient.rcpt_to}>"]
        said_by = f"{recipient.remote_host} said: " if recipient.remote_host else ""
        lines += [f"    {line}" for line in _wrapped(said_by + sanitised(recipient.diagnostic))]
    return "\r\n".join(lines) + "\r\n"


def _status(notice: Notice) -> str:
    fields = [f"Reporting-MTA: dns; {notice.hostname}"]
    if notice.envelope_id:
        fields.append(f"Original-Envelope-Id: {notice.envelope_id}")
    fields += [f"X-Sender-Queue-Id: {notice.original_id}", f"Arrival-Date: {_date(notice.accepted_at)}"]
    groups = [fields]
    for recipient in notice.recipients:
        kind = "rfc822" if recipient.rcpt_to.isascii() else "utf-8"
        group = [f"Original-Recipient: {_in_lines(recipient.original)}"] if recipient.original else []
        group += [f"Final-Recipient: {kind}; {recipient.rcpt_to}", f"Action: {notice.action}"]
        group.append(f"Status: {recipient.status}")
        if recipient.remote_host:
            group.append(f"Remote-MTA: dns; {recipient.remote_host}")
        diagnostic = "\r\n ".join(_wrapped(sanitised(recipient.diagnostic)))
        group.append(f"Diagnostic-Code: {'smtp' if recipient.remote_host else 'x-sender'}; {diagnostic}")
        if notice.action is Action.DELAYED and notice.retry_until is not None:
            group.append(f"Will-Retry-Until: {_date(notice.retry_until)}")
        groups.append(group)
    return "\r\n\r\n".join("\r\n".join(group) for group in groups) + "\r\n"


def _date(at: float) -> str:
    return email.utils.formatdate(at, usegmt=True)


def _in_lines(original: str) -> str:
    """Write an address as it is, unless it is longer than any address and any line may be."""
    text = sanitised(original)
    return text if len(text.encode()) <= _LINE_LIMIT else "\r\n ".join(_wrapped(text))


def _wrapped(text: str) -> list[str]:
    """Break a text at spaces; a word that is too long is cut, so that no line exceeds what mail allows."""
    lines, line = [], ""
    for word in text.split():
        while len(word) > _LONGEST_WORD:
            if line:
                lines.append(line)
            line, word = word[:_LONGEST_WORD], word[_LONGEST_WORD:]  # noqa: PLW2901
        if line and len(line) + 1 + len(word) > _WRAP:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line] if line or not lines else lines
