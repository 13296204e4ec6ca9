"""Delivery status notifications, read back by the standard library's parser."""

from __future__ import annotations

import re
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.bounce import HEADERS_LIMIT, Action, Notice, Recipient, compose, headers_of, status_for

_HEADERS = b"Received: from a by b; today\r\nFrom: <me@example.com>\r\nSubject: hello\r\n"
_RECIPIENT = Recipient(
    rcpt_to="you@example.org",
    status="5.1.1",
    diagnostic="550 5.1.1 no such user",
    remote_host="mx.example.org",
)


def _notice(
    *recipients: Recipient,
    action: Action = Action.FAILED,
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
        recipients=recipients or (_RECIPIENT,),
        returned=returned,
        whole=whole,
        envelope_id=envelope_id,
        retry_until=1_800_259_200.0,
    )


def _parsed(notice: Notice) -> EmailMessage:
    message = BytesParser(policy=default).parsebytes(compose(notice))
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def _parts(notice: Notice) -> list[EmailMessage]:
    parts = [part for part in _parsed(notice).iter_parts() if isinstance(part, EmailMessage)]
    assert len(parts) == 3
    return parts


def _groups(notice: Notice) -> list[dict[str, str]]:
    """Give the groups of fields of the machine-readable part."""
    payload = _parts(notice)[1].get_payload()
    assert isinstance(payload, list)
    return [dict(group.items()) for group in payload if isinstance(group, EmailMessage)]


def test_a_notice_is_a_multipart_report_that_no_robot_answers() -> None:
    """A notice has the type of RFC 3462, goes to the envelope sender, and says that it is automatic."""
    message = _parsed(_notice())
    assert message.get_content_type() == "multipart/report"
    assert message["Content-Type"].params["report-type"] == "delivery-status"
    assert message["To"].addresses[0].addr_spec == "me@example.com"
    assert message["From"].addresses[0].addr_spec == "MAILER-DAEMON@mta.example.com"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["Message-ID"] == "<0000000000002@mta.example.com>"
    assert message["Date"].datetime.timestamp() == 1_800_003_600


def test_a_notice_has_a_text_a_status_and_the_headers_of_the_message() -> None:
    """The three parts are text, status and the original's headers."""
    types = [part.get_content_type() for part in _parts(_notice())]
    assert types == ["text/plain", "message/delivery-status", "text/rfc822-headers"]


def test_the_status_has_the_fields_of_rfc_3464() -> None:
    """The first group is about the message, the following ones about a recipient each."""
    other = Recipient(rcpt_to="them@example.net", status="5.4.7", diagnostic="not delivered in time")
    message, first, second = _groups(_notice(_RECIPIENT, other, envelope_id="QQ314159"))
    assert message == {
        "Reporting-MTA": "dns; mta.example.com",
        "Original-Envelope-Id": "QQ314159",
        "X-Sender-Queue-Id": "0000000000001",
        "Arrival-Date": "Fri, 15 Jan 2027 08:00:00 GMT",
    }
    assert first == {
        "Final-Recipient": "rfc822; you@example.org",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.example.org",
        "Diagnostic-Code": "smtp; 550 5.1.1 no such user",
    }
    assert second == {
        "Final-Recipient": "rfc822; them@example.net",
        "Action": "failed",
        "Status": "5.4.7",
        "Diagnostic-Code": "x-sender; not delivered in time",
    }


def test_a_delay_says_until_when_it_is_retried() -> None:
    """A notice of a delay has the action `delayed` and the end of the retries, and tells the reader to do nothing."""
    recipient = Recipient(
        rcpt_to="you@example.org", status="4.4.1", diagnostic="450 later", remote_host="mx.example.org"
    )
    notice = _notice(recipient, action=Action.DELAYED)
    _, group = _groups(notice)
    assert (group["Action"], group["Will-Retry-Until"]) == ("delayed", "Mon, 18 Jan 2027 08:00:00 GMT")
    text = _parts(notice)[0].get_content()
    assert "You need not send it again: it is retried until Mon, 18 Jan 2027 08:00:00 GMT." in text


def test_what_was_relayed_says_that_nothing_more_is_heard_of_it() -> None:
    """A notice of what a receiver without DSN has taken has the action `relayed`, and promises nothing."""
    recipient = Recipient(rcpt_to="you@example.org", status="2.0.0", diagnostic="250 2.0.0 ok", remote_host="mx.test")
    notice = _notice(recipient, action=Action.RELAYED)
    _, group = _groups(notice)
    assert (group["Action"], group["Status"]) == ("relayed", "2.0.0")
    assert "Will-Retry-Until" not in group
    assert "a system that confirms no delivery" in _parts(notice)[0].get_content()
    assert _parsed(notice)["Subject"] == "Relayed mail (its delivery will not be confirmed)"


