"""How fast Postfix drains its queue into a sink, and how fast a client without any queue fills it.

- Both are yardsticks: the first is the peer that we compare with, the second the ceiling of the machine.
- The sink belongs to the caller, so that every sender is measured against the same one.
- Run it: `python -m tests.bench.postfix_drain [MESSAGES [SIZE [SESSIONS]]]`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from tests.servers import PostfixSender, SmtpSink, SmtpSource
from tests.servers.process import NO_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

# Beyond this a measurement is lost, not slow.
_DEADLINE_S = 600.0
_FILL_SESSIONS = 20
_HEADER_AND_ENVELOPE = 10_000


async def postfix_drain(
    messages: int, size: int, sessions: int, sink: tuple[str, int], settings: Mapping[str, str] = NO_SETTINGS
) -> float:
    """Measure how many queued messages of `size` bytes a Postfix delivers per second over `sessions` sessions.

    The time runs from the release of a full queue until the sink has acknowledged the last message.
    """
    settings = {**_tuned(messages, size, sessions), **settings}
    async with PostfixSender(sink, settings, held=True, name="postfix-bench") as sender:
        async with SmtpSource(sender.address, messages=messages, size=size, sessions=_FILL_SESSIONS) as source:
            await source.finished(deadline_s=_DEADLINE_S)
        started_at = time.perf_counter()
        await sender.release()
        await sender.drained(deadline_s=_DEADLINE_S)
        return messages / (time.perf_counter() - started_at)


async def smtp_source_rate(messages: int, size: int, sessions: int, sink: tuple[str, int]) -> float:
    """Measure how many messages of `size` bytes smtp-source sends per second over `sessions` persistent sessions."""
    started_at = time.perf_counter()
    async with SmtpSource(sink, messages=messages, size=size, sessions=sessions) as source:
        await source.finished(deadline_s=_DEADLINE_S)
        return messages / (time.perf_counter() - started_at)


def _tuned(messages: int, size: int, sessions: int) -> dict[str, str]:
    return {
        "default_process_limit": str(max(sessions, _FILL_SESSIONS) + 10),
        "default_destination_concurrency_limit": str(sessions),
        "smtp_destination_concurrency_limit": str(sessions),
        "initial_destination_concurrency": str(sessions),
        "qmgr_message_active_limit": str(max(messages, 20_000)),
        "qmgr_message_recipient_limit": str(max(messages, 20_000)),
        "message_size_limit": str(size + _HEADER_AND_ENVELOPE),
        # To a sink without a round trip a new connection is cheaper than the way over scache.
        "smtp_connection_cache_on_demand": "no",
        # Postfix cannot be told to log nothing.
        "maillog_file": "/dev/null",
        "maillog_file_prefixes": "/dev/null",
    }


async def _main(messages: int, size: int, sessions: int) -> None:
    async with SmtpSink() as sink:
        drain = await postfix_drain(messages, size, sessions, sink.address)
        print(f"postfix       {drain:10,.0f} messages/s")
        source = await smtp_source_rate(10 * messages, size, sessions, sink.address)
        print(f"smtp-source   {source:10,.0f} messages/s")
        await sink.received(11 * messages)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    asyncio.run(_main(*(given + [10_000, 4096, 20][len(given) :])))
