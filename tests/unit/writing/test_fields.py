"""Header fields that are made of what clients give."""

from __future__ import annotations

import email
import email.header
import email.policy
import email.utils

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sender.writing.fields import (
    Mailbox,
    RefusedFieldError,
    checked_field_name,
    checked_value,
    of_mailboxes,
    parse_mailbox,
    unstructured,
)

_LINE_ENDS = "\r\n\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029")
_VALUES = st.one_of(st.text(_CHARACTERS, max_size=300), st.text('ab =?\t,;"<>q', max_size=400))


def _decoded(value: str) -> str:
    return str(email.header.make_header(email.header.decode_header(value)))


@given(_VALUES)
@example("x" * 2000)
@example("x" * 100 + " y" * 100)
def test_a_value_comes_back_as_it_was(value: str) -> None:
    """Whatever may stand in a field is read again by the standard library, and no line is too long for SMTP."""
    value = checked_value(value, "subject")
    written = unstructured("Subject", value)
    first, *further, last = written.split(b"\r\n")
    assert last == b""
    assert all(len(line) <= 998 for line in (first, *further))
    assert all(line[:1] in {b" ", b"\t"} and line.strip() for line in further)
    found = email.message_from_bytes(written + b"\r\n")["subject"]
    unfolded = found.replace("\r\n", "")
    assert (unfolded if "=?" not in written.decode() else _decoded(found)) == value


def test_what_reads_like_an_encoded_word_is_not_decoded() -> None:
    """A value that looks encoded is encoded itself, so that its reader sees what was written."""
    value = "=?utf-8?q?b=C3=A4r?= =?utf-8?b?YQ==?="
    assert _decoded(email.message_from_bytes(unstructured("Subject", value) + b"\r\n")["subject"]) == value


@given(st.text(_CHARACTERS, max_size=150))
def test_a_display_name_comes_back_as_it_was(display: str) -> None:
    """A name that is shown for an address is read again, but for the space in it; the address is untouched."""
    display = display.strip()
    written = of_mailboxes("To", [Mailbox("ann@example.net", display)])
    ((name, address),) = email.utils.getaddresses([email.message_from_bytes(written + b"\r\n")["to"]])
    assert address == "ann@example.net"
    assert "".join(_decoded(name).split()) == "".join(display.split())


@pytest.mark.parametrize("character", _LINE_ENDS)
def test_i12_i3_nothing_that_ends_a_line_stands_in_a_value(character: str) -> None:
    """CR, LF, NUL, and whatever else some reader takes for the end of a line, are refused in values and mailboxes."""
    with pytest.raises(RefusedFieldError, match=r"^subject: must have no line ends"):
        checked_value(f"news{character}Bcc: everybody@example.net", "subject")
    with pytest.raises(RefusedFieldError, match=r"^to: "):
        parse_mailbox(f"Ann{character}x <ann@example.net>", "to")
    with pytest.raises(RefusedFieldError, match=r"^to: "):
        parse_mailbox(f"ann@example.net{character}", "to")


@pytest.mark.parametrize("name", ["", "X Y", "X:", "X\r\nBcc", "Ü", "X\0", "x" * 71])
def test_i12_i3_a_name_of_a_field_is_that_and_nothing_else(name: str) -> None:
    """The name of a field is printable ASCII without space and colon (RFC 5322 section 3.6.8)."""
    with pytest.raises(RefusedFieldError, match="must be named"):
        checked_field_name(name, "headers")


@pytest.mark.parametrize(
    ("text", "address", "display"),
    [
        ("ann@example.net", "ann@example.net", ""),
        ("<ann@example.net>", "ann@example.net", ""),
        ("Ann Lee <ann@example.net>", "ann@example.net", "Ann Lee"),
        ('"Lee, Ann" <Ann@EXAMPLE.net>', "Ann@EXAMPLE.net", "Lee, Ann"),
        ("Lee, Ann <ann@example.net>", "ann@example.net", "Lee, Ann"),
        (r'"Ann \"the\" Lee" <ann@example.net>', "ann@example.net", 'Ann "the" Lee'),
        ("Änne <änne@exämple.net>", "änne@exämple.net", "Änne"),
        ('"ann lee"@example.net', '"ann lee"@example.net', ""),
    ],
)
def test_a_mailbox_is_read_with_its_name(text: str, address: str, display: str) -> None:
    """An address may stand alone, or behind a name with or without quotes; it is taken as it was written."""
    assert parse_mailbox(text, "to") == Mailbox(address, display)


@pytest.mark.parametrize(
    "text", ["", "ann", "ann@example.net, bert@example.net", "Ann <ann@example.net", "Ann <>", "<a@b>@c", "@a:b@c.net"]
)
def test_what_is_not_one_mailbox_is_refused(text: str) -> None:
    """Two addresses, half of one and source routes are refused."""
    with pytest.raises(RefusedFieldError):
        parse_mailbox(text, "to")


def test_a_long_list_has_a_line_for_each_mailbox() -> None:
    """Recipients of a field stand on lines of their own where they do not fit into one."""
    written = of_mailboxes("To", [Mailbox(f"user{number}@example.net") for number in range(100)])
    lines = written.split(b"\r\n")
    assert len(lines) == 101
    assert max(map(len, lines)) < 78
