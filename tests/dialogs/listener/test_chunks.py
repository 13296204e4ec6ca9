"""BDAT (RFC 3030): content in chunks whose sizes are told."""

from __future__ import annotations

import pytest

from tests.dialogs.client import Client, codes

from .conftest import MakeHouse
from .house import House

ENVELOPE = ("MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>")
SMUGGLED = b"MAIL FROM:<evil@a.test>\r\nRCPT TO:<evil@b.test>\r\nBDAT 4 LAST\r\nevil"


def bdat(content: bytes, *, last: bool = True) -> bytes:
    """Give one chunk as it goes over the wire."""
    return b"BDAT %d%s\r\n" % (len(content), b" LAST" if last else b"") + content


async def _replies(client: Client, count: int) -> list[str]:
    return [await client.reply() for _ in range(count)]


@pytest.mark.parametrize(
    "chunks",
    [
        [b"Subject: x\r\n\r\nhello\r\n"],
        [b"Subject: x\r\n\r\nhe", b"llo\r\n"],
        [b"Subject: x\r", b"\n\r", b"\nhello\r", b"\n"],
        [b"Subject: x\r\n\r\n", b"hello\r\n", b""],
    ],
)
async def test_chunks_are_one_message(house: House, chunks: list[bytes]) -> None:
    """Wherever it is cut, the content is the same, and the last chunk is answered after the commit."""
    async with Client(house.port) as client:
        await client.greet()
        await client.say(*ENVELOPE)
        for chunk in chunks[:-1]:
            client.send(bdat(chunk, last=False))
            assert (await client.reply()) == f"250 2.0.0 {len(chunk)} bytes taken"
        client.send(bdat(chunks[-1]))
        reply = await client.reply()
        assert reply.startswith("250 2.0.0 Queued as ")
        assert await house.has(reply)
    assert await house.contents() == [b"Subject: x\r\n\r\nhello\r\n"]


async def test_a_whole_session_of_chunks_may_come_in_one_piece(house: House) -> None:
    """Envelopes and chunks that are sent at once are taken one after another."""
    one = b"\r\n".join(line.encode() for line in ENVELOPE) + b"\r\n" + bdat(b"A: b\r\n\r\none\r\n")
    async with Client(house.port) as client:
        await client.greet()
        client.send(one + one.replace(b"one", b"two") + b"QUIT\r\n")
        assert codes(await _replies(client, 7)) == ["250"] * 6 + ["221"]
    assert await house.contents() == [b"A: b\r\n\r\none\r\n", b"A: b\r\n\r\ntwo\r\n"]


@pytest.mark.parametrize("end", [b"\r\n.\r\n", b"\n.\n", b"\r\n.\r", b"..\r\n"], ids=repr)
async def test_i4_no_dot_means_anything_in_a_chunk(house: House, end: bytes) -> None:
    """Content by BDAT has no end but its size, and its dots are kept: nothing in it is a command."""
    content = b"A: b\r\n\r\nbody" + end + SMUGGLED
    async with Client(house.port) as client:
        await client.greet()
        await client.say(*ENVELOPE)
        client.send(bdat(content))
        assert (await client.reply()).startswith("250 2.0.0 Queued as ")
        assert codes(await client.say("NOOP")) == ["250"]
    (message,) = await house.taken()
    kept = await house.content(message)
    assert kept.replace(b"\r\n", b"\n") == content.replace(b"\r\n", b"\n").replace(b"\r", b" ") + b"\n"
    assert message.dotted or b"\r\n." not in kept


async def test_a_long_message_in_chunks_keeps_its_dots(house: House) -> None:
    """Dots at the beginning of lines and of chunks come back as they were sent, over many blocks."""
    content = b"A: b\r\n\r\n" + b"".join(b"%07d\r\n.\r\n..\r\n" % number for number in range(40_000))
    async with Client(house.port) as client:
        await client.greet()
        await client.say(*ENVELOPE)
        step = content.index(b"\r\n.") + 2  # the second chunk begins with a dot
        for start, stop in ((0, step), (step, 300_000), (300_000, len(content))):
            client.send(bdat(content[start:stop], last=stop == len(content)))
            assert codes([await client.reply()]) == ["250"]
    (message,) = await house.taken()
    assert message.blocks > 2
    assert await house.content(message) == content


@pytest.mark.parametrize(
    ("commands", "code"),
    [([], "503"), (["MAIL FROM:<me@a.test>"], "554"), (["MAIL FROM:<me@a.test>", "RCPT TO:<>"], "554")],
)
async def test_i11_a_chunk_without_an_envelope_is_read_and_thrown_away(
    house: House, commands: list[str], code: str
) -> None:
    """Its bytes are content and never commands, whoever it would have been for."""
    async with Client(house.port) as client:
        await client.greet()
        for command in commands:
            await client.say(command)
        client.send(bdat(SMUGGLED * 3, last=False) + b"NOOP\r\n")
        assert codes(await _replies(client, 2)) == [code, "250"]
    assert await house.taken() == []


