"""`make bench`: every figure beside that of something on the same machine in the same run."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from typing import TYPE_CHECKING

from tests.bench.postfix_drain import postfix_drain, smtp_source_rate
from tests.bench.sender_drain import sender_drain
from tests.servers import PostfixSender, ServerMissing, SmtpSink, SmtpSource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_RUNS = 3


async def _main(messages: int, size: int, sessions: int, runs: int) -> None:
    for server in (PostfixSender, SmtpSink, SmtpSource):
        try:
            server.find()
        except ServerMissing as error:
            sys.exit(f"make bench needs Debian's postfix package: {error}")
    async with SmtpSink() as sink:
        print(f"{messages} messages of {size} bytes, {sessions} sessions, one sink, median of {runs} runs:")
        postfix = await _median(runs, lambda: postfix_drain(messages, size, sessions, sink.address))
        _row("Postfix drains its queue", postfix, postfix)
        sender = await _median(runs, lambda: sender_drain(messages, size, sessions, sink.address))
        _row("sender drains its queue (durable outcomes, events, metrics)", sender, postfix)
        source = await _median(runs, lambda: smtp_source_rate(messages, size, sessions, sink.address))
        _row("smtp-source, no queue at all", source, postfix)


async def _median(runs: int, measure: Callable[[], Awaitable[float]]) -> float:
    return statistics.median([await measure() for _ in range(runs)])


def _row(name: str, rate: float, yardstick: float) -> None:
    print(f"  {name:<62} {rate:9,.0f}/s  {rate / yardstick:6.2f} x Postfix", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--runs", type=int, default=_RUNS)
    given = parser.parse_args()
    asyncio.run(_main(given.messages, given.size, given.sessions, given.runs))
