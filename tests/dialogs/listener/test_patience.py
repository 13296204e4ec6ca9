"""Clients that are slow, wrong, idle or too many: told so, and sent away; the others notice nothing."""

from __future__ import annotations

import asyncio

import pytest

from sender.intake.pressure import Pressure
from tests.dialogs.client import Client, codes, plain

from .conftest import MakeHouse
from .house import NAME, PASSWORD, House


@pytest.mark.parametrize("command", ["NOOP", "RSET", "VRFY you", "HELP", "EHLO x", "HELO x", "MAIL FROM:<me@a.test>"])
async def test_i11_commands_that_lead_to_no_message_end_the_connection(make_house: MakeHouse, command: str) -> None:
    """What is done again and again for nothing has a limit, and what was sent behind it is not carried out."""
    house = await make_house(max_commands=10, max_errors=100)
    async with Client(house.port) as client:
        await client.greet()
        client.send(f"{command}\r\n".encode() * 50)
        replies = []
        while reply := await client.reply():
            replies.append(reply)
        assert replies[-1] == "421 4.7.0 Too many commands without a message"
        assert len(replies) == 10  # nine answers, for EHLO was one, and the last word


@pytest.mark.parametrize("command", ["XYZZY", "DATA", "MAIL FROM:<@>", "GET / HTTP/1.1"])
async def test_i11_errors_end_the_connection(make_house: MakeHouse, command: str) -> None:
    """A client that is wrong again and again is sent away, whatever it says in the same segment."""
    house = await make_house(max_errors=3, max_commands=1000)
    async with Client(house.port) as client:
        await client.greet()
        rest = "MAIL FROM:<me@a.test>\r\nRCPT TO:<you@b.test>\r\nDATA\r\nevil\r\n.\r\n"
        client.send((f"{command}\r\n" * 3 + rest).encode())
        replies = [await client.reply() for _ in range(5)]
        assert [reply[:1] for reply in replies] == ["5", "5", "5", "4", ""]
        assert replies[3] == "421 4.7.0 Too many errors"
    assert await house.taken() == []


async def test_a_message_renews_the_patience(make_house: MakeHouse) -> None:
    """A client that sends messages may be wrong, and idle, between them."""
    house = await make_house(max_errors=3, max_commands=6)
    async with Client(house.port) as client:
        await client.greet()
        for _ in range(10):
            assert codes(await client.say("NOOP", "RSET", "XYZZY", "DATA")) == ["250", "250", "500", "503"]
            assert (await client.deliver()).startswith("250 ")


async def test_bad_addresses_in_a_long_list_are_no_errors(make_house: MakeHouse) -> None:
    """A list has bad ones in it: the message goes to the others."""
    house = await make_house(max_errors=3)
    async with Client(house.port) as client:
        await client.greet()
        rcpts = [f"RCPT TO:<{'bad address' if n % 2 else f'r{n}'}@b.test>" for n in range(40)]
        replies = await client.say("MAIL FROM:<me@a.test>", *rcpts, "DATA")
        assert codes(replies) == ["250"] + ["250", "553"] * 20 + ["354"] or codes(replies)[2] == "501"
        client.send(b"x\r\n.\r\n")
        assert codes([await client.reply()]) == ["250"]
    (message,) = await house.taken()
    assert len(message.recipients) == 20


async def test_i8_a_session_ends_after_its_time_between_two_messages(make_house: MakeHouse) -> None:
    """However busy it is; what is coming in is taken first."""
    house = await make_house(session_timeout="150ms", min_data_rate="1B", max_commands=10**6)
    async with Client(house.port) as client:
        await client.greet()
        last, reply = "", "250"
        while reply:
            last, (reply,) = reply, await client.say("NOOP")
        assert last == "421 4.4.2 The connection has been open for too long"


async def test_i8_content_that_drips_is_cut_off(make_house: MakeHouse) -> None:
    """A byte now and then does not hold a place for ever."""
    house = await make_house(block_timeout="100ms", min_data_rate="10KB")
    async with Client(house.port) as client:
        await client.greet()
        await client.begin()
        dripping = asyncio.create_task(_drip(client))
        assert (await client.reply()).startswith("421 4.4.2 Content comes in at less than 10000 bytes a second")
        assert await client.reply() == ""
        dripping.cancel()
    await house.until_left()
    assert await house.taken() == []


