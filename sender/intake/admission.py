"""Who may come in: connections that are open, addresses that are trusted, users, and the certificate."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from sender.intake.failures import Failures

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from sender.intake.acceptance import Acceptance
    from sender.intake.users import Users
    from sender.settings import SmtpSettings


class Connection(Protocol):
    """What is known of a connection here."""

    def leave(self) -> None:
        """Say goodbye, unless a transaction is open: then after it."""

    def cut_off(self) -> None:
        """End at once."""


class Admission:
    """Shared by all connections of a listener."""

    def __init__(self, acceptance: Acceptance, users: Users | None, *, name: str, limits: SmtpSettings) -> None:
        self.acceptance = acceptance
        self.users = users
        self.name = name  # of the listener, in metrics
        self.limits = limits
        self.failures = Failures(limits)
        self.tls = self._context()
        self.closing = False
        self._networks = [ipaddress.ip_network(network) for network in limits.relay_networks]
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: dict[Connection, str] = {}
        self._addresses: Counter[str] = Counter()  # connections of each
        self._empty = asyncio.Event()  # when it is closing: no connection is left

    def _context(self) -> ssl.SSLContext | None:
        path = self.acceptance.settings.path
        if not self.limits.tls_cert:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path(self.limits.tls_cert), path(self.limits.tls_key))
        return context

    def reload(self, users: Users | None) -> None:
        """Take other users, and read the certificate anew, for the connections that come. Raises OSError."""
        self.tls = self._context()
        self.users = users

    def enter(self, connection: Connection, address: str) -> bool:
        """Let a connection in, unless that is one too many, or the end is near."""
        limits = self.limits
        if self.closing or len(self._connections) >= limits.max_connections:
            return False
        if self._addresses[address] >= limits.max_connections_per_address:
            return False
        self._connections[connection] = address
        self._addresses[address] += 1
        return True

    def exit(self, connection: Connection) -> None:
        """Hear that a connection has ended."""
        address = self._connections.pop(connection, None)
        if address is not None:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
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

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done that a connection does not wait for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def trusts(self, address: str) -> bool:
        """Tell whether an address may relay without AUTH."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)
