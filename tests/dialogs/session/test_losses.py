"""Connections that end: before the dot, after the dot and after its answer are three different things."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sender.core.outcome import Trouble
from sender.core.stage import Stage
from sender.sandbox import Behaviour, Close, Hang, Receiver
from tests.dialogs.peer import (
    OFFER,
    OFFER_PIPELINING,
    PATIENCE_S,
    Content,
    Expect,
    HalfClose,
    Pause,
    Peer,
    Send,
    Take,
    Wait,
    envelope,
    greeting,
    said,
    until,
)
from tests.dialogs.peer import Close as PeerClose

from .sending import WAYS, connect, delivered, letter, limits, shown, taking

LONG = b"Subject: x\r\n\r\n" + b"0123456789abcdef" * 4 * 300_000 + b"\r\n"  # 19 MB: no buffer on the way takes it
STAGES = [("mail", Stage.MAIL), ("rcpt", Stage.RCPT), ("data", Stage.DATA)]


@pytest.mark.parametrize("way", ["step by step", "pipelining"])
@pytest.mark.parametrize("abort", [False, True])
@pytest.mark.parametrize(("scripted", "stage"), STAGES)
async def test_p5_a_connection_that_ends_in_the_envelope_is_lost(
    scripted: str, stage: Stage, way: str, *, abort: bool
) -> None:
    """A receiver that closes instead of answering a command has not taken the message."""
    async with Receiver(taking(way, {scripted: [Close(abort=abort)]})) as receiver:
        session = await connect(receiver.port)
        assert shown(await session.transact(letter("one@b.test", "two@b.test"))) == [(stage, Trouble.LOST)] * 2
        assert not session.usable
        await receiver.until_idle()
        assert receiver.tally.messages == 0


@pytest.mark.parametrize("abort", [False, True])
@pytest.mark.parametrize(("scripted", "stage"), STAGES[:2])
async def test_p20_a_connection_that_ends_behind_a_bdat_leaves_the_outcome_unknown(
    scripted: str, stage: Stage, *, abort: bool
) -> None:
    """Where the content went with the envelope, only an answer tells that it was not taken."""
    async with Receiver(taking("chunking", {scripted: [Close(abort=abort)]})) as receiver:
        session = await connect(receiver.port)
        answers = await session.transact(letter("one@b.test", "two@b.test"))
        assert shown(answers) == [(stage, Trouble.LOST_AFTER_CONTENT)] * 2
        assert all(answer.ambiguous for answer in answers)
        assert not session.usable
        await receiver.until_idle()
        assert receiver.tally.messages == 0


@pytest.mark.parametrize("way", WAYS)
async def test_p5_who_was_answered_before_the_loss_keeps_the_answer(way: str) -> None:
    """A refusal that came before the connection was lost stands, the others are lost."""
    lost = (Stage.RCPT, Trouble.LOST_AFTER_CONTENT if way == "chunking" else Trouble.LOST)
    async with Receiver(taking(way, {"rcpt": ["550 no", "250 ok", Close()]})) as receiver:
        session = await connect(receiver.port)
        answers = await session.transact(letter("one@b.test", "two@b.test", "three@b.test"))
        assert shown(answers) == [(Stage.RCPT, 550), lost, lost]


@pytest.mark.parametrize("abort", [False, True])
async def test_p5_a_connection_that_ends_within_the_content_is_lost(*, abort: bool) -> None:
    """Before the final dot has left, a lost connection means that nothing was delivered."""
    async with Peer([*greeting(), *envelope(), Take(100_000), PeerClose(abort=abort)]) as peer:
        session = await connect(peer.port)
        assert shown(await session.transact(letter(content=LONG))) == [(Stage.END_OF_DATA, Trouble.LOST)]
        assert not session.usable
        assert not peer.visit.complete


@pytest.mark.parametrize("abort", [False, True])
@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize("way", WAYS)
async def test_p5_a_connection_that_ends_after_the_dot_leaves_the_outcome_unknown(
    way: str, *, accept: bool, abort: bool
) -> None:
    """After the final dot and before its answer nobody knows, whether the receiver took the message or not."""
    async with Receiver(taking(way, {"end_of_data": [Close(abort=abort, accept=accept)]})) as receiver:
        session = await connect(receiver.port)
        answers = await session.transact(letter("one@b.test", "two@b.test"))
        assert shown(answers) == [(Stage.END_OF_DATA, Trouble.LOST_AFTER_CONTENT)] * 2
        assert not session.usable
        assert receiver.tally.messages == accept


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reply", ["250 2.0.0 taken", "550 5.7.1 no", "451 4.3.0 later"])
async def test_p22_an_answer_to_the_content_stands_whatever_follows(reply: str, way: str) -> None:
    """A verdict that was received counts, though the connection ends behind it."""
    async with Receiver(taking(way, {"end_of_data": [Close(reply=reply)]})) as receiver:
        session = await connect(receiver.port)
        answers = await session.transact(letter())
        assert shown(answers) == [(Stage.END_OF_DATA, int(reply[:3]))]
        assert answers[0].delivered is reply.startswith("250")
        await until(lambda: not session.usable)
        await receiver.until_idle()


async def test_p22_a_half_close_behind_the_answer_leaves_it_valid() -> None:
    """A receiver that sends no more has said what it has said, and the session is closed from here."""
    async with Peer([*greeting(), *envelope(), Content(), Send(b"250 ok\r\n"), HalfClose()]) as peer:
        session = await connect(peer.port)
        assert delivered(await session.transact(letter()))
        await peer.ended()
        assert not session.usable


@pytest.mark.parametrize("way", ["step by step", "pipelining"])
@pytest.mark.parametrize(("scripted", "stage"), STAGES)
async def test_p2_silence_in_the_envelope_is_a_timeout_at_its_stage(scripted: str, stage: Stage, way: str) -> None:
    """Each stage has its own timer; when it ends the connection is closed and the stage is told."""
    names = {"mail": "mail_timeout", "rcpt": "rcpt_timeout", "data": "data_timeout"}
    async with Receiver(taking(way, {scripted: [Hang()]})) as receiver:
        session = await connect(receiver.port, limits(**{names[scripted]: 0.05}))
        (answer,) = await session.transact(letter())
        assert (answer.stage, answer.trouble) == (stage, Trouble.TIMEOUT)
        assert answer.detail == f"no answer within 0.05 s {stage.doing}"
        assert not session.usable
        await receiver.until_idle()


@pytest.mark.parametrize(
    ("ending", "died"),
    [(Close(), False), (Close(reply="421 bye"), False), (Close(abort=True), True), (Hang(), True)],
    ids=["closed", "421", "reset", "silence"],
)
async def test_a_connection_that_ends_without_a_word_may_be_counted_still(ending: Close | Hang, *, died: bool) -> None:
    """One that broke or fell silent is told apart from one that the receiver has closed; a QUIT ends it as well."""
    async with Receiver(Behaviour(scripted={"mail": ["250 ok", ending]})) as receiver:
        session = await connect(receiver.port, limits(mail_timeout=0.05))
        await session.transact(letter())
        assert not session.died
        await session.transact(letter())
        assert (session.usable, session.died) == (False, died)


async def test_p2_silence_after_the_dot_leaves_the_outcome_unknown() -> None:
    """A receiver that does not answer the content in time may have taken it."""
    async with Receiver(Behaviour(scripted={"end_of_data": [Hang(accept=True)]})) as receiver:
        session = await connect(receiver.port, limits(end_of_data_timeout=0.05))
        assert shown(await session.transact(letter())) == [(Stage.END_OF_DATA, Trouble.LOST_AFTER_CONTENT)]
        await receiver.until_idle()
        assert receiver.tally.messages == 1


@pytest.mark.parametrize("deaf", [False, True])
async def test_l26_p2_a_goodbye_that_is_not_answered_takes_its_time_and_no_more(*, deaf: bool) -> None:
    """QUIT waits shortly, then the connection is closed all the same."""
    async with Receiver(Behaviour(scripted={"quit": [Hang(deaf=deaf)]})) as receiver:
        session = await connect(receiver.port, limits(quit_timeout=0.05))
        assert delivered(await session.transact(letter()))
        await session.quit()
        assert not session.usable
        if not deaf:
            await receiver.until_idle()
        assert receiver.tally.messages == 1


async def test_p7_an_answer_just_in_time_is_delivered() -> None:
    """A receiver may take nearly all of its time."""
    async with Receiver(Behaviour(accept_delay_s=0.25)) as receiver:
        session = await connect(receiver.port, limits(patient_s=0.1, end_of_data_timeout=5.0))
        assert delivered(await session.transact(letter()))
        session.abort()


async def test_p8_l2_an_answer_that_comes_too_late_answers_nothing() -> None:
    """After a timeout the session is dead: no later command can be answered by the late reply."""
    gate = asyncio.Event()
    async with Peer([*greeting(), *said("MAIL", b""), Wait(gate), Send(b"250 late\r\n")]) as peer:
        session = await connect(peer.port, limits(mail_timeout=0.05))
        assert shown(await session.transact(letter())) == [(Stage.MAIL, Trouble.TIMEOUT)]
        gate.set()
        await peer.ended()
        assert shown(await session.transact(letter())) == [(Stage.MAIL, Trouble.TIMEOUT)]
        assert peer.visit.commands[1:] == [b"MAIL FROM:<me@a.test> SIZE=21"]


async def test_l4_a_timeout_within_the_content_never_lets_the_dot_out() -> None:
    """What was not sent when the time was over is never sent: the receiver that reads on sees no end of the message."""
    gate = asyncio.Event()
    async with Peer([*greeting(), *envelope(), Wait(gate)], receive_buffer=4096) as peer:
        session = await connect(peer.port, limits(block_timeout=0.05))
        assert shown(await session.transact(letter(content=LONG))) == [(Stage.END_OF_DATA, Trouble.TIMEOUT)]
        assert not session.usable
        gate.set()
        await peer.ended()
        assert peer.visit.gone
        assert 0 < len(peer.visit.rest) < len(LONG)
        assert not peer.visit.complete


async def test_l5_a_peer_that_does_not_read_keeps_neither_connection_nor_memory() -> None:
    """A connection that is given up is closed at once, though bytes were waiting in it."""
    gate = asyncio.Event()
    async with Peer([*greeting(), *envelope(), Wait(gate)], receive_buffer=4096) as peer:
        session = await connect(peer.port, limits(block_timeout=0.05))
        wire = session._wire
        transport = wire.transport
        assert isinstance(transport, asyncio.WriteTransport)
        await session.transact(letter(content=LONG))
        await until(lambda: wire.transport is None)
        assert transport.is_closing()
        assert transport.get_write_buffer_size() == 0
        gate.set()


async def test_p22_what_the_kernel_holds_is_not_sent_any_more_when_a_session_is_given_up() -> None:
    """A receiver that reads on too late finds the connection reset, and no end of the message that goes again."""
    gate = asyncio.Event()
    async with Peer([*greeting(), *envelope(), Wait(gate)], receive_buffer=4096) as peer:
        session = await connect(peer.port, limits(end_of_data_timeout=0.1))
        answers = await session.transact(letter(content=LONG[:500_000]))
        assert shown(answers) == [(Stage.END_OF_DATA, Trouble.LOST_AFTER_CONTENT)]
        gate.set()
        await peer.ended()
        assert peer.visit.gone
        assert not peer.visit.complete


@pytest.mark.parametrize("offer", [OFFER, OFFER_PIPELINING])
async def test_p7_the_time_for_the_answer_begins_when_the_last_byte_has_arrived(offer: bytes) -> None:
    """What the kernel still holds counts as not sent: who takes it slowly is waited for, as long as it gets on."""
    slowly = [step for _ in range(20) for step in (Take(50_000), Pause(0.03))]
    script = [*greeting(offer), *envelope(), *slowly, Content(), Send(b"250 ok\r\n")]
    async with Peer(script, receive_buffer=16384) as peer:
        session = await connect(peer.port, limits(end_of_data_timeout=0.25))
        assert delivered(await session.transact(letter(content=LONG[:1_200_000])))
        session.abort()


@pytest.mark.parametrize("offer", [OFFER, OFFER_PIPELINING])
async def test_l2_a_cancelled_transaction_ends_the_session_without_a_dot(offer: bytes) -> None:
    """Whoever is cancelled in the middle leaves no session behind that somebody could use."""
    async with Peer([*greeting(offer), *envelope()], receive_buffer=4096) as peer:
        session = await connect(peer.port)
        sending = asyncio.create_task(session.transact(letter(content=LONG)))
        await until(lambda: bool(peer.visits and peer.visit.rest))
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert not session.usable
        await peer.ended()
        assert not peer.visit.complete


async def test_content_that_cannot_be_read_ends_the_session_without_a_dot() -> None:
    """Half a message is never finished as if it were whole."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"second\r\n"
        raise OSError("the disk is gone")

    async with Peer([*greeting(), *envelope()]) as peer:
        session = await connect(peer.port)
        with pytest.raises(OSError, match="the disk is gone"):
            await session.transact(replace(letter(content=b"first\r\n"), more=broken))
        assert not session.usable
        await peer.ended()
        assert not peer.visit.complete


