"""Who submits: users with passwords and tokens with scopes, what senders each may use, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.core.address import canonical_domain, split_mailbox
from sender.core.bucket import Bucket
from sender.core.errors import AddressError, Problem
from sender.tables import PerSecond, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class AccountTable(Table):
    """What users and tokens have in common in their files."""

    senders: tuple[str, ...] = ()  # addresses, and domains with or without "@"; empty: any
    rate: PerSecond | None = None  # recipients


class Senders:
    """Addresses that somebody may use as a sender; without any, every address."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._mailboxes: set[str] = set()
        self._domains: set[str] = set()
        for pattern in patterns:
            local, _, domain = pattern.rpartition("@")
            if local:
                self._mailboxes.add(_folded(pattern))
            else:
                self._domains.add(canonical_domain(domain))
        self._any = not (self._mailboxes or self._domains)

    def allows(self, mailbox: str) -> bool:
        """Tell whether a mailbox may be used. The null sender may: bounces have it."""
        if self._any or not mailbox:
            return True
        try:
            return _folded(mailbox) in self._mailboxes or canonical_domain(mailbox.rpartition("@")[2]) in self._domains
        except AddressError:
            return False


def _folded(mailbox: str) -> str:
    """Write a mailbox so that those are alike which people take for the same one."""
    local, _, domain = mailbox.rpartition("@")
    return f"{local.casefold()}@{canonical_domain(domain)}"


class Account:
    """One user, or one token. `name` is for logs and events."""

    def __init__(self, name: str, table: AccountTable) -> None:
        self.name = name
        self.senders = Senders(table.senders)
        self._bucket = None if table.rate is None else Bucket(table.rate)

    def wait_s(self, now: float, recipients: int = 1) -> float:
        """Take so many recipients from what the account may send: 0, or the seconds until it may send so many."""
        return 0.0 if self._bucket is None else self._bucket.take(now, recipients)


def sender_problems(place: str, name: str, table: AccountTable) -> Iterator[Problem]:
    """Find what is no address and no domain among the senders of an account."""
    for pattern in table.senders:
        local, _, domain = pattern.rpartition("@")
        try:
            split_mailbox(pattern) if local else canonical_domain(domain)
        except AddressError:
            rule = 'must be an address, or a domain such as "@example.com"'
            yield Problem(place, f"{name}.senders", pattern, rule)
