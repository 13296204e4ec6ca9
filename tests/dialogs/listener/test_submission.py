"""What a client asks for, and what the listener makes of the header: kept, completed, taken out, or refused."""

from __future__ import annotations

import re
import ssl
import time

import pytest

from sender.core.options import Options
from sender.spool.contract import Priority
from tests.dialogs.client import CERTIFICATE, Client, codes, plain

from .conftest import MakeHouse
from .house import NAME, PASSWORD, House

DAY_S = 86_400.0


async def _submit(client: Client, *, mail: str = "", rcpts: tuple[str, ...] = ("",), content: bytes = b"") -> str:
    commands = [f"MAIL FROM:<me@a.test>{mail}", *(f"RCPT TO:<r{n}@b.test>{rcpt}" for n, rcpt in enumerate(rcpts))]
    assert codes(await client.say(*commands, "DATA")) == ["250"] * len(commands) + ["354"]
    client.send((content or b"Subject: x\r\n\r\nhello\r\n") + b".\r\n")
    return await client.reply()


async def _log_in(client: Client) -> None:
    await client.greet()
    await client.secure()
    assert codes(await client.say(f"AUTH PLAIN {plain(NAME, PASSWORD)}")) == ["235"]


async def test_dsn_parameters_are_kept_as_they_were_written(house: House) -> None:
    """RET and ENVID are the message's, NOTIFY and ORCPT each recipient's, and their case is the client's."""
    rcpts = (" NOTIFY=success,Failure ORCPT=rfc822;Anna+2BB@Example.ORG", "", " notify=never", " ORCPT=x400;/Cn+3D+20/")
    async with Client(house.port) as client:
        await client.greet()
        assert (await _submit(client, mail=" RET=hdrs ENVID=QQ+2Bq7", rcpts=rcpts)).startswith("250 ")
    (message,) = await house.taken()
    assert message.options == Options(returns="HDRS", envelope_id="QQ+2Bq7")
    assert [recipient.dsn for recipient in message.recipients] == [
        "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Anna+2BB@Example.ORG",
        "",
        "NOTIFY=NEVER",
        "ORCPT=x400;/Cn+3D+20/",
    ]


async def test_a_message_to_be_held_is_due_when_it_is_to_be_sent(house: House) -> None:
    """HOLDFOR and HOLDUNTIL (RFC 4865) let every recipient wait; an instant that is over lets none."""
    async with Client(house.port) as client:
        await client.greet()
        for mail in (" HOLDFOR=86400", " HOLDUNTIL=2020-01-01T00:00:00Z"):
            assert (await _submit(client, mail=mail, rcpts=("", ""))).startswith("250 ")
    released, held = await house.taken()  # in the order in which they are due
    assert held.options.send_at == pytest.approx(held.accepted_at + DAY_S, abs=5)
    assert {recipient.due_at for recipient in held.recipients} == {held.options.send_at}
    assert held.began_at == held.options.send_at
    assert released.options.send_at is None
    assert all(recipient.due_at <= released.accepted_at for recipient in released.recipients)


async def test_a_message_has_to_be_delivered_by_its_time(house: House) -> None:
    """BY (RFC 2852) makes it expire in mode R, and tell its sender in mode N."""
    async with Client(house.port) as client:
        await client.greet()
        for mail in (" BY=60;R", " BY=60;N"):
            assert (await _submit(client, mail=mail)).startswith("250 ")
    returned, notified = await house.taken()
    assert returned.expires_at == pytest.approx(returned.accepted_at + 60, abs=5)
    assert returned.options.warn_at is notified.expires_at is None
    assert notified.options.warn_at == pytest.approx(notified.accepted_at + 60, abs=5)


async def test_requiretls_is_offered_and_taken_under_tls_only(make_house: MakeHouse) -> None:
    """RFC 8689: in clear text the request itself would be one that somebody else could take out."""
    house = await make_house(tls=True)
    async with Client(house.port) as client:
        assert "REQUIRETLS" not in await client.greet()
        assert codes(await client.say("MAIL FROM:<me@a.test> REQUIRETLS")) == ["530"]
        await client.secure()
        (offer,) = await client.say("EHLO client.test")
        assert "REQUIRETLS" in offer
        assert (await _submit(client, mail=" REQUIRETLS")).startswith("250 ")
    assert [message.options for message in await house.taken()] == [Options(require_tls=True)]


