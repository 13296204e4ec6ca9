"""Content by BDAT with its envelope (RFC 3030), and two messages under way where a receiver has shown that it copes."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sender.core.outcome import Trouble
from sender.core.stage import Stage
from sender.sandbox import Behaviour, Receiver
from sender.smtp.habits import Habits, Way
from sender.smtp.session import FAILED_CHUNKS_MAX, PIECE
from tests.dialogs.peer import (
    OFFER_CHUNKING,
    Chunk,
    Close,
    Content,
    Expect,
    Pause,
    Peer,
    Send,
    Step,
    envelope,
    greeting,
    said,
)

from .sending import connect, converse, delivered, letter, limits, shown

GROUP: list[Step] = [Expect(b"MAIL"), Expect(b"RCPT"), Chunk()]
BEHIND: list[Step] = [Expect(b"RSET"), *GROUP]
OK = b"250 ok\r\n"
MESSAGES = [letter(f"{number}@b.test", content=b"%d\r\n" % number) for number in range(8)]
ONE, TWO, THREE, FOUR = MESSAGES[:4]
LOST = Trouble.LOST_AFTER_CONTENT


def coping() -> Habits:
    """Give the habits of a site where everything has worked."""
    habits = Habits()
    for way in Way:
        habits.worked(way)
    return habits


def pair(*steps: Step) -> list[Step]:
    """Make the steps of a receiver that gets two messages before it has answered one."""
    return [*greeting(OFFER_CHUNKING), *GROUP, *BEHIND, *steps]


@pytest.mark.parametrize("content", [b"", b"hello\r\n", b".\r\n", b"..\r\n.\r\n", b"x" * 60_000 + b"\r\n"])
async def test_p20_a_message_is_one_group_with_its_content_as_it_is(content: bytes) -> None:
    """MAIL, RCPT and BDAT with the content come before any reply; nothing is stuffed, and the octets are counted."""
    async with Peer([*greeting(OFFER_CHUNKING), *GROUP, Send(OK * 3), *said("QUIT", b"221 bye\r\n")]) as peer:
        session = await connect(peer.port)
        assert delivered(await session.transact(letter(content=content)))
        await session.quit()
        await peer.ended()
        assert peer.visit.content == content
        assert peer.visit.commands[3] == b"BDAT %d LAST" % len(content)


async def test_what_is_long_goes_by_data() -> None:
    """Content that is longer than a piece waits for the 354: a refused recipient would have it sent for nothing."""
    async with Receiver(Behaviour(), keep_arrivals=True) as receiver:
        session = await connect(receiver.port)
        contents = [b"x" * size + b"\r\n" for size in (PIECE - 3, PIECE - 2, PIECE, 10 * PIECE, 1)]
        answers = await converse(session, *(letter(content=content) for content in contents))
        assert all(map(delivered, answers))
        await session.quit()
    assert [arrival.content for arrival in receiver.arrivals] == contents
    async with Peer([*greeting(OFFER_CHUNKING), *envelope(), Content(), Send(OK)]) as peer:
        session = await connect(peer.port)
        assert delivered(await session.transact(letter(content=b"x" * PIECE + b"\r\n")))
        session.abort()


@pytest.mark.parametrize("forbidden", [Way.CHUNKING, Way.PIPELINING])
async def test_what_is_forbidden_or_not_announced_is_not_used(forbidden: Way) -> None:
    """Without CHUNKING, or without the PIPELINING that it presumes, content goes by DATA."""
    offers = [OFFER_CHUNKING, OFFER_CHUNKING.replace(f"250-{forbidden}\r\n".upper().encode(), b"")]
    for offer, habits in zip(offers, [Habits(forbidden=[forbidden]), Habits()], strict=True):
        async with Peer([*greeting(offer), *envelope(), Content(), Send(OK)]) as peer:
            session = await connect(peer.port, habits=habits)
            assert delivered(await session.transact(ONE))
            session.abort()


async def test_p20_a_bdat_without_recipients_hides_no_refusal() -> None:
    """Who was refused at RCPT keeps that answer, and RSET clears what the failed BDAT has left."""
    replies = b"250 ok\r\n550 5.1.1 no\r\n503 5.5.1 no valid recipients\r\n"
    async with Peer([*greeting(OFFER_CHUNKING), *GROUP, Send(replies), *BEHIND, Send(OK * 4)]) as peer:
        session = await connect(peer.port)
        assert shown(await session.transact(ONE)) == [(Stage.RCPT, 550)]
        assert delivered(await session.transact(TWO))
        session.abort()
        await peer.ended()


@pytest.mark.parametrize("reply", ["552 5.3.4 too big", "554 5.7.1 spam", "451 4.3.0 later", "421 4.3.2 closing"])
async def test_p20_a_refused_content_is_a_refusal(reply: str) -> None:
    """What a receiver says about the content stands for all whom it has taken, and chunks are still in use."""
    replies = OK * 2 + b"550 no\r\n" + reply.encode() + b"\r\n"
    steps: list[Step] = [Expect(b"MAIL"), Expect(b"RCPT"), Expect(b"RCPT"), Chunk(), Send(replies)]
    habits = Habits()
    async with Peer([*greeting(OFFER_CHUNKING), *steps, *BEHIND, Send(OK * 4)]) as peer:
        session = await connect(peer.port, habits=habits)
        answers = await session.transact(letter("one@b.test", "two@b.test"))
        assert shown(answers) == [(Stage.END_OF_DATA, int(reply[:3])), (Stage.RCPT, 550)]
        assert session.usable is not reply.startswith("421")
        assert habits.remember(1.0) == {}
        if session.usable:
            assert delivered(await session.transact(TWO))
        session.abort()


@pytest.mark.parametrize(
    "reply", ["500 what", "502 5.5.1 not implemented", "503 bad sequence", "504 no such parameter"]
)
async def test_p20_a_receiver_that_knows_no_bdat_gets_data(reply: str) -> None:
    """A BDAT that is not understood charges nobody: the session ends, and the message goes by DATA on the next."""
    habits = Habits()
    first: list[Step] = [*GROUP, Send(OK * 2 + reply.encode() + b"\r\n")]
    second: list[Step] = [*envelope(), Content(), Send(OK)]
    async with Peer([*greeting(OFFER_CHUNKING), *first], [*greeting(OFFER_CHUNKING), *second]) as peer:
        session = await connect(peer.port, habits=habits)
        (answer,) = await session.transact(ONE)
        assert (answer.stage, answer.trouble, answer.ambiguous) == (Stage.END_OF_DATA, Trouble.UNTRIED, False)
        assert reply in str(answer)
        assert not session.usable
        assert habits.remember(1.0) == {"chunking": 1.0}
        session = await connect(peer.port, habits=habits)
        assert delivered(await session.transact(ONE))
        session.abort()


async def test_a_receiver_that_reads_the_content_as_commands_is_out_of_step() -> None:
    """More replies than commands decide about no message: it may have been taken, and may arrive twice."""
    async with Peer([*greeting(OFFER_CHUNKING), *GROUP, Send(OK * 4)]) as peer:
        session = await connect(peer.port)
        (answer,) = await session.transact(ONE)
        assert (answer.trouble, answer.ambiguous, answer.delivered) == (Trouble.PROTOCOL, True, False)
        assert not session.usable


async def test_a_consent_to_a_message_whose_sender_was_refused_is_none() -> None:
    """A receiver that takes recipients and content for a sender that it has refused is out of step: nobody can know."""
    async with Peer([*greeting(OFFER_CHUNKING), *GROUP, Send(b"550 no\r\n250 ok\r\n250 ok\r\n")]) as peer:
        session = await connect(peer.port)
        (answer,) = await session.transact(ONE)
        assert (answer.trouble, answer.ambiguous) == (Trouble.PROTOCOL, True)
        assert not session.usable


async def test_a_consent_for_nobody_delivers_to_nobody() -> None:
    """A receiver that takes content for recipients whom it has refused has taken it for nobody."""
    async with Peer([*greeting(OFFER_CHUNKING), *GROUP, Send(b"250 ok\r\n550 no\r\n250 ok\r\n")]) as peer:
        session = await connect(peer.port)
        assert shown(await session.transact(ONE)) == [(Stage.RCPT, 550)]
        session.abort()


async def test_the_first_messages_find_out_what_the_receiver_copes_with() -> None:
    """First a chunk alone, then an envelope behind a chunk, then a chunk behind a content: and so two are under way."""
    trial: list[Step] = [Expect(b"RSET"), Expect(b"MAIL"), Expect(b"RCPT"), Expect(b"DATA")]
    steps = [
        *[*GROUP, Send(OK * 3)],
        *[*GROUP, *trial, Send(OK * 3 + OK * 3 + b"354 go\r\n")],
        *[Content(), *GROUP, Send(OK)],
        *[*BEHIND, Send(OK * 3 + OK * 4)],
    ]
    habits = Habits()
    async with Peer([*greeting(OFFER_CHUNKING), *steps]) as peer:
        session = await connect(peer.port, habits=habits)
        assert delivered(await session.transact(ONE, lambda: None))
        assert all(map(delivered, await converse(session, *MESSAGES[1:5])))
        assert all(habits.may(way, session) for way in Way)
        session.abort()
        await peer.ended()


async def test_p6_a_refusal_stands_though_the_content_could_not_leave() -> None:
    """Who refuses the sender and closes, while the content is still on its way, has refused."""
    steps: list[Step] = [Expect(b"MAIL"), Send(b"421 4.7.0 go away\r\n"), Close()]
    async with Peer([*greeting(OFFER_CHUNKING), *steps], receive_buffer=2048) as peer:
        session = await connect(peer.port)
        transport = session._wire.transport
        assert isinstance(transport, asyncio.WriteTransport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        assert shown(await session.transact(letter(content=b"x" * 60_000))) == [(Stage.MAIL, 421)]
        assert not session.usable


async def test_two_messages_are_under_way_and_not_three() -> None:
    """The third message is begun when the first is answered."""
    both_read: list[Step] = [Send(OK * 3), *BEHIND, Send(OK * 4 + OK * 4)]
    async with Peer(pair(*both_read)) as peer:
        session = await connect(peer.port, habits=coping())
        assert all(map(delivered, await converse(session, ONE, TWO, THREE)))
        session.abort()
        await peer.ended()
        assert peer.visit.rest == b""


async def test_p5_both_messages_are_unknown_when_the_connection_ends() -> None:
    """Two contents that were sent and not answered may both have been taken."""
    async with Peer(pair(Close())) as peer:
        session = await connect(peer.port, habits=coping())
        first, second = await converse(session, ONE, TWO)
        assert (shown(first), shown(second)) == ([(Stage.MAIL, LOST)], [(Stage.RSET, LOST)])


async def test_p5_the_first_answer_stands_when_the_connection_ends_behind_it() -> None:
    """Of two messages under way one was answered, and the other may have been taken."""
    async with Peer(pair(Send(OK * 3 + OK * 2), Close())) as peer:
        session = await connect(peer.port, habits=coping())
        first, second = await converse(session, ONE, TWO)
        assert delivered(first)
        assert shown(second) == [(Stage.RCPT, LOST)]


async def test_p9_after_a_421_the_second_message_was_not_tried() -> None:
    """A receiver that says that it closes deals with nothing more: what was sent behind has nobody taken."""
    async with Peer(pair(Send(OK * 2 + b"421 4.3.2 going down\r\n"), Close())) as peer:
        session = await connect(peer.port, habits=coping())
        first, second = await converse(session, ONE, TWO)
        assert shown(first) == [(Stage.END_OF_DATA, 421)]
        assert shown(second) == [(Stage.RSET, Trouble.UNTRIED)]


async def test_p9_who_answers_on_after_a_421_has_answered() -> None:
    """A receiver that takes the second message all the same says so, and is believed."""
    async with Peer(pair(Send(b"421 4.3.2 going down\r\n" + OK * 4), Close())) as peer:
        session = await connect(peer.port, habits=coping())
        first, second = await converse(session, ONE, TWO)
        assert shown(first) == [(Stage.MAIL, 421)]
        assert delivered(second)


async def test_p9_who_neither_answers_nor_closes_after_a_421_is_not_waited_for() -> None:
    """After a 421 a receiver has as long as for QUIT, not as long as for a command."""
    async with Peer(pair(Send(b"421 4.3.2 going down\r\n"))) as peer:
        session = await connect(peer.port, limits(quit_timeout=0.05), habits=coping())
        _, second = await converse(session, ONE, TWO)
        assert shown(second) == [(Stage.RSET, Trouble.UNTRIED)]
        await peer.ended()


async def test_p20_a_failed_bdat_is_cleared_before_the_next_envelope() -> None:
    """RSET goes first behind a BDAT that is not answered yet: its recipients are no other message's."""
    refused = b"250 ok\r\n550 no\r\n554 5.5.1 no valid recipients\r\n"
    async with Peer(pair(Send(refused + OK * 4))) as peer:
        session = await connect(peer.port, habits=coping())
        first, second = await converse(session, ONE, TWO)
        assert shown(first) == [(Stage.RCPT, 550)]
        assert delivered(second)
        session.abort()


