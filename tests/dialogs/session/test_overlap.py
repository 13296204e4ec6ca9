"""The envelope of the next message behind the content of the one before (RFC 2920 section 3.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sender.core.outcome import Trouble
from sender.core.stage import Stage
from sender.sandbox import Behaviour, Receiver
from sender.smtp.habits import Habits, Way
from sender.smtp.session import PIECE
from tests.dialogs.peer import (
    OFFER,
    OFFER_PIPELINING,
    Close,
    Content,
    Expect,
    HalfClose,
    Peer,
    Send,
    Step,
    Take,
    envelope,
    greeting,
    said,
    until,
)

from .sending import connect, converse, delivered, letter, limits, shown

GROUP: list[Step] = [Expect(b"MAIL"), Expect(b"RCPT"), Expect(b"DATA")]
TAKEN = b"250 ok\r\n250 ok\r\n354 go\r\n"
UNTRIED = [(Stage.MAIL, Trouble.UNTRIED)]
ONE, TWO, THREE = (letter(f"{name}@b.test", content=name.encode() + b"\r\n") for name in ("one", "two", "three"))


def both(*steps: Step) -> list[Step]:
    """Make the steps of a receiver that gets one message, and the envelope of another before it has answered."""
    return [*greeting(OFFER_PIPELINING), *GROUP, Send(TAKEN), Content(), *GROUP, *steps]


async def test_p19_the_next_envelope_comes_before_the_content_is_answered() -> None:
    """With PIPELINING a message costs one round trip: its content and the next envelope go out together."""
    steps = both(Send(b"250 one\r\n" + TAKEN), Content(), *GROUP, Send(b"250 two\r\n" + TAKEN))
    steps += [Content(), Send(b"250 three\r\n"), *said("QUIT", b"221 bye\r\n")]
    async with Peer(steps) as peer:
        session = await connect(peer.port)
        answers = await converse(session, ONE, TWO, THREE)
        assert [str(answer) for (answer,) in answers] == ["250 one", "250 two", "250 three"]
        assert session.transactions == 3
        await session.quit()
        await peer.ended()
        assert [command.split(b":")[0] for command in peer.visit.commands[1:]] == [
            *[b"MAIL FROM", b"RCPT TO", b"DATA"] * 3,
            b"QUIT",
        ]


async def test_p19_content_never_leaves_while_another_content_is_unanswered() -> None:
    """On plain PIPELINING there is one final dot without its answer at the most, whatever is known of the next."""
    async with Peer(both()) as peer:
        session = await connect(peer.port, limits(end_of_data_timeout=0.05))
        first, second = await converse(session, ONE, TWO)
        assert shown(first) == [(Stage.END_OF_DATA, Trouble.LOST_AFTER_CONTENT)]
        assert shown(second) == UNTRIED
        await peer.ended()
        assert peer.visit.rest == b""


@pytest.mark.parametrize("offer", [OFFER, OFFER_PIPELINING])
async def test_without_the_extension_or_the_habit_each_message_waits_for_the_one_before(offer: bytes) -> None:
    """Nothing goes behind a content where PIPELINING is not announced, or where the lane forbids it."""
    habits = Habits(forbidden=[Way.OVERLAPPING])
    steps = [step for _ in range(2) for step in (*envelope(), Content(), Send(b"250 ok\r\n"))]
    async with Peer([*greeting(offer), *steps]) as peer:
        session = await connect(peer.port, habits=habits)
        assert all(map(delivered, await converse(session, ONE, TWO)))
        session.abort()
        await peer.ended()


@pytest.mark.parametrize("pipelining", [False, True])
async def test_a_lane_that_forbids_pipelining_is_served_step_by_step(*, pipelining: bool) -> None:
    """Where the configuration forbids PIPELINING each command waits for the reply before, though it is announced."""
    async with Receiver(Behaviour(pipelining=pipelining), keep_arrivals=True) as receiver:
        session = await connect(receiver.port, habits=Habits(forbidden=[Way.PIPELINING]))
        assert all(map(delivered, await converse(session, ONE, TWO, THREE)))
        await session.quit()
        assert receiver.tally.uninvited == 0
    assert [arrival.content for arrival in receiver.arrivals] == [b"one\r\n", b"two\r\n", b"three\r\n"]


async def test_p19_each_message_has_its_own_refusals() -> None:
    """A refused content, a refused sender and a refused recipient behind it are each told for their message."""
    refused = b"550 5.7.1 spam\r\n" + b"550 5.1.8 who\r\n503 5.5.1 no sender\r\n503 5.5.1 no sender\r\n"
    steps = [
        *both(Send(refused), *GROUP, Send(b"250 ok\r\n550 5.1.1 no\r\n554 5.5.1 nobody\r\n")),
        *[Expect(b"RSET"), *GROUP, Send(b"250 ok\r\n" + TAKEN), Content(), Send(b"250 ok\r\n")],
    ]
    async with Peer(steps) as peer:
        session = await connect(peer.port)
        answers = await converse(session, ONE, TWO, THREE, letter("four@b.test"))
        assert [shown(each) for each in answers] == [
            [(Stage.END_OF_DATA, 550)],
            [(Stage.MAIL, 550)],
            [(Stage.RCPT, 550)],
            [(Stage.END_OF_DATA, 250)],
        ]
        session.abort()


async def test_p19_a_354_for_nobody_behind_a_content_gets_a_lone_dot() -> None:
    """A receiver that asks for the content of an envelope without recipients gets none, and the session goes on."""
    steps = [
        *both(Send(b"250 one\r\n250 ok\r\n550 no\r\n354 go\r\n"), Content(), Send(b"554 nobody\r\n")),
        *[*GROUP, Send(TAKEN), Content(), Send(b"250 three\r\n")],
    ]
    async with Peer(steps) as peer:
        session = await connect(peer.port)
        answers = await converse(session, ONE, TWO, THREE)
        assert [shown(each) for each in answers] == [
            [(Stage.END_OF_DATA, 250)],
            [(Stage.RCPT, 550)],
            [(Stage.END_OF_DATA, 250)],
        ]
        session.abort()


async def test_a_354_for_a_sender_that_was_refused_gets_nothing() -> None:
    """A lone dot could be an empty message from somebody else: such a session ends, and the message is not tried."""
    steps = both(Send(b"250 one\r\n550 no\r\n250 ok\r\n354 go\r\n"))
    async with Peer(steps) as peer:
        session = await connect(peer.port)
        first, second = await converse(session, ONE, TWO)
        assert delivered(first)
        assert shown(second) == [(Stage.DATA, Trouble.UNTRIED)]
        assert not session.usable
        await peer.ended()
        assert peer.visit.rest == b""


@pytest.mark.parametrize("end", [Close(), Close(abort=True), HalfClose()])
@pytest.mark.parametrize("answered", [False, True])
async def test_p5_what_had_not_its_turn_when_the_connection_ended_was_not_tried(end: Step, *, answered: bool) -> None:
    """The message whose content was sent is lost after it, or answered; the one behind it pays nothing."""
    async with Peer(both(*[Send(b"250 one\r\n")] * answered, end)) as peer:
        session = await connect(peer.port)
        first, second = await converse(session, ONE, TWO)
        assert shown(first) == [(Stage.END_OF_DATA, 250 if answered else Trouble.LOST_AFTER_CONTENT)]
        assert shown(second) == UNTRIED
        assert not second[0].ambiguous
        assert not session.usable


@pytest.mark.parametrize("replies", [b"250 ok\r\n", b"250 ok\r\n250 ok\r\n", b"250 ok\r\n550 no\r\n"])
async def test_p5_an_envelope_that_was_answered_in_part_was_not_tried_either(replies: bytes) -> None:
    """Nothing that was said about an envelope counts when the session ends before its content begins."""
    async with Peer(both(Send(b"250 one\r\n" + replies), Close())) as peer:
        session = await connect(peer.port)
        first, (second,) = await converse(session, ONE, TWO)
        assert delivered(first)
        assert second.trouble is Trouble.UNTRIED


async def test_p9_a_421_to_the_content_leaves_the_next_message_untried() -> None:
    """The 421 is for the message whose content it answers, and for nobody else."""
    async with Peer(both(Send(b"421 4.3.2 going down\r\n"), Close())) as peer:
        session = await connect(peer.port)
        first, second = await converse(session, ONE, TWO)
        assert shown(first) == [(Stage.END_OF_DATA, 421)]
        assert shown(second) == UNTRIED
        assert "421 4.3.2 going down" in str(second[0])
        assert session.closed_by is not None


async def test_p9_a_421_to_the_envelope_behind_is_for_that_message() -> None:
    """A receiver that takes one message and closes at the next MAIL has said so to the next one."""
    async with Peer(both(Send(b"250 one\r\n421 4.7.0 too many messages in this session\r\n"), Close())) as peer:
        session = await connect(peer.port)
        first, second = await converse(session, ONE, TWO)
        assert delivered(first)
        assert shown(second) == [(Stage.MAIL, 421)]


async def test_a_refusal_to_wait_or_to_stop_does_not_stop_what_has_begun() -> None:
    """Whatever the first answer says, a 354 that has come is followed by the content: there is no way back."""
    steps = both(Send(b"451 4.7.1 too much mail, slow down\r\n" + TAKEN), Content(), Send(b"250 two\r\n"))
    async with Peer([*steps, *said("QUIT", b"221 bye\r\n")]) as peer:
        session = await connect(peer.port)
        (first,) = await session.transact(ONE, lambda: TWO)
        assert str(first) == "451 4.7.1 too much mail, slow down"
        session.leave()
        assert not session.usable
        assert delivered(await session.transact(TWO, lambda: THREE))
        await session.quit()
        await peer.ended()


MISHANDLED = {
    "takes MAIL for nested": b"250 one\r\n503 5.5.1 nested MAIL command\r\n",
    "knows no command": b"250 one\r\n500 what\r\n500 what\r\n500 what\r\n",
    "objects": b"250 one\r\n554 5.5.0 SMTP protocol synchronization error\r\n",
    "refuses RCPT for its place": b"250 one\r\n250 ok\r\n503 bad sequence\r\n503 bad sequence\r\n",
    "refuses DATA for its place": b"250 one\r\n250 ok\r\n250 ok\r\n503 bad sequence\r\n",
    "takes DATA for nothing": b"250 one\r\n250 ok\r\n250 ok\r\n250 ok\r\n",
    "goes on at MAIL": b"250 one\r\n354 go\r\n250 ok\r\n250 ok\r\n",
    "says no reply": b"250 one\r\nwhat\r\n",
    "answers in two codes": b"250 one\r\n250-ok\r\n550 no\r\n",
}


@pytest.mark.parametrize("reply", MISHANDLED)
async def test_p19_a_receiver_that_mishandles_it_is_remembered(reply: str) -> None:
    """Replies that no receiver in step gives charge nobody: the first answer stands, and the next session waits."""
    habits = Habits()
    again = [step for _ in range(2) for step in (*envelope(), Content(), Send(b"250 ok\r\n"))]
    async with Peer(both(Send(MISHANDLED[reply]), Close()), [*greeting(OFFER_PIPELINING), *again]) as peer:
        session = await connect(peer.port, habits=habits)
        first, (second,) = await converse(session, ONE, TWO)
        assert delivered(first)
        assert second.trouble is Trouble.UNTRIED
        assert not session.usable
        assert habits.remember(1.0) == {"overlapping": 1.0}
        session = await connect(peer.port, habits=habits)
        assert all(map(delivered, await converse(session, TWO, THREE)))
        session.abort()
        await peer.ended()


@pytest.mark.parametrize("place", range(5))
async def test_p16_with_one_reply_too_many_none_is_a_verdict(place: int) -> None:
    """A stray reply among those of a group: a 550 in it bounces nobody, and a 250 that may be stray is no success."""
    replies = [b"550 5.7.1 one\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"]
    replies.insert(place, b"250 stray\r\n")
    habits = Habits()
    async with Peer(both(Send(b"".join(replies)))) as peer:
        session = await connect(peer.port, habits=habits)
        (first,), (second,) = await converse(session, ONE, TWO)
        assert (first.trouble, first.ambiguous, first.delivered) == (Trouble.PROTOCOL, True, False)
        assert (second.trouble, second.ambiguous) == (Trouble.UNTRIED, False)
        assert habits.mishandled == ["overlapping"]
        await peer.ended()
        assert peer.visit.rest == b""


@pytest.mark.parametrize("place", range(5))
async def test_p16_a_stray_reply_in_an_envelope_refuses_nobody(place: int) -> None:
    """One reply too many in a group of commands: nobody gets the refusal of another, and no content is sent."""
    replies = [b"250 ok\r\n", b"550 first\r\n", b"250 ok\r\n", b"354 go\r\n"]
    replies.insert(place, b"250 stray\r\n")
    steps: list[Step] = [Expect(b"MAIL"), Expect(b"RCPT"), Expect(b"RCPT"), Expect(b"DATA"), Send(b"".join(replies))]
    async with Peer([*greeting(OFFER_PIPELINING), *steps]) as peer:
        session = await connect(peer.port)
        answers = await session.transact(letter("first@b.test", "second@b.test"))
        assert [answer.trouble for answer in answers] == [Trouble.PROTOCOL] * 2
        assert not any(answer.ambiguous for answer in answers)
        await peer.ended()
        assert peer.visit.rest == b""


async def test_a_content_that_is_refused_for_what_came_behind_it_pays_nothing() -> None:
    """A receiver that calls the group an error has refused no message; both are untried."""
    habits = Habits()
    async with Peer(both(Send(b"554 5.5.0 input sent without waiting: synchronization error\r\n"), Close())) as peer:
        session = await connect(peer.port, habits=habits)
        (first,), (second,) = await converse(session, ONE, TWO)
        assert {first.trouble, second.trouble} == {Trouble.UNTRIED}
        assert not first.ambiguous
        assert habits.remember(1.0) == {"overlapping": 1.0}


async def test_replies_that_are_missing_are_a_mishandled_group() -> None:
    """A receiver that forgets what came behind the content answers it and nothing more: that is remembered."""
    habits = Habits()
    async with Peer(both(Send(b"250 one\r\n"))) as peer:
        session = await connect(peer.port, limits(mail_timeout=0.05), habits=habits)
        first, second = await converse(session, ONE, TWO)
        assert delivered(first)
        assert shown(second) == UNTRIED
        assert habits.remember(1.0) == {"overlapping": 1.0}
        await peer.ended()


async def test_a_connection_that_ends_may_have_another_reason() -> None:
    """One that closes behind an overlapped group is doubted; when the next one does the same it is believed."""
    habits = Habits()
    async with Peer(both(Send(b"250 one\r\n"), Close())) as peer:
        for remembered in ({}, {"overlapping": 1.0}):
            session = await connect(peer.port, habits=habits)
            await converse(session, ONE, TWO)
            assert habits.remember(1.0) == remembered


async def test_one_session_tries_it_before_the_others_do() -> None:
    """While nobody knows whether a site copes, only one of its sessions sends ahead; when it does, all may."""
    habits = Habits()
    async with Receiver(Behaviour(chunking=False)) as receiver:
        trier = await connect(receiver.port, habits=habits)
        other = await connect(receiver.port, habits=habits)
        assert delivered(await trier.transact(ONE, lambda: TWO))
        assert delivered(await other.transact(THREE, lambda: pytest.fail("two sessions try it")))
        assert delivered(await trier.transact(TWO))
        assert all(map(delivered, await converse(other, ONE, TWO)))
        assert receiver.tally.messages == 5
        trier.abort()
        other.abort()


class Onlooker:
    """Would try it too, at the instant at which somebody's connection ends."""

    followed = True
    trying = True

    def __init__(self, habits: Habits) -> None:
        self._habits = habits
        self.allowed: list[bool] = []

    def session(self) -> int:
        """Need no number."""
        return 0

    def hear(self, _session: int, _host: str, _address: str, _direction: str, text: str) -> None:
        """Ask when its time is over: that is noted before the session hears of it."""
        if text.startswith("no answer"):
            self.allowed.append(self._habits.may(Way.OVERLAPPING, self))