def refuse_and_reset(listening: socket.socket, times: int) -> None:
    """Serve, in a thread of its own: take the first of the content, refuse it, and reset the connection at once."""
    for _ in range(times):
        connection, _ = listening.accept()
        connection.settimeout(PATIENCE_S)
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 peer.test\r\n")
            lines.readline()
            connection.sendall(OFFER_PIPELINING)
            for _ in range(3):
                lines.readline()
            connection.sendall(b"250 ok\r\n250 ok\r\n354 go\r\n")
            lines.read(10)
            connection.sendall(b"552 5.3.4 enough\r\n")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("size", [10_000, 200_000, 5_000_000])
async def test_p6_a_refusal_within_the_content_is_read_before_the_loss(size: int) -> None:
    """A receiver that refuses in the middle and resets the connection has refused, each time."""
    content = b"x" * size + b"\r\n"

    async def more() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_S)  # whatever fails, the thread ends
        serving = asyncio.create_task(asyncio.to_thread(refuse_and_reset, listening, 60))
        results, sessions = [], []
        for _ in range(60):
            session = await connect(listening.getsockname()[1])
            results += shown(await session.transact(replace(letter(content=b"x\r\n"), more=more)))
            sessions.append(session)
        await serving
        await until(lambda: not any(session.usable for session in sessions))
    assert results == [(Stage.END_OF_DATA, 552)] * 60