async def test_p23_who_goes_on_after_a_refused_reset_decides_nothing() -> None:
    """A receiver that refuses RSET and answers what follows is out of step; the content may have been taken."""
    async with Peer(pair(Send(OK * 3 + b"500 what\r\n" + OK * 3))) as peer:
        session = await connect(peer.port, habits=coping())
        first, (second,) = await converse(session, ONE, TWO)
        assert delivered(first)
        assert (second.stage, second.trouble, second.ambiguous) == (Stage.MAIL, Trouble.PROTOCOL, True)


@pytest.mark.parametrize("alone", [False, True])
async def test_p23_who_refuses_a_reset_and_closes_has_taken_nothing_more(*, alone: bool) -> None:
    """A receiver that has had enough of RSET says so and closes: what was sent behind it is untried."""
    enough = b"554 Too many nonmail commands\r\n"
    steps = [Send(b"250 ok\r\n550 no\r\n503 nobody\r\n"), *(BEHIND if alone else [])]
    script = [*greeting(OFFER_CHUNKING), *GROUP, *steps] if alone else pair(*steps)
    async with Peer([*script, Send(enough), Close()]) as peer:
        session = await connect(peer.port, habits=coping())
        first = await session.transact(ONE, lambda: None if alone else TWO)
        assert shown(first) == [(Stage.RCPT, 550)]
        (second,) = await session.transact(TWO)
        assert (second.stage, second.trouble, second.ambiguous) == (Stage.MAIL, Trouble.UNTRIED, False)
        assert not session.usable


