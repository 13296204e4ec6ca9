"""The header section of a message that comes in."""

from __future__ import annotations

import pytest

from sender.intake.headers import Headers

DATE, ID = "Mon, 30 Nov 2026 10:00:00 GMT", "1@mail.test"


def _written(section: bytes, *, controls: bool = True, complete: bool = False) -> bytes:
    headers = Headers.read(section, controls=controls)
    return headers.written(date=DATE, message_id=ID) if complete else headers.written()


@pytest.mark.parametrize(
    "section",
    [
        b"",
        b"Subject: x\r\n",
        b"Subject: a\r\n Bcc: folded@x.test\r\nX-Bcc: y\r\n",
        b"no header at all\r\n",
        b"X-Sender: me\r\nX-Sender-Other: kept\r\n",
        b"Subject: \xff\r\n",
    ],
)
def test_what_is_for_everybody_is_kept_byte_for_byte(section: bytes) -> None:
    """A section without fields of ours is not changed."""
    assert _written(section) == section


@pytest.mark.parametrize("name", [b"Bcc", b"BCC", b"bcc ", b"Resent-Bcc"])
def test_x13_bcc_is_taken_out_with_all_its_lines(name: bytes) -> None:
    """Nobody sees who was sent a copy, however often and in how many lines it was said."""
    section = b"To: a@x.test\r\n" + (name + b": b@x.test,\r\n\tc@x.test\r\n  , d@x.test\r\n") * 2 + b"Subject: x\r\n"
    assert _written(section) == b"To: a@x.test\r\nSubject: x\r\n"


def test_x13_bcc_in_the_last_line_without_its_end_is_taken_out() -> None:
    """A message that is a header section and nothing else has no other rules."""
    assert _written(b"Subject: x\r\nBcc: b@x.test") == b"Subject: x\r\n"


def test_control_fields_are_read_and_taken_out() -> None:
    """Each is for us: name and value, in one line."""
    section = b"Subject: x\r\nX-Sender-Stream: news\r\nx-sender-send-at:\r\n 2026-12-01T08:00:00Z\r\nTo: a\r\n"
    headers = Headers.read(section, controls=True)
    assert headers.controls == [("x-sender-stream", "news"), ("x-sender-send-at", "2026-12-01T08:00:00Z")]
    assert headers.written() == b"Subject: x\r\nTo: a\r\n"


def test_control_fields_of_others_are_left_alone() -> None:
    """Where they are not for us they mean nothing, and stay."""
    section = b"X-Sender-Priority: urgent\r\n"
    headers = Headers.read(section, controls=False)
    assert (headers.controls, headers.written()) == ([], section)


@pytest.mark.parametrize(
    ("section", "written"),
    [
        (b"Subject: x\r\n", b"Date: %b\r\nMessage-ID: <%b>\r\nSubject: x\r\n" % (DATE.encode(), ID.encode())),
        (b"DATE: y\r\n", b"Message-ID: <%b>\r\nDATE: y\r\n" % ID.encode()),
        (b"message-id : <y>\r\nDate: z\r\n", b"message-id : <y>\r\nDate: z\r\n"),
        (b"hello\r\n", b"Date: %b\r\nMessage-ID: <%b>\r\n\r\nhello\r\n" % (DATE.encode(), ID.encode())),
        (b"", b"Date: %b\r\nMessage-ID: <%b>\r\n" % (DATE.encode(), ID.encode())),
    ],
)
def test_what_a_message_must_have_is_added_where_it_is_missing(section: bytes, written: bytes) -> None:
    """RFC 6409 section 8: Date and Message-ID; content without a header section stays the body that it is."""
    assert _written(section, complete=True) == written


@pytest.mark.parametrize(
    ("section", "mailboxes"),
    [
        (b"From: me@a.test\r\n", ["me@a.test"]),
        (b'From: "x@y.test" <me@a.test>,\r\n other@a.test\r\n', ["me@a.test", "other@a.test"]),
        (b"From: me@a.test\r\nFROM: evil@b.test\r\n", ["me@a.test", "evil@b.test"]),
        (b"Subject: x\r\n", []),
    ],
)
def test_i2_every_mailbox_that_a_reader_would_see_is_found(section: bytes, mailboxes: list[str]) -> None:
    """Display names are no addresses, and a second From does not hide."""
    assert Headers.read(section, controls=True).from_mailboxes == mailboxes


def test_x10_a_hundred_thousand_lines_are_looked_over_in_one_pass() -> None:
    """Every field is found however many there are."""
    section = b"Received: x\r\n" * 5000 + b"A: b\r\n" * 30_000 + b"Bcc: c\r\n"
    headers = Headers.read(section, controls=True)
    assert len(headers.hops) == 5000
    assert headers.written().endswith(b"A: b\r\n")
