"""Replies that are no replies, and replies out of place: nothing of them ever counts as success or as a refusal."""

from __future__ import annotations

import pytest

from sender.core.outcome import Trouble
from sender.core.stage import Stage
from sender.smtp.session import Session
from tests.dialogs.peer import OFFER_PIPELINING, Content, Drip, Expect, Peer, Send, Step, envelope, greeting, said

from .sending import connect, delivered, letter, limits, shown

PROTOCOL = [(Stage.END_OF_DATA, Trouble.PROTOCOL)]


async def dead(session: Session, peer: Peer) -> None:
    """Check that a session is over and that its connection has been closed."""
    assert not session.usable
    await peer.ended()
    assert peer.visits[-1].gone


@pytest.mark.parametrize(
    "reply",
    [
        b"550-no\r\n250 yes\r\n",
        b"250-yes\r\n550 no\r\n",
        b"250-yes\r\n251 yes\r\n",
        b"250X ok\r\n",
        b"250_ok\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"2_5 ok\r\n",
        b"+25 ok\r\n",
        b" 25 ok\r\n",
        b"\xd9\xa2\xd9\xa5\xd9\xa0 ok\r\n",
        b"\xef\xbc\x92\xef\xbc\x95\xef\xbc\x90 ok\r\n",
        b"150 ok\r\n",
        b"650 ok\r\n",
        b"000 ok\r\n",
        b"ok\r\n",
        b"\r\n",
    ],
)
@pytest.mark.parametrize("stage", ["mail", "end_of_data"])
async def test_p14_a_reply_that_is_malformed_ends_the_session(reply: bytes, stage: str) -> None:
    """Lines of different codes, other separators and other numbers are no reply: a protocol error, and no verdict."""
    steps = said("MAIL", reply) if stage == "mail" else [*envelope(), Content(), Send(reply)]
    async with Peer([*greeting(), *steps]) as peer:
        session = await connect(peer.port)
        answers = await session.transact(letter())
        assert shown(answers) == [(Stage(stage), Trouble.PROTOCOL)]
        await dead(session, peer)


@pytest.mark.parametrize(
    "reply",
    [
        b"250 " + b"x" * 10_000_000,
        b"250-more\r\n" * 1_000_000,
        b"250 " + b"x" * 9000 + b"\r\n",
        b"\0" * 100_000,
        b"250-" + b"x" * 8000 + b"\r\n" + (b"250-" + b"x" * 8000 + b"\r\n") * 9,
    ],
    ids=["10 MB line", "endless lines", "9 KB line", "NULs", "80 KB reply"],
)
async def test_p15_a_reply_without_measure_ends_the_session(reply: bytes) -> None:
    """A line of more than 8 KiB or a reply of more than 64 KiB is a protocol error, and is not read to its end."""
    async with Peer([*greeting(), *envelope(), Content(), Send(reply)]) as peer:
        session = await connect(peer.port)
        assert shown(await session.transact(letter())) == PROTOCOL
        await dead(session, peer)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (b"250 2.0.0 \xff\xfe\x1b[31mred\r\n", "250 2.0.0 \ufffd\ufffd?[31mred"),
        (b"250 bare\n", "250 bare"),
        (b"250-one\n250 two\r\n", "250 one two"),
        (b"250\r\n", "250"),
        (b"250 " + b"x" * 600 + b"\r\n", "250 " + "x" * 600),
        (b"250 nul\0bell\x07\r\n", "250 nul?bell?"),
    ],
)
async def test_p15_small_oddities_are_taken_and_shown_without_controls(reply: bytes, text: str) -> None:
    """Bare line feeds, other bytes than text and long lines are taken; what is shown has no control characters."""
    async with Peer([*greeting(), *envelope(), Content(), Send(reply)]) as peer:
        session = await connect(peer.port)
        answers = await session.transact(letter())
        assert delivered(answers)
        assert str(answers[0]) == text
        assert session.usable
        session.abort()


@pytest.mark.parametrize("pipelining", [False, True])
async def test_l1_p16_a_line_behind_the_354_is_never_the_verdict(*, pipelining: bool) -> None:
    """A stray reply in the segment of the 354 ends the session before any content, and is not taken for success."""
    script: list[Step] = greeting(OFFER_PIPELINING) if pipelining else greeting()
    steps = envelope()
    steps[-1] = Send(b"354 go\r\n250 2.0.0 stray\r\n")
    if pipelining:
        steps = [
            Expect(b"MAIL"),
            Expect(b"RCPT"),
            Expect(b"DATA"),
            Send(b"250 ok\r\n250 ok\r\n354 go\r\n250 stray\r\n"),
        ]
    async with Peer([*script, *steps]) as peer:
        session = await connect(peer.port)
        assert shown(await session.transact(letter())) == [(Stage.MAIL if pipelining else Stage.DATA, Trouble.PROTOCOL)]
        await dead(session, peer)
        assert peer.visit.rest == b""


