"""What the listener takes for the end of a message, and what it makes of the content."""

from __future__ import annotations

import re

import pytest

from sender import __version__
from tests.dialogs.client import Client, codes
from tests.dialogs.endings import LINE_ENDS, OTHERS, WITH_NUL

from .conftest import MakeHouse
from .house import House

SMUGGLED = b"MAIL FROM:<evil@a.test>\r\nRCPT TO:<evil@b.test>\r\nDATA\r\nevil\r\n"
LINE_END = re.compile(rb"(?<!\r)\n|\r(?!\n)")


@pytest.mark.parametrize("end", [*LINE_ENDS, *OTHERS], ids=repr)
async def test_i4_nothing_but_crlf_dot_crlf_ends_a_message(house: House, end: bytes) -> None:
    """What only looks like an end is content: one message, all of it, with canonical line ends."""
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.deliver(b"Subject: x\r\n\r\nbody" + end + SMUGGLED)).startswith("250 ")
        assert codes(await client.say("NOOP")) == ["250"]
    (content,) = await house.contents()
    assert b"RCPT TO:<evil@b.test>" in content
    assert content.endswith(b"evil\r\n")
    assert LINE_END.search(content) is None


@pytest.mark.parametrize("end", WITH_NUL, ids=repr)
async def test_i4_x1_an_end_with_nul_is_no_end(house: House, end: bytes) -> None:
    """Content with NUL is read to its real end and refused, and nothing of it is a command."""
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.deliver(b"Subject: x\r\n\r\nbody" + end + SMUGGLED)).startswith("554 5.6.0 ")
        assert codes(await client.say("NOOP")) == ["250"]
    assert await house.taken() == []


async def test_i4_a_carriage_return_before_the_end_is_content(house: House) -> None:
    """CR CRLF.CRLF ends the message, and what follows are commands, as RFC 5321 has it."""
    async with Client(house.port) as client:
        await client.greet()
        await client.begin()
        client.send(b"body\r\r\n.\r\nNOOP\r\n")
        assert codes([await client.reply(), await client.reply()]) == ["250", "250"]
    assert await house.contents() == [b"body\r\n"]


@pytest.mark.parametrize("end", [b"\n.\r\n", b"\r\n.\r", b"\r\n..\r\n", b"\r\r\n.\r\r\n", b"\r\n.\n"], ids=repr)
async def test_i4_the_cuts_of_the_stream_change_nothing(house: House, end: bytes) -> None:
    """Wherever the stream is cut into segments, the message is the same one."""
    wire = b"ab" + end + b"RSET\r\n.\r\n"
    async with Client(house.port) as client:
        await client.greet()
        for cut in range(1, len(wire)):
            await client.begin()
            await client.send_apart(wire[:cut], wire[cut:])
            assert (await client.reply()).startswith("250 ")
        await client.begin()
        await client.send_apart(*(wire[index : index + 1] for index in range(len(wire))))
        assert (await client.reply()).startswith("250 ")
    contents = await house.contents()
    assert len(contents) == len(wire)
    assert len(set(contents)) == 1


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"", b""),
        (b"..\r\n", b".\r\n"),
        (b"...\r\n..x\r\n", b"..\r\n.x\r\n"),
        (b".x\r\n", b"x\r\n"),
        (b"x\r\n..\r\n", b"x\r\n.\r\n"),
        (b"a\nb\rc\r\nd\r\r\ne\n\nf\r\n", b"a\r\nb c\r\nd\r\ne\r\n\r\nf\r\n"),
        ("Grüße\r\n".encode(), "Grüße\r\n".encode()),
        (b"\xff\xfe\r\n", b"\xff\xfe\r\n"),
        (b"x" * 998 + b"\r\n", b"x" * 998 + b"\r\n"),
    ],
)
async def test_x2_x3_content_is_kept_but_for_stuffing_and_line_ends(house: House, sent: bytes, kept: bytes) -> None:
    """Dots are unstuffed, lone CR and LF made canonical, and everything else is kept byte for byte."""
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.deliver(sent)).startswith("250 ")
    (message,) = await house.taken()
    assert await house.content(message) == kept
    assert message.eight_bit is not kept.isascii()


