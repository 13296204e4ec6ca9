"""The webhook: batches of events, sent one after another by POST, each until it is taken.

A batch is a JSON array, signed and named as Standard Webhooks has it; its id and body are the same each time. 2xx takes
it. Whatever else happens, it is sent again, after a wait that doubles, and what follows waits behind it: nothing is
given up for its answer, not for 410 either, only for want of room. No redirect is followed: mail addresses go where the
operator has sent them.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import email.utils
import logging
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import orjson

from sender import __version__
from sender.core.backoff import Backoff
from sender.core.reply import sanitised
from sender.observe.buffer import Head
from sender.observe.signing import signed, signing_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random
    from typing import TypeVar

    from sender.clock import Clock
    from sender.observe.buffer import Batch, Tail
    from sender.observe.metrics import Metrics
    from sender.settings import Settings

    T = TypeVar("T")

log = logging.getLogger(__name__)
_RETRY_AFTER_MAX_S = 3600.0  # that a receiver may ask us to wait
_ANSWER_MAX = 64 * 1024  # bytes that are read of an answer, so that its connection can be used again
_SHOWN = 200  # characters of it that are logged
_PASSING = frozenset({408, 425, 429})  # of 4xx: it may be taken later


class Result(StrEnum):
    """What became of a request."""

    OK = "ok"
    REFUSED = "refused"  # an answer that tells us to change something
    FAILED = "failed"  # no answer, or one that will pass


@dataclass(frozen=True, slots=True)
class _Answer:
    result: Result
    words: str = ""
    wait_s: float = 0.0


class Webhook:
    """Sends what is appended to `tail`. One of the processes on a folder sends, the others leave it to that one."""

    def __init__(self, settings: Settings, tail: Tail, metrics: Metrics, clock: Clock, rng: Random) -> None:
        self._tail = tail
        self._metrics = metrics
        self._clock = clock
        self._rng = rng
        self._head = Head(settings.webhook_path, on_dropped=metrics.events_dropped.labels("webhook").inc)
        self._thread = ThreadPoolExecutor(1, "webhook")
        self._batch: Batch | None = None
        self._stopping = False
        self._news = asyncio.Event()  # a stop, or another configuration
        self._trouble = ""  # what was logged last
        self._client: httpx.AsyncClient | None = None
        self._backoff = Backoff(clock.steady(), first_s=0.0, most_s=0.0)
        self.reload(settings)
        for result in Result:
            metrics.webhook_requests.labels(result)  # a series that begins at 0 can be watched
        metrics.webhook_bytes.set_function(lambda: self._head.bytes)
        metrics.webhook_oldest.set_function(self._oldest_s)
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._keep())]

    def reload(self, settings: Settings) -> None:
        """Send by another configuration from now on, and try at once. Raises ConfigError."""
        self._key = signing_key(settings)
        self._events = events = settings.events
        parts = urlsplit(events.webhook)
        self._place = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"  # the rest is secret
        self._tail.wanted = frozenset(map(str.encode, events.webhook_events)) or None
        self._backoff.first_s, self._backoff.most_s = events.webhook_backoff, events.webhook_backoff_max
        self._backoff.forget(self._clock.steady())
        self._stale = True  # the client is another one
        self._news.set()

    async def stop(self, *, at_once: bool) -> None:
        """Send what is there, for a short while; the rest waits for the next process."""
        self._stopping = True
        self._news.set()
        sending, keeping = self._tasks
        await asyncio.wait([sending], timeout=0 if at_once else self._events.webhook_drain)
        for task in (sending, keeping):
            task.cancel()
        await asyncio.gather(sending, keeping, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
        await self._in_thread(self._head.close)
        self._thread.shutdown()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _keep(self) -> None:
        """Have on disk what is appended, and count what waits; also while nothing is taken."""
        failing = False
        while True:
            try:
                await self._in_thread(self._tail.sync)
                if await self._in_thread(self._head.take_over):
                    await self._in_thread(self._head.look)
                failing = False
            except OSError as error:
                if not failing:
                    log.error("the buffer of the webhook cannot be used: %s", error)  # noqa: TRY400
                failing = True
            await asyncio.sleep(self._events.webhook_batch_interval)

    async def _send(self) -> None:
        while True:
            self._news.clear()
            batch = None
            try:
                batch = await self._send_batch()
            except Exception as error:  # noqa: BLE001 - whatever it is, no event is lost for it
                self._failed(_Answer(Result.FAILED, repr(error)))
            full = batch is not None and (self._stopping or len(batch.lines) >= self._events.webhook_batch_size)
            wait_s = max(
                self._backoff.until - self._clock.steady(), 0.0 if full else self._events.webhook_batch_interval
            )
            if wait_s > 0:
                if self._stopping:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._news.wait()

    async def _send_batch(self) -> Batch | None:
        """Send the next batch, or the one that was not taken; None where there is none."""
        if self._batch is None and await self._in_thread(self._head.take_over):
            most = self._events.webhook_batch_size
            self._batch = await self._in_thread(lambda: self._head.next(most))
        batch = self._batch
        if batch is None:
            return None
        answer = await self._post(batch) if batch.lines else _Answer(Result.OK)
        self._metrics.webhook_requests.labels(answer.result).inc()
        if answer.result is not Result.OK:
            self._failed(answer)
            return batch
        await self._in_thread(lambda: self._head.taken(batch))
        self._batch = None
        self._backoff.succeeded()
        if self._trouble:
            log.warning("the webhook at %s takes events again", self._place)
            self._trouble = ""
        return batch

    def _failed(self, answer: _Answer) -> None:
        """Wait before the next request, as long as the receiver asks for if that is longer."""
        now = self._clock.steady()
        self._backoff.failed(now, self._rng)
        self._backoff.pause(now, min(answer.wait_s, _RETRY_AFTER_MAX_S))
        if answer.words != self._trouble:
            log.error("the webhook at %s does not take events, they wait: %s", self._place, answer.words)
            self._trouble = answer.words

    async def _post(self, batch: Batch) -> _Answer:
        events, body = self._events, b"[" + b",".join(batch.lines) + b"]"
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": f"sender/{__version__}",
            **signed(self._key, batch.id, int(self._clock.wall()), body),
        }
        try:
            client = await self._connected()
            async with (
                asyncio.timeout(events.webhook_timeout),
                client.stream("POST", events.webhook, content=body, headers=headers) as response,
            ):
                text = await _beginning(response)
        except TimeoutError:
            return _Answer(Result.FAILED, f"no answer within {events.webhook_timeout:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return _Answer(Result.FAILED, sanitised(str(error)) or type(error).__name__)
        if response.is_success:
            return _Answer(Result.OK)
        passing = response.status_code in _PASSING or response.is_server_error
        words = sanitised(f"{response.status_code} {' '.join(text.split())[:_SHOWN]}").rstrip()
        wait_s = _retry_after(response.headers.get("retry-after", ""), self._clock.wall())
        return _Answer(Result.FAILED if passing else Result.REFUSED, words, wait_s)

    async def _connected(self) -> httpx.AsyncClient:
        """Give the client; a configuration that was reloaded has another one."""
        if self._client is not None and self._stale:
            client, self._client = self._client, None
            await client.aclose()
        if self._client is None:
            self._stale = False
            self._client = httpx.AsyncClient(
                verify=ssl.create_default_context(),  # the system's authorities
                trust_env=False,  # mail addresses go through no proxy that happens to stand in the environment
                proxy=self._events.webhook_proxy or None,
                timeout=None,  # noqa: S113 - one limit is on the whole request
            )
        return self._client

    def _oldest_s(self) -> float:
        """Give the age of the oldest event that is not taken."""
        if self._batch is None or not self._batch.lines:
            return 0.0
        at = dt.datetime.fromisoformat(orjson.loads(self._batch.lines[0])["at"])
        return max(0.0, self._clock.wall() - at.timestamp())


async def _beginning(response: httpx.Response) -> str:
    """Read an answer to its end, or as much of it as may be of interest."""
    data = b""
    async for piece in response.aiter_raw():
        data += piece
        if len(data) > _ANSWER_MAX:
            break
    return data.decode("utf-8", "replace")


def _retry_after(value: str, now: float) -> float:
    """Read Retry-After (RFC 9110 section 10.2.3): seconds from now; 0 where there is none."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return 0.0