async def test_nobody_else_tries_it_before_the_first_has_told_what_it_found() -> None:
    """Between the end of a connection and the verdict of its session no other session begins a trial."""
    habits = Habits()
    onlooker = Onlooker(habits)
    async with Peer(both(Send(b"250 one\r\n"))) as peer:
        session = await connect(peer.port, limits(mail_timeout=0.05), habits=habits, ear=onlooker)
        await converse(session, ONE, TWO)
        assert onlooker.allowed == [False]
        assert habits.mishandled == ["overlapping"]
        await peer.ended()


async def test_who_would_try_it_and_ends_leaves_it_to_another() -> None:
    """A session that is over keeps nobody from trying."""
    habits = Habits()
    async with Receiver(Behaviour(chunking=False)) as receiver:
        trier = await connect(receiver.port, habits=habits)
        assert delivered(await trier.transact(ONE, lambda: None))
        await trier.quit()
        other = await connect(receiver.port, habits=habits)
        assert all(map(delivered, await converse(other, ONE, TWO)))
        other.abort()


async def blocks() -> AsyncIterator[bytes]:
    """Give the blocks of a long message after its first."""
    for _ in range(5):
        yield b"x" * 100_000 + b"\r\n.\r\n"


async def test_long_content_carries_the_next_envelope_at_its_end() -> None:
    """Content that is read block by block asks for the next message when its last block is known, not before."""
    long = replace(letter(content=b"y" * (PIECE + 1)), more=blocks)
    asked_at: list[int] = []
    async with Receiver(Behaviour(chunking=False), keep_arrivals=True) as receiver:
        session = await connect(receiver.port)

        async def counted() -> AsyncIterator[bytes]:
            async for block in blocks():
                assert not asked_at
                yield block

        def following() -> object:
            asked_at.append(1)
            return long

        first = replace(long, more=counted)
        assert delivered(await session.transact(first, following))  # type: ignore[arg-type]
        assert delivered(await session.transact(long, lambda: TWO))
        assert delivered(await session.transact(TWO))
        await session.quit()
    whole = b"y" * (PIECE + 1) + (b"x" * 100_000 + b"\r\n.\r\n") * 5
    assert [arrival.content for arrival in receiver.arrivals] == [whole, whole, b"two\r\n"]