async def test_p6_a_refusal_within_the_content_stops_the_content() -> None:
    """A receiver that refuses and reads on is sent no more, and no end."""
    async with Peer([*greeting(), *envelope(), Take(1), Send(b"552 5.3.4 enough\r\n")]) as peer:
        session = await connect(peer.port)
        assert shown(await session.transact(letter(content=LONG))) == [(Stage.END_OF_DATA, 552)]
        assert not session.usable
        await peer.ended()
        assert not peer.visit.complete


async def test_p6_a_consent_within_the_content_is_about_nothing() -> None:
    """A receiver that says 250 before it has the message has not taken it."""
    async with Peer([*greeting(), *envelope(), Take(1), Send(b"250 ok\r\n")], receive_buffer=4096) as peer:
        session = await connect(peer.port)
        assert shown(await session.transact(letter(content=LONG))) == [(Stage.END_OF_DATA, Trouble.PROTOCOL)]
        assert not session.usable
        await peer.ended()
        assert not peer.visit.complete


async def test_p21_a_peer_that_speaks_something_else_is_a_protocol_error() -> None:
    """Other protocols behind the envelope are no answer."""
    async with Peer([*greeting(), Expect(b"MAIL"), Send(b"HTTP/1.1 400 Bad Request\r\n\r\n")]) as peer:
        session = await connect(peer.port)
        assert shown(await session.transact(letter())) == [(Stage.MAIL, Trouble.PROTOCOL)]
        await peer.ended()
