"""How fast mail is accepted over HTTP, one message a call and many recipients a call, and the memory that costs."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.bench.daemon import folder
from tests.dialogs.api.client import connected
from tests.servers.process import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.bench.daemon import Serving
    from tests.bench.report import Report
    from tests.dialogs.api.client import Answer

_DEADLINE_S = 900.0
_CLIENTS = 20
_TEXT_LINE = "This is a line of a letter that is about as long as lines are.\n"
_HTML_LINE = '<p style="color: #333">This is a line of a letter that is as long.</p>\n'


async def batches(report: Report, *, recipients: int, singles: int, runs: int) -> None:
    """One template for many recipients, and as a comparison a call for each message."""
    report.title(f"{recipients} recipients in one call, each with a message of some 5 KB of text and HTML")
    found = [await _batch(recipients) for _ in range(runs)]
    report.figure("accepted over /v1/batches", statistics.median(rate for rate, _ in found), "/s")
    report.at_most("HTTP", "memory beyond that of a small batch", max(mb for _, mb in found), 100.0, "MB")
    report.title(f"{singles} messages of 5 KB in a call each, {_CLIENTS} clients")
    rates = [await _singles(singles) for _ in range(runs)]
    report.figure("accepted over /v1/messages", statistics.median(rates), "/s")


@asynccontextmanager
async def _daemon() -> AsyncIterator[Serving]:
    async with folder() as daemon:
        daemon.configure((LOOPBACK, 9), '[smtp]\nlisten = []\n[events]\nfile = "events.jsonl"\n')
        async with daemon.serving("--role", "intake") as serving:
            yield serving
            await serving.stop()


async def _batch(recipients: int) -> tuple[float, float]:
    """Give messages per second, and MB of memory."""
    body = _of(recipients)
    async with _daemon() as serving:
        await _posted(serving.port, "/v1/batches", _of(1))
        before_mb, began_at = serving.memory_mb, time.perf_counter()
        await _posted(serving.port, "/v1/batches", body)
        return recipients / (time.perf_counter() - began_at), serving.peak_mb - before_mb


async def _singles(count: int) -> float:
    numbers = iter(range(count))
    async with _daemon() as serving:

        async def client() -> None:
            async with connected(serving.port) as line:
                for number in numbers:
                    body = json.dumps(_letter(str(number)) | {"to": f"user{number}@bench.test"}).encode()
                    await line.begin("POST", "/v1/messages", _head(body))
                    await line.send(body)
                    _check(await line.answer())

        began_at = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(_CLIENTS)))
        return count / (time.perf_counter() - began_at)


def _letter(name: str) -> dict[str, str]:
    return {
        "from": "News <news@bench.test>",
        "subject": f"Hello {name}",
        "text": f"Dear {name},\n" + _TEXT_LINE * 20,
        "html": f"<p>Dear {name},</p>\n" + _HTML_LINE * 45,
    }


def _of(recipients: int) -> bytes:
    entries = [
        {
            "rcpt_to": f"user{number}@d{number % 100}.bench.test",
            "to": f"User {number} <user{number}@d{number % 100}.bench.test>",
            "substitutions": {"name": f"Jörg {number}", "number": number},
        }
        for number in range(recipients)
    ]
    return json.dumps({"template": _letter("{{ name }}"), "campaign": "bench", "recipients": entries}).encode()


def _head(body: bytes) -> dict[str, str]:
    return {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(body))}


async def _posted(port: int, path: str, body: bytes) -> None:
    async with connected(port) as line:
        await line.begin("POST", path, _head(body))
        await line.send(body)
        _check(await line.answer(deadline_s=_DEADLINE_S))


def _check(answer: Answer) -> None:
    if answer.status != 202:
        raise RuntimeError(f"{answer.status}: {answer.body.decode()}")
