"""What a receiver answers when nothing is limited, and how strict it is."""

from __future__ import annotations

import pytest

from sender.sandbox import Behaviour, Receiver
from sender.sandbox.session import LINE_LIMIT

from .client import Client, codes

ENVELOPE = ("MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>")


async def test_an_arrival_tells_who_sent_what_to_whom() -> None:
    """An arrival holds peer, EHLO name, envelope, parameters and content."""
    async with Receiver(Behaviour(), keep_arrivals=True) as receiver, Client(receiver) as client:
        await client.greet()
        await client.say(
            "MAIL FROM:<me@a.test> SIZE=7 BODY=8BITMIME", "RCPT TO:<x@b.test>", "RCPT TO:<y@b.test>", "DATA"
        )
        client.send(b"hello\r\n.\r\n")
        assert await client.reply() == "250 2.0.0 Ok: taken"
    (arrival,) = receiver.arrivals
    assert (arrival.peer, arrival.helo, arrival.tls) == ("127.0.0.1", "client.test", False)
    assert (arrival.mail_from, arrival.rcpt_tos) == ("me@a.test", ("x@b.test", "y@b.test"))
    assert arrival.parameters == {"SIZE": "7", "BODY": "8BITMIME"}
    assert arrival.content == b"hello\r\n"
    assert arrival.at.utcoffset() is not None


async def test_nothing_is_kept_unless_asked_for() -> None:
    """Without keep_arrivals a message is counted and its content is not kept."""
    async with Receiver(Behaviour()) as receiver, Client(receiver) as client:
        await client.greet()
        assert codes(await client.deliver(b"hello\r\n")) == ["250", "250", "354", "250"]
    assert receiver.arrivals == []
    assert (receiver.tally.messages, receiver.tally.recipients, receiver.tally.bytes) == (1, 1, 7)


async def test_pipelined_commands_are_answered_in_order() -> None:
    """Commands sent together get one reply each, in their order."""
    async with Receiver(Behaviour()) as receiver, Client(receiver) as client:
        await client.greet()
        replies = await client.say(*ENVELOPE, "NOOP", "VRFY you", "HELP", "RSET", "FROB", "DATA", "QUIT")
    assert codes(replies) == ["250", "250", "250", "252", "214", "250", "500", "503", "221"]


async def test_the_tally_tells_how_sessions_ended() -> None:
    """A session that says QUIT is a quit, one that just ends is lost, and the peak remembers both."""
    async with Receiver(Behaviour()) as receiver:
        async with Client(receiver) as polite, Client(receiver) as rude:
            await polite.greet()
            await rude.greet()
            assert receiver.tally.sessions_open == 2
            assert await polite.say("QUIT") == ["221 2.0.0 Bye"]
            assert await polite.reply() == ""
        await receiver.until_idle()
    tally = receiver.tally
    assert (tally.sessions_opened, tally.sessions_open, tally.sessions_peak) == (2, 0, 2)
    assert (tally.quits, tally.lost) == (1, 1)


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["MAIL FROM:<me@a.test>"], "503"),
        (["EHLO c", "RCPT TO:<you@b.test>"], "503"),
        (["EHLO c", "DATA"], "503"),
        (["EHLO c", "MAIL FROM:<me@a.test>", "DATA"], "554"),
        (["EHLO c", "MAIL FROM:<me@a.test>", "MAIL FROM:<me@a.test>"], "503"),
        (["EHLO c", *ENVELOPE, "EHLO c", "DATA"], "503"),
        (["EHLO c", *ENVELOPE, "RSET", "DATA"], "503"),
        (["HELO c", "MAIL FROM:<me@a.test>"], "250"),
        (["ehlo c", "mail from:<>"], "250"),
        (["EHLO c", "MAIL FROM: <me@a.test>"], "250"),
        (["EHLO c", 'MAIL FROM:<"a b\\"c"@[127.0.0.1]>'], "250"),
        (["EHLO"], "501"),
        (["EHLO a b"], "501"),
        (["EHLO c", "MAIL FROM:me@a.test"], "501"),
        (["EHLO c", "MAIL FROM:<me>"], "501"),
        (["EHLO c", "MAIL FROM:<a@b@c.test>"], "501"),
        (["EHLO c", "MAIL FROM:<@r.test:me@a.test>"], "501"),
        (["EHLO c", "MAIL FROM:<me@a.test>SIZE=1"], "501"),
        (["EHLO c", "MAIL FROM:<me@a.test>", "RCPT TO:<>"], "501"),
        (["EHLO c", "MAIL FROM:<me@a.test>", "RCPT TO:<postmaster>"], "250"),
        (["EHLO c", "MAIL FROM:<me@a.test>", "RCPT TO:<you\x01@b.test>"], "501"),
        (["EHLO c", "MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>\nRCPT TO:<other@b.test>"], "501"),
        (["EHLO c", "MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test> NOTIFY=NEVER"], "555"),
        (["EHLO c", "MAIL FROM:<me@a.test> FOO=BAR"], "555"),
        (["EHLO c", "MAIL FROM:<me@a.test> SIZE=big"], "501"),
        (["EHLO c", "MAIL FROM:<me@a.test> BODY=BINARYMIME"], "501"),
        (["EHLO c", *ENVELOPE, "DATA now"], "501"),
        (["EHLO c", "BDAT x"], "501"),
        (["EHLO c", "STARTTLS"], "502"),
        (["EHLO c", "VRFY"], "501"),
        (["RSET x"], "501"),
        (["QUIT x"], "501"),
        (["GET / HTTP/1.1"], "500"),
        ([""], "500"),
        (["NOOP " + "x" * (LINE_LIMIT - 5)], "250"),
        (["NOOP " + "x" * (LINE_LIMIT - 4)], "500"),
        (["x" * 1_000_000], "500"),
    ],
)
async def test_the_last_command_gets_its_code(commands: list[str], expected: str) -> None:
    """Sequence and syntax of RFC 5321 are kept, and nothing that breaks them is guessed at."""
    async with Receiver(Behaviour()) as receiver, Client(receiver) as client:
        await client.reply()
        replies = await client.say(*commands)
    assert codes(replies)[-1] == expected


