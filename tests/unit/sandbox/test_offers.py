"""What a receiver offers in EHLO, and that it does what it offers and nothing else."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sender.sandbox import Behaviour, Receiver

from .client import Client, codes

CERTIFICATE = Path(__file__).with_name("certificate.pem")


def server_context() -> ssl.SSLContext:
    """Give the receiver's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def client_context() -> ssl.SSLContext:
    """Give a client's side that trusts the receiver only."""
    return ssl.create_default_context(cafile=str(CERTIFICATE))


async def test_everything_is_offered_by_default() -> None:
    """A receiver offers all that it knows, and says its name first."""
    async with Receiver(Behaviour(name="mx9.test")) as receiver, Client(receiver) as client:
        assert await client.reply() == "220 mx9.test ESMTP sandbox"
        (answer,) = await client.say("EHLO client.test")
    assert answer.split("\n") == [
        "250-mx9.test",
        "250-PIPELINING",
        "250-SIZE 52428800",
        "250-ENHANCEDSTATUSCODES",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250 CHUNKING",
    ]


@pytest.mark.parametrize(
    ("change", "word", "command", "expected"),
    [
        ({"pipelining": False}, "PIPELINING", "NOOP", "250"),
        ({"max_size": None}, "SIZE", "MAIL FROM:<me@a.test> SIZE=1", "555"),
        ({"enhanced_codes": False}, "ENHANCEDSTATUSCODES", "NOOP", "250 Ok"),
        ({"eightbitmime": False}, "8BITMIME", "MAIL FROM:<me@a.test> BODY=8BITMIME", "555"),
        ({"smtputf8": False}, "SMTPUTF8", "MAIL FROM:<me@a.test> SMTPUTF8", "555"),
        ({"chunking": False}, "CHUNKING", "BDAT 0 LAST", "502"),
        ({"dsn": False}, "DSN", "MAIL FROM:<me@a.test> RET=HDRS", "555"),
        ({"tls": None}, "STARTTLS", "STARTTLS", "502"),
    ],
)
async def test_what_is_not_offered_is_not_done(change: dict[str, Any], word: str, command: str, expected: str) -> None:
    """An extension that is switched off is neither offered nor understood."""
    behaviour = Behaviour(dsn=True, tls=server_context())
    async with Receiver(behaviour) as receiver, Client(receiver) as client:
        assert word in await client.greet()
        receiver.behaviour = replace(behaviour, **change)
        (offer, answer) = await client.say("EHLO client.test", command)
    assert word not in offer
    assert answer.startswith(expected)


async def test_commands_ahead_of_their_replies_are_noticed_without_pipelining() -> None:
    """A peer that pipelines uninvited is answered, and counted."""
    async with Receiver(Behaviour(pipelining=False)) as receiver, Client(receiver) as client:
        await client.greet()
        await client.say("NOOP")
        assert receiver.tally.uninvited == 0
        await client.say("NOOP", "NOOP")
    assert receiver.tally.uninvited == 1


_CONTENT = b"DATA\r\nx\r\n.\r\n"
_ENVELOPE = b"MAIL FROM:<me@a.test>\r\nRCPT TO:<you@b.test>\r\n"


async def test_content_that_comes_before_it_is_asked_for_is_noticed() -> None:
    """A peer that does not wait for the 354 (RFC 2920 section 3.1) is served, and counted."""
    async with Receiver(Behaviour()) as receiver, Client(receiver) as client:
        await client.greet()
        client.send(_ENVELOPE + _CONTENT)
        assert codes([await client.reply() for _ in range(4)]) == ["250", "250", "354", "250"]
    assert (receiver.tally.uninvited, receiver.tally.ahead) == (1, 0)


@pytest.mark.parametrize("content", [b"x\r\n.\r\n", b"BDAT 1 LAST\r\nx"])
@pytest.mark.parametrize("forgets", [False, True])
async def test_what_comes_with_the_end_of_a_message_is_answered_or_forgotten(content: bytes, *, forgets: bool) -> None:
    """The beginning of the next message may come with the end of one; only a receiver that forgets drops it."""
    async with Receiver(Behaviour(forgets_ahead=forgets)) as receiver, Client(receiver) as client:
        await client.greet()
        client.send(_ENVELOPE)
        assert codes([await client.reply() for _ in range(2)]) == ["250", "250"]
        if not content.startswith(b"BDAT"):
            assert codes(await client.say("DATA")) == ["354"]
        client.send(content + _ENVELOPE)
        assert codes([await client.reply() for _ in range(1 if forgets else 3)]) == ["250"] * (1 if forgets else 3)
        assert codes(await client.say("RCPT TO:<you@b.test>")) == ["503" if forgets else "250"]
    assert (receiver.tally.ahead, receiver.tally.uninvited) == (1, 0)


async def test_a_message_that_begins_while_another_is_dealt_with_is_ahead() -> None:
    """What comes in before the answer to the message before has left is ahead of it too."""
    async with Receiver(Behaviour(latency_s=0.05)) as receiver, Client(receiver) as client:
        await client.greet()
        client.send(_ENVELOPE + b"BDAT 1 LAST\r\nx")
        while receiver.tally.messages == 0:  # noqa: ASYNC110 - a tally has no events
            await asyncio.sleep(0)
        client.send(_ENVELOPE + b"BDAT 1 LAST\r\nx")
        assert codes([await client.reply() for _ in range(6)]) == ["250"] * 6
    assert (receiver.tally.ahead, receiver.tally.messages) == (1, 2)


