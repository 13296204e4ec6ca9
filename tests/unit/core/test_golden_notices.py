"""Whole notices as they were written once, read by the standard library and by a parser that shares nothing with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import SMTPUTF8
from pathlib import Path

import pytest

from sender.core.bounce import Action, Notice, Recipient, compose

_FOLDER = Path(__file__).with_name("notices")
_HEADERS = b"Received: from a by b; today\r\nFrom: <me@example.com>\r\nSubject: hello\r\n"
_UNKNOWN = Recipient(
    rcpt_to="you@example.org",
    status="5.1.1",
    diagnostic="550 5.1.1 no such user",
    remote_host="mx.example.org",
    original="rfc822; You+Box@Old.example",
)
_EXPIRED = Recipient(
    rcpt_to="them@example.net",
    status="5.4.7",
    diagnostic=f"not delivered in time; the last answer was: 450 4.2.0 come back later, {'as often as you like, ' * 5}",
)
_INTERNATIONAL = Recipient(
    rcpt_to="jörg@bücher.example",
    status="5.6.7",
    diagnostic="553 5.6.7 nicht für uns",
    remote_host="mx.xn--bcher-kva.example",
    original="utf-8; jörg@bücher.example",
)


def _notice(
    action: Action,
    *recipients: Recipient,
    returned: bytes = _HEADERS,
    whole: bool = False,
    mail_from: str = "me@example.com",
    envelope_id: str = "",
) -> Notice:
    return Notice(
        action=action,
        hostname="mta.example.com",
        message_id="0000000000002",
        original_id="0000000000001",
        mail_from=mail_from,
        accepted_at=1_800_000_000.0,
        now=1_800_003_600.0,
        recipients=recipients,
        returned=returned,
        whole=whole,
        envelope_id=envelope_id,
        retry_until=1_800_259_200.0,
    )


_LATER = Recipient(rcpt_to="you@example.org", status="4.4.1", diagnostic="450 4.4.1 later", remote_host="mx.test")
_TAKEN = Recipient(rcpt_to="you@example.org", status="2.0.0", diagnostic="250 2.0.0 taken", remote_host="mx.test")
_BODY = b"\r\ngr\xc3\xbc\xc3\x9fe\r\n.\r\n--=_0000000000002\r\n"
_NOTICES = {
    "failed": _notice(Action.FAILED, _UNKNOWN, _EXPIRED, envelope_id="QQ=314159"),
    "delayed": _notice(Action.DELAYED, _LATER),
    "relayed": _notice(Action.RELAYED, _TAKEN),
    "whole": _notice(Action.FAILED, _UNKNOWN, returned=_HEADERS + _BODY, whole=True),
    "international": _notice(Action.FAILED, _INTERNATIONAL, mail_from="me@example.com"),
}


@dataclass(frozen=True)
class _Reading:
    """What a parser makes of a notice; values without folding."""

    header: dict[str, str]
    types: list[str]
    encodings: list[str]
    text: str
    groups: list[dict[str, str]]
    returned: bytes


# The standard library


def _by_the_library(raw: bytes) -> _Reading:
    message = BytesParser(policy=SMTPUTF8).parsebytes(raw)
    assert isinstance(message, EmailMessage)
    parts = [part for part in message.iter_parts() if isinstance(part, EmailMessage)]
    assert not [defect for part in message.walk() for defect in part.defects]
    if parts[2].get_content_maintype() == "message" and parts[2].is_multipart():
        (inner,) = parts[2].iter_parts()
        assert isinstance(inner, EmailMessage)
        # Headers alone are a message without a body to it, which it ends with an empty line.
        returned = bytes(inner) if inner.get_payload() else bytes(inner).removesuffix(b"\r\n")
    else:
        content = parts[2].get_payload(decode=True)
        assert isinstance(content, bytes)
        returned = content
    return _Reading(
        {name: str(value) for name, value in message.items()},
        [part.get_content_type() for part in parts],
        [str(part.get("Content-Transfer-Encoding", "7bit")) for part in parts],
        parts[0].get_content(),
        _groups_by_the_library(raw),
        returned,
    )


def _groups_by_the_library(raw: bytes) -> list[dict[str, str]]:
    # It knows no status of RFC 6533, whose groups are those of RFC 3464.
    known = raw.replace(b"message/global-delivery-status", b"message/delivery-status")
    (status,) = [part for part in BytesParser(policy=SMTPUTF8).parsebytes(known).walk() if _is_status(part)]
    payload = status.get_payload()
    assert isinstance(payload, list)
    return [{name: str(value) for name, value in group.items()} for group in payload if isinstance(group, EmailMessage)]


def _is_status(part: Message) -> bool:
    return part.get_content_type() == "message/delivery-status"


# One of our own: RFC 5322 section 2.2, RFC 2046 section 5.1.1, RFC 3464 section 2.1, read to the letter


@dataclass
class _Entity:
    """A header section and what follows its empty line."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def value(self, name: str, otherwise: str = "") -> str:
        values = [value for known, value in self.fields if known.lower() == name.lower()]
        assert len(values) <= 1
        return values[0] if values else otherwise


