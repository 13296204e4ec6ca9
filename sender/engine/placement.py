"""Which lane carries a domain, and which limit that lane keeps to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sender.engine.limits import shared
from sender.providers import provider_of_all

if TYPE_CHECKING:
    from sender.core.provider import Provider
    from sender.route.router import Route
    from sender.settings import Settings, Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """`limited_as` is what the source's sessions count against: a site, or a limit that several sites share."""

    source: str
    site: str
    tls: Tls
    provider: Provider | None
    limited_as: str

    @property
    def lane(self) -> str:
        """Name the lane."""
        return f"{self.source}/{self.site}"

    @property
    def allowance(self) -> str:
        """Name the limit."""
        return f"{self.source}/{self.limited_as}"


def place(settings: Settings, domain: str, route: Route) -> Placement:
    """Find the lane for a domain; where its policy differs from its neighbours', a lane of its own to the same site."""
    here, there = settings.destination(domain), settings.destination(route.site)
    general: Tls = there.tls or settings.delivery.tls
    tls: Tls = here.tls or general
    provider = provider_of_all(host.name for host in route.hosts)
    return Placement(
        source=here.source or there.source or "default",
        site=route.site if tls == general else f"{route.site}+{tls}",
        tls=tls,
        provider=provider,
        limited_as=shared(settings, route.site, provider) or route.site,
    )