@pytest.mark.parametrize("argument", ["", " x", " -1", " 5 LASTLY", " 5 LAST LAST", " 1e3", " 99999999999999999999"])
async def test_i11_a_chunk_whose_size_cannot_be_read_ends_the_connection(house: House, argument: str) -> None:
    """What follows is not known to be commands, so none of it is carried out."""
    async with Client(house.port) as client:
        await client.greet()
        await client.say(*ENVELOPE)
        client.send(b"BDAT" + argument.encode() + b"\r\n" + SMUGGLED + b"NOOP\r\n")
        assert (await client.reply()).startswith("501 5.5.4 ")
        assert await client.reply() == ""
    assert await house.taken() == []


@pytest.mark.parametrize(
    ("command", "code"),
    [("DATA", "503"), ("MAIL FROM:<other@a.test>", "503"), ("RCPT TO:<other@b.test>", "503"), ("NOOP", "250")],
)
async def test_i11_between_chunks_nothing_changes_the_message(house: House, command: str, code: str) -> None:
    """The envelope is closed by the first chunk, and the content goes on."""
    async with Client(house.port) as client:
        await client.greet()
        await client.say(*ENVELOPE)
        client.send(bdat(b"A: b\r\n\r\n", last=False))
        assert codes([await client.reply()]) == ["250"]
        assert codes(await client.say(command)) == [code]
        client.send(bdat(b"body\r\n"))
        assert codes([await client.reply()]) == ["250"]
    (message,) = await house.taken()
    assert [recipient.rcpt_to for recipient in message.recipients] == ["you@b.test"]
    assert await house.content(message) == b"A: b\r\n\r\nbody\r\n"


@pytest.mark.parametrize("command", ["RSET", "EHLO client.test", "HELO client.test"])
async def test_i11_what_begins_anew_forgets_the_chunks(house: House, command: str) -> None:
    """A message that was begun by chunks and given up leaves nothing, and no later chunk belongs to it."""
    async with Client(house.port) as client:
        await client.greet()
        await client.say(*ENVELOPE)
        client.send(bdat(b"A: b\r\n\r\n" + b"0123456789abcde\r\n" * 40_000, last=False))
        assert codes([await client.reply()]) == ["250"]
        assert codes(await client.say(command)) == ["250"]
        client.send(bdat(b"late\r\n"))
        assert codes([await client.reply()]) == ["503"]
        assert (await client.deliver(b"A: c\r\n\r\n")).startswith("250 ")
    assert await house.contents() == [b"A: c\r\n\r\n"]
    assert house.spool._connection.execute("SELECT count(*) FROM blocks").fetchone() == (0,)


async def test_a_chunk_that_is_refused_refuses_the_message(house: House) -> None:
    """What comes after it is thrown away with the same answer, until the client begins anew."""
    async with Client(house.port) as client:
        await client.greet()
        await client.say(*ENVELOPE)
        client.send(bdat(b"A: b\r\n\r\n\0", last=False) + bdat(b"more", last=False) + bdat(b"end"))
        replies = await _replies(client, 3)
        assert [reply[:9] for reply in replies] == ["554 5.6.0"] * 3
        assert (await client.deliver(b"A: c\r\n\r\n")).startswith("250 ")
    assert await house.contents() == [b"A: c\r\n\r\n"]


async def test_x7_chunks_are_limited_together(make_house: MakeHouse) -> None:
    """The sum of the chunks counts, however small each is."""
    house = await make_house(max_message_size="1KB")
    async with Client(house.port) as client:
        await client.greet()
        await client.say(*ENVELOPE)
        for expected in ("250 2.0.0", "552 5.3.4", "552 5.3.4"):
            client.send(bdat(b"A: b\r\n" * 100, last=False))
            assert (await client.reply()).startswith(expected)
        await client.say("RSET", *ENVELOPE)
        client.send(bdat(b"A: b\r\n" * 166 + b"\r\n\r\n"))
        assert codes([await client.reply()]) == ["250"]


@pytest.mark.parametrize("politely", [True, False])
async def test_c7_a_client_that_leaves_between_chunks_leaves_nothing(house: House, *, politely: bool) -> None:
    """Without the last chunk there is no message, and no block of it stays."""
    async with Client(house.port) as client:
        await client.greet()
        await client.say(*ENVELOPE)
        client.send(bdat(b"A: b\r\n\r\n" + b"0123456789abcde\r\n" * 40_000, last=False))
        assert codes([await client.reply()]) == ["250"]
        client.writer.write_eof() if politely else client.reset()
    await house.until_left()
    assert await house.taken() == []
    assert house.spool._connection.execute("SELECT count(*) FROM blocks").fetchone() == (0,)
