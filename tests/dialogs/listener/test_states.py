"""The listener as a state machine: whatever a client does, each answer is the one that a small model expects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.chaos.scale import scaled
from tests.dialogs.client import Client

from .house import open_house

_BODIES = (b"Subject: x\r\n\r\nhello\r\n", b"\r\n", b"Subject: x\r\n\r\n..dots\r\n..\r\n", b"no header\r\n")
_STEPS = st.one_of(
    st.sampled_from(
        [
            "EHLO client.test",
            "HELO client.test",
            "EHLO",
            "NOOP",
            "RSET",
            "VRFY x",
            "MAIL FROM:<me@a.test>",
            "MAIL FROM:<>",
            "MAIL FROM:<bad address>",
            "MAIL FROM:<me@a.test> SIZE=999999999",
            "RCPT TO:<you@b.test>",
            "RCPT TO:<two@b.test>",
            "RCPT TO:<>",
            "RCPT TO:<you@b.test> NOTIFY=NEVER",
            "STARTTLS",
            "AUTH PLAIN AGEAYg==",
            "XYZZY",
            "DATA x",
        ]
    ),
    st.sampled_from(_BODIES).map(lambda body: ("DATA", body)),
    st.tuples(st.just("BDAT"), st.sampled_from(_BODIES)),
    st.tuples(st.just("LAST"), st.sampled_from(_BODIES)),
)
Step = str | tuple[str, bytes]


@dataclass
class Model:
    """What RFC 5321 and RFC 3030 say about a client that is trusted, with no TLS and no users."""

    greeted: bool = False
    mail: str | None = None
    rcpts: list[str] = field(default_factory=list)
    chunks: bytes | None = None
    taken: list[tuple[str, list[str], bytes]] = field(default_factory=list)

    def reset(self) -> None:
        """Forget the transaction."""
        self.mail, self.rcpts, self.chunks = None, [], None

    def expect(self, step: Step) -> list[str]:
        """Give the codes of the answers to a step."""
        if isinstance(step, tuple):
            return self._content(*step)
        verb, _, argument = step.partition(" ")
        return [self._commands[verb](self, argument)]

    def _hello(self, argument: str) -> str:
        if not argument:
            return "501"
        self.greeted = True
        self.reset()
        return "250"

    def _rset(self, _argument: str) -> str:
        self.reset()
        return "250"

    def _mail(self, argument: str) -> str:
        if not self.greeted or self.mail is not None:
            return "503"
        if "SIZE" in argument:
            return "552"
        if "bad" in argument:
            return "501"
        self.mail = argument.partition("<")[2].partition(">")[0]
        return "250"

    def _rcpt(self, argument: str) -> str:
        if not self.greeted or self.mail is None or self.chunks is not None:
            return "503"
        path = argument.partition("<")[2].partition(">")[0]
        if not path:
            return "501"
        self.rcpts.append(path)
        return "250"

    def _content(self, way: str, body: bytes) -> list[str]:
        if way == "DATA":
            if self.chunks is not None or self.mail is None:
                return ["503"]
            if not self.rcpts:
                return ["554"]
            self._take(body.replace(b"\r\n.", b"\r\n"))
            return ["354", "250"]
        if self.chunks is None and (self.mail is None or not self.rcpts):
            return ["503" if self.mail is None else "554"]
        self.chunks = (self.chunks or b"") + body
        if way == "LAST":
            self._take(self.chunks)
        return ["250"]

    def _take(self, content: bytes) -> None:
        assert self.mail is not None
        self.taken.append((self.mail, self.rcpts, content))
        self.reset()

    _commands: ClassVar[dict[str, Callable[[Model, str], str]]] = {
        "EHLO": _hello,
        "HELO": _hello,
        "RSET": _rset,
        "MAIL": _mail,
        "RCPT": _rcpt,
        "NOOP": lambda *_: "250",
        "VRFY": lambda *_: "252",
        "DATA": lambda *_: "501",  # with an argument
        "STARTTLS": lambda *_: "503",
        "AUTH": lambda *_: "503",
        "XYZZY": lambda *_: "500",
    }


async def _play(steps: list[Step], directory: Path) -> None:
    model, house = Model(), await open_house(directory, max_errors=10**6, max_commands=10**6)
    async with Client(house.port) as client:
        await client.reply()
        for step in steps:
            expected = model.expect(step)
            for number, code in enumerate(expected):
                client.send(_wire(step) if number == 0 else step[1] + b".\r\n" if isinstance(step, tuple) else b"")
                reply = await client.reply()
                assert reply[:3] == code, (steps, step, reply)
    messages = sorted(await house.taken(), key=lambda message: message.id)
    assert [
        (message.mail_from, [one.rcpt_to for one in message.recipients], await house.content(message))
        for message in messages
    ] == model.taken
    await house.listener.close(0.0)
    await house.close_spool()


def _wire(step: Step) -> bytes:
    if isinstance(step, str):
        return step.encode() + b"\r\n"
    if step[0] == "DATA":
        return b"DATA\r\n"
    return b"BDAT %d%s\r\n" % (len(step[1]), b" LAST" if step[0] == "LAST" else b"") + step[1]


@given(st.lists(_STEPS, max_size=40))
@settings(max_examples=scaled(150, 5_000, soak=20_000), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_i11_every_answer_is_the_models(steps: list[Step]) -> None:
    """In any order of commands and content, the answers and what is taken are those of the model, byte for byte."""
    with TemporaryDirectory() as directory:
        asyncio.run(_play([*steps], Path(directory)))
