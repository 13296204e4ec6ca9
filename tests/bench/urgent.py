"""How long an urgent message waits while a campaign drains to the same site, and how late the event loop is then."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
from typing import TYPE_CHECKING

import aiosmtplib

from sender.spool.contract import Priority
from tests.bench.daemon import folder
from tests.servers import SmtpSink
from tests.servers.process import LOOPBACK, free_port

if TYPE_CHECKING:
    from tests.bench.daemon import Folder
    from tests.bench.report import Report

NEEDS = (SmtpSink,)
_EVERY_S = 0.02
_CONTENT = "From: a@bench.test\r\nSubject: your password\r\n\r\nreset\r\n"


async def urgent(report: Report, *, bulk: int, size: int, sessions: int) -> None:
    """Row 11."""
    report.title(
        f"Urgent messages, one every {_EVERY_S * 1000:g} ms, while {bulk:,} bulk messages drain to the same site"
    )
    port = free_port()
    async with SmtpSink() as sink, folder() as daemon:
        daemon.configure(sink.address, _TABLES.format(port=port, sessions=sessions))
        await daemon.fill(bulk, size, stream="campaign", priority=Priority.BULK)
        async with daemon.serving() as serving:
            await _submit(port, sink, until=round(0.9 * bulk))
            await serving.stop()
        waited = _waited_s(daemon)
    report.figure("urgent messages", len(waited), "")
    report.figure("waited in the median", statistics.median(waited) * 1000, "ms")
    report.at_most("11", "from being taken to being delivered, p99", _p99(waited) * 1000, 100.0, "ms")


_TABLES = """[smtp]
listen = ["127.0.0.1:{port}"]
[window]
start = {sessions}
max = {sessions}
[events]
file = "events.jsonl"
[streams.default]
priority = "urgent"
[streams.campaign]
priority = "bulk"
"""


async def _submit(port: int, sink: SmtpSink, *, until: int) -> None:
    """Submit messages until the sink has so many."""
    async with aiosmtplib.SMTP(hostname=LOOPBACK, port=port, start_tls=False) as client:
        number = 0
        while sink.messages() < until:
            number += 1
            await client.sendmail("a@bench.test", [f"urgent{number}@d0.bench.test"], _CONTENT)
            await asyncio.sleep(_EVERY_S)


def _waited_s(daemon: Folder) -> list[float]:
    """Read how long each urgent message took until it was delivered."""
    with daemon.events.open() as lines:
        events = [json.loads(line) for line in lines if re.search(r'"delivered".*"urgent\d', line)]
    return [event["queued_s"] for event in events]


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]
