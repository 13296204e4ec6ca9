"""One template and many recipients."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.writing.compose import Attachment, Unsubscribing, lines
from sender.writing.fields import Mailbox, RefusedFieldError
from sender.writing.mailing import Mailing, Outline, Recipient

_MAX = 25 * 2**20
_OUTLINE = Outline(
    from_=Mailbox("shop@example.com", "Shop"),
    mail_from="b+{{ rcpt_to|replace('@', '=') }}@example.com",
    subject="Hello {{ name }}",
    text="Dear {{ name }},\nhere it is.",
    html="<p>Dear {{ name }}</p>",
    headers={"X-Number": "{{ number }}"},
    attachments=[Attachment(filename="terms.txt", content=b"terms")],
    unsubscribing=Unsubscribing(url="https://example.com/u/{{ number }}", one_click=True),
    substitutions={"name": "friend", "number": 0},
)
_ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)


def _message(mailing: Mailing, recipient: Recipient) -> EmailMessage:
    content = mailing.write(mailing.letter(recipient, max_size=_MAX))
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert [defect for part in message.walk() for defect in part.defects] == []
    return message


def _recipient(**substitutions: Any) -> Recipient:  # noqa: ANN401 - JSON
    return Recipient(rcpt_to="ann@example.net", substitutions=substitutions)


def test_each_recipient_has_a_message_of_its_own() -> None:
    """Every place where a template may stand shows the recipient's values, or those that all share."""
    mailing = Mailing(_OUTLINE)
    letter = mailing.letter(_recipient(name="Änne & Bert", number=17), max_size=_MAX)
    assert letter.mail_from == "b+ann=example.net@example.com"
    message = _message(mailing, _recipient(name="Änne & Bert", number=17))
    assert (message["from"], message["to"]) == ("Shop <shop@example.com>", "ann@example.net")
    assert (message["subject"], message["x-number"]) == ("Hello Änne & Bert", "17")
    assert message["list-unsubscribe"] == "<https://example.com/u/17>"
    assert message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content() == "Dear Änne & Bert,\r\nhere it is.\r\n"
    assert html.get_content() == "<p>Dear Änne &amp; Bert</p>\r\n"
    assert [part.get_filename() for part in message.iter_attachments()] == ["terms.txt"]
    assert _message(mailing, _recipient())["subject"] == "Hello friend"


def test_the_recipient_is_shown_as_wanted() -> None:
    """`to` of the recipient goes before that of the template."""
    mailing = Mailing(replace(_OUTLINE, to="{{ name }} <{{ rcpt_to }}>"))
    assert _message(mailing, _recipient(name="Lee, Ann"))["to"] == '"Lee, Ann" <ann@example.net>'
    recipient = Recipient(rcpt_to="ann@example.net", to=Mailbox("ann@example.net", "Ann"))
    assert _message(mailing, recipient)["to"] == "Ann <ann@example.net>"


@given(_ANY, _ANY)
def test_texts_come_back_as_they_were_rendered(text: str, html: str) -> None:
    """Whatever a value is, the standard library reads it in the texts as it was."""
    mailing = Mailing(replace(_OUTLINE, text="{{ text }}", html="<b>{{ html|safe }}</b>"))
    message = _message(mailing, _recipient(text=text, html=html))
    for kind, given_text in (("plain", text), ("html", f"<b>{html}</b>")):
        part = message.get_body((kind,))
        assert part is not None
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert payload.replace(b"\r\n", b"\n") == lines(given_text)


@pytest.mark.parametrize("character", "\r\n\0\u2028")
@pytest.mark.parametrize(
    ("outline", "field"),
    [
        (replace(_OUTLINE, subject="{{ x }}"), "template.subject"),
        (replace(_OUTLINE, to="{{ x }} <ann@example.net>"), "template.to"),
        (replace(_OUTLINE, mail_from="{{ x }}@example.com"), "mail_from"),
        (replace(_OUTLINE, headers={"X-A": "{{ x }}"}), "template.headers.X-A"),
        (replace(_OUTLINE, unsubscribing=Unsubscribing(url="https://{{ x }}")), "template.list_unsubscribe.url"),
        (replace(_OUTLINE, unsubscribing=Unsubscribing(mailto="{{ x }}")), "template.list_unsubscribe.mailto"),
    ],
)
def test_i12_i3_a_value_cannot_end_a_field(outline: Outline, field: str, character: str) -> None:
    """What is rendered into a field is checked as if the client had written it there."""
    with pytest.raises(RefusedFieldError) as refusal:
        Mailing(outline).letter(_recipient(x=f"a{character}Bcc: everybody@example.net"), max_size=_MAX)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("outline", "field"),
    [
        (replace(_OUTLINE, subject="{{ name"), "template.subject"),
        (replace(_OUTLINE, html="{% set a = 1 %}"), "template.html"),
        (replace(_OUTLINE, mail_from="{{ f() }}"), "mail_from"),
        (replace(_OUTLINE, headers={"Received": "x"}), "template.headers.Received"),
        (replace(_OUTLINE, headers={"X-A": "{{"}), "template.headers.X-A"),
    ],
)
def test_a_template_that_is_wrong_is_named(outline: Outline, field: str) -> None:
    """What is wrong for every recipient is found before any of them is looked at."""
    with pytest.raises(RefusedFieldError) as refusal:
        Mailing(outline)
    assert refusal.value.field == field


def test_a_missing_value_names_template_and_variable() -> None:
    """A recipient without a value has no message."""
    with pytest.raises(RefusedFieldError, match=r"^template\.html: line 1: `age` is undefined$"):
        Mailing(replace(_OUTLINE, html="{{ age }}")).letter(_recipient(), max_size=_MAX)


def test_a_message_that_is_too_large_is_refused_by_its_real_size() -> None:
    """The size that counts is that of the message as it is written."""
    mailing = Mailing(_OUTLINE)
    size = len(mailing.write(mailing.letter(_recipient(), max_size=_MAX)))
    mailing.letter(_recipient(), max_size=size)
    with pytest.raises(RefusedFieldError, match=r"^template: must make messages of at most"):
        mailing.letter(_recipient(), max_size=size - 1)


def test_a_text_has_no_nul() -> None:
    """NUL is refused in the texts too, with the template in which it would stand."""
    with pytest.raises(RefusedFieldError, match=r"^template\.text: must have no NUL"):
        Mailing(replace(_OUTLINE, subject="")).letter(_recipient(name="\0"), max_size=_MAX)


def test_the_null_sender_can_be_rendered() -> None:
    """An empty `mail_from` is the null sender; without one, it is the address of `from`."""
    assert Mailing(replace(_OUTLINE, mail_from="")).letter(_recipient(), max_size=_MAX).mail_from == ""
    assert (
        Mailing(replace(_OUTLINE, mail_from=None)).letter(_recipient(), max_size=_MAX).mail_from == "shop@example.com"
    )
