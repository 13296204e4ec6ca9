"""A message that a program of this machine hands over."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from sender.core.options import NO_OPTIONS
from sender.intake.content import RefusedContentError
from sender.intake.letter import BadAddressesError, Letter, NoRecipientsError, Writer, addresses, compose, read_all
from sender.settings import Settings, from_tables

NOW = 1790000000.0
ADDED = re.compile(
    rb"From: Ann Lee <ann@mail\.test>\r\n"
    rb"Date: Mon, 21 Sep 2026 \d\d:13:20 [+-]\d{4}\r\n"
    rb"Message-ID: <[^@>\s]+@mail\.test>\r\n"
)


def _settings(**smtp: Any) -> Settings:  # noqa: ANN401 - any key
    return from_tables({"hostname": "mail.test", "smtp": smtp}, Path("/sender.toml"))


def _letter(raw: bytes, *rcpt_tos: str, from_headers: bool = False, name: str = "Ann Lee", **smtp: Any) -> Letter:  # noqa: ANN401 - any key
    writer = Writer(
        mail_from="ann@mail.test",
        header_from="ann@mail.test",
        full_name=name,
        rcpt_tos=rcpt_tos,
        options=NO_OPTIONS,
        from_headers=from_headers,
    )
    return compose(raw, writer, _settings(**smtp), now=NOW)


def _without_added(letter: Letter) -> bytes:
    match = ADDED.match(letter.content)
    assert match is not None, letter.content
    return letter.content[match.end() :]


@pytest.mark.parametrize(
    ("raw", "rest"),
    [
        (b"Subject: x\n\nbody\n", b"Subject: x\r\n\r\nbody\r\n"),
        (b"Subject: x\r\n\r\nbody\r\n", b"Subject: x\r\n\r\nbody\r\n"),
        (b"Subject: x\n\nno end", b"Subject: x\r\n\r\nno end\r\n"),
        (b"Subject: x", b"Subject: x\r\n"),
        (b"\nbody\n", b"\r\nbody\r\n"),
        (b"body alone\n", b"\r\nbody alone\r\n"),
        (b"Hello.\nTo: you\n\nmore\n", b"\r\nHello.\r\nTo: you\r\n\r\nmore\r\n"),
        (b"Subject: x\nno field\nTo: you\n\nmore\n", b"Subject: x\r\n\r\nno field\r\nTo: you\r\n\r\nmore\r\n"),
        (b"", b""),
        (b"From ann Mon Sep 21 10:00:00 2026\nSubject: x\n\nb\n", b"Subject: x\r\n\r\nb\r\n"),
        (b"Subject: x\n\n.\n..\n.", b"Subject: x\r\n\r\n.\r\n..\r\n.\r\n"),
        (b"Subject: x\n\nFrom here\n", b"Subject: x\r\n\r\nFrom here\r\n"),
    ],
)
def test_what_is_missing_is_added_and_the_rest_is_kept(raw: bytes, rest: bytes) -> None:
    """From, Date and Message-ID come first; line ends become CRLF; what is no field ends the headers."""
    assert _without_added(_letter(raw, "you@b.test")) == rest


def test_what_is_there_is_not_added() -> None:
    """A message that has all three goes as it is, byte for byte."""
    raw = b"Date: Mon, 21 Sep 2026 10:00:00 +0000\r\nFROM: a@b.test\r\nmessage-id: <1@b.test>\r\n\r\nh\xe4\r\n"
    assert _letter(raw, "you@b.test").content == raw


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("", b"From: ann@mail.test\r\n"),
        ('Lee, "Ann"', b'From: "Lee, \\"Ann\\"" <ann@mail.test>\r\n'),
        ("J\u00f6rg", b"From: =?utf-8?"),
        ("\udcff", b"From: <ann@mail.test>\r\n"),
    ],
)
def test_any_name_can_stand_in_from(name: str, field: bytes) -> None:
    """It is quoted or encoded; one that is no text at all is left out."""
    assert _letter(b"\nx\n", "you@b.test", name=name).content.startswith(field)


def test_x13_bcc_is_read_and_removed() -> None:
    """Its mailboxes are recipients with -t, and nobody sees them, with it or without it."""
    raw = b"To: a@b.test\nBcc: c@d.test,\n e@f.test\nSubject: x\n\nb\n"
    letter = _letter(raw, from_headers=True)
    assert letter.rcpt_tos == ("a@b.test", "c@d.test", "e@f.test")
    assert _without_added(letter) == b"To: a@b.test\r\nSubject: x\r\n\r\nb\r\n"
    assert b"c@d.test" not in _letter(raw, "you@b.test").content


@pytest.mark.parametrize(
    ("headers", "rcpt_tos"),
    [
        (b"To: a@b.test, Bo <bo>\nCC: c@d.test\n", ("you@b.test", "a@b.test", "bo@mail.test", "c@d.test")),
        (b"To: you@b.test, a@b.test, a@b.test\n", ("you@b.test", "a@b.test")),
        (b"To: friends:;\n", ("you@b.test",)),
        (b"To: a@b.test\nResent-To: r@b.test\nResent-Bcc: s@b.test\n", ("you@b.test", "r@b.test", "s@b.test")),
        (b"X-To: a@b.test\nTo:\n a@b.test (Ann)\n", ("you@b.test", "a@b.test")),
        (b"To: J\xf6rg <a@b.test>\n", ("you@b.test", "a@b.test")),
    ],
)
def test_recipients_in_headers_are_added_to_those_of_the_command_line(
    headers: bytes, rcpt_tos: tuple[str, ...]
) -> None:
    """Each is a recipient once; fields of a message that was sent on take the place of those that it had."""
    assert _letter(headers + b"\nb\n", "you@b.test", from_headers=True).rcpt_tos == rcpt_tos


def test_recipients_in_headers_are_not_read_unasked() -> None:
    """Without -t they are text."""
    assert _letter(b"To: a@b.test, no address at all\n\nb\n", "you@b.test").rcpt_tos == ("you@b.test",)


def test_every_bad_address_is_named() -> None:
    """The message is refused as a whole, and one look tells all that is wrong."""
    with pytest.raises(BadAddressesError) as refusal:
        _letter(b"To: a@b.test, .c@d.test, e@-f.test\nCc: g h\n\nb\n", from_headers=True)
    assert [error.value for error in refusal.value.errors] == [".c@d.test", "-f.test", "g h"]


def test_x9_an_address_that_is_no_text_is_refused() -> None:
    """Bytes that are not UTF-8 are not replaced by what somebody else may have."""
    with pytest.raises(BadAddressesError):
        _letter(b"To: j\xf6rg@b.test\n\nb\n", from_headers=True)


def test_nobody_is_no_recipient() -> None:
    """A message that has no recipient after all is refused."""
    with pytest.raises(NoRecipientsError):
        _letter(b"To: friends:;\n\nb\n", from_headers=True)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"Subject: x\n\na\0b\n", "5.6.0"),
        (b"Subject: x\n\n" + b"y" * 2048, "5.3.4"),
        (b"X-Sender-Priority: at once\n\nb\n", "5.6.0"),
        (b"X-Sender-Send-At: 2199-01-01T00:00:00Z\n\nb\n", "5.6.0"),
    ],
)
def test_what_a_daemon_would_refuse_is_refused_here(raw: bytes, status: str) -> None:
    """Later there would be nobody to tell."""
    with pytest.raises(RefusedContentError, match=status):
        _letter(raw, "you@b.test", max_message_size="2KiB")


def test_what_is_added_counts() -> None:
    """A message that is too large with its new fields is refused, and not left for a daemon that refuses it."""
    with pytest.raises(RefusedContentError, match=r"5\.3\.4"):
        _letter(b"Subject: x\n\n" + b"y" * 2020, "you@b.test", max_message_size="2KiB")


def test_fields_for_the_daemon_are_left_for_it() -> None:
    """X-Sender-* is looked over and goes on."""
    letter = _letter(b"X-Sender-Stream: news\n\nb\n", "you@b.test")
    assert _without_added(letter) == b"X-Sender-Stream: news\r\n\r\nb\r\n"


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"a\n.\nb\n", b"a\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n"),
        (b"a\n.", b"a\n"),
        (b"a\n..\n.b\n .\n", b"a\n..\n.b\n .\n"),
        (b"x" * 65535 + b".\n.\n", b"x" * 65535 + b".\n"),
        (b"x" * 65536 + b".\nb\n", b"x" * 65536 + b".\nb\n"),
        (b".\n", b""),
    ],
)
def test_a_line_with_a_dot_alone_ends_the_message(raw: bytes, read: bytes) -> None:
    """Unless it is said that it does not; a dot behind a long line is no line."""
    assert read_all(io.BytesIO(raw), dot_ends=True, limit=1_000_000) == read
    assert read_all(io.BytesIO(raw), dot_ends=False, limit=1_000_000) == raw


@pytest.mark.parametrize("dot_ends", [True, False])
def test_r7_no_more_is_read_than_can_be_taken(*, dot_ends: bool) -> None:
    """What goes on for ever is given up a little above the limit."""
    with Path("/dev/zero").open("rb") as endless:
        assert 1000 < len(read_all(endless, dot_ends=dot_ends, limit=1000)) <= 1000 + 64 * 1024


def test_addresses_are_each_taken_once() -> None:
    """In the order in which they were named."""
    assert addresses(["b@x.test, a", "a@mail.test", "b@x.test"], "mail.test") == ("b@x.test", "a@mail.test")
