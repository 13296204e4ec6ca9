"""Where submissions come in: the sockets of `[smtp]`, and of each of `[listeners.NAME]`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING

from sender.core.endpoint import split_endpoint
from sender.intake.admission import Admission
from sender.intake.smtp import Submission
from sender.intake.users import Users

if TYPE_CHECKING:
    from sender.intake.acceptance import Acceptance
    from sender.settings import SmtpSettings

log = logging.getLogger(__name__)
_BACKLOG = 512


class Listener:
    """One listener with its limits, on all its addresses; `close` lets the transactions that have begun end."""

    def __init__(
        self, acceptance: Acceptance, limits: SmtpSettings, *, name: str = "smtp", users: Users | None = None
    ) -> None:
        self._acceptance = acceptance
        self._limits = limits
        self._name = name
        self._admission = Admission(acceptance, users, name=name, limits=limits)
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        """Listen. Raises OSError."""
        if self._limits.users_file and not self._limits.tls_cert:
            log.warning("listener %s: no user can log in: AUTH is taken under TLS, and tls_cert is not set", self._name)
        for endpoint in self._limits.listen:
            await self._listen(endpoint, implicit_tls=False)
        for endpoint in self._limits.listen_tls:
            await self._listen(endpoint, implicit_tls=True)

    async def _listen(self, endpoint: str, *, implicit_tls: bool) -> None:
        host, port = split_endpoint(endpoint)
        connection = partial(Submission, self._admission, implicit_tls=implicit_tls)
        server = await asyncio.get_running_loop().create_server(connection, host, port, backlog=_BACKLOG)
        self._servers.append(server)

    def reload(self) -> None:
        """Read users and certificate anew. Raises ConfigError, OSError: then the old ones hold."""
        self._admission.reload(_users(self._acceptance, self._limits))

    @property
    def ports(self) -> list[int]:
        """The ports that are listened on."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def close(self, grace_s: float) -> None:
        """Take no more; let transactions that have begun end, for at most `grace_s` seconds."""
        for server in self._servers:
            server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._admission.close()
        self._admission.cut_off()

    def cut_off(self) -> None:
        """End every connection: `close`, which may be waiting, goes on."""
        self._admission.cut_off()


def listeners(acceptance: Acceptance) -> list[Listener]:
    """Make every listener that is configured. Raises ConfigError for files that cannot be used."""
    return [
        Listener(acceptance, limits, name=name, users=_users(acceptance, limits))
        for name, limits in acceptance.settings.all_listeners.items()
    ]


def _users(acceptance: Acceptance, limits: SmtpSettings) -> Users | None:
    return Users.load(acceptance.settings.path(limits.users_file)) if limits.users_file else None
