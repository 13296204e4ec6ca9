"""The parameters of RFC 3461, as they are kept and as they are understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.notify import (
    Occasion,
    checked_original,
    decoded,
    in_ascii,
    occasions,
    original_recipient,
    parameters,
)


@pytest.mark.parametrize(
    ("dsn", "wanted"),
    [
        ("", None),
        ("ORCPT=rfc822;you@example.org", None),
        ("NOTIFY=NEVER", frozenset()),
        ("NOTIFY=SUCCESS,DELAY ORCPT=rfc822;you@example.org", {Occasion.SUCCESS, Occasion.DELAY}),
        ("NOTIFY=FAILURE", {Occasion.FAILURE}),
    ],
)
def test_a_sender_says_when_it_wants_to_hear_or_nothing(dsn: str, wanted: set[Occasion] | None) -> None:
    """NEVER is no occasion at all; without NOTIFY the sender has not said."""
    assert occasions(dsn) == wanted


@pytest.mark.parametrize(
    ("dsn", "field"),
    [
        ("", ""),
        ("NOTIFY=NEVER", ""),
        ("NOTIFY=NEVER ORCPT=rfc822;You+2BBox@Example.ORG", "rfc822; You+Box@Example.ORG"),
        ("ORCPT=RFC822;a+3Db@example.org", "RFC822; a=b@example.org"),
        ("ORCPT=utf-8;j\\x{F6}rg@example.org", "utf-8; j\\x{F6}rg@example.org"),
    ],
)
def test_the_original_recipient_is_decoded_and_keeps_its_case(dsn: str, field: str) -> None:
    """What xtext encodes is read; what is written otherwise stays."""
    assert original_recipient(dsn) == field


@pytest.mark.parametrize("xtext", ["+0D+0A", "+00", "+7F", "+FF"])
def test_what_cannot_stand_in_a_line_stays_encoded(xtext: str) -> None:
    """No control character and no octet beyond ASCII comes out of xtext."""
    assert decoded(xtext) == xtext


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_xtext_round_trips(text: str) -> None:
    """Printable ASCII comes back as it was encoded."""
    written = "".join(one if one.isalnum() or one in "@.-_" else f"+{ord(one):02X}" for one in text)
    assert decoded(written) == text


@given(st.text(st.characters(min_codepoint=0xA0, max_codepoint=0x10FFFF, exclude_categories=["Cs"]), min_size=1))
def test_an_address_beyond_ascii_is_written_for_a_receiver_that_takes_none(address: str) -> None:
    """What has no place in ASCII is written as RFC 6533 does, in a form that is taken again; all else stays."""
    dsn = parameters(notify="NEVER", original=f"utf-8;x{address[:20]}@example.org")
    written = in_ascii(dsn)
    assert written.isascii()
    assert written.startswith("NOTIFY=NEVER ORCPT=utf-8;x\\x{")
    assert checked_original(written.partition("ORCPT=")[2])
    assert in_ascii(written) == written
