"""How late the event loop is, and how much memory large messages take: under load, and with slow receivers."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.daemon import fixed_window, folder
from tests.servers import SmtpSink
from tests.servers.process import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.bench.daemon import Serving
    from tests.bench.report import Report

NEEDS = (SmtpSink,)
_LARGE, _LARGE_MESSAGES = 25 * 2**20, 10  # bytes; all at once
_BYTES_PER_S = 4 * 2**20  # that a slow receiver reads
_PIECE = 64 * 1024
_LATE_S, _SHARE = 0.05, 0.999
_DEADLINE_S = 300.0
_LAG = re.compile(r'^sender_event_loop_lag_seconds_bucket\{le="(\S+)"\} (\S+)$', re.MULTILINE)


async def lag(report: Report, *, messages: int, size: int, sessions: int) -> None:
    """Row 12."""
    report.title(f"The event loop while {messages:,} messages of {size} bytes drain")
    async with SmtpSink() as sink, folder() as daemon:
        daemon.configure(sink.address, fixed_window(sessions))
        await daemon.fill(messages, size)
        async with asyncio.timeout(_DEADLINE_S), daemon.serving("--role", "delivery") as serving:
            await sink.received(messages, deadline_s=_DEADLINE_S)
            await _tell(report, serving)
    report.title(
        f"{_LARGE_MESSAGES} messages of {_LARGE >> 20} MB, each to a receiver that reads {_BYTES_PER_S >> 20} MB/s"
    )
    async with SmtpSink() as sink, _slowly(sink.address) as address, folder() as daemon:
        daemon.configure(address, fixed_window(_LARGE_MESSAGES))
        await daemon.fill(_LARGE_MESSAGES, _LARGE)
        async with asyncio.timeout(_DEADLINE_S), daemon.serving("--role", "delivery") as serving:
            before_mb = serving.memory_mb
            await sink.received(_LARGE_MESSAGES, deadline_s=_DEADLINE_S)
            grown_mb = (serving.peak_mb - before_mb) / _LARGE_MESSAGES
            await _tell(report, serving)
    report.at_most("12", "memory for each transaction", grown_mb, 8.0, "MB")


async def _tell(report: Report, serving: Serving) -> None:
    share = await asyncio.to_thread(_in_time, serving.port)
    what = f"of the looks found the loop less than {_LATE_S * 1000:g} ms late"
    report.at_least("12", what, 100 * share, 100 * _SHARE, "%")


def _in_time(port: int) -> float:
    """Read from the metrics how often the loop was not late."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=10) as response:
        buckets = dict(_LAG.findall(response.read().decode()))
    return float(buckets[str(_LATE_S)]) / float(buckets["+Inf"])


@asynccontextmanager
async def _slowly(to: tuple[str, int]) -> AsyncIterator[tuple[str, int]]:
    """Give the address of a way to a receiver on which each connection is slow."""
    server = await asyncio.start_server(partial(_connect, to), LOOPBACK, 0, limit=_PIECE)
    async with server:
        yield server.sockets[0].getsockname()


async def _connect(to: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reader_there, writer_there = await asyncio.open_connection(*to)
    await asyncio.gather(
        _hand_on(reader, writer_there, bytes_per_s=_BYTES_PER_S),
        _hand_on(reader_there, writer, bytes_per_s=None),
        return_exceptions=True,
    )
    writer_there.close()
    writer.close()


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, bytes_per_s: float | None) -> None:
    while data := await reader.read(_PIECE):
        writer.write(data)
        await writer.drain()
        if bytes_per_s is not None:
            await asyncio.sleep(len(data) / bytes_per_s)
    writer.write_eof()
