"""Large messages that are told apart to the last byte, who sends and who takes them, and who kills for memory."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.scenes.world import ORIGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE = (random.Random(5).randbytes(32).hex() + "\r\n").encode() * 8_000  # half a megabyte
_READ = 256 * 1024  # bytes
_END = b"\r\n.\r\n"
_IDENTITY = re.compile(rb"^X-Ledger: (\S+)\r$", re.MULTILINE)
_ANSWERS = {b"EHLO": b"250-slow.test\r\n250 SIZE 100000000\r\n", b"QUIT": b"221 bye\r\n"}
_LOOK_EVERY_S = 0.001


def body(identity: str, size: int) -> Iterator[bytes]:
    """Give the body of a message in pieces, each of which says whose it is and where it stands."""
    for number in range(max(1, size // len(_PIECE))):
        yield f"{identity} {number}\r\n".encode() + _PIECE


@lru_cache
def digest(identity: str, size: int) -> str:
    """Give the digest of a body."""
    hashed = hashlib.sha256()
    for piece in body(identity, size):
        hashed.update(piece)
    return hashed.hexdigest()


async def submit(port: int, identity: str, rcpt_to: str, size: int) -> bool:
    """Submit a message as it is made, over SMTP; tell whether it was acknowledged. Raises OSError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:

        async def heard(line: bytes, code: bytes) -> bool:
            writer.write(line)
            await writer.drain()
            while True:
                reply = await reader.readline()
                if reply[3:4] != b"-":
                    return reply[:3] == code

        head = f"From: {ORIGIN}\r\nTo: {rcpt_to}\r\nX-Ledger: {identity}\r\n\r\n".encode()
        commands = [
            b"",
            b"EHLO client.test\r\n",
            f"MAIL FROM:<{ORIGIN}>\r\n".encode(),
            f"RCPT TO:<{rcpt_to}>\r\n".encode(),
        ]
        for command, code in zip(commands, (b"220", b"250", b"250", b"250"), strict=True):
            if not await heard(command, code):
                return False
        if not await heard(b"DATA\r\n", b"354"):
            return False
        writer.write(head)
        for piece in body(identity, size):
            writer.write(piece)
            await writer.drain()
        return await heard(_END[2:], b"250")
    finally:
        writer.close()


class SlowReader:
    """A receiver that reads slowly, and knows of each message that it took by which digest it came, and how often."""

    def __init__(self, address: str, port: int, *, pause_s: float) -> None:
        self.came = Counter[tuple[str, str]]()  # identity and digest
        self.halves = 0  # contents whose end did not come
        self.broken = 0  # connections that ended without QUIT after a message
        self._address, self._port, self._pause_s = address, port, pause_s
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._address, self._port, limit=_READ)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    @property
    def repeats(self) -> int:
        """Count what came more than once."""
        return self.came.total() - len(self.came)

    async def until_idle(self) -> None:
        """Wait until no connection is open."""
        while self._open:
            await asyncio.wait(tuple(self._open))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._talk(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken = False
        try:
            writer.write(b"220 slow.test\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    writer.write(b"354 go\r\n")
                    await self._content(reader)
                    taken = True
                writer.write(_ANSWERS.get(verb, b"250 ok\r\n"))
                if verb == b"QUIT":
                    taken = False
                    return
        finally:
            self.broken += taken

    async def _content(self, reader: asyncio.StreamReader) -> None:
        """Take a content, of which no line begins with a dot, up to its end."""
        self.halves += 1
        head = await reader.readuntil(b"\r\n\r\n")
        hashed, rest = hashlib.sha256(), b""
        while not rest.endswith(_END):
            data = await reader.read(_READ)
            if not data:
                raise ConnectionResetError
            rest += data
            hashed.update(rest[: -len(_END)])
            rest = rest[-len(_END) :]
            await asyncio.sleep(self._pause_s)
        hashed.update(_END[:2])
        found = _IDENTITY.search(head)
        self.came[found[1].decode() if found else "", hashed.hexdigest()] += 1
        self.halves -= 1


def resident_kb(pid: int) -> int:
    """Give how much memory a process has now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


class Killer:
    """Kills a process whose memory has grown beyond a limit, as earlyoom and systemd-oomd do: at once, from outside.

    `limit_kb` is asked at each look; None: it only looks. `most_kb` is the most that it has seen.
    """

    def __init__(self, pid: int, limit_kb: Callable[[], float | None]) -> None:
        self.most_kb = 0
        self.killed = False
        self._pid, self._limit_kb = pid, limit_kb
        self._over = False
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join()

    def _look(self) -> None:
        while not self._over:
            with suppress(FileNotFoundError, ProcessLookupError):
                now_kb = resident_kb(self._pid)
                self.most_kb = max(self.most_kb, now_kb)
                limit_kb = self._limit_kb()
                if limit_kb is not None and now_kb > limit_kb:
                    os.kill(self._pid, signal.SIGKILL)
                    self.killed = True
                    return
            time.sleep(_LOOK_EVERY_S)
