"""Messages that are made from parts, as the standard library reads them."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage, MIMEPart

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sender.writing.compose import (
    Attachment,
    Parts,
    Unsubscribing,
    checked_attachment,
    checked_headers,
    checked_unsubscribing,
    compose,
    lines,
    quoted_printable,
)
from sender.writing.fields import Mailbox, RefusedFieldError

_FROM = Mailbox("shop@example.com", "Shop")
_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=500),
    st.text("ab .=\t\n\r", max_size=500),
    st.lists(st.sampled_from(["From ", ".", "..", "\n", "\r\n", " ", "\t", "x" * 80, "ü" * 40, "=", "a"])).map("".join),
)


def _read(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert [defect for part in message.walk() for defect in part.defects] == []
    return message


def _text(part: MIMEPart | None) -> str:
    assert part is not None
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n", "\n")


@given(_TEXT, _TEXT)
def test_texts_come_back_as_they_were(text: str, html: str) -> None:
    """Text and HTML are alternatives of one message in ASCII and CRLF, and are read as they were given."""
    content = compose(Parts(from_=_FROM, text=text, html=html))
    assert content.isascii()
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", content)
    assert max(map(len, content.split(b"\r\n"))) <= 90
    message = _read(content)
    assert message.get_content_type() == "multipart/alternative"
    assert _text(message.get_body(("plain",))) == lines(text).decode()
    assert _text(message.get_body(("html",))) == lines(html).decode()


@given(_TEXT)
@example(" ".join("x" * length for length in range(60, 80)) + " ")
@example("\n".join("x" * length + "\t" for length in range(60, 80)))
@example("\n".join("x" * length + "From y" for length in range(60, 80)))
def test_quoted_printable_comes_back_as_it_was(text: str) -> None:
    """Encoded lines are short, hide what a mailbox file takes for a message, and decode to what they were made of."""
    encoded = quoted_printable(lines(text))
    assert all(len(line) <= 76 and not line.startswith(b"From ") for line in encoded.split(b"\r\n"))
    message = email.message_from_bytes(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded)
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.replace(b"\r\n", b"\n") == lines(text)


def test_a_plain_text_goes_out_as_it_is() -> None:
    """What is short lines of ASCII is not encoded."""
    assert compose(Parts(from_=_FROM, to=[Mailbox("ann@example.net")], subject="Order", text="On its way.\n")) == (
        b"From: Shop <shop@example.com>\r\nTo: <ann@example.net>\r\nSubject: Order\r\n"
        b'Content-Type: text/plain; charset="us-ascii"\r\nContent-Transfer-Encoding: 7bit\r\nMIME-Version: 1.0\r\n'
        b"\r\nOn its way.\r\n"
    )


@pytest.mark.parametrize(
    ("text", "encoding"), [("Grüße und noch etwas mehr " * 50, "quoted-printable"), ("こんにちは" * 50, "base64")]
)
def test_a_text_is_encoded_in_the_shorter_way(text: str, encoding: str) -> None:
    """A text with few characters beyond ASCII stays readable, another is base64."""
    assert _read(compose(Parts(from_=_FROM, text=text)))["content-transfer-encoding"] == encoding


def test_images_stand_beside_the_html_and_files_behind_it_all() -> None:
    """The parts are mixed(alternative(text, related(html, image)), file), each with its type, name and content."""
    attachments = (
        Attachment(filename="logo.png", content=b"\x89PNG\0", content_type="image/png", content_id="logo"),
        Attachment(filename='Größe "x".csv', content=b"a,b\r\n" * 50, content_type="text/csv; charset=utf-8"),
    )
    message = _read(compose(Parts(from_=_FROM, text="hi", html='<img src="cid:logo">', attachments=attachments)))
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        *("multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"),
        "text/csv",
    ]
    *_, image, file = message.walk()
    assert (image["content-id"], image.get_filename()) == ("<logo>", "logo.png")
    assert (image.get_content_disposition(), image.get_payload(decode=True)) == ("inline", b"\x89PNG\0")
    assert (file.get_content_disposition(), file.get_filename()) == ("attachment", 'Größe "x".csv')
    assert file.get_payload(decode=True) == b"a,b\r\n" * 50


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp"), exclude_characters="/\\"), min_size=1))
def test_names_of_files_come_back_as_they_were(name: str) -> None:
    """A name that is taken is read as it was given, whatever its script."""
    try:
        one = checked_attachment(Attachment(filename=name, content=b"x"), "attachments[0]")
    except RefusedFieldError:
        assert name in {".", ".."} or name != name.strip() or len(name.encode()) > 255
        return
    (file,) = _read(compose(Parts(from_=_FROM, text="hi", attachments=[one]))).iter_attachments()
    assert file.get_filename() == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "/etc/passwd",
        "a\\b",
        "C:\\x",
        "x\r\nBcc: y",
        "x\0.exe",
        "x\x7f",
        "a\u202etxt.exe",
        "x" * 256,
    ],
)
def test_i12_a_name_of_a_file_is_no_path(name: str) -> None:
    """Names with a path, with control characters, or with characters that turn the direction, are refused."""
    with pytest.raises(RefusedFieldError, match=r"^attachments\[0\]\.filename: "):
        checked_attachment(Attachment(filename=name, content=b""), "attachments[0]")


@pytest.mark.parametrize(
    "kind", ["", "text", "text/", "text/plain\r\nX: y", "message/rfc822", "Multipart/mixed", 'a/b; c="\r\n"', "a/b;c"]
)
def test_i12_a_type_of_a_file_is_a_media_type(kind: str) -> None:
    """What is no media type, or one of parts or messages, is refused."""
    with pytest.raises(RefusedFieldError, match=r"content_type: "):
        checked_attachment(Attachment(filename="x", content=b"", content_type=kind), "attachments[0]")


@pytest.mark.parametrize("content_id", ["a b", "<a>", "a\r\nb", "ü"])
def test_i12_a_content_id_has_no_brackets_and_no_line_ends(content_id: str) -> None:
    """A content id is letters, digits and few signs."""
    with pytest.raises(RefusedFieldError, match=r"content_id: "):
        checked_attachment(Attachment(filename="x", content=b"", content_id=content_id), "attachments[0]")


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("From", "must be given as from"),
        ("reply-to", "must be given as reply_to"),
        ("Bcc", "it is made here"),
        ("Received", "it is made here"),
        ("Content-Type", "it is made here"),
        ("MIME-Version", "it is made here"),
        ("X-Sender-Stream", "there is a key"),
        ("List-Unsubscribe", "must not stand beside list_unsubscribe"),
        ("X Y", "must be named"),
    ],
)
def test_i12_fields_that_are_ours_are_refused_by_name(name: str, rule: str) -> None:
    """What is made of other keys, or belongs to MIME or to us, cannot be given as a field."""
    with pytest.raises(RefusedFieldError) as refusal:
        checked_headers({name: "x"}, "headers", unsubscribing=True)
    assert refusal.value.field == f"headers.{name}"
    assert rule in refusal.value.rule


def test_fields_of_the_client_are_sent() -> None:
    """Other fields go out, encoded where they need it; one that has a mailbox keeps its address readable."""
    headers = {"X-Campaign": "Frühling", "DKIM-Signature": "v=1; a=rsa-sha256", "Sender": "Jörg <joerg@example.com>"}
    checked = checked_headers(headers, "headers", unsubscribing=False)
    message = _read(compose(Parts(from_=_FROM, text="hi", headers=checked)))
    assert message["x-campaign"] == "Frühling"
    assert message["dkim-signature"] == "v=1; a=rsa-sha256"
    assert message["sender"].address.addr_spec == "joerg@example.com"


def test_a_field_stands_once() -> None:
    """Two names that differ by their case are one field."""
    with pytest.raises(RefusedFieldError, match=r"^headers\.x-a: must stand once"):
        checked_headers({"X-A": "1", "x-a": "2"}, "headers", unsubscribing=False)


def test_leaving_a_list_has_its_two_fields() -> None:
    """RFC 2369 and RFC 8058: both ways in one field, and one click where it is wanted."""
    how = Unsubscribing(url="https://example.com/u?id=1", mailto="leave@example.com", one_click=True)
    checked = checked_unsubscribing(how, "list_unsubscribe")
    message = _read(compose(Parts(from_=_FROM, text="hi", unsubscribing=checked)))
    assert message["list-unsubscribe"] == "<https://example.com/u?id=1>, <mailto:leave@example.com>"
    assert message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize(
    ("how", "field"),
    [
        (Unsubscribing(), "list_unsubscribe"),
        (Unsubscribing(url="http://example.com/"), "list_unsubscribe.url"),
        (Unsubscribing(url="https://example.com/>, <x"), "list_unsubscribe.url"),
        (Unsubscribing(url="https://example.com/\r\nBcc: x"), "list_unsubscribe.url"),
        (Unsubscribing(url="https://example.com/" + "x" * 900), "list_unsubscribe.url"),
        (Unsubscribing(mailto="leave@example.com", one_click=True), "list_unsubscribe.url"),
        (Unsubscribing(mailto="mailto:a b"), "list_unsubscribe.mailto"),
        (Unsubscribing(mailto="nobody"), "list_unsubscribe.mailto"),
    ],
)
def test_ways_to_leave_a_list_are_checked(how: Unsubscribing, field: str) -> None:
    """A URL is https, one click needs one, and nothing ends the field."""
    with pytest.raises(RefusedFieldError) as refusal:
        checked_unsubscribing(how, "list_unsubscribe")
    assert refusal.value.field == field