async def test_p6_a_content_that_is_refused_on_the_way_asks_for_no_next_message() -> None:
    """Where the receiver refuses before it has everything, the connection ends, and nothing was begun behind it."""
    long = replace(letter(content=b"y" * 30_000_000), size=30_000_000)
    steps: list[Step] = [*GROUP, Send(TAKEN), Take(1), Send(b"552 5.3.4 enough\r\n")]
    async with Peer([*greeting(OFFER_PIPELINING), *steps], receive_buffer=4096) as peer:
        session = await connect(peer.port)
        answers = await session.transact(long, lambda: pytest.fail("asked for the next message"))
        assert shown(answers) == [(Stage.END_OF_DATA, 552)]
        assert not session.usable
        await peer.ended()
        assert not peer.visit.complete


async def test_a_message_that_cannot_go_there_is_answered_in_its_turn() -> None:
    """What a receiver has announced not to take is begun behind nothing, and its refusal is ours."""
    large = replace(TWO, size=10_000_000)
    async with Receiver(Behaviour(chunking=False, max_size=1000), keep_arrivals=True) as receiver:
        session = await connect(receiver.port)
        first, second, third = await converse(session, ONE, large, THREE)
        assert delivered(first)
        assert (shown(second), second[0].ours) == ([(Stage.MAIL, 552)], True)
        assert delivered(third)
        await session.quit()
    assert [arrival.content for arrival in receiver.arrivals] == [b"one\r\n", b"three\r\n"]


async def test_an_address_that_cannot_be_written_is_its_own_message_s_trouble() -> None:
    """A message that cannot be put into bytes harms the one before it in nothing, and fails when its turn comes."""
    broken = letter("\udc80@b.test")
    async with Receiver(Behaviour(chunking=False)) as receiver:
        session = await connect(receiver.port)
        assert delivered(await session.transact(ONE, lambda: broken))
        with pytest.raises(UnicodeEncodeError):
            await session.transact(broken)
        session.abort()
        await until(lambda: not session.usable)
