"""Where submissions come in: the sockets, who is trusted, and how many may come at once."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from typing import TYPE_CHECKING

from sender.intake.smtp import Submission
from sender.settings import split_endpoint

if TYPE_CHECKING:
    from sender.intake.acceptance import Acceptance
    from sender.intake.users import Users


class Listener:
    """Listens on all addresses of `[smtp] listen`."""

    def __init__(self, acceptance: Acceptance, users: Users | None) -> None:
        smtp = acceptance.settings.smtp
        self.acceptance = acceptance
        self.users = users
        self.networks = [ipaddress.ip_network(network) for network in smtp.relay_networks]
        self.tls = self._context()
        self.closing = False
        self.sessions: dict[Submission, str] = {}
        self._servers: list[asyncio.Server] = []
        self._empty = asyncio.Event()  # when it is closing: no connection is left

    def _context(self) -> ssl.SSLContext | None:
        smtp = self.acceptance.settings.smtp
        if not smtp.tls_cert:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(
            self.acceptance.settings.path(smtp.tls_cert), self.acceptance.settings.path(smtp.tls_key)
        )
        return context

    async def start(self) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        for endpoint in self.acceptance.settings.smtp.listen:
            host, port = split_endpoint(endpoint)
            self._servers.append(await loop.create_server(lambda: Submission(self), host, port, backlog=512))

    @property
    def ports(self) -> list[int]:
        """The ports that are listened on."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def close(self, grace_s: float) -> None:
        """Take no more; let transactions that have begun end, for at most `grace_s` seconds."""
        self.closing = True
        for server in self._servers:
            server.close()
        for session in list(self.sessions):
            session.leave()
        self.forget(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._empty.wait()
        for session in list(self.sessions):
            session.cut_off()

    def forget(self, session: Submission | None) -> None:
        """Hear that a connection has ended."""
        if session is not None:
            self.sessions.pop(session, None)
        if self.closing and not self.sessions:
            self._empty.set()

    def full_for(self, address: str) -> bool:
        """Tell whether one more connection from an address is too many."""
        smtp = self.acceptance.settings.smtp
        if len(self.sessions) >= smtp.max_connections:
            return True
        return sum(other == address for other in self.sessions.values()) >= smtp.max_connections_per_address

    def trusts(self, address: str) -> bool:
        """Tell whether an address may relay without AUTH."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self.networks)