async def test_who_refuses_many_messages_gets_content_when_it_asks_for_it() -> None:
    """Where contents of a session fail again and again, the next ones wait for their 354."""
    async with Receiver(Behaviour(unknown_prefixes=("no",)), keep_arrivals=True) as receiver:
        session = await connect(receiver.port, habits=coping())
        answers = await converse(session, *(letter("no@b.test") for _ in range(20)), ONE, TWO)
        assert [shown(each) for each in answers[:20]] == [[(Stage.RCPT, 550)]] * 20
        assert all(map(delivered, answers[20:]))
        assert FAILED_CHUNKS_MAX <= session._failed_chunks <= FAILED_CHUNKS_MAX + 1
        session.abort()


async def test_replies_that_are_one_too_many_are_no_verdict_for_either() -> None:
    """With one reply more than commands nobody knows whose is whose: a 250 that may be another's delivers nothing."""
    async with Peer(pair(Send(OK + OK * 3 + OK * 4))) as peer:
        session = await connect(peer.port, habits=coping())
        first, second = await converse(session, ONE, TWO)
        for (answer,) in (first, second):
            assert (answer.trouble, answer.ambiguous, answer.delivered) == (Trouble.PROTOCOL, True, False)
        assert not session.usable


async def test_a_bdat_that_is_not_understood_leaves_the_second_message_unknown() -> None:
    """Whether the content was skipped or read as commands, no reply behind it can be believed."""
    habits = coping()
    async with Peer(pair(Send(OK * 2 + b"500 what\r\n" + OK * 4))) as peer:
        session = await connect(peer.port, habits=habits)
        (first,), (second,) = await converse(session, ONE, TWO)
        assert (first.trouble, first.ambiguous) == (Trouble.UNTRIED, False)
        assert (second.trouble, second.ambiguous) == (Trouble.PROTOCOL, True)
        assert habits.remember(1.0) == {"chunking": 1.0}