def _fields(section: bytes) -> list[tuple[str, str]]:
    assert section.endswith(b"\r\n")
    fields: list[tuple[str, str]] = []
    for line in section[:-2].split(b"\r\n"):
        assert 0 < len(line) <= 998
        if line[:1] in b" \t":
            name, value = fields.pop()
            fields.append((name, f"{value} {line.decode().strip()}"))
        else:
            match = re.fullmatch(rb"([!-9;-~]+):[ \t]*(.*)", line)
            assert match is not None
            fields.append((match[1].decode(), match[2].decode()))
    return fields


def _entity(raw: bytes) -> _Entity:
    if raw.startswith(b"\r\n"):
        return _Entity(body=raw[2:])
    section, empty, body = raw.partition(b"\r\n\r\n")
    assert empty
    return _Entity(_fields(section + b"\r\n"), body)


def _by_the_letter(raw: bytes) -> _Reading:
    assert b"\n" not in raw.replace(b"\r\n", b"")
    message = _entity(raw)
    kind = re.fullmatch(
        r'multipart/report; report-type=delivery-status; boundary="([0-9A-Za-z\'()+_,./:=?-]{1,70})"',
        message.value("Content-Type"),
    )
    assert kind is not None
    between, *pieces = (b"\r\n" + message.body).split(f"\r\n--{kind[1]}".encode())
    assert between == b""
    assert pieces.pop() == b"--\r\n"
    assert all(piece.startswith(b"\r\n") for piece in pieces)
    parts = [_entity(piece[2:]) for piece in pieces]
    groups = [_fields(group) for group in re.split(rb"(?<=\r\n)\r\n", parts[1].body)]
    for number, group in enumerate(groups):
        names = [name for name, _ in group]
        assert len(names) == len(set(names))
        required = {"Final-Recipient", "Action", "Status"} if number else {"Reporting-MTA"}
        assert required <= set(names)
    return _Reading(
        dict(message.fields),
        [part.value("Content-Type").partition(";")[0] for part in parts],
        [part.value("Content-Transfer-Encoding", "7bit") for part in parts],
        parts[0].body.decode(),
        [dict(group) for group in groups],
        parts[2].body,
    )


_PARSERS = {"the library": _by_the_library, "the letter": _by_the_letter}


@pytest.mark.parametrize("name", _NOTICES)
def test_a_notice_is_written_as_it_was(name: str) -> None:
    """Each kind of notice is the file of its name, byte for byte."""
    assert compose(_NOTICES[name]) == (_FOLDER / f"{name}.eml").read_bytes()


@pytest.mark.parametrize("parser", _PARSERS)
@pytest.mark.parametrize("name", _NOTICES)
def test_a_notice_says_what_it_was_written_from(name: str, parser: str) -> None:
    """Whoever reads it finds the facts: who is told, which parts there are, and what became of each recipient."""
    notice = _NOTICES[name]
    reading = _PARSERS[parser]((_FOLDER / f"{name}.eml").read_bytes())
    assert reading.header["To"].strip("<>") == notice.mail_from
    assert reading.header["Auto-Submitted"] == "auto-replied"
    kinds = {
        "whole": ["text/plain", "message/delivery-status", "message/rfc822"],
        "international": ["text/plain", "message/global-delivery-status", "message/global-headers"],
    }
    assert reading.types == kinds.get(name, ["text/plain", "message/delivery-status", "text/rfc822-headers"])
    encodings = {"whole": ["7bit", "7bit", "8bit"], "international": ["8bit", "8bit", "8bit"]}
    assert reading.encodings == encodings.get(name, ["7bit", "7bit", "7bit"])
    assert reading.returned == notice.returned
    about, *groups = reading.groups
    assert about["Reporting-MTA"] == f"dns; {notice.hostname}"
    assert about.get("Original-Envelope-Id", "") == notice.envelope_id
    assert len(groups) == len(notice.recipients)
    for group, recipient in zip(groups, notice.recipients, strict=True):
        kind = "rfc822" if recipient.rcpt_to.isascii() else "utf-8"
        assert group["Final-Recipient"] == f"{kind}; {recipient.rcpt_to}"
        assert group.get("Original-Recipient", "") == recipient.original
        assert (group["Action"], group["Status"]) == (notice.action, recipient.status)
        assert group.get("Remote-MTA", "dns; ") == f"dns; {recipient.remote_host}"
        said = "smtp" if recipient.remote_host else "x-sender"
        assert " ".join(group["Diagnostic-Code"].split()) == f"{said}; {recipient.diagnostic}".strip()
        assert f"<{recipient.rcpt_to}>" in reading.text


@pytest.mark.parametrize("name", _NOTICES)
def test_both_parsers_read_the_same(name: str) -> None:
    """Two parsers that share nothing agree on every field and part."""
    raw = (_FOLDER / f"{name}.eml").read_bytes()
    one, other = _by_the_library(raw), _by_the_letter(raw)
    assert (one.types, one.encodings, one.returned) == (other.types, other.encodings, other.returned)
    assert [_unfolded(group) for group in one.groups] == [_unfolded(group) for group in other.groups]
    assert one.text.split() == other.text.split()


def _unfolded(group: dict[str, str]) -> dict[str, str]:
    return {name: " ".join(value.split()) for name, value in group.items()}
