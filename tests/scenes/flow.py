"""Mail that keeps coming: queued in the spool as an intake process would, while a daemon of its own delivers it.

Each message has one recipient and a Message-ID of its own, so that the receiver's log tells what came, and how often.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from contextlib import AsyncExitStack, closing
from typing import TYPE_CHECKING, Self

import pytest

from sender.spool.contract import NewMessage
from sender.spool.sqlite import Role, open_spool
from tests.scenes.metrics import Metrics
from tests.scenes.processes import Served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

    from sender.spool.sqlite import SqliteSpool
    from tests.scenes.world import Tables, World
    from tests.servers import EximReceiver, PostfixReceiver

_AT_ONCE, _AHEAD = 50, 400
_LOOK_S = 0.02
_CONTENT = "From: news@origin.test\r\nSubject: scene\r\nMessage-ID: <{}>\r\n\r\nGood news.\r\n"


class Flow:
    """A daemon that delivers to one receiver on loopback, and the mail that is queued for it."""

    def __init__(self, world: World, receiver: PostfixReceiver | EximReceiver, tables: Tables | None = None) -> None:
        """Configure the daemon: every domain is routed to the receiver."""
        self._world = world
        self._receiver = receiver
        routes = {"routes": {"*": f"{receiver.host}:{receiver.port}"}}
        # A message that is deferred is not seen again by itself.
        self._config = world.configure({"retry": {"schedule": ["1h"]}, **(tables or {}), **routes})
        self._stack = AsyncExitStack()
        self._spool: SqliteSpool
        self._served: Served
        self.message_ids: list[str] = []

    async def __aenter__(self) -> Self:
        """Start to deliver."""
        self._spool = await open_spool(self._world.settings.spool_path, Role.INTAKE, now=time.time())
        self._served = await self._stack.enter_async_context(Served(self._config, "--role", "delivery"))
        await self._served.ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; what is still queued stays so."""
        await self._spool.close(clean=True)
        self._served.signal(signal.SIGTERM)
        try:
            code = await self._served.ended()
        finally:
            await self._stack.aclose()
        assert code == 0, self._served.log

    async def queue(self, messages: int) -> None:
        """Queue messages, in the order of their ids."""
        now = time.time()
        await asyncio.gather(*(self._spool.accept(self._message(now)) for _ in range(messages)))

    def _message(self, now: float) -> NewMessage:
        number = len(self.message_ids)
        self.message_ids.append(f"{number}@origin.test")
        content = _CONTENT.format(self.message_ids[-1]).encode()
        return NewMessage(
            id=self._spool.ids.next(now),
            mail_from="news@origin.test",
            rcpt_tos=(f"user{number}@capped.test",),
            domains=("capped.test",),
            content=content,
            size=len(content),
            accepted_at=now,
            due_ats=(now + number * 1e-6,),
            listener="smtp",
        )

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Keep some hundreds of messages queued within the block."""
        over = asyncio.Event()
        feeder = asyncio.create_task(self._feed(over))
        try:
            yield
        finally:
            over.set()
            await feeder  # what it has begun to queue is queued

    async def _feed(self, over: asyncio.Event) -> None:
        while not over.is_set():
            if len(self.message_ids) - self.ended() < _AHEAD:
                await self.queue(_AT_ONCE)
            else:
                await asyncio.sleep(_LOOK_S)

    def ended(self) -> int:
        """Count the messages that are delivered, by the spool's file."""
        with closing(self._world.database()) as database:
            row = database.execute("SELECT count FROM totals WHERE name = 'delivered'").fetchone()
        return int(row[0]) if row else 0

    async def delivered(self, messages: int, *, deadline_s: float = 60.0) -> None:
        """Wait until so many messages are recorded as delivered."""
        try:
            await self._world.until(
                f"{messages} are delivered", lambda: self.ended() >= messages, deadline_s=deadline_s
            )
        except TimeoutError as error:
            pytest.fail(f"{error}; {self.ended()} were\n{self._served.log}\n{_end(self._receiver.log)}")

    async def empty(self, *, deadline_s: float = 60.0) -> None:
        """Wait until all is delivered, and in the receiver's log."""
        await self.delivered(len(self.message_ids), deadline_s=deadline_s)
        receiver = self._receiver
        await receiver.until("all is in its log", lambda: receiver.messages_accepted() >= len(self.message_ids))

    async def window(self) -> int:
        """Ask the daemon for the lane's window."""
        return int((await self.lane())["window"])

    async def until_window(self, holds: Callable[[int], bool], *, deadline_s: float = 120.0) -> None:
        """Wait until the lane's window is as wanted."""
        seen: list[int] = []

        async def look() -> None:
            while not seen or not holds(seen[-1]):
                if seen:
                    await asyncio.sleep(0.05)
                lanes = await self._world.json("lanes")
                seen.append(lanes[0]["window"] if lanes else 0)

        try:
            await asyncio.wait_for(look(), deadline_s)
        except TimeoutError:
            pytest.fail(f"not the wanted window within {deadline_s:g} s; it was {seen[-20:]}")

    async def deferrals(self) -> dict[str, float]:
        """Count the recipients that were deferred, by reason."""
        return (await self.metrics()).by("sender_deferrals_total", "reason")

    async def lane(self) -> Any:  # noqa: ANN401 - JSON
        """Ask the daemon for its only lane."""
        return await self._world.lane()

    async def metrics(self) -> Metrics:
        """Scrape the daemon."""
        return await self._world.metrics()

    def attempts(self) -> int:
        """Give the most attempts that any message has had."""
        return self._world.books().most_attempts


def _end(log: str) -> str:
    return "\n".join(log.splitlines()[-40:])
