"""Commands and their answers: what is offered, what is taken verbatim, and what is refused."""

from __future__ import annotations

import asyncio
import re
import smtplib
from email.message import EmailMessage

import pytest

from tests.dialogs.client import Client, codes

from .conftest import MakeHouse
from .house import House

TAKEN = [
    '"a b"@b.test',
    r'"a\"b"@b.test',
    '"a,b"@b.test',
    '"a:b"@b.test',
    '"a@c.test"@b.test',
    '"a>b"@b.test',
    "!#$%&'*+-/=?^_`{|}~@b.test",
    "UPPER.lower@B.Test",
    "you@[127.0.0.1]",
    "you@[IPv6:::1]",
    "postmaster@b.test",
    "a%c.test@b.test",
    "c.test!a@b.test",
    "x" * 64 + "@b.test",
    "grün@grün.test",
]
REFUSED = [
    "a:b@b.test",
    "a;b@b.test",
    "a,b@b.test",
    "@r.test:you@b.test",
    "you",
    "@b.test",
    "you@",
    "you@b..test",
    "you@-b.test",
    ".you@b.test",
    "you.@b.test",
    "y..ou@b.test",
    "you @b.test",
    "you@b.test ",
    " you@b.test",
    "you@b@c.test",
    "you@[300.0.0",
    "(comment)you@b.test",
    "x" * 65 + "@b.test",
    "you@" + "x" * 64 + ".test",
    "you@" + "x." * 130 + "test",
    "a\x01b@b.test",
    "a\0b@b.test",
    "a\tb@b.test",
    "a\rb@b.test",
    "a\x7fb@b.test",
    '"a\x01b"@b.test',
    '"ab@b.test',
]


async def test_ehlo_offers_what_there_is(house: House) -> None:
    """The offer names us and each extension; STARTTLS and AUTH are not offered without certificate and users."""
    async with Client(house.port) as client:
        assert await client.reply() == "220 mail.sender.test ESMTP"
        (answer,) = await client.say("EHLO client.test")
    (until,) = re.findall(r"2592000 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", answer)
    assert answer.split("\n") == [
        "250-mail.sender.test",
        "250-SIZE 26214400",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-PIPELINING",
        "250-CHUNKING",
        "250-DSN",
        "250-DELIVERBY",
        f"250-FUTURERELEASE 2592000 {until}",
        "250-LIMITS RCPTMAX=1000",
        "250 ENHANCEDSTATUSCODES",
    ]


@pytest.mark.parametrize("address", TAKEN)
async def test_l10_x9_an_address_is_taken_verbatim(house: House, address: str) -> None:
    """An address that RFC 5321 allows is stored as it was sent."""
    async with Client(house.port) as client:
        await client.greet()
        await client.begin(address, mail_from=address)
        assert codes(await client.say(b"x\r\n.")) == ["250"]
    (message,) = await house.taken()
    assert message.mail_from == address
    assert [recipient.rcpt_to for recipient in message.recipients] == [address]


