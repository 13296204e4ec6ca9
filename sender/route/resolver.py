"""Look up MX hosts and addresses with dnspython's asyncio resolver; answers are shared and kept for their time.

RFC 5321 section 5.1: no MX means the domain itself; MX that exist exclude its addresses. RFC 7505: the null MX.
What is not surely permanent is temporary.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from sender.core.address import canonical_domain
from sender.core.endpoint import split_nameserver
from sender.core.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from sender.settings import DnsSettings

    _LookUp = Callable[[str], Awaitable[tuple[object, float]]]  # a name -> what was found, and its TTL in seconds

log = logging.getLogger(__name__)
_HOSTS, _ADDRESSES = 100, 20  # of an answer, more is not looked at
_CACHED = 200_000
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# What Python, as IANA, does not call private: NAT64 of a site, IPv4-compatible, site-local.
_LOCAL = [ipaddress.ip_network(network) for network in ("64:ff9b:1::/48", "::/96", "fec0::/10")]


class Failure(StrEnum):
    """Why there is no way, with whether it can change."""

    TEMPORARY = "temporary"
    NO_DOMAIN = "no_domain"
    NULL_MX = "null_mx"
    NO_ADDRESS = "no_address"

    @property
    def permanent(self) -> bool:
        """The answer is sure."""
        return self is not Failure.TEMPORARY


FOUND = "found"
RESULTS = (FOUND, *Failure)  # of a look-up


class ResolveError(Exception):
    """A look-up gave no way. Stays inside `route/`: above it stands `Unroutable`."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(failure, detail)
        self.failure = failure
        self.detail = detail


@dataclass(frozen=True, slots=True)
class MxHost:
    """One MX host of a domain."""

    preference: int
    name: str


@dataclass(slots=True)
class _Entry:
    until: float
    value: asyncio.Future[object]