async def test_a_site_that_fails_two_at_once_gets_one() -> None:
    """A trial of two messages that ends in a timeout is not repeated; one at a time goes on."""
    habits = Habits()
    for way in (Way.CHUNKING, Way.OVERLAPPING):
        habits.worked(way)
    async with Peer(pair(), [*greeting(OFFER_CHUNKING), *GROUP, Send(OK * 3)]) as peer:
        session = await connect(peer.port, limits(mail_timeout=0.05), habits=habits)
        first, second = await converse(session, ONE, TWO)
        assert (shown(first), shown(second)) == ([(Stage.MAIL, LOST)], [(Stage.RSET, LOST)])
        assert habits.remember(1.0) == {"doubling": 1.0}
        session = await connect(peer.port, habits=habits)
        assert delivered(await session.transact(THREE))
        session.abort()


async def test_a_content_that_cannot_leave_yet_is_waited_for_as_long_as_the_one_before() -> None:
    """While a receiver deals with one message it need not read the next: the time for blocks is not running."""
    large = letter(content=b"x" * 60_000 + b"\r\n")
    steps: list[Step] = [*GROUP, Pause(0.2), Send(OK * 3), *BEHIND, Send(OK * 4)]
    async with Peer([*greeting(OFFER_CHUNKING), *steps], receive_buffer=2048) as peer:
        session = await connect(peer.port, limits(block_timeout=0.05), habits=coping())
        transport = session._wire.transport
        assert isinstance(transport, asyncio.WriteTransport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        assert delivered(await session.transact(ONE, lambda: large))
        assert transport.get_write_buffer_size() > 0
        assert delivered(await session.transact(large))
        session.abort()
