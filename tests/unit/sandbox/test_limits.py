"""What a receiver refuses, and when it stops refusing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sender.sandbox import Behaviour, Counts, Receiver

from .client import Client, codes
from .clock import Clock


async def test_sessions_above_the_limit_are_refused_at_the_banner() -> None:
    """The session beyond max_sessions gets the refusal instead of a banner, and is closed."""
    async with Receiver(Behaviour(max_sessions=1)) as receiver, Client(receiver) as first:
        await first.greet()
        async with Client(receiver) as second:
            refusal = "421 4.7.0 mx.sandbox.test Error: too many connections from 127.0.0.1"
            assert await second.reply() == refusal
            assert await second.reply() == ""
    tally = receiver.tally
    assert (tally.sessions_opened, tally.sessions_refused, tally.sessions_peak, tally.lost) == (2, 1, 1, 0)


async def test_sessions_above_the_limit_are_refused_at_mail() -> None:
    """With refuse_at mail, banner and EHLO are as ever, and MAIL is refused and the session closed."""
    behaviour = Behaviour(max_sessions=1, refuse_at="mail", refuse_with="451 4.7.0 {name}: {peer} has too many")
    async with Receiver(behaviour) as receiver, Client(receiver) as first, Client(receiver) as second:
        await first.greet()
        assert (await second.greet()).startswith("250")
        assert await second.say("MAIL FROM:<me@a.test>") == ["451 4.7.0 mx.sandbox.test: 127.0.0.1 has too many"]
        assert await second.reply() == ""
        assert codes(await first.deliver()) == ["250", "250", "354", "250"]
    assert receiver.tally.sessions_refused == 1


async def test_a_session_above_the_limit_moves_up_before_mail() -> None:
    """With refuse_at mail, a session that was one too many is served once another has gone."""
    behaviour = Behaviour(max_sessions=1, refuse_at="mail")
    async with Receiver(behaviour) as receiver, Client(receiver) as first, Client(receiver) as second:
        await first.greet()
        await second.greet()
        await first.say("QUIT")
        assert await first.reply() == ""
        assert codes(await second.deliver()) == ["250", "250", "354", "250"]


async def test_the_limit_counts_each_peer_address_by_itself() -> None:
    """A second source address has its own sessions."""
    async with Receiver(Behaviour(max_sessions=1)) as receiver, Client(receiver) as first:
        await first.greet()
        reader, writer = await asyncio.open_connection(receiver.host, receiver.port, local_addr=("127.0.0.2", 0))
        assert (await reader.readline()).startswith(b"220")
        writer.close()
        await writer.wait_closed()
        async with Client(receiver) as third:
            assert codes([await third.reply()]) == ["421"]


async def test_a_closed_session_goes_on_being_counted() -> None:
    """A slot is free again release_delay_s after its session has ended, not before."""
    clock = Clock()
    async with Receiver(Behaviour(max_sessions=1, release_delay_s=1800.0), clock=clock) as receiver:
        async with Client(receiver) as client:
            await client.greet()
            await client.say("QUIT")
        await receiver.until_idle()
        clock.now += 1799.0
        async with Client(receiver) as client:
            assert codes([await client.reply()]) == ["421"]
        clock.now += 1.0
        async with Client(receiver) as client:
            assert codes([await client.reply()]) == ["220"]


async def test_a_behaviour_changes_while_it_runs() -> None:
    """A new limit applies to the next session, and leaves the open ones alone."""
    async with Receiver(Behaviour()) as receiver, Client(receiver) as first, Client(receiver) as second:
        await first.greet()
        await second.greet()
        receiver.behaviour = replace(receiver.behaviour, max_sessions=2)
        async with Client(receiver) as third:
            assert codes([await third.reply()]) == ["421"]
        receiver.behaviour = replace(receiver.behaviour, max_sessions=3)
        async with Client(receiver) as third:
            assert codes([await third.reply()]) == ["220"]
        assert codes(await first.deliver()) == ["250", "250", "354", "250"]


async def test_a_session_takes_so_many_messages() -> None:
    """MAIL after max_messages_per_session is refused; as 421 it closes the session."""
    async with Receiver(Behaviour(max_messages_per_session=2)) as receiver, Client(receiver) as client:
        await client.greet()
        await client.deliver()
        await client.deliver()
        assert await client.say("MAIL FROM:<me@a.test>") == ["421 4.7.0 too many messages in this session"]
        assert await client.reply() == ""


async def test_a_limit_that_is_not_421_leaves_the_session_open() -> None:
    """A session that is refused with 452 may go on."""
    behaviour = Behaviour(max_messages_per_session=0, session_limit_with="452 4.7.0 enough")
    async with Receiver(behaviour) as receiver, Client(receiver) as client:
        await client.greet()
        assert await client.say("MAIL FROM:<me@a.test>", "NOOP") == ["452 4.7.0 enough", "250 2.0.0 Ok"]


async def test_messages_come_from_a_token_bucket() -> None:
    """After a burst, MAIL is refused until time has brought a new token."""
    clock = Clock()
    behaviour = Behaviour(messages_per_second=0.5, burst=2)
    async with Receiver(behaviour, clock=clock) as receiver, Client(receiver) as client:
        await client.greet()
        mail = ("MAIL FROM:<me@a.test>", "RSET")
        assert codes(await client.say(*mail, *mail, *mail)) == ["250", "250", "250", "250", "451", "250"]
        clock.now += 2.0
        replies = await client.say(*mail, *mail)
    assert codes(replies) == ["250", "250", "451", "250"]
    assert replies[2] == "451 4.7.1 too much mail, slow down"


async def test_a_new_recipient_is_greylisted_until_its_time() -> None:
    """A triple is refused with its remaining seconds, passes after them, and another triple waits for itself."""
    clock = Clock()
    async with Receiver(Behaviour(greylist_s=300.0), clock=clock) as receiver, Client(receiver) as client:
        await client.greet()
        attempt = ("MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>", "RSET")
        words = "450 4.2.0 <you@b.test>: Recipient address rejected: Greylisted, please try again in {} seconds"
        assert (await client.say(*attempt))[1] == words.format(300)
        clock.now += 299.5
        assert (await client.say(*attempt))[1] == words.format(1)
        clock.now += 0.5
        assert codes(await client.say(*attempt)) == ["250"] * 3
        other = await client.say("MAIL FROM:<other@a.test>", "RCPT TO:<you@b.test>")
        assert codes(other) == ["250", "450"]
    assert receiver.tally.rejected_recipients == 3


async def test_recipients_are_refused_by_their_prefix() -> None:
    """A local part that begins as configured is unknown or full, and its neighbours are delivered to."""
    behaviour = Behaviour(unknown_prefixes=("nobody", "ghost"), full_prefixes=("full",))
    async with Receiver(behaviour, keep_arrivals=True) as receiver, Client(receiver) as client:
        await client.greet()
        people = ("nobody1@b.test", "ghost@b.test", "full.house@b.test", "you@nobody.test")
        replies = await client.say("MAIL FROM:<me@a.test>", *(f"RCPT TO:<{one}>" for one in people), "BDAT 0 LAST")
    assert codes(replies) == ["250", "550", "550", "452", "250", "250"]
    assert replies[1] == "550 5.1.1 <nobody1@b.test>: Recipient address rejected: User unknown"
    assert replies[3] == "452 4.2.2 mailbox full"
    assert receiver.arrivals[0].rcpt_tos == ("you@nobody.test",)
    assert (receiver.tally.rejected_recipients, receiver.tally.recipients) == (3, 1)


async def test_a_transaction_takes_so_many_recipients() -> None:
    """RCPT beyond max_recipients is refused, and the message goes to those before."""
    async with Receiver(Behaviour(max_recipients=2), keep_arrivals=True) as receiver, Client(receiver) as client:
        await client.greet()
        recipients = (f"RCPT TO:<u{n}@b.test>" for n in range(3))
        replies = await client.say("MAIL FROM:<me@a.test>", *recipients, "BDAT 0 LAST")
    assert codes(replies) == ["250", "250", "250", "452", "250"]
    assert replies[3] == "452 4.5.3 Too many recipients"
    assert receiver.arrivals[0].rcpt_tos == ("u0@b.test", "u1@b.test")


@pytest.mark.parametrize(("size", "expected"), [(10, "250"), (11, "552")])
async def test_a_message_has_a_largest_size(size: int, expected: str) -> None:
    """A size above max_size is refused when declared, after the dot, and after a chunk; one equal to it is taken."""
    content = b"." * (size - 2) + b"\r\n"
    async with Receiver(Behaviour(max_size=10)) as receiver, Client(receiver) as client:
        await client.greet()
        assert codes(await client.say(f"MAIL FROM:<me@a.test> SIZE={size}", "RSET")) == [expected, "250"]
        assert codes(await client.deliver(content))[-1] == expected
        await client.say("MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>")
        client.send(b"BDAT %d\r\n" % size + content)
        assert codes([await client.reply()]) == [expected]
        last = {"250": "250", "552": "503"}[expected]
        assert codes(await client.say("BDAT 0 LAST", "MAIL FROM:<me@a.test>")) == [last, "250"]
    assert receiver.tally.messages == (2 if expected == "250" else 0)


async def test_a_session_may_make_so_many_errors() -> None:
    """The error beyond max_errors is answered with 421, and the session ends."""
    async with Receiver(Behaviour(max_errors=1)) as receiver, Client(receiver) as client:
        await client.greet()
        replies = await client.say("FROB", "FROB")
        assert replies == [
            "500 5.5.2 Error: command not recognized",
            "421 4.7.0 mx.sandbox.test Error: too many errors",
        ]
        assert await client.reply() == ""


@pytest.mark.parametrize("delays", [{"latency_s": 0.001}, {"accept_delay_s": 0.001}])
async def test_delays_change_nothing_but_the_time(delays: dict[str, Any]) -> None:
    """With latency or work, the replies are the same and in the same order."""
    async with Receiver(Behaviour(**delays)) as receiver, Client(receiver) as client:
        await client.greet()
        message = "MAIL FROM:<me@a.test>\r\nRCPT TO:<you@b.test>\r\nBDAT 2 LAST\r\nxy"
        client.send((message * 3 + "QUIT\r\n").encode())
        replies = [await client.reply() for _ in range(11)]
    assert codes(replies) == ["250"] * 9 + ["221", ""]
    assert receiver.tally.messages == 3


async def test_a_refusal_after_a_delay_still_closes() -> None:
    """A refused session with latency gets the refusal and then the end."""
    async with Receiver(Behaviour(max_sessions=0, latency_s=0.001)) as receiver, Client(receiver) as client:
        assert codes([await client.reply(), await client.reply()]) == ["421", ""]


async def test_receivers_may_count_together() -> None:
    """Two receivers with the same counts have one number of sessions, and of messages, for a peer between them."""
    counts = Counts()
    behaviour = Behaviour(max_sessions=1, messages_per_second=0.001, burst=1)
    async with Receiver(behaviour, counts=counts) as one, Receiver(behaviour, counts=counts) as other:
        async with Client(one) as first:
            await first.greet()
            assert codes(await first.deliver()) == ["250", "250", "354", "250"]
            async with Client(other) as second:
                assert (await second.reply()).startswith("421 4.7.0")
            await first.say("QUIT")
            assert await first.reply() == ""
        async with Client(other) as second:
            await second.greet()
            assert (await second.say("MAIL FROM:<me@a.test>"))[0].startswith("451 4.7.1")
