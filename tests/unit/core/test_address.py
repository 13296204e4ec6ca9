"""Addresses: what is taken, what is refused, and that nothing is changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.address import canonical_domain, domain_of, needs_smtputf8, split_mailbox, wire_form
from sender.core.errors import AddressError

_ATEXT = "abcXYZ019!#$%&'*+/=?^_`{|}~-äß語"
_atoms = st.text(_ATEXT, min_size=1, max_size=8)
_dot_strings = st.lists(_atoms, min_size=1, max_size=3).map(".".join)
_quoted = st.lists(
    st.one_of(st.sampled_from([" ", "a", "@", ".", ",", ":", ";", ">", "<", "("]), st.sampled_from(['\\"', "\\\\"])),
    max_size=10,
).map(lambda pieces: f'"{"".join(pieces)}"')
_labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(lambda text: text[2:4] != "--")
_domains = st.lists(_labels, min_size=1, max_size=4).map(".".join)


@given(local=st.one_of(_dot_strings, _quoted), domain=_domains)
def test_every_mailbox_that_rfc_5321_allows_is_split_at_its_last_at_and_not_changed(local: str, domain: str) -> None:
    """A mailbox of a dot-string or quoted string and a domain comes back in two parts, character for character."""
    assert split_mailbox(f"{local}@{domain}") == (local, domain)


@pytest.mark.parametrize(
    "mailbox",
    [
        "",
        "a",
        "@example.org",
        "a@",
        "a b@example.org",
        "a,b@example.org",
        "a:b@example.org",
        "a;b@example.org",
        "@relay.example:a@example.org",
        "a@b@example.org",
        ".a@example.org",
        "a.@example.org",
        "a..b@example.org",
        "a@example.org>",
        "<a@example.org>",
        "a\r\nRCPT TO:<b@example.org>@example.org",
        '"a\r\nb"@example.org',
        '"a"b"@example.org',
        '"a@example.org',
        "a\0@example.org",
        "a\x7f@example.org",
        "a\x85@example.org",
        "a\ud800@example.org",
        "a@\ud800.example.org",
        "a@exa mple.org",
        "a@-example.org",
        "a@example-.org",
        "a@example..org",
        "a@exam\r\nple.org",
        "a@[192.0.2.1",
        "a@[example.org]",
        "a@[999.0.2.1]",
        "a@[::1]",
        "a@[IPv6:192.0.2.1]",
    ],
)
def test_what_rfc_5321_does_not_allow_is_refused(mailbox: str) -> None:
    """A string that is no mailbox is refused with an AddressError, whatever is wrong with it."""
    with pytest.raises(AddressError):
        split_mailbox(mailbox)


@pytest.mark.parametrize(
    ("mailbox", "fits"),
    [
        (f"{'a' * 64}@example.org", True),
        (f"{'a' * 65}@example.org", False),
        (f"{'ä' * 32}@example.org", True),
        (f"{'ä' * 33}@example.org", False),
        (f"a@{'b' * 63}.org", True),
        (f"a@{'b' * 64}.org", False),
        (f"a@{'.'.join(['b' * 61] * 4)}.orgs", True),
        (f"ab@{'.'.join(['b' * 61] * 4)}.orgs", False),
    ],
)
def test_lengths_are_limited_in_octets(mailbox: str, *, fits: bool) -> None:
    """A local part has at most 64 octets, a label 63, a whole mailbox 254."""
    if fits:
        assert "@".join(split_mailbox(mailbox)) == mailbox
    else:
        with pytest.raises(AddressError):
            split_mailbox(mailbox)


@pytest.mark.parametrize(
    ("domain", "canonical"),
    [
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("_dmarc.example.org", "_dmarc.example.org"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"),
    ],
)
def test_a_domain_is_queued_in_lower_case_a_labels_without_a_final_dot(domain: str, canonical: str) -> None:
    """The canonical form of a domain is in lower case and A-labels, without a final dot."""
    assert canonical_domain(domain) == canonical
    assert canonical_domain(canonical) == canonical
    assert domain_of(f"someone@{domain}") == canonical


@pytest.mark.parametrize("domain", ["-Ü-.test", "B..test", "", "[127.0.0.1"])
def test_the_domain_of_a_damaged_mailbox_is_what_stands_there(domain: str) -> None:
    """Mail whose address was spoilt in the spool can be recorded and ended as any other."""
    with pytest.raises(AddressError):
        canonical_domain(domain)
    assert domain_of(f"someone@{domain}") == domain.lower()


@given(_domains)
def test_the_case_of_a_domain_does_not_matter(domain: str) -> None:
    """Two spellings of a domain that differ in case and a final dot have one canonical form."""
    assert canonical_domain(f"{domain.upper()}.") == canonical_domain(domain) == domain


@pytest.mark.parametrize(
    ("mailbox", "needs", "wire"),
    [
        ("a@example.org", False, "a@example.org"),
        ("A@Example.org", False, "A@Example.org"),
        ("a@bücher.example", False, "a@xn--bcher-kva.example"),
        ("Bob@bücher.example", False, "Bob@xn--bcher-kva.example"),
        ("ä@bücher.example", True, "ä@xn--bcher-kva.example"),
    ],
)
def test_only_a_local_part_that_is_not_ascii_needs_smtputf8(mailbox: str, *, needs: bool, wire: str) -> None:
    """A domain can always be written in A-labels; a local part is never rewritten."""
    assert needs_smtputf8(mailbox) is needs
    assert wire_form(mailbox) == wire


def test_an_address_error_names_the_value_and_the_rule() -> None:
    """The words of an AddressError are the value and the rule that it breaks."""
    with pytest.raises(AddressError, match=r"^'a b@c': the part before @ must be a dot-string or a quoted string$"):
        split_mailbox("a b@c")


def test_international_domains_are_those_of_idna_2008() -> None:
    """A sharp s is a letter of its own: IDNA 2003 would send the mail to another domain."""
    assert canonical_domain("straße.de") == "xn--strae-oqa.de"
    assert canonical_domain("BÜCHER.example") == "xn--bcher-kva.example"
