"""Postfix's test programs: smtp-sink takes mail and throws it away, smtp-source makes it.

- Both print running counters into a file, of which only the end is read.
- smtp-sink reads its own command line options from `options`, so every fault that it can play is there (smtp-sink(1)).
"""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

from .process import (
    LOOPBACK,
    ProcessTree,
    Server,
    ServerError,
    find_program,
    listens,
    read_log,
    require_user,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Longer than the longest counter line.
_TAIL_BYTES = 200
_SINK_COUNTS = re.compile(rb"sess=(\d+) quit=\d+ mesg=(\d+)\r")
_SOURCE_COUNT = re.compile(rb"(\d+)\r")


class SmtpSink(Server):
    """A receiver that accepts everything as fast as it can, or fails as `options` say."""

    def __init__(
        self,
        options: Sequence[str] = (),
        *,
        max_sessions: int = 256,
        name: str = "smtp-sink",
        host: str = LOOPBACK,
        port: int | None = None,
    ) -> None:
        """Set the options of smtp-sink(1), for example `["-w", "1"]`, and how many sessions it serves at once."""
        super().__init__(name=name, host=host, port=port)
        self._options = tuple(options)
        self._max_sessions = max_sessions

    @classmethod
    def find(cls) -> Path:
        """Find smtp-sink; or raise ServerMissing."""
        return find_program("smtp-sink", "/usr/lib/postfix/sbin")

    @property
    def log(self) -> str:
        """What the sink printed besides its counters."""
        return read_log(self.folder / "sink.out.err")

    async def _start(self, program: Path) -> None:
        # smtp-sink refuses to run as root.
        user = require_user(self.name, "nobody") if os.geteuid() == 0 else None
        self._tree = await ProcessTree.start(
            program,
            "-c",
            "-m",
            str(self._max_sessions),
            "-h",
            f"{self.name}.test",
            *self._options,
            f"inet:{self.host}:{self.port}",
            "1000",
            output=self.folder / "sink.out",
            user=user,
        )
        await self.until(f"listens on port {self.port}", lambda: listens(self.port))

    def messages(self) -> int:
        """Count the messages taken."""
        return self._count(2)

    def sessions(self) -> int:
        """Count the sessions that have ended."""
        return self._count(1)

    def _count(self, group: int) -> int:
        counts = _SINK_COUNTS.findall(_tail(self.folder / "sink.out"))
        return int(counts[-1][group - 1]) if counts else 0

    async def received(self, messages: int, *, deadline_s: float = 60.0) -> None:
        """Wait until the sink has taken that many messages in all."""
        what = f"the sink has {messages} messages"
        await self.until(what, lambda: self.messages() >= messages, deadline_s=deadline_s)


class SmtpSource(Server):
    """A client that sends equal messages from entry on, over persistent sessions or one for each message."""

    def __init__(
        self,
        to: tuple[str, int],
        *,
        messages: int,
        size: int = 4096,
        sessions: int = 1,
        mail_from: str = "source@source.test",
        rcpt_to: str = "sink@sink.test",
        persistent: bool = True,
        options: Sequence[str] = (),
    ) -> None:
        """Set where the messages go, and the options of smtp-source(1); `size` in bytes is without the header."""
        super().__init__(name="smtp-source", host=to[0], port=to[1])
        self._messages = messages
        self._options = (
            *("-s", str(sessions), "-m", str(messages), "-l", str(size)),
            *("-M", "source.test", "-f", mail_from, "-t", rcpt_to),
            *(("-d",) if persistent else ()),
            *options,
        )

    @classmethod
    def find(cls) -> Path:
        """Find smtp-source; or raise ServerMissing."""
        return find_program("smtp-source", "/usr/lib/postfix/sbin")

    @property
    def log(self) -> str:
        """What the source printed besides its counter."""
        return read_log(self.folder / "source.out.err")

    async def _start(self, program: Path) -> None:
        target = f"inet:{self.host}:{self.port}"
        output = self.folder / "source.out"
        self._tree = await ProcessTree.start(program, "-c", *self._options, target, output=output)

    def messages(self) -> int:
        """Count the messages that were answered."""
        counts = _SOURCE_COUNT.findall(_tail(self.folder / "source.out"))
        return int(counts[-1]) if counts else 0

    async def finished(self, *, deadline_s: float = 60.0) -> None:
        """Wait until all messages were sent; raise ServerError when one was refused, or at the deadline."""
        try:
            code = await asyncio.wait_for(self.tree.ended(), deadline_s)
        except TimeoutError as error:
            raise ServerError(self.name, f"not finished within {deadline_s:g} s", self._log_end()) from error
        if code != 0:
            raise ServerError(self.name, f"ended with {code} after {self.messages()} messages", self._log_end())


def _tail(file: Path) -> bytes:
    try:
        with file.open("rb") as counters:
            counters.seek(max(0, counters.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return counters.read()
    except FileNotFoundError:
        return b""
