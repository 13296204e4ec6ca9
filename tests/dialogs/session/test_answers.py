"""One answer per recipient: each gets its own, whatever the others get, and in whatever segments replies come."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from sender.core.outcome import Trouble
from sender.core.reply import Reply
from sender.core.stage import Stage
from sender.sandbox import Behaviour, Close, Receiver
from tests.dialogs.peer import (
    OFFER,
    OFFER_PIPELINING,
    Content,
    Expect,
    Peer,
    Send,
    Step,
    envelope,
    greeting,
    said,
)
from tests.dialogs.peer import (
    Close as PeerClose,
)

from .sending import WAYS, connect, delivered, letter, limits, shown, taking

RCPTS = ("one@b.test", "two@b.test", "three@b.test")
MIX = ("250 ok", "450 later", "550 no", "452 4.5.3 too many", "251 forwarded", "252 perhaps", "421 4.7.0 bye")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 2, 3])
async def test_p11_each_recipient_gets_its_own_answer(count: int, way: str) -> None:
    """Of every mix of replies to RCPT each recipient gets its own, the accepted ones the answer to the content.

    A 421 answers for itself and for all who are not decided before it.
    """
    async with Receiver(taking(way), keep_arrivals=True) as receiver:
        for mix in itertools.product(MIX, repeat=count):
            closing = next((index for index, reply in enumerate(mix) if reply.startswith("421")), None)
            script = [Close(reply=reply) if reply.startswith("421") else reply for reply in mix]
            receiver.behaviour = taking(way, {"rcpt": script})
            receiver.arrivals.clear()
            session = await connect(receiver.port)
            answers = await session.transact(letter(*RCPTS[:count]))
            expected: list[tuple[Stage, int]] = []
            for reply in mix[: None if closing is None else closing]:
                refused = reply[0] in "45"
                accepted = (Stage.RCPT, 421) if closing is not None else (Stage.END_OF_DATA, 250)
                expected.append((Stage.RCPT, int(reply[:3])) if refused else accepted)
            expected += [(Stage.RCPT, 421)] * (count - len(expected))
            assert shown(answers) == expected, mix
            taken = tuple(rcpt for rcpt, answer in zip(RCPTS, answers, strict=False) if answer.delivered)
            assert [arrival.rcpt_tos for arrival in receiver.arrivals] == ([taken] if taken else []), mix
            assert session.usable is (closing is None), mix
            session.abort()


@pytest.mark.parametrize("way", WAYS)
async def test_p11_the_next_message_is_clean_of_the_one_before(way: str) -> None:
    """After an envelope that came to nothing RSET goes first, so the next message is not answered 503."""
    async with Receiver(taking(way, {"rcpt": ["550 no", "450 later"]}), keep_arrivals=True) as receiver:
        session = await connect(receiver.port)
        assert shown(await session.transact(letter("no@b.test"))) == [(Stage.RCPT, 550)]
        assert shown(await session.transact(letter("later@b.test"))) == [(Stage.RCPT, 450)]
        assert delivered(await session.transact(letter("yes@b.test")))
        assert session.transactions == 3
        await session.quit()
    assert [arrival.rcpt_tos for arrival in receiver.arrivals] == [("yes@b.test",)]


@pytest.mark.parametrize("offer", [OFFER, OFFER_PIPELINING])
async def test_reset_goes_first_where_an_envelope_was_left_open_and_only_there(offer: bytes) -> None:
    """RSET is sent after a refused DATA, and neither at the beginning nor after a message that was answered."""
    steps: list[Step] = [
        *said("MAIL", b"250 ok\r\n"),
        *said("RCPT", b"250 ok\r\n"),
        *said("DATA", b"451 not now\r\n"),
        *said("RSET", b"250 ok\r\n"),
        *envelope(),
        Content(),
        Send(b"550 no\r\n"),
        *envelope(),
        Content(),
        Send(b"250 ok\r\n"),
        *said("QUIT", b"221 bye\r\n"),
    ]
    async with Peer([*greeting(offer), *steps]) as peer:
        session = await connect(peer.port)
        answers = [
            *await session.transact(letter()),
            *await session.transact(letter()),
            *await session.transact(letter()),
        ]
        assert shown(answers) == [(Stage.DATA, 451), (Stage.END_OF_DATA, 550), (Stage.END_OF_DATA, 250)]
        await session.quit()
        await peer.ended()


@pytest.mark.parametrize(
    ("stage", "expected", "way"),
    [
        (stage, expected, way)
        for stage, expected in (("mail", Stage.MAIL), ("data", Stage.DATA), ("end_of_data", Stage.END_OF_DATA))
        for way in WAYS
        if (stage, way) != ("data", "chunking")
    ],
)
async def test_p9_a_421_answers_for_everybody_and_ends_the_session(stage: str, expected: Stage, way: str) -> None:
    """All undecided recipients get the text of the 421 at its stage, and the session takes no other message."""
    script = {stage: [Close(reply="421 4.3.2 going down")]}
    async with Receiver(taking(way, script)) as receiver:
        session = await connect(receiver.port)
        answers = await session.transact(letter(*RCPTS))
        assert shown(answers) == [(expected, 421)] * 3
        assert {str(answer) for answer in answers} == {"421 4.3.2 going down"}
        assert session.closed_by == Reply(421, "4.3.2 going down")
        assert not session.usable
        session.abort()
        await receiver.until_idle()


async def test_p9_those_who_were_refused_before_the_421_stay_refused() -> None:
    """A 550 that was given before the session was closed is not undone by its closing."""
    script: list[str | Close] = ["550 5.1.1 no", "250 ok", Close(reply="421 4.7.0 too fast")]
    for way in WAYS:
        async with Receiver(taking(way, {"rcpt": script})) as receiver:
            session = await connect(receiver.port)
            answers = await session.transact(letter(*RCPTS))
            assert shown(answers) == [(Stage.RCPT, 550), (Stage.RCPT, 421), (Stage.RCPT, 421)]
            session.abort()


async def test_p9_a_421_that_nobody_asked_for_ends_the_session_with_its_text() -> None:
    """A 421 between two messages is kept in the trouble of the next one, which has not begun."""
    async with Peer([*greeting(), *envelope(), Content(), Send(b"250 ok\r\n421 4.4.2 idle\r\n"), PeerClose()]) as peer:
        session = await connect(peer.port)
        assert delivered(await session.transact(letter()))
        await peer.ended()
        assert not session.usable
        (answer,) = await session.transact(letter())
        assert (answer.stage, answer.trouble) == (Stage.MAIL, Trouble.LOST)
        assert "421 4.4.2 idle" in answer.detail


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("refusal", ["452 4.5.3 Too many recipients", "552 Too many recipients"])
async def test_p12_the_recipients_that_are_too_many_are_told_apart(refusal: str, way: str) -> None:
    """The message goes to those who were taken, and the others get the refusal itself."""
    script = {"rcpt": ["250 ok", refusal, refusal]}
    async with Receiver(taking(way, script), keep_arrivals=True) as receiver:
        session = await connect(receiver.port)
        answers = await session.transact(letter(*RCPTS))
        code = int(refusal[:3])
        assert shown(answers) == [(Stage.END_OF_DATA, 250), (Stage.RCPT, code), (Stage.RCPT, code)]
        assert delivered(await session.transact(letter(*RCPTS[1:])))
        session.abort()
    assert [arrival.rcpt_tos for arrival in receiver.arrivals] == [RCPTS[:1], RCPTS[1:]]


@pytest.mark.parametrize("stage", ["mail", "end_of_data"])
@pytest.mark.parametrize("reply", ["552 5.3.4 too big", "452 4.3.1 no room"])
async def test_p13_a_refusal_for_size_answers_for_everybody(stage: str, reply: str) -> None:
    """What the receiver says about the size stands for each recipient, and the session goes on."""
    async with Receiver(Behaviour(scripted={stage: [reply]})) as receiver:
        session = await connect(receiver.port)
        answers = await session.transact(letter(*RCPTS))
        assert shown(answers) == [(Stage(stage), int(reply[:3]))] * 3
        assert delivered(await session.transact(letter()))
        session.abort()


async def test_l8_recipients_with_the_same_address_have_an_answer_each() -> None:
    """Answers belong to places in the envelope and not to addresses."""
    async with Receiver(Behaviour(scripted={"rcpt": ["550 no", "250 ok", "450 later"]})) as receiver:
        session = await connect(receiver.port)
        answers = await session.transact(letter("you@b.test", "you@b.test", "you@b.test"))
        assert shown(answers) == [(Stage.RCPT, 550), (Stage.END_OF_DATA, 250), (Stage.RCPT, 450)]
        session.abort()


async def test_l8_a_refused_content_does_not_hide_refused_recipients() -> None:
    """Who was refused at RCPT keeps that answer, whatever becomes of the content."""
    script = {"rcpt": ["550 5.1.1 no", "250 ok"], "end_of_data": ["451 4.3.0 not now"]}
    async with Receiver(Behaviour(scripted=script)) as receiver:
        session = await connect(receiver.port)
        answers = await session.transact(letter(*RCPTS[:2]))
        assert shown(answers) == [(Stage.RCPT, 550), (Stage.END_OF_DATA, 451)]
        session.abort()


async def test_l9_a_reset_that_hangs_changes_no_answer_given_before() -> None:
    """The refusals of one message stand, and the RSET before the next one is that one's trouble."""
    steps = [*said("MAIL", b"250 ok\r\n"), *said("RCPT", b"550 no\r\n"), Expect(b"RSET")]
    async with Peer([*greeting(), *steps]) as peer:
        session = await connect(peer.port, limits(rset_timeout=0.05))
        assert shown(await session.transact(letter())) == [(Stage.RCPT, 550)]
        assert shown(await session.transact(letter())) == [(Stage.RSET, Trouble.TIMEOUT)]
        assert not session.usable
        await peer.ended()


