"""What goes over the wire: addresses verbatim, content byte for byte, nothing that the receiver cannot take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random

import pytest

from sender.core.stage import Stage
from sender.sandbox import Behaviour, Receiver
from sender.smtp.session import PIECE
from tests.dialogs.peer import OFFER, OFFER_PIPELINING, Content, Pause, Peer, Send, Take, envelope, greeting

from .sending import WAYS, connect, delivered, letter, limits, shown, taking

CONTENTS = {
    "empty": b"",
    "one line": b"hello\r\n",
    "no line end": b"hello",
    "a dot": b".\r\n",
    "two dots": b"..\r\n",
    "a dot line first": b".hello\r\nx\r\n",
    "a dot line last": b"x\r\n.\r\n",
    "dot lines": b"x\r\n.\r\n..\r\n...\r\n.x\r\n" * 100,
    "the end within": b"x\r\n.\r\nMAIL FROM:<evil@b.test>\r\n",
    "8 bit": "Grüße\r\n".encode(),
    "all but line ends": bytes(set(range(1, 256)) - {10, 13}) + b"\r\n",
    "a long line": b"x" * 100_000 + b"\r\n",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", sorted(CONTENTS))
async def test_content_arrives_byte_for_byte(name: str, way: str) -> None:
    """The receiver has what was given, with a line end where the last line had none."""
    content = CONTENTS[name]
    async with Receiver(taking(way), keep_arrivals=True) as receiver:
        session = await connect(receiver.port)
        assert delivered(await session.transact(letter(content=content)))
        assert delivered(await session.transact(letter(content=b"next\r\n")))
        await session.quit()
    expected = content if not content or content.endswith(b"\r\n") else content + b"\r\n"
    assert [arrival.content for arrival in receiver.arrivals] == [expected, b"next\r\n"]


@pytest.mark.parametrize("edge", range(-4, 5))
async def test_a_dot_at_the_edge_of_a_piece_is_stuffed_once(edge: int) -> None:
    """Where content is cut into pieces makes no difference to dots."""
    content = b"x" * (PIECE + edge - 4) + b"\r\n.\r\n..x\r\n" + b"y" * PIECE + b"\r\n."
    async with Receiver(Behaviour(), keep_arrivals=True) as receiver:
        session = await connect(receiver.port)
        assert delivered(await session.transact(letter(content=content)))
        session.abort()
    assert receiver.arrivals[0].content == content + b"\r\n"


async def test_l22_content_beyond_the_first_block_streams() -> None:
    """Blocks that are read one after the other arrive as one message, wherever they were cut."""
    random = Random(2)
    content = (
        b"".join(
            random.choice((b".", b"..", b"\r\n", b"\r\n.", b"text \xff ", b"x" * 3000)) for _ in range(2000)
        ).replace(b"\n\r\n", b"\n \r\n")
        + b"\r\n"
    )
    cuts = sorted(random.sample(range(1, len(content)), 7))
    blocks = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]

    async def more() -> AsyncIterator[bytes]:
        for block in blocks[1:]:
            await asyncio.sleep(0)
            yield block

    async with Receiver(Behaviour(), keep_arrivals=True) as receiver:
        session = await connect(receiver.port)
        message = replace(letter(content=content), first=blocks[0], more=more)
        assert delivered(await session.transact(message))
        await session.quit()
    assert receiver.arrivals[0].content == content


async def test_l3_p4_a_slow_reader_that_goes_on_is_waited_for() -> None:
    """The time for content counts by piece: a receiver that takes longer than that for the whole gets all of it."""
    content = b"x" * 5_000_000 + b"\r\n"
    slowly = [step for _ in range(25) for step in (Take(200_000), Pause(0.02))]
    async with Peer([*greeting(), *envelope(), *slowly, Content(), Send(b"250 ok\r\n")], receive_buffer=65536) as peer:
        session = await connect(peer.port, limits(block_timeout=0.3))
        assert delivered(await session.transact(letter(content=content)))
        session.abort()
    assert peer.visit.content.endswith(b"\r\n.\r\n")


@pytest.mark.parametrize(
    "address",
    [
        '"a b"@b.test',
        r'"a\"b"@b.test',
        '"a,b"@b.test',
        '"a:b"@b.test',
        '"a@c.test"@b.test',
        "!#$%&'*+-/=?^_`{|}~@b.test",
        "UPPER.lower@B.Test",
        "you@[127.0.0.1]",
        "x" * 64 + "@b.test",
    ],
)
@pytest.mark.parametrize("offer", [OFFER, OFFER_PIPELINING])
async def test_l10_addresses_are_verbatim_on_the_wire(address: str, offer: bytes) -> None:
    """What stands between the angle brackets is the address, unchanged."""
    async with Peer([*greeting(offer), *envelope(), Content(), Send(b"250 ok\r\n")]) as peer:
        session = await connect(peer.port)
        assert delivered(await session.transact(letter(address, mail_from=address)))
        session.abort()
    assert peer.visit.commands[1:3] == [
        f"MAIL FROM:<{address}> SIZE=21".encode(),
        f"RCPT TO:<{address}>".encode(),
    ]


async def test_l11_the_null_sender_is_an_empty_path() -> None:
    """A bounce is sent from nobody."""
    async with Peer([*greeting(b"250 peer.test\r\n"), *envelope(), Content(), Send(b"250 ok\r\n")]) as peer:
        session = await connect(peer.port)
        assert delivered(await session.transact(letter(mail_from="")))
        session.abort()
    assert peer.visit.commands[1] == b"MAIL FROM:<>"


async def test_p13_l20_a_message_beyond_the_announced_size_is_not_sent() -> None:
    """Where the receiver has announced a smaller size nothing is sent, each recipient is told 5.3.4, and by us."""
    async with Receiver(Behaviour(max_size=1000)) as receiver:
        session = await connect(receiver.port)
        answers = await session.transact(letter("one@b.test", "two@b.test", content=b"x" * 1001))
        assert shown(answers) == [(Stage.MAIL, 552)] * 2
        assert all(answer.ours and answer.reply is not None and answer.reply.enhanced == "5.3.4" for answer in answers)
        assert session.transactions == 0
        assert delivered(await session.transact(letter(content=b"x" * 998 + b"\r\n")))
        session.abort()
    assert receiver.tally.messages == 1


@pytest.mark.parametrize("size", ["SIZE", "SIZE 0", "SIZE x", "SIZE \u0661\u0660", "SIZE -5"])
async def test_p13_a_size_that_is_no_limit_limits_nothing(size: str) -> None:
    """SIZE without a number, or with zero, allows every size (RFC 1870)."""
    offer = f"250-peer.test\r\n250 {size}\r\n".encode()
    async with Peer([*greeting(offer), *envelope(), Content(), Send(b"250 ok\r\n")]) as peer:
        session = await connect(peer.port)
        assert delivered(await session.transact(letter()))
        session.abort()
    assert peer.visit.commands[1] == b"MAIL FROM:<me@a.test> SIZE=21"


async def test_l20_x5_8_bit_content_is_not_sent_to_who_cannot_take_it() -> None:
    """Without 8BITMIME 8-bit content is refused with 5.6.3 and nothing is sent; with it BODY says so."""
    async with Receiver(Behaviour(eightbitmime=False)) as receiver:
        session = await connect(receiver.port)
        (answer,) = await session.transact(letter(content=b"\xff\r\n"))
        assert (answer.ours, str(answer.reply)[:10]) == (True, "554 5.6.3 ")
        assert delivered(await session.transact(letter()))
        session.abort()
    async with Receiver(Behaviour(), keep_arrivals=True) as receiver:
        session = await connect(receiver.port)
        assert delivered(await session.transact(letter(content=b"\xff\r\n")))
        session.abort()
    assert receiver.arrivals[0].parameters == {"SIZE": "3", "BODY": "8BITMIME"}


async def test_x8_l20_addresses_in_utf8_are_not_sent_to_who_cannot_take_them() -> None:
    """Without SMTPUTF8 a recipient in UTF-8 is refused with 5.6.7, and the others of the message are not."""
    async with Receiver(Behaviour(smtputf8=False), keep_arrivals=True) as receiver:
        session = await connect(receiver.port)
        answers = await session.transact(letter("grün@b.test", "you@b.test", "you@grün.test"))
        assert shown(answers) == [(Stage.MAIL, 553), (Stage.END_OF_DATA, 250), (Stage.END_OF_DATA, 250)]
        assert [answer.ours for answer in answers] == [True, False, False]
        (answer,) = await session.transact(letter(mail_from="grün@a.test"))
        assert (answer.ours, str(answer.reply)[:10]) == (True, "553 5.6.7 ")
        session.abort()
    assert receiver.arrivals[0].rcpt_tos == ("you@b.test", "you@xn--grn-ioa.test")
    assert "SMTPUTF8" not in receiver.arrivals[0].parameters


async def test_x8_addresses_in_utf8_are_sent_as_they_are_to_who_takes_them() -> None:
    """With SMTPUTF8 addresses go out verbatim, and the parameter says so."""
    async with Receiver(Behaviour(), keep_arrivals=True) as receiver:
        session = await connect(receiver.port)
        assert delivered(await session.transact(letter("grün@grün.test", mail_from="blau@blau.test")))
        assert delivered(await session.transact(replace(letter(), smtputf8=True)))
        assert delivered(await session.transact(letter()))
        session.abort()
    first, second, third = receiver.arrivals
    assert first.rcpt_tos == ("grün@grün.test",)
    assert ["SMTPUTF8" in arrival.parameters for arrival in (first, second, third)] == [True, True, False]