async def test_x3_long_content_is_kept_in_blocks(house: House) -> None:
    """Content of many blocks comes back whole, dots at every edge included."""
    content = b"Subject: x\r\n\r\n" + b"".join(b"%06d\r\n.\r\n" % number for number in range(120_000))
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.deliver(content.replace(b"\r\n.", b"\r\n.."))).startswith("250 ")
    (message,) = await house.taken()
    assert message.blocks > 3
    assert await house.content(message) == content


async def test_pipelined_commands_behind_the_content_are_read(house: House) -> None:
    """A whole second message, and QUIT, in the segment of the first one's end."""
    second = b"MAIL FROM:<>\r\nRCPT TO:<two@b.test>\r\nDATA\r\n"
    async with Client(house.port) as client:
        await client.greet()
        await client.begin("one@b.test")
        client.send(b"first\r\n.\r\n" + second + b"second\r\n.\r\nQUIT\r\n")
        assert codes([await client.reply() for _ in range(6)]) == ["250", "250", "250", "354", "250", "221"]
        assert await client.reply() == ""
    assert sorted(await house.contents()) == [b"first\r\n", b"second\r\n"]


async def test_the_received_line_tells_from_whom_by_whom_and_how(house: House) -> None:
    """Our line stands first, in the order of RFC 5321 section 4.4, and names a recipient only where there is one."""
    async with Client(house.port) as client:
        await client.greet()
        await client.deliver(b"Subject: x\r\n\r\n", "you@b.test")
        await client.deliver(b"Subject: x\r\n\r\n", "one@b.test", "two@b.test")
        await client.say("HELO <evil>\x1b")
        await client.deliver(b"Subject: x\r\n\r\n", "you@b.test")
    first, second, third = (message.content.decode() for message in await house.taken())
    date = r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
    by = rf"\r\n\tby mail\.sender\.test \(sender {re.escape(__version__)}\) with"
    begin = r"Received: from client\.test \(\[127\.0\.0\.1\]\)"
    end = rf";\r\n\t{date}\r\nSubject: x\r\n\r\n"
    assert re.fullmatch(rf"{begin}{by} ESMTP id [0-9a-z]{{13}}\r\n\tfor <you@b\.test>{end}", first)
    assert re.fullmatch(rf"{begin}{by} ESMTP id [0-9a-z]{{13}}{end}", second)
    assert re.match(rf"Received: from \?evil\?\? \(\[127\.0\.0\.1\]\){by} SMTP id ", third)


@pytest.mark.parametrize("name", [b"Received", b"received", b"RECEIVED "])
async def test_i9_a_message_that_has_come_through_too_many_hands_is_refused(house: House, name: bytes) -> None:
    """More than a hundred Received lines are a loop; a hundred, and any number in the body, are not."""
    hop = name + b": by x.test; Thu, 1 Jan 2026 00:00:00 +0000\r\n"
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.deliver(hop * 101 + b"\r\nbody\r\n")).startswith("554 5.4.6 ")
        assert (await client.deliver(hop * 101)).startswith("554 5.4.6 ")
        assert (await client.deliver(hop * 100 + b"\r\n" + hop * 300)).startswith("250 ")
    assert len(await house.taken()) == 1


async def test_x7_size_is_limited_before_and_during_the_content(make_house: MakeHouse) -> None:
    """A message that is too large is refused when it is announced and when it comes, and the session goes on."""
    house = await make_house(max_message_size="100KB")
    async with Client(house.port) as client:
        assert "SIZE 100000" in (await client.greet()).replace("-", " ").splitlines()[1]
        assert (await client.say("MAIL FROM:<me@a.test> SIZE=100001"))[0].startswith("552 5.3.4 ")
        assert (await client.deliver(b"xx\r\n" * 24_999 + b"xxx\r\n")).startswith("552 5.3.4 ")
        assert (await client.deliver(b"x\r\n" * 200_000)).startswith("552 5.3.4 ")
        assert (await client.deliver(b"xx\r\n" * 25_000)).startswith("250 ")
    assert [len(content) for content in await house.contents()] == [100_000]


async def test_headers_beyond_all_measure_are_refused(house: House) -> None:
    """Headers have to fit into the first block."""
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.deliver(b"X-Long: " + b"x" * 300_000 + b"\r\n\r\nbody\r\n")).startswith("552 5.3.4 ")
        assert (await client.deliver()).startswith("250 ")
