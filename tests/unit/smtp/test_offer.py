"""What a receiver announces, and the commands that it gets accordingly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sender.core.options import NO_OPTIONS, Options
from sender.smtp.offer import Announced, Offer
from sender.smtp.outgoing import Outgoing


@pytest.mark.parametrize(
    ("text", "announced"),
    [
        ("MAILMAX=20 RCPTMAX=100 RCPTDOMAINMAX=1", Announced(20, 100, 1)),
        ("rcptmax=5", Announced(recipients=5)),
        ("RCPTMAX=0 MAILMAX=-1 RCPTDOMAINMAX=x", Announced()),
        ("RCPTMAX=1000000 OTHER=3", Announced()),
        ("", Announced()),
    ],
)
def test_limits_are_read_as_rfc_9422_writes_them(text: str, announced: Announced) -> None:
    """One to six digits and no leading zero; what is anything else is as if it was not said."""
    assert Offer.read({"limits": text}).announced == announced


def test_who_announces_no_limits_has_none() -> None:
    """Most receivers say nothing."""
    assert Offer.read({"pipelining": ""}).announced == Announced()


def _letter(*rcpt_tos: str, mail_from: str = "me@a.test", dsn: Sequence[str] = (), **options: Any) -> Outgoing:  # noqa: ANN401
    return Outgoing(
        mail_from=mail_from,
        rcpt_tos=rcpt_tos or ("you@b.test",),
        size=10,
        eight_bit=False,
        smtputf8=False,
        first=b"hello",
        options=Options(**options) if options else NO_OPTIONS,
        dsn=dsn,
    )


_DSN = Offer.read({"dsn": "", "smtputf8": ""})
_NOTHING = Offer.read({})


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ({}, "MAIL FROM:<me@a.test>"),
        ({"returns": "HDRS"}, "MAIL FROM:<me@a.test> RET=HDRS"),
        ({"envelope_id": "Qq+2B1"}, "MAIL FROM:<me@a.test> ENVID=Qq+2B1"),
        ({"returns": "FULL", "envelope_id": "QQ1"}, "MAIL FROM:<me@a.test> RET=FULL ENVID=QQ1"),
        ({"campaign": "spring", "send_at": 5.0}, "MAIL FROM:<me@a.test>"),
    ],
)
def test_mail_carries_what_the_sender_asked_to_be_told_with(options: dict[str, Any], command: str) -> None:
    """A receiver with DSN gets RET and ENVID as they were written, another one nothing of them."""
    assert _DSN.mail(_letter(**options)) == f"{command}\r\n".encode()
    assert _NOTHING.mail(_letter(**options)) == b"MAIL FROM:<me@a.test>\r\n"


def test_rcpt_carries_when_the_sender_wants_to_hear() -> None:
    """Each recipient has its own parameters, verbatim, with a receiver that takes them; else none has any."""
    dsn = ("NOTIFY=SUCCESS,DELAY ORCPT=rfc822;You+2BBox@B.test", "")
    letter = _letter("you@b.test", "them@b.test", dsn=dsn)
    assert _DSN.rcpt(letter, 0) == b"RCPT TO:<you@b.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;You+2BBox@B.test\r\n"
    assert _DSN.rcpt(letter, 1) == b"RCPT TO:<them@b.test>\r\n"
    assert _NOTHING.rcpt(letter, 0) == b"RCPT TO:<you@b.test>\r\n"
    assert _DSN.rcpt(_letter("you@b.test"), 0) == b"RCPT TO:<you@b.test>\r\n"


@pytest.mark.parametrize(
    ("offer", "rcpt_to", "written"),
    [
        (_DSN, "jörg@b.test", "ORCPT=utf-8;jörg@b.test"),
        (_DSN, "you@b.test", r"ORCPT=utf-8;j\x{F6}rg@b.test"),
        (Offer.read({"dsn": ""}), "you@b.test", r"ORCPT=utf-8;j\x{F6}rg@b.test"),
    ],
    ids=["SMTPUTF8 in use", "not in use", "not announced"],
)
def test_an_original_recipient_beyond_ascii_goes_as_it_may(offer: Offer, rcpt_to: str, written: str) -> None:
    """Only in a transaction under SMTPUTF8 an address of RFC 6533 goes in UTF-8; else in ASCII."""
    letter = _letter(rcpt_to, dsn=("ORCPT=utf-8;jörg@b.test",))
    assert offer.rcpt(letter, 0) == f"RCPT TO:<{rcpt_to}> {written}\r\n".encode()


@pytest.mark.parametrize("verified", [False, True])
@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_t12_mail_that_needs_tls_goes_with_requiretls_or_not_at_all(
    *, asked: bool, announced: bool, verified: bool
) -> None:
    """Over the wish, the announcement and the verification: sent with the parameter, refused for good, or as ever."""
    offer = Offer.read({"requiretls": ""} if announced else {}, verified=verified)
    letter = _letter(require_tls=asked)
    allowed = not asked or (announced and verified)
    assert offer.takes(letter) is allowed
    refusal = offer.refusal(letter, "you@b.test", "mx.b.test")
    assert (refusal is None) is allowed
    if refusal is not None:
        assert (refusal.code, refusal.enhanced) == (550, "5.7.30")
        assert "mx.b.test" in refusal.text
    else:
        assert (b" REQUIRETLS" in offer.mail(letter)) is asked


@pytest.mark.parametrize(
    ("verified", "command"), [(True, b"MAIL FROM:<> REQUIRETLS\r\n"), (False, b"MAIL FROM:<>\r\n")]
)
def test_a_notice_is_not_lost_for_want_of_requiretls(command: bytes, *, verified: bool) -> None:
    """From the null sender it goes with the parameter where that can be, and else without (RFC 8689 section 5)."""
    offer = Offer.read({"requiretls": ""}, verified=verified)
    notice = _letter(mail_from="", require_tls=True)
    assert offer.takes(notice)
    assert offer.refusal(notice, "you@b.test", "mx.b.test") is None
    assert offer.mail(notice) == command