async def test_implicit_tls_needs_no_starttls(make_house: MakeHouse) -> None:
    """A listener with TLS from the first byte greets under TLS, and does not offer it again."""
    house = await make_house(tls=True, users=True, relay_networks=[], listen=[], listen_tls=["127.0.0.1:0"])
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    async with Client(house.port) as client:
        await client.writer.start_tls(context, server_hostname="mx.sandbox.test")
        assert (await client.reply()).startswith("220 ")
        (offer,) = await client.say("EHLO client.test")
        assert "AUTH PLAIN LOGIN" in offer
        assert "STARTTLS" not in offer
        assert codes(await client.say("STARTTLS", f"AUTH PLAIN {plain(NAME, PASSWORD)}")) == ["503", "235"]
        assert (await client.deliver()).startswith("250 ")
    (message,) = await house.taken()
    assert b" with ESMTPSA id " in message.content


async def test_clear_text_on_an_implicit_tls_listener_ends_the_connection(make_house: MakeHouse) -> None:
    """Nothing of it is a command, and the place is free again."""
    house = await make_house(tls=True, listen=[], listen_tls=["127.0.0.1:0"])
    async with Client(house.port) as client:
        client.send(b"EHLO client.test\r\nMAIL FROM:<me@a.test>\r\n")
        while (reply := await client.reply()) != "":
            assert not reply.startswith("2")
    await house.until_left()


async def test_what_a_message_must_have_is_added_for_users_only(make_house: MakeHouse) -> None:
    """Who logs in gets Date and Message-ID; what is relayed for a network is not touched, and nothing stands twice."""
    house = await make_house(users=True, tls=True)
    async with Client(house.port) as client:
        await client.greet()
        await client.deliver()
    async with Client(house.port) as client:
        await _log_in(client)
        await client.deliver()
        await client.deliver(b"Date: then\r\nmessage-id: <a@b>\r\nSubject: x\r\n\r\nhello\r\n")
    relayed, completed, complete = await house.contents()
    assert relayed == b"Subject: x\r\n\r\nhello\r\n"
    assert re.fullmatch(
        rb"Date: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\r\nMessage-ID: <[0-9a-z]{13}@mail\.sender\.test>\r\n"
        rb"Subject: x\r\n\r\nhello\r\n",
        completed,
    )
    assert complete == b"Date: then\r\nmessage-id: <a@b>\r\nSubject: x\r\n\r\nhello\r\n"


async def test_x13_nobody_reads_who_got_a_blind_copy(house: House) -> None:
    """Bcc is taken out of what is relayed too, and Received names no recipient where there are several."""
    async with Client(house.port) as client:
        await client.greet()
        content = b"To: a@b.test\r\nBcc: secret@b.test,\r\n other@b.test\r\nSubject: x\r\n\r\nBcc: kept\r\n"
        assert (await client.deliver(content, "a@b.test", "secret@b.test")).startswith("250 ")
    (message,) = await house.taken()
    assert b"secret" not in message.content
    assert await house.content(message) == b"To: a@b.test\r\nSubject: x\r\n\r\nBcc: kept\r\n"


async def test_control_headers_say_how_a_message_is_sent(house: House) -> None:
    """Stream, campaign, priority and times are taken from the header, and out of it."""
    send_at = int(time.time()) + 3600
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(send_at + 60))
    content = (
        "X-Sender-Stream: news\r\nX-Sender-Campaign: spring-2026\r\nSubject: x\r\nx-sender-priority: Urgent\r\n"
        f"X-Sender-Send-At: {time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime(send_at))}\r\n"
        f"X-Sender-Expires-At: {until}\r\n\r\nhello\r\n"
    ).encode()
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.deliver(content)).startswith("250 ")
    (message,) = await house.taken()
    assert (message.stream, message.priority, message.expires_at) == ("news", Priority.URGENT, send_at + 60)
    assert message.options == Options(campaign="spring-2026", send_at=float(send_at))
    assert await house.content(message) == b"Subject: x\r\n\r\nhello\r\n"