@pytest.mark.parametrize("offer", [OFFER, OFFER_PIPELINING])
async def test_p23_a_refused_reset_bounces_nobody(offer: bytes) -> None:
    """A receiver that refuses RSET is out of step: the session ends, and the message gets no refusal."""
    steps = [*said("MAIL", b"250 ok\r\n"), *said("RCPT", b"550 no\r\n")]
    steps += said("DATA", b"503 no\r\n") if offer is OFFER_PIPELINING else []
    async with Peer([*greeting(offer), *steps, *said("RSET", b"500 what\r\n")]) as peer:
        session = await connect(peer.port)
        await session.transact(letter())
        assert shown(await session.transact(letter())) == [(Stage.RSET, Trouble.PROTOCOL)]
        assert not session.usable
        await peer.ended()


async def test_p23_a_receiver_that_left_between_two_messages_costs_the_next_one_nothing() -> None:
    """A session that was closed while it was idle says so before anything is sent, at the beginning of the envelope."""
    async with Peer([*greeting(), *envelope(), Content(), Send(b"250 ok\r\n"), PeerClose()]) as peer:
        session = await connect(peer.port)
        assert delivered(await session.transact(letter()))
        await peer.ended()
        assert shown(await session.transact(letter())) == [(Stage.MAIL, Trouble.LOST)]
        assert not session.usable


