"""Messages in messages (I4, I5): nothing is taken for an end that is none, nor sent that others could take for one.

Each content goes in through the listener, out of its spool, and through a session to a receiver that is wrong about
where a message ends, each in its own way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sender.settings import DeliverySettings
from sender.smtp.outgoing import Outgoing
from tests.dialogs.client import Client, codes
from tests.dialogs.endings import LINE_ENDS, OTHERS, WITH_NUL
from tests.dialogs.listener.house import House, open_house
from tests.dialogs.session.sending import connect

INNER = b"MAIL FROM:<evil@a.test>\r\nRCPT TO:<evil@b.test>\r\nDATA\r\nevil\r\n"
MakeHouse = Callable[[], Awaitable[House]]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Give a listener with a spool."""
    house = await open_house(tmp_path, max_errors=1000)
    yield house
    await house.listener.close(0.0)
    await house.close_spool()


@pytest.mark.parametrize("end", [*LINE_ENDS, *OTHERS, *WITH_NUL, b"\r\r\n.\r\n"], ids=repr)
async def test_i4_no_cut_of_the_stream_makes_an_end(house: House, end: bytes) -> None:
    """Whatever the segments are, there is one message, or none where it has a NUL, and what is in it is no command.

    CR CRLF.CRLF is an end by RFC 5321, and what follows are commands; that holds for every cut too.
    """
    real = end == b"\r\r\n.\r\n"
    wire = b"ab" + end + (b"NOOP\r\n" if real else INNER + b".\r\n")
    async with Client(house.port) as client:
        await client.greet()
        for cut in range(1, len(wire)):
            await client.begin()
            await client.send_apart(wire[:cut], wire[cut:])
            assert codes([await client.reply()]) == ["554" if end in WITH_NUL else "250"]
            if real:
                assert codes([await client.reply()]) == ["250"]
        assert codes(await client.say("NOOP")) == ["250"]
    messages = await house.taken()
    assert len(messages) == (0 if end in WITH_NUL else len(wire) - 1)
    assert {recipient.rcpt_to for message in messages for recipient in message.recipients} <= {"you@b.test"}
    assert len({await house.content(message) for message in messages}) == len(messages[:1])


class LenientReceiver:
    """Takes `end` for the end of a message, besides the real one; counts what it takes for messages."""

    def __init__(self, end: bytes, *, chunking: bool) -> None:
        self._end = end
        self._chunking = chunking
        self.messages: list[bytes] = []
        self.commands: list[bytes] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Serve on a free port of loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        extensions = b"250-PIPELINING\r\n250-CHUNKING\r\n" if self._chunking else b""
        writer.write(b"220 lenient.test\r\n")
        with_eof = False
        while not with_eof:
            line = await reader.readline()
            with_eof = not line
            command = line.upper().split(b" ")[0].strip()
            self.commands.append(command)
            if command == b"EHLO":
                writer.write(b"250-lenient.test\r\n" + extensions + b"250-8BITMIME\r\n250 SMTPUTF8\r\n")
            elif command == b"DATA":
                writer.write(b"354 go\r\n")
                self.messages.append(await self._content(reader))
                writer.write(b"250 taken\r\n")
            elif command == b"BDAT":
                self.messages.append(await reader.readexactly(int(line.split()[1])))
                writer.write(b"250 taken\r\n")
            else:
                writer.write(b"250 ok\r\n")
        writer.close()

    async def _content(self, reader: asyncio.StreamReader) -> bytes:
        content = b"\r\n"
        while not content.endswith((self._end, b"\r\n.\r\n")):
            content += await reader.readexactly(1)
        return content


@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize("end", LINE_ENDS, ids=repr)
async def test_i5_a_receiver_that_is_wrong_about_ends_sees_one_message(
    house: House, end: bytes, *, chunking: bool
) -> None:
    """What came in as one message goes out as one, to a receiver that takes this very pattern for an end too."""
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.deliver(b"Subject: x\r\n\r\nbody" + end + INNER)).startswith("250 ")
    (message,) = await house.taken()
    receiver = LenientReceiver(end, chunking=chunking)
    async with receiver.listening() as port:
        session = await connect(port, DeliverySettings())
        outgoing = Outgoing(
            mail_from=message.mail_from,
            rcpt_tos=["you@b.test"],
            size=message.size,
            eight_bit=message.eight_bit,
            smtputf8=False,
            first=message.content,
            dotted=message.dotted,
        )
        (answer,) = await session.transact(outgoing)
        assert answer.delivered
        await session.quit()
    (taken,) = receiver.messages
    assert INNER.replace(b"\r\n", b"") in taken.replace(b"\r\n", b"")
    assert receiver.commands.count(b"MAIL") == 1