@pytest.mark.parametrize(
    "line",
    [
        b"X-Sender-Stream: a b",
        b"X-Sender-Stream: ",
        b"X-Sender-Campaign: \xc3\xbc",
        b"X-Sender-Campaign: a\r\nX-Sender-Campaign: b",
        b"X-Sender-Priority: high",
        b"X-Sender-Send-At: tomorrow",
        b"X-Sender-Send-At: 2999-01-01T00:00:00Z",
        b"X-Sender-Expires-At: 2020-01-01T00:00:00Z",
    ],
)
async def test_a_control_header_that_cannot_be_kept_is_refused(house: House, line: bytes) -> None:
    """The answer names the field and the rule; nothing is sent otherwise than was asked."""
    async with Client(house.port) as client:
        await client.greet()
        reply = await client.deliver(line + b"\r\nSubject: x\r\n\r\n")
        name = line.partition(b":")[0].decode()
        assert reply.startswith(f"554 5.6.0 {name}: must ")
        assert reply.isprintable()
    assert await house.taken() == []


async def test_control_headers_of_strangers_mean_nothing(make_house: MakeHouse) -> None:
    """A listener that relays what others wrote can leave them alone."""
    house = await make_house(control_headers=False)
    content = b"X-Sender-Priority: urgent\r\n\r\nhello\r\n"
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.deliver(content)).startswith("250 ")
    (message,) = await house.taken()
    assert message.priority == Priority.NORMAL
    assert await house.content(message) == content


@pytest.mark.parametrize(
    ("mail_from", "header", "code"),
    [
        ("news@a.test", b"From: News <NEWS@a.test>\r\n", "250"),
        ("any@shop.test", b"From: other@shop.test\r\n", "250"),
        ("", b"From: news@a.test\r\n", "250"),
        ("news@a.test", b"", "250"),
        ("evil@a.test", b"From: news@a.test\r\n", "553"),
        ("news@a.test", b"From: evil@a.test\r\n", "553"),
        ("news@a.test", b'From: "news@a.test" <evil@a.test>\r\n', "553"),
        ("news@a.test", b"From: news@a.test\r\nFrom: evil@a.test\r\n", "553"),
        ("news@a.test", b"From: news@a.test,\r\n evil@a.test\r\n", "553"),
        ("", b"From: evil@a.test\r\n", "553"),
    ],
)
async def test_i2_a_user_sends_as_itself_only(make_house: MakeHouse, mail_from: str, header: bytes, code: str) -> None:
    """Neither the envelope nor a From that readers would see may have an address that is not the user's."""
    house = await make_house(users=True, tls=True, relay_networks=[], senders=("news@a.test", "@shop.test"))
    async with Client(house.port) as client:
        await _log_in(client)
        (reply,) = await client.say(f"MAIL FROM:<{mail_from}>")
        if reply.startswith("250"):
            await client.say("RCPT TO:<you@b.test>", "DATA")
            client.send(header + b"Subject: x\r\n\r\nhello\r\n.\r\n")
            reply = await client.reply()
        assert reply[:3] == code
        assert code == "250" or reply.startswith("553 5.7.1 ")
    assert len(await house.taken()) == (code == "250")


async def test_a_message_tells_who_submitted_it(make_house: MakeHouse) -> None:
    """The name of the user is kept with the message, and stands nowhere in it."""
    house = await make_house(users=True, tls=True)
    async with Client(house.port) as client:
        await _log_in(client)
        await client.deliver()
    (message,) = await house.taken()
    assert message.options.submitter == NAME
    assert NAME.encode() not in message.content


async def test_x4_long_lines_are_folded_or_refused(make_house: MakeHouse) -> None:
    """No receiver gets a line of more than 998 bytes; a listener may refuse them instead."""
    content = b"Subject: x\r\n\r\n" + b"y" * 5000 + b"\r\nshort\r\n"
    for long_lines in ("fold", "refuse"):
        house = await make_house(long_lines=long_lines)
        async with Client(house.port) as client:
            await client.greet()
            reply = await client.deliver(content)
            assert codes(await client.say("NOOP")) == ["250"]
        assert reply.startswith("250 " if long_lines == "fold" else "554 5.6.0 A line is longer than 998 bytes")
        for kept in await house.contents():
            assert max(map(len, kept.split(b"\r\n"))) <= 998
            assert kept.replace(b"\r\n ", b"") == content