@pytest.mark.parametrize("address", REFUSED, ids=repr)
async def test_a13_i3_an_address_that_is_none_is_refused(house: House, address: str) -> None:
    """What is no address is refused for good, as sender and as recipient, and the session goes on."""
    async with Client(house.port) as client:
        await client.greet()
        (sender,) = await client.say(f"MAIL FROM:<{address}>")
        _, recipient = await client.say("MAIL FROM:<me@a.test>", f"RCPT TO:<{address}>")
        assert sender[:9] in {"501 5.1.7", "553 5.1.7"}
        assert recipient[:9] in {"501 5.1.3", "553 5.1.3"}
        assert codes(await client.say("RCPT TO:<you@b.test>")) == ["250"]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("MAIL FROM:me@a.test", "501 5.1.7 "),
        ("MAIL FROM:<me@a.test", "501 5.1.7 "),
        ("MAIL FROM <me@a.test>", "501 5.1.7 "),
        ("MAIL", "501 5.1.7 "),
        ("MAIL TO:<me@a.test>", "501 5.1.7 "),
        ("mail from:<me@a.test>", "250 2.1.0 "),
        ("MAIL FROM: <me@a.test>", "250 2.1.0 "),
        ("MAIL FROM:<me@a.test> SIZE=100", "250 2.1.0 "),
        ("MAIL FROM:<me@a.test> size=100 body=8bitmime smtputf8", "250 2.1.0 "),
        ("MAIL FROM:<me@a.test> AUTH=<>", "250 2.1.0 "),
        ("MAIL FROM:<me@a.test> SIZE=x", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> SIZE=-1", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> SIZE=1 SIZE=1", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> BODY=BINARYMIME", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> RET=FULL ENVID=a+2Bb", "250 2.1.0 "),
        ("MAIL FROM:<me@a.test> RET=HEADERS", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> ENVID=a+2b", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> ENVID=", "501 5.5.4 "),
        (f"MAIL FROM:<me@a.test> ENVID={'x' * 101}", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> BY=3600;R", "250 2.1.0 "),
        ("MAIL FROM:<me@a.test> by=-1;nt", "250 2.1.0 "),
        ("MAIL FROM:<me@a.test> BY=0;R", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> BY=soon", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> HOLDFOR=3600", "250 2.1.0 "),
        ("MAIL FROM:<me@a.test> HOLDFOR=2592001", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> HOLDFOR=1h", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> HOLDUNTIL=2020-01-01T00:00:00Z", "250 2.1.0 "),
        ("MAIL FROM:<me@a.test> HOLDUNTIL=2999-01-01T00:00:00Z", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> HOLDUNTIL=2020-01-01T00:00:00", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> HOLDFOR=3600 BY=60;R", "501 5.5.4 "),
        ("MAIL FROM:<me@a.test> REQUIRETLS", "530 5.7.0 "),
        ("MAIL FROM:<me@a.test> MT-PRIORITY=3", "555 5.5.4 "),
        ("MAIL FROM:<me@a.test>SIZE=100", "501 5.1.7 "),
        (b"MAIL FROM:<me@a.test> X\xff\x1b=1", "555 5.5.4 "),
        (b"MAIL FROM:<m\xff@a.test>", "553 5.1.7 "),
        ("RCPT TO:<you@b.test>", "503 5.5.1 "),
        ("DATA", "503 5.5.1 "),
        ("DATA x", "501 5.5.4 "),
        ("VRFY you", "252 "),
        ("STARTTLS", "503 5.5.1 "),
        ("AUTH PLAIN xxx", "503 5.5.1 "),
    ],
)
async def test_the_syntax_of_commands(house: House, command: str | bytes, answer: str) -> None:
    """Each command is taken, or refused with the code that says what is wrong."""
    async with Client(house.port) as client:
        await client.greet()
        (reply,) = await client.say(command)
    assert reply.startswith(answer)
    assert reply.isprintable()


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("RCPT TO:<>", "501 5.1.3 "),
        ("RCPT TO:<you@b.test> NOTIFY=NEVER", "250 2.1.5 "),
        ("RCPT TO:<you@b.test> notify=success,delay ORCPT=rfc822;You+2Bx@B.test", "250 2.1.5 "),
        ("RCPT TO:<you@b.test> NOTIFY=NEVER,SUCCESS", "501 5.5.4 "),
        ("RCPT TO:<you@b.test> NOTIFY=", "501 5.5.4 "),
        ("RCPT TO:<you@b.test> ORCPT=you@b.test", "501 5.5.4 "),
        ("RCPT TO:<you@b.test> ORCPT=rfc822;a=b@b.test", "501 5.5.4 "),
        (f"RCPT TO:<you@b.test> ORCPT=rfc822;{'x' * 500}", "501 5.5.4 "),
        ("RCPT TO:<you@b.test> HOLDFOR=1", "555 5.5.4 "),
        ("MAIL FROM:<again@a.test>", "503 5.5.1 "),
        ("DATA", "554 5.5.1 "),
        ("RSET", "250 "),
    ],
)
async def test_the_syntax_of_commands_within_an_envelope(house: House, command: str, answer: str) -> None:
    """A recipient cannot be nobody, and there is one sender and at least one recipient."""
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.say("MAIL FROM:<me@a.test>", command))[1].startswith(answer)


