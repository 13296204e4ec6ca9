"""Delivery status notifications (RFC 3461, RFC 3464): pure text from facts.

A notice goes to the envelope sender of the message, from the null sender, and never for a message that has none.
"""

from __future__ import annotations

import email.utils
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sender.core.reply import sanitised

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADERS_LIMIT = 64 * 1024
_WRAP = 76
_LONGEST_WORD = 3 * _WRAP  # characters: in UTF-8, with what stands before it, still within the 998 octets of a line


class Action(StrEnum):
    """RFC 3464 section 2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What became of one recipient, for its notice."""

    rcpt_to: str
    status: str  # RFC 3463; its class fits the action
    diagnostic: str  # the receiver's reply, or our own words
    remote_host: str = ""  # empty: the failure is ours


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
    failures: Sequence[Failure]
    headers: bytes  # of the original message, with CRLF
    envelope_id: str = ""
    retry_until: float | None = None


def status_for(enhanced: str | None, *, action: Action) -> str:
    """Give a status whose class fits the action; without a code from the receiver, the general one."""
    expected = "5" if action is Action.FAILED else "4"
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
    """Write the notice as a message with CRLF line ends; 8 bit only where the original's headers are."""
    boundary = f"=_{notice.message_id}"
    failed = notice.action is Action.FAILED
    subject = "Undelivered mail returned to sender" if failed else "Delayed mail (still being retried)"
    said = all(failure.rcpt_to.isascii() and failure.diagnostic.isascii() for failure in notice.failures)
    utf8 = not (said and notice.headers.isascii())
    headers_type = "message/global-headers" if utf8 else "text/rfc822-headers"
    status_type = "message/global-delivery-status" if utf8 else "message/delivery-status"
    encoding = "Content-Transfer-Encoding: 8bit\r\n" if utf8 else ""
    parts = [
        (
            f"Date: {email.utils.formatdate(notice.now, usegmt=True)}\r\n"
            f"From: Mail Delivery System <MAILER-DAEMON@{notice.hostname}>\r\n"
            f"To: <{notice.mail_from}>\r\n"
            f"Subject: {subject}\r\n"
            f"Message-ID: <{notice.message_id}@{notice.hostname}>\r\n"
            "Auto-Submitted: auto-replied\r\n"
            "MIME-Version: 1.0\r\n"
            f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"\r\n'
            f"{encoding}\r\n"
            f"--{boundary}\r\n"
            f"Content-Type: text/plain; charset={'utf-8' if utf8 else 'us-ascii'}\r\n{encoding}\r\n"
        ),
        _explanation(notice, failed=failed),
        f"\r\n--{boundary}\r\nContent-Type: {status_type}\r\n{encoding}\r\n",
        _status(notice),
        f"\r\n--{boundary}\r\nContent-Type: {headers_type}\r\n{encoding}\r\n",
    ]
    return "".join(parts).encode() + notice.headers + f"\r\n--{boundary}--\r\n".encode()


def _explanation(notice: Notice, *, failed: bool) -> str:
    lines = [f"This is the mail system at {notice.hostname}.", ""]
    if failed:
        lines += ["Your message could not be delivered to the recipients below.", "It will not be tried again."]
    else:
        lines += [
            "Your message has not been delivered yet to the recipients below.",
            "You need not send it again: it is retried until " + _date(notice.retry_until or notice.now) + ".",
        ]
    for failure in notice.failures:
        lines += ["", f"<{failure.rcpt_to}>"]
        said_by = f"{failure.remote_host} said: " if failure.remote_host else ""
        lines += [f"    {line}" for line in _wrapped(said_by + sanitised(failure.diagnostic))]
    return "\r\n".join(lines) + "\r\n"


def _status(notice: Notice) -> str:
    fields = [f"Reporting-MTA: dns; {notice.hostname}"]
    if notice.envelope_id:
        fields.append(f"Original-Envelope-Id: {notice.envelope_id}")
    fields += [f"X-Sender-Queue-Id: {notice.original_id}", f"Arrival-Date: {_date(notice.accepted_at)}"]
    groups = [fields]
    for failure in notice.failures:
        kind = "rfc822" if failure.rcpt_to.isascii() else "utf-8"
        group = [f"Final-Recipient: {kind}; {failure.rcpt_to}", f"Action: {notice.action}", f"Status: {failure.status}"]
        if failure.remote_host:
            group.append(f"Remote-MTA: dns; {failure.remote_host}")
        diagnostic = "\r\n ".join(_wrapped(sanitised(failure.diagnostic)))
        group.append(f"Diagnostic-Code: {'smtp' if failure.remote_host else 'x-sender'}; {diagnostic}")
        if notice.action is Action.DELAYED and notice.retry_until is not None:
            group.append(f"Will-Retry-Until: {_date(notice.retry_until)}")
        groups.append(group)
    return "\r\n\r\n".join("\r\n".join(group) for group in groups) + "\r\n"


def _date(at: float) -> str:
    return email.utils.formatdate(at, usegmt=True)


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
