"""Mailboxes and domains: taken verbatim or refused, never changed (RFC 5321 section 4.1.2, RFC 6531).

An address that is rewritten on its way reaches a stranger, so nothing here repairs anything.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

import idna

from sender.core.errors import AddressError

# Beyond ASCII, all but C1 controls, line separators and surrogates: these no receiver could be sent.
_BEYOND_ASCII = r"\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff"
_ATEXT = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~\-{_BEYOND_ASCII}]"
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_QUOTED_STRING = re.compile(rf'"(?:[ !#-\[\]-~{_BEYOND_ASCII}]|\\[ -~])*"')
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LITERAL = re.compile(r"\[(ipv6:)?([0-9a-f.:]+)\]", re.IGNORECASE)
LOCAL_LIMIT, DOMAIN_LIMIT, PATH_LIMIT = 64, 253, 254


def split_mailbox(mailbox: str) -> tuple[str, str]:
    """Split `local@domain` at the right place; both parts come back as they were written.

    Raises AddressError for what RFC 5321 does not allow; source routes (`@a:b@c`) are refused too.
    """
    local, at, domain = mailbox.rpartition("@")
    if not at or not local or not domain:
        raise AddressError(mailbox, "must be local@domain")
    if not (_DOT_STRING.fullmatch(local) or _QUOTED_STRING.fullmatch(local)):
        raise AddressError(mailbox, "the part before @ must be a dot-string or a quoted string")
    canonical_domain(domain)
    if len(local.encode()) > LOCAL_LIMIT:
        raise AddressError(mailbox, f"the part before @ must be at most {LOCAL_LIMIT} octets")
    if len(mailbox.encode()) > PATH_LIMIT:
        raise AddressError(mailbox, f"must be at most {PATH_LIMIT} octets")
    return local, domain


def canonical_domain(domain: str) -> str:
    """Give the form under which a domain is queued and looked up: lower case, A-labels, no final dot.

    Address literals keep their brackets. Raises AddressError.
    """
    if domain.startswith("["):
        if not _is_literal(domain):
            raise AddressError(domain, "must be an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]")
        return domain.lower()
    lowered = domain.lower().removesuffix(".")
    if not lowered.isascii():
        try:
            # IDNA 2008: that of 2003, in Python itself, makes another domain of some.
            lowered = idna.encode(lowered, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise AddressError(domain, "must be a domain that IDNA 2008 can encode") from error
    if len(lowered) > DOMAIN_LIMIT or not all(map(_LABEL.fullmatch, lowered.split("."))):
        raise AddressError(domain, "must be a domain of labels with up to 63 letters, digits and hyphens")
    return lowered


def _is_literal(domain: str) -> bool:
    match = _LITERAL.fullmatch(domain)
    if match is None:
        return False
    try:
        return ipaddress.ip_address(match[2]).version == (6 if match[1] else 4)
    except ValueError:
        return False


def domain_of(mailbox: str) -> str:
    """Give the canonical domain of a mailbox that `split_mailbox` took; of a damaged one, what stands there."""
    return _canonical(mailbox.rpartition("@")[2])


@lru_cache(maxsize=16_384)  # mail comes in campaigns: most have few domains
def _canonical(domain: str) -> str:
    try:
        return canonical_domain(domain)
    except AddressError:
        return domain.lower()


def needs_smtputf8(mailbox: str) -> bool:
    """Tell whether only a receiver with SMTPUTF8 can take this mailbox: the local part is not ASCII."""
    return not mailbox.rpartition("@")[0].isascii()


def wire_form(mailbox: str) -> str:
    """Give a mailbox for a receiver without SMTPUTF8: the domain in A-labels, the local part untouched."""
    if mailbox.isascii():
        return mailbox
    local, _, domain = mailbox.rpartition("@")
    return f"{local}@{canonical_domain(domain)}"