async def test_a1_the_null_sender_is_stored_empty(house: House) -> None:
    """A bounce has no sender."""
    async with Client(house.port) as client:
        await client.greet()
        await client.begin(mail_from="")
        assert codes(await client.say("x\r\n.")) == ["250"]
    assert [message.mail_from for message in await house.taken()] == [""]


async def test_mail_needs_a_greeting(house: House) -> None:
    """Nothing is taken before HELO or EHLO."""
    async with Client(house.port) as client:
        await client.reply()
        assert codes(await client.say("MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>", "DATA")) == ["503"] * 3


async def test_i11_recipients_beyond_the_limit_are_for_later(make_house: MakeHouse) -> None:
    """The recipients that are too many are refused for now, and the message goes to the others."""
    house = await make_house(max_recipients=3)
    rcpts = [f"RCPT TO:<r{number}@b.test>" for number in range(5)]
    async with Client(house.port) as client:
        await client.greet()
        replies = await client.say("MAIL FROM:<me@a.test>", *rcpts, "DATA")
        assert codes(replies) == ["250"] * 4 + ["452"] * 2 + ["354"]
        assert replies[4].startswith("452 4.5.3 ")
        assert codes(await client.say("x\r\n.")) == ["250"]
    (message,) = await house.taken()
    assert len(message.recipients) == 3


async def test_reset_forgets_the_envelope(house: House) -> None:
    """RSET and a new EHLO leave nothing of what was said before."""
    async with Client(house.port) as client:
        await client.greet()
        for forget in ("RSET", "EHLO client.test", "HELO client.test"):
            await client.say("MAIL FROM:<old@a.test>", "RCPT TO:<old@b.test>")
            replies = await client.say(forget, "RCPT TO:<you@b.test>", "DATA")
            assert codes(replies) == ["250", "503", "503"]


async def test_one_message_does_not_know_the_one_before(house: House) -> None:
    """The recipients of a message that was taken, or refused, are not those of the next one."""
    async with Client(house.port) as client:
        await client.greet()
        await client.deliver(b"x\r\n", "one@b.test")
        await client.deliver(b"nul \0\r\n", "two@b.test")
        assert codes(await client.say("DATA")) == ["503"]
        await client.deliver(b"x\r\n", "three@b.test")
    assert [[each.rcpt_to for each in message.recipients] for message in await house.taken()] == [
        ["one@b.test"],
        ["three@b.test"],
    ]


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"\xff\xfe\xfd", b"", b"x" * 3000, b"x" * 300_000])
async def test_i11_what_is_no_command_is_refused(house: House, line: bytes) -> None:
    """Unknown and endless lines are answered 5yz, and the session goes on."""
    async with Client(house.port) as client:
        await client.greet()
        replies = await client.say(line, "NOOP")
        assert replies[0][0] == "5"
        assert codes(replies[1:]) == ["250"]


async def test_smtplib_delivers(house: House) -> None:
    """A client of the standard library is understood."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "me@a.test", "you@b.test", "Grüße"
    message.set_content("Hallo\n.\n..\nWelt\n")

    def send() -> dict[str, tuple[int, bytes]]:
        with smtplib.SMTP("127.0.0.1", house.port, local_hostname="client.test") as smtp:
            return smtp.send_message(message)

    assert await asyncio.to_thread(send) == {}
    (content,) = await house.contents()
    assert content.endswith(b"\r\n\r\nHallo\r\n.\r\n..\r\nWelt\r\n")
