"""Resolver and router without a daemon: with a clock that is set, and look-ups that are counted."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

from sender.route.resolver import Failure, ResolveError, Resolver
from sender.route.router import Router, Unroutable
from sender.settings import from_tables


class Way:
    """Asks one name server, which has 400 ms for an answer."""

    def __init__(self, nameserver: str, **tables: Any) -> None:  # noqa: ANN401 - any table
        self.now = 0.0
        self.lookups: Counter[str] = Counter()
        dns = {"nameservers": [nameserver], "timeout": "200ms", "lifetime": "400ms", **tables.pop("dns", {})}
        settings = from_tables({"hostname": "us.test", "dns": dns, **tables}, Path("sender.toml"))
        self.resolver = Resolver(settings.dns, clock=lambda: self.now, on_lookup=self._looked_up)
        self.router = Router(settings, self.resolver, random.Random(5))

    def _looked_up(self, result: str, _seconds: float) -> None:
        self.lookups[result] += 1

    async def failure(self, domain: str) -> Failure | None:
        """Look a domain up; give how that failed."""
        try:
            await self.resolver.mx(domain)
        except ResolveError as error:
            return error.failure
        return None

    async def addresses(self, domain: str) -> list[str] | Unroutable:
        """Give the addresses that a session with a domain would try, in order."""
        route = await self.router.route(domain)
        if isinstance(route, Unroutable):
            return route
        endpoints = await self.router.endpoints(route)
        return endpoints if isinstance(endpoints, Unroutable) else [endpoint.address for endpoint in endpoints]
