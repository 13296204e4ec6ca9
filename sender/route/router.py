"""From a domain to its site: static routes, address literals, MX; from a site to addresses to dial."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from sender.core.endpoint import split_endpoint
from sender.core.outcome import Reason
from sender.core.site import site_name
from sender.route.resolver import Failure, MxHost, ResolveError, dialable, shuffled

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from sender.route.resolver import Resolver
    from sender.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a domain's mail goes. Domains with the same site have the same hosts."""

    site: str
    hosts: tuple[MxHost, ...]
    port: int
    static: bool  # named by an operator: any address is allowed


@dataclass(frozen=True, slots=True)
class Unroutable:
    """A domain has no way now, or none at all. `status` is for the bounce (RFC 3463, RFC 7505)."""

    reason: Reason
    permanent: bool
    status: str
    detail: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of one host."""

    host: str
    address: str
    port: int


_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - where a listener may be told to listen
_UNROUTABLE = {
    Failure.NO_DOMAIN: (Reason.DOMAIN_UNKNOWN, "5.1.2"),
    Failure.NULL_MX: (Reason.DOMAIN_UNKNOWN, "5.1.10"),
    Failure.NO_ADDRESS: (Reason.DNS_FAILURE, "5.4.4"),
    Failure.TEMPORARY: (Reason.DNS_FAILURE, "4.4.3"),
}


class Router:
    """Knows the way."""

    def __init__(self, settings: Settings, resolver: Resolver, rng: Random) -> None:
        self.settings = settings
        self._resolver = resolver
        self._rng = rng

    def static_route(self, domain: str) -> str:
        """Give what the configuration says about a domain: an endpoint, or `mx`."""
        override = self.settings.destination(domain).route
        routes = self.settings.routes
        return override or routes.get(domain) or routes.get("*") or "mx"

    def configured(self, domain: str) -> Route | None:
        """Give the way that the configuration names for a domain; None where it is to be looked up."""
        static = self.static_route(domain)
        return None if static == "mx" else _static(static)

    async def route(self, domain: str) -> Route | Unroutable:
        """Find the site of a domain."""
        configured = self.configured(domain)
        if configured is not None:
            return configured
        port = self.settings.delivery.port
        if domain.startswith("["):
            address = domain[1:-1].removeprefix("ipv6:")
            return Route(site=address, hosts=(MxHost(0, address),), port=port, static=False)
        try:
            hosts = await self._resolver.mx(domain)
        except ResolveError as error:
            return _unroutable(error)
        hosts = self._without_us(hosts)
        if not hosts:
            return _loops(domain, f"it is delivered by {self.settings.hostname} itself")
        site = site_name(host.name for host in hosts)
        return Route(site=site, hosts=hosts, port=port, static=False)

    def _without_us(self, hosts: tuple[MxHost, ...]) -> tuple[MxHost, ...]:
        """Drop ourselves and every host that is no better than we are (RFC 5321 section 5.1)."""
        ours = [host.preference for host in hosts if host.name == self.settings.hostname.lower()]
        return tuple(host for host in hosts if host.preference < min(ours)) if ours else hosts

    def _is_us(self, endpoint: Endpoint) -> bool:
        """Tell whether a listener of this daemon would answer there."""
        listening = (split_endpoint(listen) for smtp in self.settings.all_listeners.values() for listen in smtp.listen)
        return any(
            port == endpoint.port and (host == endpoint.address or (host in _EVERYWHERE and _is_here(endpoint.address)))
            for host, port in listening
        )

    async def endpoints(self, route: Route) -> list[Endpoint] | Unroutable:
        """Give the addresses to try, in order: hosts by preference, at most `max_addresses` of them all."""
        limit = self.settings.delivery.max_addresses
        private = route.static or self.settings.delivery.allow_private_addresses
        found: list[Endpoint] = []
        failures: list[ResolveError] = []
        dropped: list[str] = []
        ours = ""
        preferences = {host.name: host.preference for host in route.hosts}
        for host in shuffled(route.hosts, self._rng):
            try:
                addresses = await self._addresses(host.name)
            except ResolveError as error:
                failures.append(error)
                continue
            these = [Endpoint(host.name, address, route.port) for address in addresses]
            if not route.static and any(map(self._is_us, these)):
                # As where an MX has our name: hosts that are no better would send it back.
                found = [endpoint for endpoint in found if preferences[endpoint.host] < host.preference]
                ours = host.name
                break
            for endpoint in these:
                if dialable(endpoint.address, private=private):
                    found.append(endpoint)
                else:
                    dropped.append(endpoint.address)
            if len(found) >= limit:
                break
        return found[:limit] or _nowhere(route.site, failures, dropped, ours)

    async def _addresses(self, host: str) -> list[str]:
        """Look a host up; an address is its own answer. IPv4 and IPv6 take turns: one that is down costs one try."""
        try:
            dialable(host, private=True)
        except ValueError:
            addresses = list(await self._resolver.addresses(host))
        else:
            return [host]
        six = [address for address in addresses if ":" in address]
        four = [address for address in addresses if ":" not in address]
        self._rng.shuffle(six)
        self._rng.shuffle(four)
        in_turn = [address for pair in zip(six, four, strict=False) for address in pair]
        shorter = min(len(six), len(four))
        return in_turn + six[shorter:] + four[shorter:]


@lru_cache(maxsize=1024)
def _static(endpoint: str) -> Route:
    host, port = split_endpoint(endpoint)
    return Route(site=endpoint, hosts=(MxHost(0, host),), port=port, static=True)


def _is_here(address: str) -> bool:
    """Tell whether this machine has an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as tried:
        try:
            tried.bind((address, 0))
        except OSError:
            return False
    return True


def _nowhere(site: str, failures: Iterable[ResolveError], dropped: Iterable[str], ours: str) -> Unroutable:
    """Say why a site has no address to try: not known now, or for good."""
    for failure in failures:
        if not failure.failure.permanent:
            return _unroutable(failure)
    if ours:
        return _loops(site, f"{ours} is this daemon itself")
    detail = f"no host of {site} has an address"
    if dropped:
        detail = f"{site} has only addresses that no mail is sent to: {', '.join(sorted(set(dropped)))}"
    return Unroutable(Reason.DNS_FAILURE, permanent=True, status="5.4.4", detail=detail)


def _loops(name: str, why: str) -> Unroutable:
    detail = f"{name}: {why}, which knows no further way"
    return Unroutable(Reason.RECEIVER_ERROR, permanent=True, status="5.4.6", detail=detail)


def _unroutable(error: ResolveError) -> Unroutable:
    reason, status = _UNROUTABLE[error.failure]
    return Unroutable(reason, permanent=error.failure.permanent, status=status, detail=error.detail)