def test_the_address_that_a_sender_wrote_stands_before_the_one_that_was_tried() -> None:
    """`Original-Recipient` is there where the sender gave it, as the first field of its group."""
    recipient = Recipient(
        rcpt_to="you@example.org", status="5.1.1", diagnostic="no", original="rfc822; You@Old.example"
    )
    (_, group), (_, without) = _groups(_notice(recipient)), _groups(_notice())
    assert list(group)[:2] == ["Original-Recipient", "Final-Recipient"]
    assert group["Original-Recipient"] == "rfc822; You@Old.example"
    assert "Original-Recipient" not in without


@pytest.mark.parametrize("length", [10, 490])
def test_an_original_recipient_breaks_no_line(length: int) -> None:
    """What is longer than any address is folded before it makes a line too long, and no separator stays in it."""
    original = f"utf-8; {'語' * length}\u2028x"
    written = compose(_notice(Recipient(rcpt_to="you@example.org", status="5.1.1", diagnostic="", original=original)))
    assert max(map(len, written.split(b"\r\n"))) <= 998
    assert "\u2028" not in written.decode()


def test_the_text_names_each_recipient_and_what_was_said() -> None:
    """A reader who knows nothing of fields finds recipients, hosts and replies in the text."""
    text = "\n".join(_parts(_notice())[0].get_content().splitlines())
    assert "<you@example.org>\n    mx.example.org said: 550 5.1.1 no such user" in text


def test_the_headers_of_the_message_come_back_unchanged() -> None:
    """The last part is the header section, byte for byte."""
    assert compose(_notice()).endswith(b"\r\n\r\n" + _HEADERS + b"\r\n--=_0000000000002--\r\n")


_WHOLE = _HEADERS + b"\r\nhello\r\n"


@pytest.mark.parametrize(
    ("content", "kind", "encoding"),
    [
        (_WHOLE, "message/rfc822", None),
        (_WHOLE + "grüße\r\n".encode(), "message/rfc822", "8bit"),
        (_WHOLE + b"gr\xfc\xdfe\r\n", "message/rfc822", "8bit"),
        ("Subject: grüße\r\n\r\nhello\r\n".encode(), "message/global", "8bit"),
    ],
    ids=["ascii", "utf-8 body", "latin-1 body", "utf-8 header"],
)
def test_a_message_comes_back_whole_as_what_it_is(content: bytes, kind: str, encoding: str | None) -> None:
    """The last part is the message byte for byte; its header alone decides whether it is one of RFC 6533."""
    notice = _notice(returned=content, whole=True)
    *_, last = _parts(notice)
    assert (last.get_content_type(), last["Content-Transfer-Encoding"]) == (kind, encoding)
    assert _parsed(notice)["Content-Transfer-Encoding"] == encoding
    written = compose(notice)
    assert content in written
    assert (b"message/global-delivery-status" in written) is (kind == "message/global")


def test_no_message_ends_the_part_in_which_it_comes_back() -> None:
    """A message with the boundary in it, which its author may foresee, gets another one."""
    boundary = "--=_0000000000002"
    content = _WHOLE + f"{boundary}--\r\n{boundary}.1.\r\n{boundary}\r\n".encode()
    notice = _notice(returned=content, whole=True)
    *_, last = _parts(notice)
    (inner,) = last.iter_parts()
    assert isinstance(inner, EmailMessage)
    assert inner.get_content().splitlines() == ["hello", f"{boundary}--", f"{boundary}.1.", boundary]


@given(st.lists(st.text(max_size=3000), min_size=1, max_size=3), st.text(max_size=200))
def test_a_hostile_diagnostic_neither_breaks_lines_nor_adds_fields(diagnostics: list[str], long: str) -> None:
    """Whatever a receiver says, lines have at most 998 octets, no control character, and no field is forged."""
    recipients = [
        Recipient(rcpt_to="you@example.org", status="5.0.0", diagnostic=diagnostic + 40 * long, remote_host="mx.test")
        for diagnostic in diagnostics
    ]
    written = compose(_notice(*recipients))
    assert all(len(line) <= 998 for line in written.split(b"\r\n"))
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n", written)
    assert not re.search("[\x80-\x9f\u2028\u2029]", written.decode())
    fields = re.findall(rb"^[A-Z][A-Za-z-]+(?=: )", written.partition(b"Arrival-Date")[2], re.MULTILINE)
    of_one = [b"Final-Recipient", b"Action", b"Status", b"Remote-MTA", b"Diagnostic-Code"]
    assert fields[: 5 * len(recipients)] == of_one * len(recipients)