async def _drip(client: Client) -> None:
    while True:
        client.send(b"drip\r\n")
        await asyncio.sleep(0.01)


async def test_i8_chunks_that_drip_are_cut_off(make_house: MakeHouse) -> None:
    """The time of a message is counted over all its chunks."""
    house = await make_house(block_timeout="100ms", min_data_rate="10KB")
    async with Client(house.port) as client:
        await client.greet()
        await client.say("MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>")
        reply = "250"
        while reply.startswith("250"):
            client.send(b"BDAT 1\r\nx")
            reply = await client.reply()
        assert reply.startswith("421 4.4.2 Content comes in at less than")
        assert await client.reply() == ""
    await house.until_left()
    assert await house.taken() == []


async def test_a_users_rate_is_kept(make_house: MakeHouse) -> None:
    """Recipients beyond it are for later, with the time that is left; others are not concerned."""
    house = await make_house(users=True, tls=True, rate="1/min")
    async with Client(house.port) as client:
        await client.greet()
        await client.secure()
        await client.say(f"AUTH PLAIN {plain(NAME, PASSWORD)}")
        rcpts = [f"RCPT TO:<r{n}@b.test>" for n in range(11)]
        replies = await client.say("MAIL FROM:<me@a.test>", *rcpts)
        assert codes(replies) == ["250"] * 11 + ["450"]
        assert replies[-1].startswith("450 4.7.1 Too many recipients for now, try again in ")
    async with Client(house.port) as client:
        await client.greet()
        assert (await client.deliver(b"x\r\n", *[f"r{n}@b.test" for n in range(20)])).startswith("250 ")


async def test_i7_an_address_that_has_failed_too_often_is_not_let_try(make_house: MakeHouse) -> None:
    """New connections do not help, and the right password neither, until the window is over."""
    house = await make_house(users=True, tls=True, max_auth_failures_per_address=4, auth_failure_window="1h")
    for _ in range(2):
        async with Client(house.port) as client:
            await client.greet()
            await client.secure()
            for _ in range(2):
                assert codes(await client.say(f"AUTH PLAIN {plain(NAME, 'wrong')}")) == ["535"]
    async with Client(house.port) as client, Client(house.port, "127.0.0.9") as other:
        for each, code in ((client, "454"), (other, "235")):
            await each.greet()
            await each.secure()
            assert codes(await each.say(f"AUTH PLAIN {plain(NAME, PASSWORD)}")) == [code]


@pytest.mark.parametrize(
    "line",
    ["AUTH PLAIN " + "A" * 3000, "AUTH PLAIN ====", "AUTH PLAIN \xff", "AUTH PLAIN a b",
     "AUTH", "AUTH CRAM-MD5", "AUTH plain ="],
)  # fmt: skip
async def test_i7_whatever_is_said_to_auth_opens_nothing(make_house: MakeHouse, line: str) -> None:
    """Long, empty, wrong and unknown ones are answered, and the session goes on."""
    house = await make_house(users=True, tls=True, relay_networks=[])
    async with Client(house.port) as client:
        await client.greet()
        await client.secure()
        replies = await client.say(line, "MAIL FROM:<me@a.test>")
        assert replies[0][0] == "5"
        assert replies[1].startswith("530 5.7.0 ")


async def test_i7_an_endless_answer_ends_the_connection(make_house: MakeHouse) -> None:
    """It fills no memory, and is no command."""
    house = await make_house(users=True, tls=True)
    async with Client(house.port) as client:
        await client.greet()
        await client.secure()
        assert codes(await client.say("AUTH LOGIN")) == ["334"]
        client.send(b"A" * 300_000 + b"\r\n")
        assert (await client.reply()).startswith("500 5.5.6 ")
        assert await client.reply() == ""


