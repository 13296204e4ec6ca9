"""A mailbox provider: the hosts that are its own, and what it publishes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_SHARE = re.compile(r"[a-z0-9-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Who it is, and the limits that it states; None where it states none."""

    name: str
    title: str
    mx: tuple[str, ...]  # domains in which its MX hosts lie
    cap: int | None = None  # connections at a time from one address
    messages_per_session: int | None = None
    max_recipients: int | None = None  # of one message
    share: str | None = None  # the name of the limit that its sites, and those of others with that name, have in common
    sources: tuple[str, ...] = ()  # where it states them


@dataclass(frozen=True, slots=True)
class Providers:
    """Providers by the domains of their hosts; the longest domain decides."""

    providers: tuple[Provider, ...] = ()
    _by_domain: dict[str, Provider] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_domain = {domain: provider for provider in self.providers for domain in provider.mx}
        object.__setattr__(self, "_by_domain", by_domain)

    def of(self, mx_host: str) -> Provider | None:
        """Give the provider of an MX host."""
        labels = mx_host.lower().rstrip(".").split(".")
        for first in range(len(labels)):
            provider = self._by_domain.get(".".join(labels[first:]))
            if provider is not None:
                return provider
        return None

    def named(self, name: str) -> Provider | None:
        """Give the provider of a name."""
        return next((provider for provider in self.providers if provider.name == name), None)

    @property
    def names(self) -> Iterable[str]:
        """Every name."""
        return (provider.name for provider in self.providers)


def share_name(text: str) -> str:
    """Check the name of a shared limit, which must not be taken for a host's. Raises ValueError with the rule."""
    if _SHARE.fullmatch(text) is None:
        raise ValueError("must be a name of lower-case letters, digits and hyphens")
    return text