@pytest.mark.parametrize("behind", [b"250 more\r\n", b"\r\n", b"2", b"550-", b"\0"])
@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT])
async def test_p16_bytes_behind_a_reply_end_the_session(behind: bytes, stage: Stage) -> None:
    """Whatever stands behind a reply when a command is to be sent ends the session before that command."""
    steps = said("MAIL", b"250 ok\r\n" + (behind if stage is Stage.MAIL else b""))
    if stage is Stage.RCPT:
        steps += said("RCPT", b"250 ok\r\n" + behind)
    async with Peer([*greeting(), *steps]) as peer:
        session = await connect(peer.port)
        answers = await session.transact(letter())
        assert [answer.trouble for answer in answers] == [Trouble.PROTOCOL]
        await dead(session, peer)
        assert peer.visit.rest == b""


@pytest.mark.parametrize("behind", [b"250 more\r\n", b"2", b"\r\n", b"what\r\n"])
async def test_p16_bytes_behind_the_verdict_leave_it_valid_and_the_session_dead(behind: bytes) -> None:
    """The answer to the content stands, and nothing follows it on this session."""
    async with Peer([*greeting(), *envelope(), Content(), Send(b"250 taken\r\n" + behind)]) as peer:
        session = await connect(peer.port)
        answers = await session.transact(letter())
        assert delivered(answers)
        assert str(answers[0]) == "250 taken"
        assert not session.usable
        await session.quit()
        await dead(session, peer)
        assert peer.visit.rest == b""


async def test_p16_a_reply_before_its_command_ends_the_session() -> None:
    """A reply that comes when nothing was asked belongs to nothing."""
    async with Peer([*greeting(b"250 peer.test\r\n250 early\r\n")]) as peer:
        session = await connect(peer.port)
        assert not session.usable
        assert [answer.trouble for answer in await session.transact(letter())] == [Trouble.PROTOCOL]
        await dead(session, peer)


@pytest.mark.parametrize("code", [200, 250, 251, 252, 253, 299])
async def test_l7_p17_any_2yz_behind_the_content_is_consent(code: int) -> None:
    """The first digit decides: the message is delivered, and the session goes on."""
    async with Peer([*greeting(), *envelope(), Content(), Send(b"%d ok\r\n" % code)]) as peer:
        session = await connect(peer.port)
        assert delivered(await session.transact(letter()))
        assert session.usable
        session.abort()


@pytest.mark.parametrize("code", [250, 251, 252])
async def test_l7_p17_any_2yz_to_rcpt_is_consent(code: int) -> None:
    """A recipient that is taken with another code than 250 is taken."""
    steps = [*said("MAIL", b"250 ok\r\n"), *said("RCPT", b"%d ok\r\n" % code), *said("DATA", b"354 go\r\n")]
    async with Peer([*greeting(), *steps, Content(), Send(b"250 ok\r\n")]) as peer:
        session = await connect(peer.port)
        assert delivered(await session.transact(letter()))
        session.abort()


async def test_p17_consent_to_data_is_not_delivery() -> None:
    """A 250 in place of the 354 takes no responsibility: the recipient is answered for now, and no content is sent."""
    steps = [*said("MAIL", b"250 ok\r\n"), *said("RCPT", b"250 ok\r\n"), *said("DATA", b"250 odd\r\n")]
    async with Peer([*greeting(), *steps]) as peer:
        session = await connect(peer.port)
        (answer,) = await session.transact(letter())
        assert not answer.delivered
        assert answer.stage is Stage.DATA
        assert answer.reply is not None
        assert answer.reply.transient
        session.abort()
        await peer.ended()
        assert peer.visit.rest == b""


@pytest.mark.parametrize("verb", ["MAIL", "RCPT"])
async def test_p17_a_354_out_of_place_is_no_consent(verb: str) -> None:
    """A 354 to MAIL or RCPT delivers nothing and brings no content."""
    steps = said("MAIL", b"354 go\r\n" if verb == "MAIL" else b"250 ok\r\n")
    steps += said("RCPT", b"354 go\r\n" if verb == "RCPT" else b"503 what\r\n")
    async with Peer([*greeting(OFFER_PIPELINING), *steps, *said("DATA", b"503 no\r\n")]) as peer:
        session = await connect(peer.port)
        (answer,) = await session.transact(letter())
        assert not answer.delivered
        session.abort()
        await peer.ended()
        assert peer.visit.rest == b""


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "."])
async def test_p3_a_reply_that_drips_has_the_time_of_its_stage_and_no_more(verb: str) -> None:
    """Bytes of a reply, however many come, do not prolong its time."""
    steps = envelope()
    cut = {"MAIL": 1, "RCPT": 3, "DATA": 5, ".": 6}[verb]
    steps = [*steps[:cut], *([Content()] if verb == "." else []), Drip(b"250 " + b"x" * 1000, every_s=0.02)]
    times = limits(mail_timeout=0.2, rcpt_timeout=0.2, data_timeout=0.2, end_of_data_timeout=0.2)
    async with Peer([*greeting(), *steps]) as peer:
        session = await connect(peer.port, times)
        (answer,) = await session.transact(letter())
        assert answer.trouble is (Trouble.LOST_AFTER_CONTENT if verb == "." else Trouble.TIMEOUT)
        assert "no answer within 0.2 s" in answer.detail
        await dead(session, peer)
