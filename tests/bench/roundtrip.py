"""How many messages a connection carries in one round trip: this daemon, and Postfix beside it.

- The way is a proxy that keeps every byte for half a round trip. The receivers are real ones and that of the sandbox.
- The rate is that of the middle of a run: neither the opening of sessions nor the last messages count.
- A receiver with Nagle's algorithm (Postfix is one) sends no small packet before the one before is acknowledged: it
  answers about once in a round trip, however many messages are under way.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sender.sandbox import Behaviour, Receiver
from tests.bench.daemon import folder
from tests.servers import EximReceiver, PostfixReceiver, PostfixSender, SmtpSink, SmtpSource
from tests.servers.proxy import DelayProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from tests.bench.report import Report

ROUND_TRIP_S = 0.05
CONNECTIONS = 4
NEEDS = (PostfixReceiver, PostfixSender, SmtpSink, SmtpSource)
_SIZE = 4096
_DEADLINE_S = 300.0
_LOOK_EVERY_S = 0.25
_MIDDLE = 0.15, 0.85  # of the messages


@dataclass(frozen=True, slots=True)
class Place:
    """A receiver that runs: where it listens, and how many messages it has taken."""

    address: tuple[str, int]
    taken: Callable[[], int]


async def _sandbox(stack: AsyncExitStack, *, chunking: bool) -> Place:
    receiver = await stack.enter_async_context(Receiver(Behaviour(chunking=chunking)))
    return Place((receiver.host, receiver.port), lambda: receiver.tally.messages)


async def _postfix(stack: AsyncExitStack, *, chunking: bool) -> Place:
    settings = {} if chunking else {"smtpd_discard_ehlo_keywords": "chunking"}
    receiver = await stack.enter_async_context(PostfixReceiver(settings=settings))
    return Place(receiver.address, receiver.messages_accepted)


async def _exim(stack: AsyncExitStack, *, chunking: bool) -> Place:
    settings = {} if chunking else {"chunking_advertise_hosts": ""}
    receiver = await stack.enter_async_context(EximReceiver(settings=settings))
    return Place(receiver.address, receiver.messages_accepted)


_RECEIVERS = {"sandbox": _sandbox, "Exim": _exim, "Postfix": _postfix}


async def roundtrip(report: Report, messages: int, receiver: str = "") -> None:
    """Measure for each receiver whose name contains `receiver`, with CHUNKING and without: rows 7 and 8."""
    report.title(
        f"Messages per connection and round trip of {ROUND_TRIP_S * 1000:g} ms, "
        f"{CONNECTIONS} connections, {messages} messages of {_SIZE} bytes"
    )
    for chunking in (True, False):
        for name, start in _RECEIVERS.items():
            if receiver not in name.lower():
                continue
            figures = []
            for sending in (_sender, _postfix_sender):
                async with AsyncExitStack() as stack:
                    place = await start(stack, chunking=chunking)
                    proxy = await stack.enter_async_context(DelayProxy(place.address, ROUND_TRIP_S / 2))
                    figures.append(await _figure(place, sending(proxy.address, messages), messages))
            to = f"to {name}, {'PIPELINING, CHUNKING' if chunking else 'PIPELINING'}"
            report.at_least("7" if chunking else "8", f"{to} (Postfix: {figures[1]:.2f})", figures[0], 0.9)


async def _figure(place: Place, sending: AbstractAsyncContextManager[None], messages: int) -> float:
    """Measure the rate in the middle of a run, per connection and round trip."""
    async with asyncio.timeout(_DEADLINE_S), sending:
        seen: list[tuple[float, int]] = []
        while not seen or seen[-1][1] < _MIDDLE[1] * messages:
            await asyncio.sleep(_LOOK_EVERY_S)
            count = place.taken()
            if count >= _MIDDLE[0] * messages:
                seen.append((time.perf_counter(), count))
    (began_at, first), (ended_at, last) = seen[0], seen[-1]
    return (last - first) / (ended_at - began_at) * ROUND_TRIP_S / CONNECTIONS


@asynccontextmanager
async def _sender(to: tuple[str, int], messages: int) -> AsyncIterator[None]:
    """Let the daemon send so many messages."""
    async with folder() as daemon:
        daemon.configure(to, f"[window]\nstart = {CONNECTIONS}\nmax = {CONNECTIONS}\n")
        await daemon.fill(messages, _SIZE)
        async with daemon.serving("--role", "delivery", "--until-empty") as serving:
            yield
            await serving.emptied()


@asynccontextmanager
async def _postfix_sender(to: tuple[str, int], messages: int) -> AsyncIterator[None]:
    """Let Postfix send so many messages: with its connection cache, and as many sessions from the first message on."""
    settings = {
        "default_destination_concurrency_limit": str(CONNECTIONS),
        "smtp_destination_concurrency_limit": str(CONNECTIONS),
        "initial_destination_concurrency": str(CONNECTIONS),
    }
    async with PostfixSender(to, settings, held=True, name="postfix-roundtrip") as sender:
        async with SmtpSource(sender.address, messages=messages, size=_SIZE, sessions=10) as source:
            await source.finished(deadline_s=_DEADLINE_S)
        await sender.release()
        yield