class Resolver:
    """A cache over one resolver. `clock` gives seconds that never step back."""

    def __init__(
        self, settings: DnsSettings, *, clock: Callable[[], float], on_lookup: Callable[[str, float], None]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._on_lookup = on_lookup
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._resolver = self._make(settings)

    @staticmethod
    def _make(settings: DnsSettings) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=not settings.nameservers)
        if settings.nameservers:
            resolver.nameservers = [
                dns.nameserver.Do53Nameserver(*split_nameserver(nameserver)) for nameserver in settings.nameservers
            ]
        resolver.timeout = settings.timeout
        resolver.lifetime = settings.lifetime
        resolver.use_edns(0, 0, 1232)
        resolver.cache = None
        return resolver

    async def mx(self, domain: str) -> tuple[MxHost, ...]:
        """Give the MX hosts of a domain, best first; the domain itself where it has none. Raises ResolveError."""
        found = await self._cached("mx", domain, self._look_up_mx)
        assert isinstance(found, tuple)  # noqa: S101 - tells the type checker what the cache holds under "mx"
        return found

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Give the addresses of a host, IPv6 and IPv4. Raises ResolveError."""
        found = await self._cached("a", host, self._look_up_addresses)
        assert isinstance(found, tuple)  # noqa: S101 - as above
        return found

    async def close(self) -> None:
        """End the look-ups that are under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cached(self, kind: str, name: str, look_up: _LookUp) -> object:
        """Give a kept answer, join a look-up that is under way, or start one."""
        key = (kind, name)
        entry = self._entries.get(key)
        if entry is None or (entry.value.done() and entry.until <= self._clock()):
            if len(self._entries) >= _CACHED:
                self._forget_old()
            entry = _Entry(0.0, asyncio.get_running_loop().create_future())
            self._entries[key] = entry
            task = asyncio.create_task(self._fill(entry, name, look_up))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(entry.value)

    async def _fill(self, entry: _Entry, name: str, look_up: _LookUp) -> None:
        settings, began_at = self._settings, self._clock()
        try:
            value, ttl_s = await _surely(look_up, name)
        except ResolveError as error:
            self._on_lookup(error.failure.value, self._clock() - began_at)
            entry.until = self._clock() + settings.failure_ttl
            entry.value.set_exception(error)
            entry.value.exception()  # nobody may be waiting any more
        except asyncio.CancelledError:
            entry.value.cancel()
            raise
        else:
            self._on_lookup(FOUND, self._clock() - began_at)
            entry.until = self._clock() + min(max(ttl_s, settings.min_ttl), settings.max_ttl)
            entry.value.set_result(value)

    def _forget_old(self) -> None:
        now = self._clock()
        for key in [key for key, entry in self._entries.items() if entry.value.done() and entry.until <= now]:
            del self._entries[key]
        while len(self._entries) >= _CACHED:
            del self._entries[next(iter(self._entries))]

    async def _look_up_mx(self, domain: str) -> tuple[tuple[MxHost, ...], float]:
        answer = await self._ask(domain, "MX")
        if answer is None:
            return (MxHost(0, domain),), self._settings.min_ttl
        hosts = []
        for record in answer:
            try:
                hosts.append(MxHost(record.preference, canonical_domain(record.exchange.to_text())))
            except AddressError:  # "." or a name that is none
                continue
        if not hosts:
            raise ResolveError(Failure.NULL_MX, f"{domain} takes no mail (null MX)")
        # Cut after it is sorted: servers turn their records, and what is left of too many shall be the same each time.
        best_first = sorted(set(hosts), key=lambda host: (host.preference, host.name))[:_HOSTS]
        return tuple(best_first), float(answer.rrset.ttl if answer.rrset is not None else 0)

    async def _look_up_addresses(self, host: str) -> tuple[tuple[str, ...], float]:
        six, four = await asyncio.gather(self._ask(host, "AAAA"), self._ask(host, "A"), return_exceptions=True)
        found: list[str] = []
        ttl_s = self._settings.max_ttl
        failures = []
        for answer in (six, four):
            if isinstance(answer, ResolveError):
                failures.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            elif answer is not None:
                found += [record.address for record in list(answer)[:_ADDRESSES]]
                ttl_s = min(ttl_s, float(answer.rrset.ttl if answer.rrset is not None else 0))
        if found:
            return tuple(found), ttl_s
        for failure in sorted(failures, key=lambda failure: failure.failure.permanent):
            raise failure
        raise ResolveError(Failure.NO_ADDRESS, f"{host} has no address")

    async def _ask(self, name: str, kind: str) -> dns.resolver.Answer | None:
        """Ask for one record set; None where the name has none of this type. Raises ResolveError."""
        try:
            answer = await self._resolver.resolve(dns.name.from_text(f"{name}."), kind, search=False)
        except dns.resolver.NXDOMAIN as error:
            raise ResolveError(Failure.NO_DOMAIN, f"{name} does not exist") from error
        except dns.resolver.NoAnswer:
            return None
        except (dns.exception.DNSException, OSError, ValueError) as error:
            # A chain too long, a server that fails, a packet that is none: all of it may be better next time.
            raise ResolveError(Failure.TEMPORARY, f"looking up {kind} of {name}: {_words(error)}") from error
        return answer


async def _surely(look_up: _LookUp, name: str) -> tuple[object, float]:
    """Look up; a fault of ours, or of the library's, is a failure like any other. Raises ResolveError."""
    try:
        return await look_up(name)
    except ResolveError:
        raise
    except Exception as error:  # whoever waits for the answer would wait for ever
        log.exception("%s: looking it up failed", name)
        raise ResolveError(Failure.TEMPORARY, f"looking up {name}: {error!r}"[:300]) from error


def _words(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300]


def dialable(address: str, *, private: bool) -> bool:
    """Tell whether mail may be sent to an address: never to this host or a private net, unless it is allowed."""
    parsed = _meant(ipaddress.ip_address(address.partition("%")[0]))
    if parsed.is_unspecified or parsed.is_multicast or str(parsed) == "255.255.255.255":
        return False
    return private or (parsed.is_global and not any(parsed in network for network in _LOCAL))


def _meant(address: _Address) -> _Address:
    """Give the IPv4 address that stands in an IPv6 one, where a packet to this one may come out at that one."""
    if address.version == 4:  # noqa: PLR2004
        return address
    translated = ipaddress.IPv4Address(address.packed[-4:]) if address in _NAT64 else None
    return address.ipv4_mapped or address.sixtofour or translated or address


def shuffled(hosts: tuple[MxHost, ...], rng: Random) -> list[MxHost]:
    """Order hosts by preference, those of one preference by chance (RFC 5321 section 5.1)."""
    return sorted(hosts, key=lambda host: (host.preference, rng.random()))
