"""A real SMTP receiver on loopback whose replies follow from a `Behaviour`.

It ships for users to try against, and it is the sink of the project's own tests and measurements.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self

from sender.sandbox.office import Arrival, Office, Tally
from sender.sandbox.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from sender.sandbox.behaviour import Behaviour
    from sender.sandbox.ledger import Store
    from sender.sandbox.limits import Counts

_BACKLOG = 1024


class Receiver:
    """A listener and its sessions; it can be closed and started again, then on the same port."""

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        store: Store | None = None,
        keep_arrivals: bool = False,
        counts: Counts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Describe a receiver; port 0 lets the system choose.

        Receivers with the same `counts` count a peer's sessions and messages together, each against its own limits.
        `clock` gives the seconds of the limits.
        """
        self._host = host
        self._port = port
        self._office = Office(behaviour, store=store, keep_arrivals=keep_arrivals, counts=counts, clock=clock)
        self._server: asyncio.Server | None = None
        self._sessions: set[Session] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._host

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    @property
    def behaviour(self) -> Behaviour:
        """What it does; a new one applies from the next command on, in open sessions too."""
        return self._office.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._office.behaviour = behaviour

    @property
    def tally(self) -> Tally:
        """What it has seen so far."""
        return self._office.tally

    @property
    def arrivals(self) -> list[Arrival]:
        """The messages it accepted, in order; always empty without `keep_arrivals`."""
        return self._office.arrivals

    async def start(self) -> None:
        """Listen; OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, self._host, self._port, backlog=_BACKLOG)
        self._port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and end every session at once."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for session in tuple(self._sessions):
            session.abort()
        await self.until_idle()
        await server.wait_closed()

    async def until_idle(self) -> None:
        """Wait until no session is open."""
        await self._idle.wait()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    def _session(self) -> Session:
        return Session(self._office, opened=self._opened, closed=self._closed)

    def _opened(self, session: Session) -> None:
        self._sessions.add(session)
        self._idle.clear()
        if self._server is None:
            session.abort()

    def _closed(self, session: Session) -> None:
        self._sessions.discard(session)
        if not self._sessions:
            self._idle.set()
