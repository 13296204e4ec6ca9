"""How fast queues drain: into a sink that takes everything, beside Postfix and a client without any queue."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.charts import Curve, over_time
from tests.bench.daemon import fixed_window, folder
from tests.bench.postfix_drain import postfix_drain, smtp_source_rate
from tests.dialogs.client import CERTIFICATE
from tests.servers import PostfixSender, SmtpSink, SmtpSource, Stunnel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from tests.bench.report import Report

NEEDS = (PostfixSender, SmtpSink, SmtpSource)
NEEDS_FOR_TLS = (*NEEDS, Stunnel)
_POSTFIX_OVER_TLS = {
    "smtp_tls_security_level": "may",
    "smtp_tls_connection_reuse": "yes",
    "smtp_connection_cache_destinations": "static:all",
}
_LARGE = 100_000  # bytes
_LOOK_EVERY_S = 0.02


async def sender_drain(messages: int, size: int, sessions: int, sink: tuple[str, int]) -> float:
    """Measure how many queued messages of `size` bytes the daemon delivers per second over up to `sessions` sessions.

    Outcomes are durable, events and metrics on. The time runs from its line "ready" until it says that
    every outcome is recorded.
    """
    async with folder() as daemon:
        daemon.configure(sink, fixed_window(sessions))
        await daemon.fill(messages, size)
        async with daemon.serving("--role", "delivery", "--until-empty") as serving:
            return messages / await serving.emptied()


async def drain(report: Report, *, messages: int, size: int, sessions: int, runs: int) -> None:
    """Rows 1 and 2, and what they are compared with."""
    report.title(f"{messages} queued messages of {size} bytes, {sessions} sessions, one sink, median of {runs} runs")
    measures = {
        "Postfix drains its queue": postfix_drain,
        "smtp-source, no queue at all": smtp_source_rate,
        "sender drains its queue (durable outcomes, events, metrics)": sender_drain,
    }
    curves: dict[str, Curve] = {}
    rates = await rounds(
        runs,
        {
            name: partial(_to_a_sink, partial(measure, messages, size, sessions), curves, name)
            for name, measure in measures.items()
        },
    )
    for name, found in rates.items():
        report.figure(name, statistics.median(found), "/s")
    postfix, source, sender = rates.values()
    report.at_least("1", "of Postfix's rate", ratio(sender, postfix), 10.0)
    report.at_least("2", "of smtp-source's rate", ratio(sender, source), 0.5)
    report.picture(over_time({name: _delivering(curve) for name, curve in curves.items()}))


async def rounds(runs: int, measures: Mapping[str, Callable[[], Awaitable[float]]]) -> dict[str, list[float]]:
    """Measure all, one after another, and again: whatever else a machine does, it does to all of them."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(runs):
        for name, measure in measures.items():
            found[name].append(await measure())
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Give the median of the rounds' ratios."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


async def _to_a_sink(
    measure: Callable[[tuple[str, int]], Awaitable[float]], curves: dict[str, Curve], name: str
) -> float:
    async with SmtpSink() as sink, _watched(sink) as curves[name]:
        return await measure(sink.address)


async def large(report: Report, *, messages: int, sessions: int, runs: int) -> None:
    """Row 3: large messages."""
    report.title(f"{messages} queued messages of {_LARGE} bytes, {sessions} sessions, one sink, median of {runs} runs")
    async with SmtpSink() as sink:
        found = await rounds(
            runs,
            {
                "Postfix drains its queue": lambda: postfix_drain(messages, _LARGE, sessions, sink.address),
                "sender": lambda: sender_drain(messages, _LARGE, sessions, sink.address),
            },
        )
    postfix, sender = found.values()
    report.figure("Postfix drains its queue", statistics.median(postfix), "/s")
    report.at_least("3", "of Postfix's rate", ratio(sender, postfix), 5.0)
    report.at_least("3", "sender drains its queue", statistics.median(sender), 1500.0, "/s")


async def tls(report: Report, *, messages: int, size: int, sessions: int, runs: int) -> None:
    """Row 13: the same as row 1, each session with STARTTLS."""
    report.title(
        f"{messages} queued messages of {size} bytes over STARTTLS, {sessions} sessions, median of {runs} runs"
    )
    async with SmtpSink() as sink, Stunnel(sink.address, CERTIFICATE) as server:
        found = await rounds(
            runs,
            {
                "Postfix, which keeps its connections": lambda: postfix_drain(
                    messages, size, sessions, server.address, _POSTFIX_OVER_TLS
                ),
                "sender": lambda: sender_drain(messages, size, sessions, server.address),
            },
        )
    for name, rates in found.items():
        report.figure(name, statistics.median(rates), "/s")
    postfix, sender = found.values()
    report.at_least("13", "of Postfix's rate", ratio(sender, postfix), 8.0)


@asynccontextmanager
async def _watched(sink: SmtpSink) -> AsyncIterator[Curve]:
    """Note how many messages a sink has had, all the time."""
    curve: Curve = []

    async def watch() -> None:
        while True:
            curve.append((time.perf_counter(), sink.messages()))
            await asyncio.sleep(_LOOK_EVERY_S)

    task = asyncio.create_task(watch())
    try:
        yield curve
    finally:
        task.cancel()
        curve.append((time.perf_counter(), sink.messages()))


def _delivering(curve: Curve) -> Curve:
    """Give what lies between the last instant at which nothing was delivered and the first at which all was."""
    last = curve[-1][1]
    began_at = max(at for at, count in curve if count == 0)
    ended_at = min(at for at, count in curve if count == last)
    return [(at - began_at, count) for at, count in curve if began_at <= at <= ended_at]
