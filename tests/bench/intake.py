"""How fast mail is accepted over SMTP, and how fast it goes through: accepted and delivered at once."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from tests.bench.daemon import folder
from tests.bench.drain import ratio, rounds
from tests.servers import PostfixSender, SmtpSink, SmtpSource
from tests.servers.process import LOOPBACK, free_port

if TYPE_CHECKING:
    from tests.bench.report import Report

NEEDS = (PostfixSender, SmtpSink, SmtpSource)
_DEADLINE_S = 600.0
_NOWHERE = (LOOPBACK, 9)
_CLIENTS = 20
_LARGE = 100_000  # bytes


async def intake(report: Report, *, messages: int, size: int, runs: int) -> None:
    """Row 5: a new connection for each message, each durable before it is answered."""
    report.title(f"{messages} messages of {size} bytes accepted, each on a connection of its own, {_CLIENTS} clients")
    found = await rounds(
        runs,
        {"Postfix accepts": lambda: _postfix(messages, size), "sender accepts": lambda: _sender(messages, size)},
    )
    for name, rates in found.items():
        report.figure(name, statistics.median(rates), "/s")
    postfix, sender = found.values()
    report.at_least("5", "of Postfix's rate", ratio(sender, postfix), 2.0)


async def through(report: Report, *, messages: int, runs: int) -> None:
    """Row 4: large messages, accepted and delivered at once."""
    report.title(f"{messages} messages of {_LARGE} bytes through a queue, from the first to the last one delivered")
    sender = [await _through(messages) for _ in range(runs)]
    report.at_least("4", "sender accepts and delivers", statistics.median(sender), 750.0, "/s")


async def _postfix(messages: int, size: int) -> float:
    settings = {"default_process_limit": str(_CLIENTS + 10), "maillog_file": "/dev/null"}
    settings["maillog_file_prefixes"] = "/dev/null"
    async with PostfixSender(_NOWHERE, settings, held=True) as server:
        return await _sent(server.address, messages, size)


async def _sender(messages: int, size: int) -> float:
    port = free_port()
    async with folder() as daemon:
        daemon.configure(_NOWHERE, f'[smtp]\nlisten = ["{LOOPBACK}:{port}"]\n[events]\nfile = "events.jsonl"\n')
        async with daemon.serving("--role", "intake") as serving:
            rate = await _sent((LOOPBACK, port), messages, size)
            await serving.stop()
            return rate


async def _sent(to: tuple[str, int], messages: int, size: int) -> float:
    started_at = time.perf_counter()
    async with SmtpSource(to, messages=messages, size=size, sessions=_CLIENTS, persistent=False) as source:
        await source.finished(deadline_s=_DEADLINE_S)
        return messages / (time.perf_counter() - started_at)


async def _through(messages: int) -> float:
    port = free_port()
    async with SmtpSink() as sink, folder() as daemon:
        tables = f'[smtp]\nlisten = ["{LOOPBACK}:{port}"]\n[window]\nstart = 20\n[events]\nfile = "events.jsonl"\n'
        daemon.configure(sink.address, tables)
        async with daemon.serving() as serving:
            started_at = time.perf_counter()
            async with SmtpSource((LOOPBACK, port), messages=messages, size=_LARGE, sessions=_CLIENTS) as source:
                await source.finished(deadline_s=_DEADLINE_S)
                await sink.received(messages, deadline_s=_DEADLINE_S)
            rate = messages / (time.perf_counter() - started_at)
            await serving.stop()
            return rate
