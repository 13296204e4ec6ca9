"""A receiver that does at any stage of any connection what its script says, and knows what it has got and answered.

- The n-th connection follows the n-th script; when there is none left, everything is taken as it should be.
- A script names, by stage, what is done in place of the answers there, in their order. The steps are those of
  `tests/dialogs/peer.py`; what is sent counts as an answer if it is `Says`, anything else is no reply.
- The same steps run here over sockets, and in `simulated.py` in time that passes by itself.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from tests.dialogs.peer import OFFER_PIPELINING, Close, Peer, Send, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dialogs.peer import Link

Script = Mapping[str, Sequence[Step]]
_NOTHING: Script = MappingProxyType({})
_IDENTITY = re.compile(rb"^X-Ledger: ([^\r\n]+)", re.MULTILINE)
_ADDRESS = re.compile(rb"<([^>]*)>")
_ESTABLISHED = 1  # linux/tcp_states.h
_LOOK_S = 0.01


@dataclass(frozen=True)
class Says(Send):
    """Send a reply: a whole one that can be believed."""

    @property
    def positive(self) -> bool:
        """Tell whether it takes what it answers."""
        return self.wire.startswith(b"2")


def says(*lines: str) -> Says:
    """Make a reply of one line or more, in one segment."""
    return Says("".join(f"{line}\r\n" for line in lines).encode())


@dataclass(frozen=True)
class Then(Step):
    """Do steps one after the other. What the first one says is the answer, whatever follows."""

    steps: tuple[Step, ...]

    async def play(self, link: Link) -> None:
        """Do them, up to the one that closes the connection."""
        for step in self.steps:
            if link.is_open:
                await step.play(link)


def then(*steps: Step) -> Then:
    """Make one step of several."""
    return Then(steps)


@dataclass(frozen=True)
class Hang(Step):
    """Be silent until the other side is gone; `deaf`: read nothing either."""

    deaf: bool = False

    async def play(self, link: Link) -> None:
        """Do nothing."""
        while not self.deaf:
            link.taken()
            await link.receive()
        while link.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        raise ConnectionResetError


@dataclass(frozen=True)
class Flood(Step):
    """Send a piece again and again until the other side is gone, or so many times."""

    piece: bytes
    times: int = 10**9

    async def play(self, link: Link) -> None:
        """Send it."""
        for _ in range(self.times):
            await link.send(self.piece)


def closing(reply: str, *, abort: bool = False) -> Then:
    """Make a reply behind which the connection is closed."""
    return then(says(reply), Close(abort=abort))


def _nobody(_: Says) -> None:
    """Let a reply be heard by nobody."""


@dataclass
class Ledger:
    """What a sink has got and said, by the identity of messages, or by message and recipient."""

    came: Counter[str] = field(default_factory=Counter)  # messages, whole
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)  # recipients, whose 2yz was sent
    unknown: Counter[str] = field(default_factory=Counter)  # messages that came whole and were not answered by a reply
    contents: int = 0  # that were asked for


@dataclass(frozen=True)
class Serve(Step):
    """Speak SMTP until the other side says QUIT, with a script in place of some answers."""

    script: Mapping[str, Sequence[Step]]
    offer: bytes
    ledger: Ledger
    rcpt: Callable[[str, str], Step | None] | None = None  # an answer by message's sender and recipient

    async def play(self, link: Link) -> None:
        """Begin with the banner."""
        await _Dialogue(self, link).run()


class _Dialogue:
    """One connection."""

    def __init__(self, how: Serve, link: Link) -> None:
        self._how = how
        self._ledger = how.ledger
        self._link = link
        self._left = {stage: deque(steps) for stage, steps in how.script.items()}
        self._short = {
            b"EHLO": ("ehlo", how.offer),
            b"HELO": ("helo", b"250 sink.test\r\n"),
            b"STAR": ("starttls", b"502 no\r\n"),
            b"RSET": ("rset", b"250 ok\r\n"),
            b"QUIT": ("quit", b"221 bye\r\n"),
        }
        self._mail_from = ""
        self._refused = False  # the sender
        self._rcpts: list[str] = []

    async def run(self) -> None:
        await self._answer("banner", b"220 sink.test\r\n")
        longer = {b"MAIL": self._mail, b"RCPT": self._rcpt, b"DATA": self._data, b"BDAT": self._chunk}
        while self._link.is_open:
            line = await self._line()
            verb = line[:4].upper()
            if verb in longer:
                await longer[verb](line)
            else:
                stage, reply = self._short.get(verb, ("unknown", b"500 what\r\n"))
                await self._answer(stage, reply)
                if verb == b"QUIT":
                    return

    async def _answer(self, stage: str, usual: bytes, heard: Callable[[Says], None] = _nobody) -> None:
        """Answer as the script says or as usual; have `heard` called with the reply, if it was one."""
        left = self._left.get(stage)
        await self._do(left.popleft() if left else Says(usual), heard)

    async def _do(self, step: Step, heard: Callable[[Says], None]) -> None:
        first, rest = (step.steps[0], then(*step.steps[1:])) if isinstance(step, Then) else (step, None)
        await first.play(self._link)
        if isinstance(first, Says):
            heard(first)
        if rest is not None:
            await rest.play(self._link)

    async def _mail(self, line: bytes) -> None:
        self._mail_from = _address(line)
        self._rcpts.clear()
        said: list[Says] = []
        await self._answer("mail", b"250 ok\r\n", said.append)
        self._refused = bool(said) and not said[0].positive

    async def _rcpt(self, line: bytes) -> None:
        rcpt_to = _address(line)

        def heard(reply: Says) -> None:
            if reply.positive:
                self._rcpts.append(rcpt_to)

        if self._refused:
            await self._link.send(b"503 no sender\r\n")
            return
        step = self._how.rcpt(self._mail_from, rcpt_to) if self._how.rcpt is not None else None
        await (self._answer("rcpt", b"250 ok\r\n", heard) if step is None else self._do(step, heard))

    async def _data(self, _: bytes) -> None:
        said: list[Says] = []
        await self._answer("data", b"354 go\r\n" if self._rcpts else b"554 no valid recipients\r\n", said.append)
        if not said or not said[0].wire.startswith(b"354"):
            return
        self._ledger.contents += 1
        left = self._left.get("content")
        if left:
            await left.popleft().play(self._link)
        if self._link.is_open:
            await self._end(await self._content())

    async def _chunk(self, line: bytes) -> None:
        size = int(line.split()[1])
        while len(self._link.buffer) < size:
            await self._link.receive()
        await self._end(self._link.taken(size))

    async def _end(self, content: bytes) -> None:
        """Deal with a content that has come whole."""
        if not self._rcpts:
            await self._answer("end_of_data", b"554 no valid recipients\r\n")
            return
        found = _IDENTITY.search(content)
        name = found[1].decode() if found is not None else ""

        def heard(reply: Says) -> None:
            self._ledger.unknown[name] -= 1
            if reply.positive:
                self._ledger.taken.update((name, rcpt_to) for rcpt_to in self._rcpts)

        self._ledger.came[name] += 1
        self._ledger.unknown[name] += 1  # until it is answered
        await self._answer("end_of_data", b"250 2.0.0 taken\r\n", heard)

    async def _line(self) -> bytes:
        while b"\r\n" not in self._link.buffer:
            await self._link.receive()
        return self._link.taken(self._link.buffer.index(b"\r\n") + 2)[:-2]

    async def _content(self) -> bytes:
        """Read up to the dot; the line end of DATA counts as the first."""
        link, content, looked = self._link, bytearray(b"\r\n"), 0
        while True:
            content += link.taken()
            if (at := content.find(b"\r\n.\r\n", looked)) >= 0:
                link.buffer = bytes(content[at + 5 :])
                return bytes(content[2 : at + 2])
            looked = max(0, len(content) - 5)
            await link.receive()


def _address(line: bytes) -> str:
    found = _ADDRESS.search(line)
    return found[1].decode() if found is not None else ""


class FaultSink(Peer):
    """See the module. `name` is what its domain is called in figures."""

    def __init__(
        self,
        *scripts: Script,
        address: tuple[str, int] = ("127.0.0.1", 0),
        offer: bytes = OFFER_PIPELINING,
        receive_buffer: int | None = None,
        rcpt: Callable[[str, str], Step | None] | None = None,
    ) -> None:
        self.ledger = Ledger()
        steps = [[Serve(script, offer, self.ledger, rcpt)] for script in (*scripts, _NOTHING)]
        super().__init__(*steps, address=address, receive_buffer=receive_buffer)
