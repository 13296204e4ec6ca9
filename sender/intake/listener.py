"""Where submissions come in: the sockets of `[smtp] listen`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from sender.core.endpoint import split_endpoint
from sender.intake.admission import Admission
from sender.intake.smtp import Submission

if TYPE_CHECKING:
    from sender.intake.acceptance import Acceptance
    from sender.intake.users import Users

_BACKLOG = 512


class Listener:
    """Listens on all addresses; `close` lets the transactions that have begun end."""

    def __init__(self, acceptance: Acceptance, users: Users | None) -> None:
        self.acceptance = acceptance
        self._admission = Admission(acceptance, users)
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        for endpoint in self.acceptance.settings.smtp.listen:
            host, port = split_endpoint(endpoint)
            server = await loop.create_server(lambda: Submission(self._admission), host, port, backlog=_BACKLOG)
            self._servers.append(server)

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
