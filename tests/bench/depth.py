"""Whether a queue costs more the longer it is: rate, memory and start of queues of up to a million recipients."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING

from tests.bench.charts import by_length
from tests.bench.daemon import Folder, fixed_window, folder
from tests.servers import SmtpSink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.daemon import Serving
    from tests.bench.report import Report

NEEDS = (SmtpSink,)
_DOMAINS = 100_000
_LOOK_EVERY_S = 0.01
_BEGIN, _END = 0.2, 0.9  # of the messages whose time counts
_MOST_COUNTED = 100_000
_DEADLINE_S = 120.0
_FLAT = 0.1
_ROUNDS = 3


async def depth(report: Report, *, lengths: Sequence[int], size: int, sessions: int) -> None:
    """Row 10: the rate at which queues of one site drain, of whatever length."""
    report.title(f"Queues of one site, messages of {size} bytes, {sessions} sessions, in the middle of the drain")
    found: dict[int, list[float]] = {messages: [] for messages in lengths}
    async with folder() as longest:
        await longest.fill(max(lengths), size)
        for _ in range(_ROUNDS):
            for messages in lengths:
                if messages == max(lengths):
                    found[messages].append((await _drained(longest, messages, sessions))[0])
                    continue
                async with folder() as daemon:
                    await daemon.fill(messages, size)
                    found[messages].append((await _drained(daemon, messages, sessions))[0])
    rates = [statistics.median(measured) for measured in found.values()]
    for messages, rate in zip(lengths, rates, strict=True):
        report.figure(f"with {messages:,} queued", rate, "/s")
    report.picture(by_length(lengths, [1e6 / rate for rate in rates]))
    report.at_most("10", "of the highest rate is how far they lie apart", 1 - min(rates) / max(rates), _FLAT)


async def domains(report: Report, *, messages: int, size: int, sessions: int) -> None:
    """Row 9: a queue of very many domains, beside one of a single domain."""
    report.title(f"{messages:,} recipients queued for {_DOMAINS:,} domains, messages of {size} bytes")
    async with folder() as daemon:
        await daemon.fill(_MOST_COUNTED, size)
        yardstick, _, _ = await _drained(daemon, _MOST_COUNTED, sessions)
    report.figure(f"{_MOST_COUNTED:,} of one domain drain", yardstick, "/s")
    async with folder() as daemon:
        await daemon.fill(messages, size, domains=_DOMAINS)
        rate, first_s, peak_mb = await _drained(daemon, messages, sessions)
    report.figure("they drain", rate, "/s")
    report.at_most("9", "from the start to the first delivery", first_s, 5.0, "s")
    report.at_most("9", "memory", peak_mb, 400.0, "MB")
    report.at_least("9", "of the rate of one domain", rate / yardstick, 0.8)


async def _drained(daemon: Folder, messages: int, sessions: int) -> tuple[float, float, float]:
    """Drain a queue, or the beginning of it: messages per second, seconds to the first one, memory in MB."""
    async with SmtpSink() as sink:
        daemon.configure(sink.address, fixed_window(sessions))
        started_at = time.perf_counter()
        async with asyncio.timeout(_DEADLINE_S), daemon.serving("--role", "delivery") as serving:
            counted = min(messages, _MOST_COUNTED)
            first_at, _ = await _reached(sink, 1, serving)
            began_at, before = await _reached(sink, round(_BEGIN * counted), serving)
            ended_at, after = await _reached(sink, round(_END * counted), serving)
            peak_mb = serving.peak_mb
            await serving.stop()
    return (after - before) / (ended_at - began_at), first_at - started_at, peak_mb


async def _reached(sink: SmtpSink, messages: int, serving: Serving) -> tuple[float, int]:
    """Wait until the sink has so many messages; give the instant and how many it has."""
    while (count := sink.messages()) < messages:
        if serving.process.returncode is not None:
            raise RuntimeError(f"sender serve exited with {serving.process.returncode}")
        await asyncio.sleep(_LOOK_EVERY_S)
    return time.perf_counter(), count
