"""A receiver of webhooks on loopback: it checks what it gets as its users are told to, and answers as a script says."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.servers.process import free_port, until

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "whsec_" + base64.b64encode(b"a key of 24 bytes, or so").decode()
HANG, CLOSE, WAIT = "hang", "close", "200 when it is told to go on"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `answer` is what it got."""

    headers: dict[str, str]
    body: bytes
    answer: str

    @property
    def id(self) -> str:
        """Give its name."""
        return self.headers["webhook-id"]

    @property
    def events(self) -> list[dict[str, Any]]:
        """Give what it brought."""
        events: list[dict[str, Any]] = json.loads(self.body)
        return events

    def is_signed(self, secret: str) -> bool:
        """Check the signature as the README says."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
        return hmac.compare_digest(expected, self.headers["webhook-signature"])


class Hook:
    """See the module. `script` has what the next requests get: a status line with headers, HANG, CLOSE or WAIT."""

    def __init__(self, *script: str, always: str = "204 No Content") -> None:
        self.port = free_port()
        self.script = deque(script)
        self.always = always
        self.requests: list[Request] = []
        self.go_on = asyncio.Event()
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/secret-path"

    @property
    def taken(self) -> list[Request]:
        """Give the requests that were answered 2xx, without those that were taken before."""
        return list({request.id: request for request in self.requests if request.answer.startswith("2")}.values())

    @property
    def events(self) -> list[dict[str, Any]]:
        """Give the events that were taken, in their order."""
        return [event for request in self.taken for event in request.events]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        await until(what, holds, deadline_s=20.0, poll_s=0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._answer(reader, writer):
                    await writer.drain()
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        assert first.startswith("POST ")
        assert first.endswith("/secret-path HTTP/1.1")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers["content-length"]))
        answer = self.script.popleft() if self.script else self.always
        self.requests.append(Request(headers, body, answer))
        if answer == HANG:
            await asyncio.Event().wait()
        if answer == WAIT:
            await self.go_on.wait()
        if answer == CLOSE:
            return False
        head, _, text = answer.partition("\n\n")
        status, *fields = head.split("\n")
        length = "" if status.startswith("204") else f"content-length: {len(text)}\r\n"
        shown = "".join(f"{field}\r\n" for field in fields)
        writer.write(f"HTTP/1.1 {status}\r\n{shown}{length}\r\n{text}".encode())
        return True