@pytest.mark.parametrize("character", ["x", "ü", "語", "😀"])
def test_a_word_of_any_length_is_cut_before_it_makes_a_line_too_long(character: str) -> None:
    """A word of thousands of characters is broken over lines, behind the words before it, and nothing is lost."""
    recipient = Recipient(rcpt_to="you@example.org", status="5.0.0", diagnostic=f"first {character * 5000} last")
    written = compose(_notice(recipient))
    assert max(map(len, written.split(b"\r\n"))) <= 998
    text = "".join(written.decode().split())
    assert f"first{character * 5000}last" in text


@pytest.mark.parametrize(
    "notice",
    [
        _notice(returned="Subject: grüße\r\n".encode()),
        _notice(Recipient(rcpt_to="jörg@example.org", status="5.6.7", diagnostic="no SMTPUTF8", remote_host="mx.test")),
        _notice(Recipient(rcpt_to="you@example.org", status="5.0.0", diagnostic="550 unbekannt, tschüß")),
        _notice(
            Recipient(rcpt_to="you@example.org", status="5.0.0", diagnostic="no", original="utf-8; jörg@old.example")
        ),
        _notice(mail_from="jörg@example.com"),
    ],
    ids=["headers", "recipient", "diagnostic", "original", "sender"],
)
def test_what_is_not_ascii_gets_the_types_of_rfc_6533(notice: Notice) -> None:
    """Where headers, an address or a diagnostic are not ASCII, the parts are of the global types and 8 bit."""
    parts = _parts(notice)
    types = [part.get_content_type() for part in parts]
    assert types == ["text/plain", "message/global-delivery-status", "message/global-headers"]
    assert all(part["Content-Transfer-Encoding"] == "8bit" for part in parts)
    assert parts[0].get_content_charset() == "utf-8"


def test_a_recipient_that_is_not_ascii_has_the_address_type_utf_8() -> None:
    """`Final-Recipient` of an internationalised mailbox is of the type `utf-8` (RFC 6533)."""
    recipient = Recipient(rcpt_to="jörg@example.org", status="5.6.7", diagnostic="no SMTPUTF8", remote_host="mx.test")
    assert "\r\nFinal-Recipient: utf-8; jörg@example.org\r\n".encode() in compose(_notice(recipient))


def test_an_ascii_notice_is_seven_bit() -> None:
    """A notice about ASCII mail has no octet above 127 and names no other encoding."""
    written = compose(_notice())
    assert written.isascii()
    assert b"8bit" not in written


@pytest.mark.parametrize(
    ("enhanced", "action", "status"),
    [
        ("5.1.1", Action.FAILED, "5.1.1"),
        ("4.2.2", Action.FAILED, "5.2.2"),
        ("5.7.1", Action.DELAYED, "4.7.1"),
        (None, Action.FAILED, "5.0.0"),
        (None, Action.DELAYED, "4.0.0"),
        ("2.6.0", Action.RELAYED, "2.6.0"),
        (None, Action.RELAYED, "2.0.0"),
    ],
)
def test_the_class_of_a_status_fits_the_action(enhanced: str | None, action: Action, status: str) -> None:
    """A failure has a status of class 5, a delay one of 4, what was relayed one of 2; else it is the general one."""
    assert status_for(enhanced, action=action) == status


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"A: b\r\nC: d\r\n\r\nbody\r\n\r\nmore\r\n", b"A: b\r\nC: d\r\n"),
        (b"A: b\r\n", b"A: b\r\n"),
        (b"", b""),
    ],
)
def test_headers_end_at_the_first_empty_line(content: bytes, headers: bytes) -> None:
    """The header section is what stands before the first empty line, with its last line end."""
    assert headers_of(content) == headers


def test_very_long_headers_are_cut_at_a_line() -> None:
    """Headers of more than 64 KiB come back up to their last whole line within it."""
    headers = headers_of(b"X: 0123456789\r\n" * 10_000 + b"\r\nbody")
    assert HEADERS_LIMIT - 15 < len(headers) <= HEADERS_LIMIT
    assert headers.endswith(b"9\r\n")
