"""Very many clients of a listener: plain sockets, which cost so little that one test holds thousands.

Nothing here waits for an answer: what has come is taken, and what comes next is said if it is its turn.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Self

from tests.dialogs.client import CERTIFICATE

if TYPE_CHECKING:
    from collections.abc import Iterable

_PATIENCE_S = 30.0
_AT_ONCE = 4096
_HEAD = b"From: flood@origin.test\r\nSubject: one of many\r\n\r\nGood"
_DIALOGUE = (
    *(b"HELO flood.test\r\n", b"MAIL FROM:<flood@origin.test>\r\n", b"RCPT TO:<%s>\r\n", b"DATA\r\n", _HEAD),
    *(b" news.\r\n.\r\n", b"QUIT\r\n"),
)
_CODES = [b"220", b"250", b"250", b"250", b"354", b"250", b"221"]  # the first part of the content has no answer


class Way(Enum):
    """How far a client goes that is let in, before it falls silent: pieces of the dialogue."""

    IDLE = "hears the banner", 0
    ENVELOPE = "is in the middle of a transaction", 3
    CONTENT = "is in the middle of the content", 5
    HANDSHAKE = "has not begun with TLS on a port for that", 0

    @property
    def pieces(self) -> int:
        """Count what it says."""
        return self.value[1]


@dataclass(slots=True, eq=False)
class Caller:
    """One connection. `heard` is all that came, `over` tells that the other side has closed it."""

    link: socket.socket
    way: Way
    source: str
    rcpt_to: str
    heard: bytes = b""
    over: bool = False
    _said: int = 0

    @property
    def let_in(self) -> bool:
        """Tell whether it was not sent away, as far as that has come."""
        return not self.over and (self.way is Way.HANDSHAKE or self.heard.startswith(b"220 "))

    @property
    def submitted(self) -> bool:
        """Tell whether everything was said, and answered as it should be."""
        return self.over and [line[:3] for line in self.heard.splitlines()] == _CODES

    def hear(self) -> None:
        """Take what has come."""
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            while not self.over:
                data = self.link.recv(_AT_ONCE)
                self.heard += data
                self.over = not data

    def goes_on(self, pieces: int = len(_DIALOGUE)) -> bool:
        """Say the next piece, up to so many, if the last is answered; tell whether there is more to come."""
        self.hear()
        while self._answered and self._said < pieces:
            piece = _DIALOGUE[self._said].replace(b"%s", self.rcpt_to.encode())
            assert self.link.send(piece) == len(piece)
            self._said += 1
        return self._said < pieces or (self._said > 0 and not self._answered)

    @property
    def _answered(self) -> bool:
        return self.heard.count(b"\r\n") == 1 + self._said - (self._said > _DIALOGUE.index(_HEAD))

    def secure(self) -> None:
        """Begin with TLS at last. It blocks."""
        self.link.settimeout(_PATIENCE_S)
        context = ssl.create_default_context(cafile=str(CERTIFICATE))
        self.link = context.wrap_socket(self.link, server_hostname="mx.sandbox.test")
        self.link.setblocking(False)


@dataclass
class Flood:
    """All of them; leaving the block closes what is left."""

    port: int
    tls_port: int
    domain: str
    callers: list[Caller] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for caller in self.callers:
            caller.link.close()

    def call(self, callers: Iterable[tuple[str, Way]]) -> None:
        """Connect from each address in its way. It blocks."""
        for source, way in callers:
            link = socket.socket()
            self.callers.append(Caller(link, way, source, f"user{len(self.callers)}@{self.domain}"))
            link.settimeout(_PATIENCE_S)
            link.bind((source, 0))
            link.connect(("127.0.0.1", self.tls_port if way is Way.HANDSHAKE else self.port))
            link.setblocking(False)

    def hear(self) -> None:
        """Take what has come to any of them."""
        for caller in self.callers:
            caller.hear()

    @property
    def let_in(self) -> list[Caller]:
        """Choose those that were let in."""
        return [caller for caller in self.callers if caller.let_in]

    @property
    def undecided(self) -> int:
        """Count those that have heard neither a greeting nor the end; of TLS nobody can tell."""
        return sum(not (caller.over or caller.let_in) for caller in self.callers)


def silent(callers: Iterable[Caller]) -> bool:
    """Have each go on to where it falls silent; tell whether all have got there."""
    return sum(caller.goes_on(caller.way.pieces) for caller in callers) == 0


def ended(callers: Iterable[Caller]) -> bool:
    """Have each go on to its end; tell whether all connections have ended."""
    return sum(caller.goes_on() or not caller.over for caller in callers) == 0
