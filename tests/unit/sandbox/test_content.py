"""Content arrives as it was meant, however the bytes are cut."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sender.sandbox import Arrival, Behaviour, Receiver
from sender.sandbox.content import Content, DotReader
from sender.sandbox.office import Office
from sender.sandbox.session import LINE_LIMIT, Session

from .client import Client, codes, stuff
from .wire import Wire

TRICKY = st.lists(
    st.sampled_from(
        [b"\r\n", b"\r", b"\n", b".", b"..", b"\r\n.", b"\n.\n", b"\n.\r\n", b"\r.\r", b"x", b"\0", b"\xff"]
    ),
    max_size=30,
).map(b"".join)
CUTS = st.lists(st.integers(min_value=1, max_value=40), max_size=60)

COMMANDS = st.sampled_from(
    [
        b"EHLO c\r\n",
        b"MAIL FROM:<me@a.test>\r\n",
        b"RCPT TO:<you@b.test>\r\n",
        b"RCPT TO:<nobody@b.test>\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"VRFY\r\n",
        b"nonsense\r\n",
        b"one\nline\r\n",
        b"\r\n",
        b"BDAT 5\r\nab\r\nc",
        b"BDAT 0 LAST\r\n",
        b"x" * (LINE_LIMIT + 1) + b"\r\n",
        b"x" * LINE_LIMIT + b"\r\r\n",
    ]
)
MESSAGES = TRICKY.map(
    lambda text: (
        b"EHLO c\r\nRSET\r\nMAIL FROM:<me@a.test>\r\nRCPT TO:<you@b.test>\r\nDATA\r\n"
        + stuff(text + b"\r\n")
        + b".\r\n"
    )
)
CHUNKS = TRICKY.map(
    lambda text: (
        b"EHLO c\r\nRSET\r\nMAIL FROM:<me@a.test>\r\nRCPT TO:<you@b.test>\r\nBDAT %d LAST\r\n" % len(text) + text
    )
)
STREAMS = st.lists(st.one_of(COMMANDS, MESSAGES, CHUNKS), max_size=12).map(b"".join)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    """Cut a stream into pieces of these lengths, and what is left."""
    pieces, at = [], 0
    for length in cuts:
        pieces.append(stream[at : at + length])
        at += length
    return [piece for piece in (*pieces, stream[at:]) if piece]


def converse(pieces: list[bytes]) -> tuple[bytes, list[Arrival]]:
    """Feed pieces to a session, and give its replies and what arrived."""
    office = Office(Behaviour(unknown_prefixes=("nobody",), max_size=40), keep_arrivals=True)

    async def session() -> bytes:
        wire = Wire()
        protocol = Session(office, opened=lambda _: None, closed=lambda _: None)
        protocol.connection_made(wire)
        for piece in pieces:
            protocol.data_received(piece)
        return wire.written

    return asyncio.run(session()), office.arrivals


def meaning(arrivals: list[Arrival]) -> list[tuple[str, tuple[str, ...], bytes]]:
    """Give what of an arrival does not depend on when it came."""
    return [(one.mail_from, one.rcpt_tos, one.content) for one in arrivals]


@settings(deadline=None)
@given(STREAMS, CUTS)
def test_segmentation_makes_no_difference(stream: bytes, cuts: list[int]) -> None:
    """The same bytes give the same replies and arrivals, whole, byte by byte, or cut anywhere."""
    replies, arrivals = converse([stream] if stream else [])
    for pieces in (cut(stream, cuts), cut(stream, [1] * len(stream))):
        other_replies, other_arrivals = converse(pieces)
        assert other_replies == replies
        assert meaning(other_arrivals) == meaning(arrivals)


@given(TRICKY, CUTS)
def test_dot_stuffing_round_trips(text: bytes, cuts: list[int]) -> None:
    """Content that was stuffed by the book is read back octet by octet, and so is its size."""
    content = text + b"\r\n"
    kept, counted = Content(1 << 30), Content(0)
    for each in (kept, counted):
        reader = DotReader(each)
        ends: list[bytes] = []
        wire = stuff(content) + b".\r\n"
        for piece in cut(wire + b"QUIT\r\n", cuts):
            if ends:
                ends.append(piece)
                continue
            end = reader.feed(piece, 0)
            if end >= 0:
                ends.append(piece[end:])
        assert b"".join(ends) == b"QUIT\r\n"
    assert kept.kept() == content
    assert kept.size == counted.size == len(content)
    assert counted.kept() == b""


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b".x\r\n.\r\n", b"x\r\n"),
        (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n"),
        (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n"),
        (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n"),
        (b"a\r.\rb\r\r\n.\r\n", b"a\r.\rb\r\r\n"),
    ],
)
async def test_only_a_dot_between_line_ends_ends_a_message(wire: bytes, content: bytes) -> None:
    """Nothing but CRLF.CRLF ends a message, and a first dot of a line is taken away."""
    async with Receiver(Behaviour(), keep_arrivals=True) as receiver, Client(receiver) as client:
        await client.greet()
        await client.say("MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>", "DATA")
        client.send(wire + b"NOOP\r\n")
        assert [await client.reply(), await client.reply()] == ["250 2.0.0 Ok: taken", "250 2.0.0 Ok"]
    assert [arrival.content for arrival in receiver.arrivals] == [content]
    assert receiver.tally.bytes == len(content)


async def test_a_large_message_crosses_many_reads() -> None:
    """A message of many blocks is read back whole, with DATA and with BDAT."""
    content = b".".join(b"%d\r\n" % number for number in range(400_000))
    async with Receiver(Behaviour(), keep_arrivals=True) as receiver, Client(receiver) as client:
        await client.greet()
        assert codes(await client.deliver(content))[-1] == "250"
        await client.say("MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>")
        client.send(b"BDAT %d\r\n" % 1_000_000 + content[:1_000_000])
        client.send(b"BDAT %d LAST\r\n" % (len(content) - 1_000_000) + content[1_000_000:])
        assert await client.reply() == "250 2.0.0 Ok: 1000000 octets received"
        assert await client.reply() == "250 2.0.0 Ok: taken"
    assert [arrival.content == content for arrival in receiver.arrivals] == [True, True]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([], "503"),
        (["MAIL FROM:<me@a.test>"], "554"),
        (["MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>"], "250"),
    ],
)
async def test_a_chunk_is_read_even_when_it_is_refused(before: list[str], expected: str) -> None:
    """The octets of a refused chunk are never taken for commands (RFC 3030)."""
    async with Receiver(Behaviour()) as receiver, Client(receiver) as client:
        await client.greet()
        await client.say(*before) if before else None
        client.send(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
        assert codes([await client.reply(), await client.reply()]) == [expected, "250"]
    assert receiver.tally.quits == 0


async def test_data_and_bdat_do_not_mix() -> None:
    """After a chunk only chunks go on: DATA and RCPT are out of sequence."""
    async with Receiver(Behaviour()) as receiver, Client(receiver) as client:
        await client.greet()
        replies = await client.say(
            "MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>", "BDAT 0", "DATA", "RCPT TO:<z@b.test>", "BDAT 0 LAST"
        )
    assert codes(replies) == ["250", "250", "250", "503", "503", "250"]