async def test_helo_works_where_ehlo_does_not() -> None:
    """A receiver without EHLO refuses it with 502 and takes mail after HELO."""
    async with Receiver(Behaviour(ehlo=False)) as receiver, Client(receiver) as client:
        assert (await client.greet()).startswith("502")
        assert await client.say("HELO client.test") == ["250 mx.sandbox.test"]
        assert codes(await client.deliver()) == ["250", "250", "354", "250"]


async def test_without_enhanced_codes_no_reply_has_one() -> None:
    """Every reply leaves its enhanced code out when they are switched off, a configured one too."""
    behaviour = Behaviour(enhanced_codes=False, unknown_prefixes=("no",), full_with="x")
    async with Receiver(behaviour) as receiver, Client(receiver) as client:
        await client.greet()
        replies = await client.say("MAIL FROM:<me@a.test>", "RCPT TO:<nobody@b.test>", "DATA")
    assert replies[0] == "250 Ok"
    assert replies[1] == "550 <nobody@b.test>: Recipient address rejected: User unknown"
    assert replies[2] == "554 Error: no valid recipients"


async def test_delivery_status_parameters_are_kept() -> None:
    """With DSN the parameters of MAIL and of each RCPT reach the arrival."""
    async with Receiver(Behaviour(dsn=True), keep_arrivals=True) as receiver, Client(receiver) as client:
        await client.greet()
        await client.say(
            "MAIL FROM:<me@a.test> RET=HDRS ENVID=QQ1", "RCPT TO:<you@b.test> NOTIFY=NEVER", "BDAT 2 LAST\r\nx"
        )
    (arrival,) = receiver.arrivals
    assert arrival.parameters == {"RET": "HDRS", "ENVID": "QQ1"}
    assert arrival.rcpt_parameters == ({"NOTIFY": "NEVER"},)


async def test_starttls_secures_the_session_and_begins_it_anew() -> None:
    """Under TLS the EHLO before is forgotten, STARTTLS is not offered again, and the arrival says tls."""
    async with Receiver(Behaviour(tls=server_context()), keep_arrivals=True) as receiver, Client(receiver) as client:
        assert "STARTTLS" in await client.greet()
        assert await client.say("STARTTLS") == ["220 2.0.0 Ready to start TLS"]
        await client.secure(client_context())
        assert codes(await client.say("MAIL FROM:<me@a.test>")) == ["503"]
        assert "STARTTLS" not in (await client.say("EHLO client.test"))[0]
        assert codes(await client.say("STARTTLS")) == ["502"]
        assert codes(await client.deliver()) == ["250", "250", "354", "250"]
        assert codes(await client.say("QUIT")) == ["221"]
    assert receiver.arrivals[0].tls


async def test_requiretls_is_offered_under_tls_only() -> None:
    """Before TLS the extension is neither offered nor taken (RFC 8689 section 2); under it the parameter arrives."""
    behaviour = Behaviour(tls=server_context(), requiretls=True)
    async with Receiver(behaviour, keep_arrivals=True) as receiver, Client(receiver) as client:
        assert "REQUIRETLS" not in await client.greet()
        assert codes(await client.say("MAIL FROM:<me@a.test> REQUIRETLS")) == ["555"]
        await client.say("STARTTLS")
        await client.secure(client_context())
        assert "REQUIRETLS" in (await client.say("EHLO client.test"))[0]
        assert codes(await client.say("MAIL FROM:<me@a.test> REQUIRETLS=1")) == ["555"]
        await client.say("MAIL FROM:<me@a.test> REQUIRETLS", "RCPT TO:<you@b.test>", "BDAT 2 LAST\r\nx")
    assert [arrival.parameters for arrival in receiver.arrivals] == [{"REQUIRETLS": ""}]


async def test_what_was_sent_before_tls_is_forgotten() -> None:
    """Commands smuggled in behind STARTTLS are not answered under TLS (RFC 3207)."""
    async with Receiver(Behaviour(tls=server_context())) as receiver, Client(receiver) as client:
        await client.greet()
        client.send(b"STARTTLS\r\nNOOP\r\nHELP\r\nRSE")
        assert codes([await client.reply()]) == ["220"]
        await client.secure(client_context())
        assert codes(await client.say("NOOP")) == ["250"]


async def test_a_failed_handshake_ends_the_session() -> None:
    """A peer that does not speak TLS after STARTTLS is disconnected, and its session ends."""
    async with Receiver(Behaviour(tls=server_context())) as receiver, Client(receiver) as client:
        await client.greet()
        await client.say("STARTTLS")
        client.send(b"this is not TLS\r\n" * 20)
        while await client.reader.read(1000):
            pass
        await receiver.until_idle()
    assert receiver.tally.sessions_open == 0


async def test_a_receiver_closes_in_the_middle_of_a_handshake() -> None:
    """A session that waits for a handshake ends with its receiver."""
    async with Receiver(Behaviour(tls=server_context())) as receiver, Client(receiver) as client:
        await client.greet()
        await client.say("STARTTLS")
    assert receiver.tally.sessions_open == 0


@pytest.mark.parametrize("politely", [False, True])
async def test_a_peer_may_leave_in_the_middle_of_a_handshake(*, politely: bool) -> None:
    """A session whose peer goes away instead of beginning TLS ends, and counts as lost."""
    async with Receiver(Behaviour(tls=server_context())) as receiver, Client(receiver) as client:
        await client.greet()
        await client.say("STARTTLS")
        if politely:
            client.writer.close()
        else:
            client.writer.transport.abort()
        await receiver.until_idle()
    assert receiver.tally.lost == 1