async def test_a_line_that_never_ends_takes_no_memory() -> None:
    """A session keeps no more of an unfinished line than a line may have, and goes on after it."""
    async with Receiver(Behaviour()) as receiver, Client(receiver) as client:
        await client.reply()
        for _ in range(100):
            client.send(b"x" * 65536)
            await client.writer.drain()
        assert codes(await client.say("", "NOOP")) == ["500", "250"]


async def test_addresses_beyond_ascii_need_smtputf8() -> None:
    """An address that is not ASCII is taken in a transaction with SMTPUTF8 only."""
    async with Receiver(Behaviour(), keep_arrivals=True) as receiver, Client(receiver) as client:
        await client.greet()
        assert codes(await client.say("MAIL FROM:<mé@a.test>")) == ["553"]
        assert codes(await client.say("MAIL FROM:<me@a.test>", "RCPT TO:<yoü@b.test>", "RSET")) == ["250", "553", "250"]
        commands = ("MAIL FROM:<mé@a.test> SMTPUTF8", "RCPT TO:<yoü@b.test>", "DATA")
        assert codes(await client.say(*commands)) == ["250", "250", "354"]
        client.send(b".\r\n")
        assert codes([await client.reply()]) == ["250"]
        client.send(b"MAIL FROM:<\xff@a.test> SMTPUTF8\r\n")
        assert codes([await client.reply()]) == ["501"]
    assert receiver.arrivals[0].mail_from == "mé@a.test"
    assert receiver.arrivals[0].rcpt_tos == ("yoü@b.test",)


async def test_a_half_closed_connection_still_gets_its_replies() -> None:
    """A peer that has said all it wants gets every reply before the connection ends."""
    async with Receiver(Behaviour(latency_s=0.001)) as receiver, Client(receiver) as client:
        client.send(b"EHLO c\r\nNOOP\r\n")
        client.writer.write_eof()
        replies = [await client.reply() for _ in range(4)]
    assert codes(replies) == ["220", "250", "250", ""]


async def test_a_receiver_starts_again_on_its_port() -> None:
    """A receiver that was closed ends its sessions, and starts again where it was."""
    receiver = Receiver(Behaviour())
    async with receiver, Client(receiver) as client:
        await client.greet()
        port = receiver.port
        await receiver.close()
        assert await client.reply() == ""
        await receiver.start()
        assert receiver.port == port
        async with Client(receiver) as again:
            assert (await again.greet()).startswith("250")
    assert receiver.tally.sessions_open == 0
    assert receiver.tally.sessions_opened == 2
