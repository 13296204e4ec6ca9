"""Scripted answers: once each, before the normal behaviour."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sender.sandbox import Behaviour, Close, Hang, Receiver
from sender.sandbox.behaviour import Answer

from .client import Client, codes

STAGES = {
    "banner": "",
    "ehlo": "EHLO c",
    "starttls": "STARTTLS",
    "mail": "MAIL FROM:<me@a.test>",
    "rcpt": "RCPT TO:<you@b.test>",
    "data": "DATA",
    "bdat": "BDAT 0",
    "content": "BDAT 0 LAST",
    "end_of_data": "BDAT 0 LAST",
    "rset": "RSET",
    "quit": "QUIT",
}
BEFORE = {
    "mail": ("EHLO c",),
    "rcpt": ("EHLO c", "MAIL FROM:<me@a.test>"),
    **dict.fromkeys(
        ("data", "bdat", "content", "end_of_data"), ("EHLO c", "MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>")
    ),
}


async def arrive(client: Client, stage: str) -> None:
    """Bring a session just before the answer of a stage."""
    if stage != "banner":
        await client.reply()
        await client.say(*BEFORE.get(stage, ()))
        client.send(f"{STAGES[stage]}\r\n".encode())


@pytest.mark.parametrize("stage", STAGES)
async def test_a_text_is_sent_as_it_is_and_once(stage: str) -> None:
    """A scripted reply comes at its stage, raw and in all its lines, and only once."""
    behaviour = Behaviour(scripted={stage: ["450-4.0.0 first\r\n450 4.0.0 {name}"]})
    async with Receiver(behaviour) as receiver:
        async with Client(receiver) as client:
            await arrive(client, stage)
            assert await client.reply() == "450-4.0.0 first\n450 4.0.0 {name}"
        async with Client(receiver) as client:
            await arrive(client, stage)
            assert "{name}" not in await client.reply()


@pytest.mark.parametrize("abort", [False, True])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_connection_is_closed_instead(stage: str, *, abort: bool) -> None:
    """Close ends the connection at its stage, which is not a session that the peer lost."""
    async with Receiver(Behaviour(scripted={stage: [Close(abort=abort)]})) as receiver, Client(receiver) as client:
        await arrive(client, stage)
        assert await client.reply() == ""
        await receiver.until_idle()
    assert (receiver.tally.lost, receiver.tally.messages) == (0, 0)


@pytest.mark.parametrize("stage", STAGES)
async def test_a_peer_is_left_waiting(stage: str) -> None:
    """Hang answers nothing more, and the session stays until the peer goes."""
    async with Receiver(Behaviour(scripted={stage: [Hang()]})) as receiver:
        async with Client(receiver) as client:
            await arrive(client, stage)
            client.send(b"NOOP\r\nNOOP\r\n")
            async with Client(receiver) as other:
                await other.greet()
            assert receiver.tally.sessions_open >= 1
            assert unread(client) == b""
        await receiver.until_idle()
    assert receiver.tally.lost == 2


def unread(client: Client) -> bytes:
    """Give what has come, without waiting."""
    return bytes(client.reader._buffer)  # type: ignore[attr-defined] # there is no public way


async def test_a_last_word_goes_before_the_end() -> None:
    """Close and Hang send their reply first."""
    behaviour = Behaviour(scripted={"mail": [Close(reply="421 4.3.2 going")], "rset": [Hang(reply="250 then never")]})
    async with Receiver(behaviour) as receiver:
        async with Client(receiver) as client:
            await client.greet()
            assert await client.say("MAIL FROM:<me@a.test>") == ["421 4.3.2 going"]
            assert await client.reply() == ""
        async with Client(receiver) as client:
            await client.greet()
            assert await client.say("RSET") == ["250 then never"]


@pytest.mark.parametrize(
    ("answer", "messages"),
    [
        ("250 ok", 1),
        ("251 odd but taken", 1),
        ("451 4.3.0 no", 0),
        ("554 5.6.0 no", 0),
        (Close(), 0),
        (Close(accept=True), 1),
        (Hang(), 0),
        (Hang(accept=True), 1),
    ],
)
async def test_the_first_digit_decides_about_a_message(answer: Answer, messages: int) -> None:
    """A message has arrived if its scripted answer begins with 2, or says so without a reply."""
    async with Receiver(Behaviour(scripted={"end_of_data": [answer]})) as receiver, Client(receiver) as client:
        await client.greet()
        await client.say("MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>", "DATA")
        client.send(b"x\r\n.\r\n")
        if not isinstance(answer, Hang):
            await client.reply()
        else:
            async with Client(receiver) as other:
                await other.greet()
    assert receiver.tally.messages == messages


async def test_a_refused_command_has_no_effect() -> None:
    """A transaction is as if a command that a script refused had not been given."""
    scripted = {"mail": ["451 later"], "rcpt": ["450 a", "550 b", "252 c"], "data": ["451 d"], "ehlo": ["554 e"]}
    async with Receiver(Behaviour(scripted=scripted), keep_arrivals=True) as receiver, Client(receiver) as client:
        assert (await client.greet()) == "554 e"
        assert codes(await client.say("EHLO c", "MAIL FROM:<me@a.test>", "RSET")) == ["250", "451", "250"]
        recipients = [f"RCPT TO:<u{n}@b.test>" for n in range(4)]
        replies = await client.say("MAIL FROM:<me@a.test>", *recipients, "DATA", "DATA")
        assert codes(replies) == ["250", "450", "550", "252", "250", "451", "354"]
        client.send(b".\r\n")
        assert codes([await client.reply()]) == ["250"]
    assert receiver.arrivals[0].rcpt_tos == ("u2@b.test", "u3@b.test")
    assert receiver.tally.rejected_recipients == 2


async def test_data_may_be_asked_for_when_nobody_was_accepted() -> None:
    """A scripted 354 takes content without a recipient, and its end is refused."""
    async with Receiver(Behaviour(scripted={"data": ["354 go"]})) as receiver, Client(receiver) as client:
        await client.greet()
        assert codes(await client.say("MAIL FROM:<me@a.test>", "DATA")) == ["250", "354"]
        client.send(b".\r\n")
        assert codes([await client.reply()]) == ["554"]
    assert receiver.tally.messages == 0


async def test_content_is_interrupted() -> None:
    """A content script answers in the middle of a message and closes."""
    behaviour = Behaviour(scripted={"content": [Close(reply="552 5.3.4 enough of this")]})
    async with Receiver(behaviour) as receiver, Client(receiver) as client:
        await client.greet()
        await client.say("MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>", "DATA")
        client.send(b"the first line\r\n")
        assert [await client.reply(), await client.reply()] == ["552 5.3.4 enough of this", ""]


async def test_a_deaf_receiver_can_be_closed() -> None:
    """A deaf Hang answers nothing, and its session ends with the receiver."""
    behaviour = Behaviour(scripted={"content": [Hang(deaf=True)]})
    async with Receiver(behaviour) as receiver, Client(receiver) as client:
        await client.greet()
        await client.say("MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>", "DATA")
        client.send(b"x\r\n" * 10_000)
        async with Client(receiver) as other:
            await other.greet()
        assert unread(client) == b""
        await receiver.close()
        assert await client.reply() == ""
    assert receiver.tally.sessions_open == 0


async def test_a_script_goes_on_when_something_else_changes() -> None:
    """A new behaviour with the same script uses it up; one with another script begins that."""
    async with Receiver(Behaviour(scripted={"rset": ["250 one", "250 two"]})) as receiver, Client(receiver) as client:
        await client.greet()
        assert await client.say("RSET") == ["250 one"]
        receiver.behaviour = replace(receiver.behaviour, max_sessions=9)
        assert await client.say("RSET") == ["250 two"]
        receiver.behaviour = replace(receiver.behaviour, scripted={"rset": ["250 three"]})
        assert await client.say("RSET", "RSET") == ["250 three", "250 2.0.0 Ok"]


def test_a_script_for_no_stage_is_an_error() -> None:
    """A misspelt stage is refused with its name when the behaviour is made."""
    with pytest.raises(ValueError, match="scripted = 'rctp': must be one of banner, "):
        Behaviour(scripted={"rctp": ["450 x"]})
