"""A receiver in memory that knows the truth, a way to it that cuts bytes anywhere, and time that passes by itself.

The receiver reads commands as RFC 5321, 2920 and 3030 say and answers each by its plan. Every reply says in its text
what it answers, so that an answer that was given to another can be told.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from sender.core.stage import Stage

if TYPE_CHECKING:
    from sender.smtp.wire import Wire


class Act(Enum):
    """What a receiver does with one command (or with the end of a content)."""

    TAKE = "take"
    DEFER = "450"
    REFUSE = "550"
    TOO_MANY = "452"
    IGNORE_REFUSALS = "354 for nobody"  # to DATA; else TAKE
    CLOSING = "421"
    CLOSE = "close"
    RESET = "reset"
    TAKE_AND_CLOSE = "take, and close without a word"
    HANG = "hang"
    # what no receiver in step does
    TWICE = "answer twice"
    GARBAGE = "garbage"
    OUT_OF_PLACE = "a 2yz where a 3yz belongs, or a 3yz where none does"
    FORGET = "forget what came in behind"
    NOT_NOW = "503"
    UNKNOWN = "500"


REFUSALS = (Act.DEFER, Act.REFUSE, Act.TOO_MANY, Act.IGNORE_REFUSALS)
IN_STEP = (*REFUSALS, Act.CLOSING, Act.CLOSE, Act.RESET, Act.TAKE_AND_CLOSE, Act.HANG)
_REFUSES = frozenset({Act.DEFER, Act.REFUSE, Act.TOO_MANY, Act.NOT_NOW, Act.UNKNOWN})
_LEAVES = frozenset({Act.CLOSING, Act.CLOSE, Act.RESET, Act.HANG})


class Time(selectors.BaseSelector):
    """Waits for nothing: the time that a loop would wait has passed."""

    def __init__(self) -> None:
        self.now = 0.0
        self._map: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:  # noqa: ANN401 - the base's
        """Take note; nothing will come."""
        self._map[fileobj] = selectors.SelectorKey(fileobj, 0, events, data)
        return self._map[fileobj]

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:  # noqa: ANN401 - the base's
        """Forget."""
        return self._map.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let the time pass; with nothing to wait for everybody would wait for ever."""
        assert timeout is not None, "everybody waits, and nothing is going to happen"
        self.now += max(0.0, timeout)
        return []

    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        """Give what was registered."""
        return self._map


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of its selector."""

    def __init__(self) -> None:
        self._passing = Time()
        super().__init__(self._passing)
        self.failures: list[BaseException] = []
        self.set_exception_handler(self._failed)

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(context.get("exception") or AssertionError(context["message"]))

    def time(self) -> float:
        """Give the seconds."""
        return self._passing.now


@dataclass
class Truth:
    """What became of each message at the receiver, by the name that stands in its addresses."""

    taken: Counter[str] = field(default_factory=Counter)  # recipients for whom a content was taken
    told: Counter[str] = field(default_factory=Counter)  # ... and the 2yz went out
    mixed: list[str] = field(default_factory=list)  # contents that came with another's envelope


class Receiver:
    """One session of the receiver. `plan` gives an act for each thing that is answered."""

    def __init__(self, plan: Iterator[Act], truth: Truth) -> None:
        self.out = b""  # what is to be sent
        self.sent = 0  # bytes that were
        self.answered_at: list[int] = []  # after how many bytes each content has its answer
        self.closed: Act | None = None  # how, once it has
        self._plan = plan
        self._truth = truth
        self._buffer = b""
        self._mute = False
        self._message = ""
        self._mail = ""
        self._rcpts: list[str] = []
        self._chunk: int | None = None
        self._reading = False  # content, up to its dot

    def feed(self, data: bytes) -> None:
        """Read and answer."""
        self._buffer += data
        while self.closed is None and not self._mute and self._step():
            pass

    def _step(self) -> bool:
        if self._reading:
            content, end, rest = (b"\r\n" + self._buffer).partition(b"\r\n.\r\n")
            if not end:
                return False
            self._buffer, self._reading = rest, False
            self._end(content[2:].decode())
            self._reset()
        elif self._chunk is not None:
            if len(self._buffer) < self._chunk:
                return False
            content, self._buffer = self._buffer[: self._chunk], self._buffer[self._chunk :]
            self._chunk = None
            if self._end(content.decode()):
                self._reset()  # what a failed BDAT leaves is not known: here it is all of it
        else:
            line, end, rest = self._buffer.partition(b"\r\n")
            if not end:
                return False
            self._buffer = rest
            self._command(line.decode())
        return True

    def _command(self, line: str) -> None:
        verb, _, argument = line.partition(" ")
        address = argument.partition("<")[2].partition(">")[0]
        if verb == "BDAT":
            self._chunk = int(argument.split()[0])
        elif verb == "RSET":
            self._answer(Stage.RSET, "", self._reset)
        elif verb == "MAIL":
            self._message = address
            self._answer(Stage.MAIL, address, lambda: self._open(address), possible=not self._mail)
        elif verb == "RCPT":
            self._answer(Stage.RCPT, address, lambda: self._rcpts.append(address), possible=bool(self._mail))
        elif verb == "DATA":
            self._answer(Stage.DATA, self._message, self._read, possible=bool(self._rcpts))
        elif verb == "QUIT":
            self.out += b"221 bye\r\n"
            self.closed = Act.CLOSE
        else:
            self.out += b"500 what\r\n"

    def _reset(self) -> None:
        self._mail, self._rcpts = "", []

    def _open(self, address: str) -> None:
        self._mail = address

    def _read(self) -> None:
        self._reading = True

    def _end(self, content: str) -> bool:
        """Deal with a content, and tell whether it was taken; it says whose it is, unless it is empty."""
        rcpts, mail = self._rcpts, self._mail
        if content and rcpts and content.strip() != mail:
            self._truth.mixed.append(f"the content of {content.strip()} came for {mail}")
        said = len(self.out)
        fine = self._answer(
            Stage.END_OF_DATA, self._message, lambda: self._truth.taken.update(rcpts), possible=bool(rcpts)
        )
        if len(self.out) > said:
            self.answered_at.append(self.sent + len(self.out))
            if fine:
                self._truth.told.update(rcpts)
        return fine

    def _answer(self, stage: Stage, name: str, take: Callable[[], None], *, possible: bool = True) -> bool:
        """Do what the plan says; tell whether the thing was taken."""
        act = next(self._plan, Act.TAKE)
        if stage is Stage.RSET and act in {Act.DEFER, Act.REFUSE, Act.TOO_MANY}:
            act = Act.TAKE  # nobody in step refuses it
        tag = f"{stage} {name}"
        possible |= act is Act.IGNORE_REFUSALS and stage is Stage.DATA
        if act in _LEAVES:
            self._leave(act, tag)
        elif act is Act.GARBAGE:
            self.out += b"what?\r\n"
        elif act is Act.OUT_OF_PLACE:
            self._say("250" if stage is Stage.DATA else "354", tag)
        elif act in _REFUSES or not possible:
            self._say(act.value if act in _REFUSES else "503", tag)
        else:
            take()
            if act is Act.TAKE_AND_CLOSE:
                self.closed = Act.CLOSE
                return True
            for _ in range(1 + (act is Act.TWICE)):
                self._say("354" if stage is Stage.DATA else "250", tag)
            if act is Act.FORGET:
                self._buffer = b""
            return True
        return False

    def _leave(self, act: Act, tag: str) -> None:
        if act is Act.CLOSING:
            self._say("421", tag)
        self._mute = True
        if act is not Act.HANG:
            self.closed = Act.RESET if act is Act.RESET else Act.CLOSE

    def _say(self, code: str, tag: str) -> None:
        self.out += f"{code} {tag}\r\n".encode()


class Road(asyncio.Transport):
    """The connection to a receiver: both directions are cut into pieces, each of which takes a turn of the loop.

    What is written stays here until its turn has come; an abort throws that away.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, wire: Wire, receiver: Receiver, cuts: Iterator[int]) -> None:
        super().__init__()
        self._loop = loop
        self._wire = wire
        self._receiver = receiver
        self._cuts = cuts
        self._going = b""
        self._coming: deque[bytes] = deque()
        self._paused = False
        self._over = False
        self._scheduled = False
        self._contents = 0  # that were handed over to their end
        self.most_unanswered = 0
        wire.connection_made(self)
        receiver.out += b"220 model\r\n"
        self._turn_soon()

    # what the protocol uses

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Take bytes for the receiver."""
        if not self._over:
            self._going += bytes(data)
            self._count(bytes(data))
            self._paused = True
            self._wire.pause_writing()
            self._turn_soon()

    def abort(self) -> None:
        """End both directions."""
        if not self._over:
            self._over = True
            self._going = b""
            self._loop.call_soon(self._wire.connection_lost, None)

    def close(self) -> None:
        """Nobody closes gracefully here."""
        raise AssertionError("a graceful close sends what is buffered")

    def is_closing(self) -> bool:
        """Tell whether it is over."""
        return self._over

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Pause at the first byte, as asked."""

    def get_write_buffer_size(self) -> int:
        """Count what waits."""
        return len(self._going)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - the base's
        """Know nothing."""
        return default

    # what happens

    def _count(self, data: bytes) -> None:
        self._contents += data.count(b" LAST\r\n") + (b"\r\n" + data).count(b"\r\n.\r\n")
        answered = sum(at <= self._receiver.sent for at in self._receiver.answered_at)
        self.most_unanswered = max(self.most_unanswered, self._contents - answered)

    def _turn_soon(self) -> None:
        if not self._scheduled and not self._over:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Move a piece in each direction."""
        self._scheduled = False
        if self._over:
            return
        receiver = self._receiver
        if self._going and receiver.closed is None:
            size = next(self._cuts)
            piece, self._going = self._going[:size], self._going[size:]
            receiver.feed(piece)
        if not self._going and self._paused:
            self._paused = False
            self._wire.resume_writing()
        if receiver.out:
            size = next(self._cuts)
            piece, receiver.out = receiver.out[:size], receiver.out[size:]
            receiver.sent += len(piece)
            self._wire.data_received(piece)
        elif receiver.closed is not None:
            self._over = True
            if receiver.closed is Act.RESET:
                self._wire.connection_lost(ConnectionResetError("reset by the model"))
            else:
                self._wire.eof_received()
                self._loop.call_soon(self._wire.connection_lost, None)
            return
        if self._going or receiver.out or receiver.closed is not None:
            self._turn_soon()
