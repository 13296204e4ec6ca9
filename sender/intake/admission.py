"""Who may come in: connections that are open, addresses that are trusted, users, and the certificate."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sender.intake.acceptance import Acceptance
    from sender.intake.users import Users


class Connection(Protocol):
    """What is known of a connection here."""

    def leave(self) -> None:
        """Say goodbye, unless a transaction is open: then after it."""

    def cut_off(self) -> None:
        """End at once."""


class Admission:
    """Shared by all connections of a listener."""

    def __init__(self, acceptance: Acceptance, users: Users | None) -> None:
        smtp = acceptance.settings.smtp
        self.acceptance = acceptance
        self.users = users
        self.tls = self._context()
        self.closing = False
        self._networks = [ipaddress.ip_network(network) for network in smtp.relay_networks]
        self._connections: dict[Connection, str] = {}
        self._empty = asyncio.Event()  # when it is closing: no connection is left

    def _context(self) -> ssl.SSLContext | None:
        settings = self.acceptance.settings
        if not settings.smtp.tls_cert:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(settings.path(settings.smtp.tls_cert), settings.path(settings.smtp.tls_key))
        return context

    def enter(self, connection: Connection, address: str) -> bool:
        """Let a connection in, unless that is one too many, or the end is near."""
        smtp = self.acceptance.settings.smtp
        addresses = self._connections.values()
        if self.closing or len(addresses) >= smtp.max_connections:
            return False
        if sum(other == address for other in addresses) >= smtp.max_connections_per_address:
            return False
        self._connections[connection] = address
        return True

    def exit(self, connection: Connection) -> None:
        """Hear that a connection has ended."""
        self._connections.pop(connection, None)
        if self.closing and not self._connections:
            self._empty.set()

    async def close(self) -> None:
        """Let no one in, ask everyone to leave, and wait until they have."""
        self.closing = True
        for connection in list(self._connections):
            connection.leave()
        if self._connections:
            await self._empty.wait()

    def cut_off(self) -> None:
        """End every connection."""
        for connection in list(self._connections):
            connection.cut_off()

    def trusts(self, address: str) -> bool:
        """Tell whether an address may relay without AUTH."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)
