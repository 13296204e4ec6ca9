"""A receiver at many addresses that takes everything up to the final dot, and is silent until it is told to answer.

It costs little: a process of its own, without the transcripts of others. Lines of its standard input tell it what to do
(`look`, `answer`), and each gets a line of JSON. Once it was told to answer, it answers at once.

python -m tests.chaos.waitingroom PORT ADDRESS...
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Sequence

_CHECKOUT = Path(__file__).parents[2]
_READY_S = 60.0
_IDENTITY = re.compile(rb"^X-Ledger: ([^\r\n]+)", re.MULTILINE)
_ANSWERS = {
    b"EHLO": b"250 waiting.test\r\n",  # no PIPELINING: each message that waits has a session of its own
    b"MAIL": b"250 ok\r\n",
    b"RCPT": b"250 ok\r\n",
    b"DATA": b"354 go\r\n",
    b"RSET": b"250 ok\r\n",
    b"QUIT": b"221 bye\r\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there is: connections, messages that wait for their answer, and messages that came, by how often."""

    open: int
    waiting: int
    came: int
    repeats: int


class WaitingRoom:
    """The process, for a test: started on entry, gone on exit."""

    def __init__(self, port: int, addresses: Sequence[str]) -> None:
        self._words = (sys.executable, "-m", __name__, str(port), *addresses)
        self._process: Process

    async def __aenter__(self) -> Self:
        """Start it, and wait until it listens."""
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._words, stdin=pipe, stdout=pipe, cwd=_CHECKOUT)
        await self.look()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def look(self) -> Look:
        """Tell what is there."""
        return await self._ask(b"look")

    async def answer(self) -> Look:
        """Have everybody answered who waits, and whoever comes."""
        return await self._ask(b"answer")

    async def _ask(self, word: bytes) -> Look:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word + b"\n")
        async with asyncio.timeout(_READY_S):
            line = await self._process.stdout.readline()
        return Look(**json.loads(line))


class _Room:
    """All connections."""

    def __init__(self) -> None:
        self.open: set[_Visitor] = set()
        self.waiting: set[_Visitor] = set()
        self.came: Counter[bytes] = Counter()
        self.answers = False

    def look(self) -> Look:
        came = self.came
        return Look(open=len(self.open), waiting=len(self.waiting), came=len(came), repeats=came.total() - len(came))

    def obey(self, word: str) -> None:
        if word == "answer":
            self.answers = True
            for visitor in tuple(self.waiting):
                visitor.answer()


class _Visitor(asyncio.Protocol):
    """One connection."""

    def __init__(self, room: _Room) -> None:
        self._room = room
        self._heard = bytearray()
        self._in_content = False
        self._link: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._link = cast("asyncio.Transport", transport)
        self._room.open.add(self)
        self._link.write(b"220 waiting.test\r\n")

    def connection_lost(self, _: Exception | None) -> None:
        self._room.open.discard(self)
        self._room.waiting.discard(self)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        end = b"\r\n.\r\n" if self._in_content else b"\r\n"
        while (at := self._heard.find(end)) >= 0:
            piece = bytes(self._heard[:at])
            del self._heard[: at + len(end)]
            if self._in_content:
                self._content(piece)
            else:
                self._command(piece[:4].upper())
            end = b"\r\n.\r\n" if self._in_content else b"\r\n"

    def _command(self, verb: bytes) -> None:
        self._in_content = verb == b"DATA"
        self._link.write(_ANSWERS.get(verb, b"500 what\r\n"))
        if verb == b"QUIT":
            self._link.close()

    def _content(self, content: bytes) -> None:
        found = _IDENTITY.search(content)
        self._room.came[found[1] if found is not None else b""] += 1
        self._room.waiting.add(self)
        self._in_content = False
        if self._room.answers:
            self.answer()

    def answer(self) -> None:
        self._room.waiting.discard(self)
        self._link.write(b"250 2.0.0 taken\r\n")


async def _serve(port: int, addresses: Sequence[str]) -> None:
    """Serve until the standard input ends."""
    room, loop = _Room(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Visitor(room), addresses, port, backlog=1024)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while word := (await orders.readline()).decode().strip():
        room.obey(word)
        print(json.dumps(asdict(room.look())), flush=True)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2:]))