async def test_p19_replies_belong_to_their_commands_in_any_segments() -> None:
    """However the replies to pipelined commands are cut into segments, each recipient gets its own."""
    random = Random(1)
    for _ in range(60):
        mix = [
            random.choice((b"250 ok", b"250-more\r\n250 ok", b"450 later", b"550-no\r\n550-no\r\n550 no"))
            for _ in RCPTS
        ]
        taken = [index for index, reply in enumerate(mix) if reply.startswith(b"250")]
        replies = [b"250 ok", *mix, b"354 go" if taken else b"554 none"]
        wire = b"".join(reply + b"\r\n" for reply in replies)
        cuts = sorted(random.sample(range(1, len(wire)), 4))
        pieces = [wire[start:end] for start, end in itertools.pairwise([0, *cuts, len(wire)])]
        steps: list[Step] = [Expect(b"MAIL"), Expect(b"RCPT"), Expect(b"RCPT"), Expect(b"RCPT"), Expect(b"DATA")]
        steps += [Send(piece) for piece in pieces]
        steps += [Content(), Send(b"250 taken\r\n")] if taken else []
        async with Peer([*greeting(OFFER_PIPELINING), *steps]) as peer:
            session = await connect(peer.port)
            answers = await session.transact(letter(*RCPTS))
            expected = [
                (Stage.END_OF_DATA, 250) if index in taken else (Stage.RCPT, int(reply[:3]))
                for index, reply in enumerate(mix)
            ]
            assert shown(answers) == expected
            session.abort()


async def test_p19_a_354_for_nobody_gets_no_content() -> None:
    """A receiver that asks for content though it took no recipient gets an empty message, and its answer counts not."""
    steps: list[Step] = [Expect(b"MAIL"), Expect(b"RCPT"), Expect(b"DATA"), Send(b"250 ok\r\n550 no\r\n354 go\r\n")]
    steps += [Content(), Send(b"250 taken\r\n"), *said("QUIT", b"221 bye\r\n")]
    async with Peer([*greeting(OFFER_PIPELINING), *steps]) as peer:
        session = await connect(peer.port)
        assert shown(await session.transact(letter())) == [(Stage.RCPT, 550)]
        await session.quit()
        await peer.ended()
        assert peer.visit.content == b".\r\n"


async def test_p19_a_peer_that_closes_behind_its_refusal_has_refused() -> None:
    """Refusals that came before the connection was closed are the answers."""
    steps: list[Step] = [Expect(b"MAIL"), Send(b"550 5.7.1 go away\r\n"), PeerClose()]
    async with Peer([*greeting(OFFER_PIPELINING), *steps]) as peer:
        session = await connect(peer.port)
        assert shown(await session.transact(letter(*RCPTS))) == [(Stage.MAIL, 550)] * 3
        assert not session.usable


@pytest.mark.parametrize("pipelining", [False, True])
async def test_that_an_envelope_was_taken_is_told_before_the_content_is_answered(*, pipelining: bool) -> None:
    """However long the receiver takes for the content; of an envelope that it refuses nothing is told."""
    behaviour = Behaviour(
        pipelining=pipelining, chunking=False, scripted={"rcpt": ["250 ok", "450 later"]}, accept_delay_s=0.3
    )
    async with Receiver(behaviour) as receiver:
        session = await connect(receiver.port)
        told: list[int] = []
        answers = await session.transact(letter(), on_envelope=lambda: told.append(receiver.tally.messages))
        assert (delivered(answers), told, receiver.tally.messages) == (True, [0], 1)
        answers = await session.transact(letter(), on_envelope=lambda: told.append(-1))
        assert (shown(answers), told) == ([(Stage.RCPT, 450)], [0])
        await session.quit()
