"""NOTIFY, ORCPT and ENVID of RFC 3461."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.notify import (
    DsnError,
    Occasion,
    checked_envelope_id,
    checked_notify,
    checked_original,
    decoded,
    encoded,
    in_ascii,
    occasions,
    original_recipient,
    parameters,
)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("NEVER", "NEVER"),
        ("never", "NEVER"),
        ("success", "SUCCESS"),
        ("FAILURE,delay", "FAILURE,DELAY"),
        ("DELAY,DELAY", "DELAY"),
    ],
)
def test_notify_is_taken_in_any_case(value: str, kept: str) -> None:
    """What may be notified of is written in upper case from then on."""
    assert checked_notify(value) == kept


@pytest.mark.parametrize("value", ["", "NEVER,SUCCESS", "SOMETIMES", "SUCCESS,", "SUCCESS FAILURE"])
def test_notify_that_says_nothing_sensible_is_refused(value: str) -> None:
    """NEVER stands alone, and other words are not known."""
    with pytest.raises(DsnError, match="must be NEVER, or some of"):
        checked_notify(value)


@pytest.mark.parametrize("value", ["rfc822;Bob@Example.ORG", "x-local;a+2Bb", "utf-8;grün@b.test", "UTF-8;a\\x{FC}b"])
def test_an_original_recipient_is_kept_as_it_was_written(value: str) -> None:
    """Case and encoding are the client's."""
    assert checked_original(value) == value


@pytest.mark.parametrize(
    "value",
    ["", ";", "rfc822;", "rfc822", ";a@b", "rfc822;a b", "rfc822;a=b", "rfc822;a+2bb", "rfc822;ü@b", "rfc822;a\x7f",
     "rf c;a", f"rfc822;{'x' * 500}"],
)  # fmt: skip
def test_an_original_recipient_that_is_no_xtext_is_refused(value: str) -> None:
    """What could end the command or the line, or is too long, is refused."""
    with pytest.raises(DsnError):
        checked_original(value)


@pytest.mark.parametrize("value", ["QQ314159", "a+2Bb", "x" * 100])
def test_an_envelope_id_is_kept(value: str) -> None:
    """An id of up to 100 characters of xtext is kept."""
    assert checked_envelope_id(value) == value


@pytest.mark.parametrize("value", ["", "a b", "a=b", "a+b", "ü", "x" * 101, "a\r\nb"])
def test_an_envelope_id_that_is_no_xtext_is_refused(value: str) -> None:
    """What could end the command is refused."""
    with pytest.raises(DsnError):
        checked_envelope_id(value)


@pytest.mark.parametrize(
    ("dsn", "wanted"),
    [
        ("", None),
        ("ORCPT=rfc822;a@b", None),
        ("NOTIFY=NEVER", set()),
        ("NOTIFY=FAILURE", {Occasion.FAILURE}),
        ("NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b", {Occasion.SUCCESS, Occasion.DELAY}),
    ],
)
def test_the_occasions_are_those_that_notify_names(dsn: str, wanted: set[Occasion] | None) -> None:
    """Who did not say is told apart from who never wants to hear."""
    assert occasions(dsn) == wanted


def test_parameters_are_written_as_rcpt_takes_them() -> None:
    """Only what was said is written."""
    assert parameters() == ""
    assert parameters(notify="NEVER") == "NOTIFY=NEVER"
    assert parameters(notify="DELAY", original="rfc822;a@b") == "NOTIFY=DELAY ORCPT=rfc822;a@b"


def test_the_original_recipient_is_decoded_for_people() -> None:
    """A notice shows the address and not its encoding."""
    assert original_recipient("NOTIFY=DELAY ORCPT=rfc822;a+2Bb@c") == "rfc822; a+b@c"
    assert original_recipient("ORCPT=RFC822;a+3Db@C.test") == "RFC822; a=b@C.test"
    assert original_recipient("ORCPT=utf-8;j\\x{F6}rg@c.test") == "utf-8; j\\x{F6}rg@c.test"
    assert original_recipient("NOTIFY=DELAY") == ""


@given(st.text(st.characters(codec="ascii"), max_size=30))
def test_decoding_gives_back_what_was_encoded_and_no_line_end(text: str) -> None:
    """Printable characters round-trip; a control character stays encoded, so that none gets into a notice."""
    xtext = "".join(c if c not in "+=" and 33 <= ord(c) < 127 else f"+{ord(c):02X}" for c in text)
    shown = decoded(xtext)
    assert shown.isprintable()
    assert "".join(c if 32 <= ord(c) < 127 else f"+{ord(c):02X}" for c in text) == shown


@given(st.text(st.characters(min_codepoint=0xA0, max_codepoint=0x10FFFF, exclude_categories=["Cs"]), min_size=1))
def test_an_address_beyond_ascii_is_written_for_a_receiver_that_takes_none(address: str) -> None:
    """What has no place in ASCII is written as RFC 6533 does, in a form that is taken again; all else stays."""
    dsn = parameters(notify="NEVER", original=f"utf-8;x{address[:20]}@example.org")
    written = in_ascii(dsn)
    assert written.isascii()
    assert written.startswith("NOTIFY=NEVER ORCPT=utf-8;x\\x{")
    assert checked_original(written.partition("ORCPT=")[2])
    assert in_ascii(written) == written


@pytest.mark.parametrize(
    ("text", "xtext"), [("", ""), ("abc-1", "abc-1"), ("a+b=c d", "a+2Bb+3Dc+20d"), ("<~!>", "<~!>")]
)
def test_xtext_is_written_so_that_it_can_be_read(text: str, xtext: str) -> None:
    """What xtext does not allow as such is encoded."""
    assert encoded(text) == xtext
    assert decoded(xtext) == text


@pytest.mark.parametrize("text", ["ü", "a\r\nb", "\0", "\x7f", "\t"])
def test_i3_what_cannot_be_told_is_not_encoded(text: str) -> None:
    """Neither controls nor anything beyond ASCII."""
    with pytest.raises(DsnError):
        encoded(text)