async def test_i1_auth_on_one_connection_opens_no_other(make_house: MakeHouse) -> None:
    """Who has logged in here is a stranger there; what failed opens nothing; AUTH stands before MAIL, and once."""
    house = await make_house(users=True, tls=True, relay_networks=[])
    async with Client(house.port) as known, Client(house.port) as stranger:
        for client in (known, stranger):
            await client.greet()
            await client.secure()
        assert codes(await known.say(f"AUTH PLAIN {plain(NAME, PASSWORD)}", "MAIL FROM:<me@a.test>")) == ["235", "250"]
        assert codes(await known.say(f"AUTH PLAIN {plain(NAME, PASSWORD)}")) == ["503"]
        assert codes(await stranger.say(f"AUTH PLAIN {plain(NAME, 'no')}", "MAIL FROM:<me@a.test>")) == ["535", "530"]


async def test_backpressure_refuses_mail_for_now_and_keeps_what_was_begun(house: House) -> None:
    """Where there is no room MAIL is answered 452 4.3.1 with the reason, and taken as soon as there is."""
    pressure = house.acceptance._pressure = Pressure(house.settings, house.spool)
    async with Client(house.port) as client:
        await client.greet()
        await client.begin()
        pressure.why = "the disk is nearly full"
        client.send(b"x\r\n.\r\n")
        assert codes([await client.reply()]) == ["250"]
        assert await client.say("MAIL FROM:<me@a.test>") == [
            "452 4.3.1 Not now, the disk is nearly full: try again later"
        ]
        await pressure.look()
        assert (await client.deliver()).startswith("250 ")


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"min_free": "1000000GiB"}, "the disk is nearly full"),
        ({"max_queued": 2}, "the queue is full"),
        ({"max_queued": 3}, ""),
    ],
)
async def test_room_is_what_disk_and_queue_leave(house: House, limits: dict[str, object], why: str) -> None:
    """Two recipients that wait count; what has ended does not."""
    spool = house.settings.spool.model_validate({"min_free": "1MiB", **limits})
    pressure = Pressure(house.settings.model_copy(update={"spool": spool}), house.spool)
    await pressure.look()
    assert pressure.why == (why if "disk" in why else "")
    async with Client(house.port) as client:
        await client.greet()
        await client.deliver(b"x\r\n", "one@b.test", "two@b.test")
    await pressure.look()
    assert pressure.why == why


async def test_i10_a_flood_of_connections_leaves_room_for_others(make_house: MakeHouse) -> None:
    """However many come from one address, only so many are let in, and another address is served."""
    house = await make_house(max_connections=60, max_connections_per_address=20)
    flood = [Client(house.port) for _ in range(200)]
    async with asyncio.TaskGroup() as group:
        for client in flood:
            group.create_task(client.__aenter__())
    banners = [await client.reply() for client in flood]
    assert sum(banner.startswith("220 ") for banner in banners) == 20
    assert sum(banner.startswith("421 4.7.0 ") for banner in banners) == 180
    async with Client(house.port, "127.0.0.5") as client:
        await client.greet()
        assert (await client.deliver()).startswith("250 ")
    for client in flood:
        await client.__aexit__()
    await house.until_left()


async def test_i10_an_idle_handshake_is_counted_and_ends(make_house: MakeHouse) -> None:
    """A client that connects to the TLS listener and says nothing holds a place only for a while."""
    house = await make_house(
        tls=True, listen=[], listen_tls=["127.0.0.1:0"], max_connections_per_address=1, command_timeout="300ms"
    )
    async with Client(house.port) as idle:
        async with Client(house.port) as other:
            assert await other.reply() == ""  # no place, and no word in clear text
        assert await idle.reply() == ""
    await house.until_left()


async def test_every_reply_has_an_enhanced_code(house: House) -> None:
    """RFC 2034: of 2yz, 4yz and 5yz to a client that has said EHLO, those of aiosmtpd included."""
    async with Client(house.port) as client:
        await client.greet()
        commands = [
            "NOOP",
            "RSET",
            "VRFY x",
            "EXPN x",
            "HELP",
            "XYZZY",
            "",
            "DATA",
            "BDAT 0",
            "STARTTLS",
            "AUTH",
            "QUIT",
        ]
        for reply in await client.say(*commands):
            code, status, text = reply.split(" ", 2)
            assert status.count(".") == 2
            assert status[0] == code[0]
            assert text
