"""Mailboxes in a field of addresses."""

from __future__ import annotations

import pytest

from sender.core.errors import AddressError
from sender.core.mailboxes import mailboxes, qualified


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("", []),
        ("a@b.test", ["a@b.test"]),
        ("a@b.test,c@d.test ,, e@f.test,", ["a@b.test", "c@d.test", "e@f.test"]),
        ("Ann Lee <a@b.test>, <c@d.test>", ["a@b.test", "c@d.test"]),
        ('"Lee, Ann <x@y.test>" <a@b.test>', ["a@b.test"]),
        ("a@b.test (not, these: (x@y.test; \\) z)), (nor) c@d.test", ["a@b.test", "c@d.test"]),
        ("undisclosed-recipients:;", []),
        ('"our: friends": a@b.test, Bo <c@d.test>;, e@f.test', ["a@b.test", "c@d.test", "e@f.test"]),
        ("a@b.test,\r\n\t c@d.test", ["a@b.test", "c@d.test"]),
        ('"a b"@c.test, "a\\"b"@c.test, "a>,b"@c.test', ['"a b"@c.test', '"a\\"b"@c.test', '"a>,b"@c.test']),
        ('<"a>b"@c.test>', ['"a>b"@c.test']),
        ("u@[192.0.2.1], <u@[IPv6:2001:db8::1]>", ["u@[192.0.2.1]", "u@[IPv6:2001:db8::1]"]),
        ("root, Ann Lee <ann>", ["root", "ann"]),
        ("jörg@bücher.test", ["jörg@bücher.test"]),
        ("=?utf-8?q?a=40b=2C?= <c@d.test>", ["c@d.test"]),
    ],
)
def test_x9_mailboxes_are_read_as_they_are_written(field: str, found: list[str]) -> None:
    """Names, comments and groups are passed over; of an address every character is kept."""
    assert mailboxes(field) == found


@pytest.mark.parametrize(
    "field",
    [
        "a:b@c.test",
        "a;b@c.test",
        "@r.test:u@c.test",
        "a@b.test>",
        "<>",
        "<a@b.test",
        "a@b.test c@d.test",
        "Ann Lee",
        "Ann <a@b.test> <c@d.test>",
        "Ann <a@b.test> Lee",
        "<a@b.test, c@d.test>",
        "<@r.test,@s.test:u@c.test>",
        "a @ b.test",
        '"open <a@b.test>',
        "a@b.test (open",
        "a@b.test )",
        "one: two: a@b.test;;",
        "Ann <a@b.test>: c@d.test;",
        "x@y.test: a@b.test;",
        ": a@b.test;",
        "a\\@b.test",
    ],
)
def test_x9_what_could_be_read_in_two_ways_is_refused(field: str) -> None:
    """An address that is guessed would reach a stranger."""
    with pytest.raises(AddressError):
        mailboxes(field)


def test_a_refusal_shows_what_cannot_be_read() -> None:
    """It begins where the mailbox does that is wrong."""
    with pytest.raises(AddressError) as refusal:
        mailboxes("a@b.test, Ann Lee, c@d.test")
    assert refusal.value.value.startswith("Ann Lee")


@pytest.mark.parametrize(
    ("mailbox", "whole"),
    [
        ("root", "root@mail.test"),
        ("a@b.test", "a@b.test"),
        ('"a@b"', '"a@b"@mail.test'),
        ('"a@b"@c.test', '"a@b"@c.test'),
    ],
)
def test_a_mailbox_without_a_domain_gets_ours(mailbox: str, whole: str) -> None:
    """An at sign within quotes begins no domain."""
    assert qualified(mailbox, "mail.test") == whole
