"""Who may relay: networks that are named, and users under TLS. Everybody else may not."""

from __future__ import annotations

import asyncio
import base64
import smtplib
import ssl
from pathlib import Path

import pytest

from sender.core.errors import ConfigError
from sender.intake.users import TooManyChecksError, Users, hash_password
from tests.dialogs.client import CERTIFICATE, Client, codes, plain
from tests.dialogs.peer import until

from .conftest import MakeHouse
from .house import NAME, PASSWORD, House


@pytest.fixture
async def guarded(make_house: MakeHouse) -> House:
    """Give a listener that relays for users only."""
    return await make_house(users=True, tls=True, relay_networks=[])


async def test_i1_only_named_networks_relay(make_house: MakeHouse) -> None:
    """An address in a named network relays without AUTH, every other one is refused for good."""
    house = await make_house(relay_networks=["127.0.0.8/32"])
    async with Client(house.port, source="127.0.0.8") as client:
        await client.greet()
        assert (await client.deliver()).startswith("250 ")
    async with Client(house.port, source="127.0.0.9") as client:
        await client.greet()
        replies = await client.say("MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>", "DATA")
        assert replies[0].startswith("554 5.7.1 ")
        assert codes(replies[1:]) == ["503", "503"]
    assert len(await house.taken()) == 1


@pytest.mark.parametrize(
    "rcpt_to", ["you@sender.test", "you%b.test@sender.test", "b.test!you@sender.test", '"you@b.test"@sender.test']
)
async def test_i1_no_form_of_address_opens_a_relay(guarded: House, rcpt_to: str) -> None:
    """Without AUTH nothing is taken, to whatever address."""
    async with Client(guarded.port) as client:
        await client.greet()
        replies = await client.say("XCLIENT ADDR=10.0.0.1", "MAIL FROM:<me@a.test>", f"RCPT TO:<{rcpt_to}>", "DATA")
        assert replies[1].startswith("530 5.7.0 ")
        assert codes(replies[2:]) == ["503", "503"]
    assert await guarded.taken() == []


async def test_auth_is_neither_offered_nor_taken_in_clear_text(guarded: House) -> None:
    """Without TLS there is no AUTH, with the right password neither."""
    async with Client(guarded.port) as client:
        offer = await client.greet()
        assert "STARTTLS" in offer
        assert "AUTH" not in offer
        assert codes(await client.say(f"AUTH PLAIN {plain(NAME, PASSWORD)}")) == ["538"]
        assert codes(await client.say("MAIL FROM:<me@a.test>")) == ["530"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "plain", "PLAIN later", "LOGIN", "LOGIN at once"])
async def test_a_user_with_the_right_password_relays(guarded: House, mechanism: str) -> None:
    """AUTH under TLS by each mechanism opens the relay, and the Received line says so."""
    name, password = (base64.b64encode(text.encode()).decode() for text in (NAME, PASSWORD))
    dialogues = {
        "PLAIN": [(f"AUTH PLAIN {plain(NAME, PASSWORD)}", "235")],
        "plain": [(f"auth plain {plain(NAME, PASSWORD)}", "235")],
        "PLAIN later": [("AUTH PLAIN", "334"), (plain(NAME, PASSWORD), "235")],
        "LOGIN": [("AUTH LOGIN", "334"), (name, "334"), (password, "235")],
        "LOGIN at once": [(f"AUTH LOGIN {name}", "334"), (password, "235")],
    }
    async with Client(guarded.port) as client:
        await client.greet()
        await client.secure()
        for line, code in dialogues[mechanism]:
            assert codes(await client.say(line)) == [code]
        assert (await client.deliver()).startswith("250 ")
        assert codes(await client.say(f"AUTH PLAIN {plain(NAME, PASSWORD)}")) == ["503"]
    (message,) = await guarded.taken()
    assert b" with ESMTPSA id " in message.content


@pytest.mark.parametrize(
    "credentials", [plain(NAME, "wrong"), plain("nobody", PASSWORD), plain("", ""), plain(NAME, ""), "AP/+AP/+"]
)
async def test_i7_wrong_credentials_are_all_refused_alike(guarded: House, credentials: str) -> None:
    """A wrong password, an unknown user and unreadable ones get the same answer, and open nothing."""
    async with Client(guarded.port) as client:
        await client.greet()
        await client.secure()
        assert await client.say(f"AUTH PLAIN {credentials}") == ["535 5.7.8 Authentication credentials invalid"]
        assert codes(await client.say("MAIL FROM:<me@a.test>")) == ["530"]


@pytest.mark.parametrize(
    "tries",
    [
        [f"AUTH PLAIN {plain(NAME, 'wrong')}"],
        ["AUTH PLAIN", "*"],
        ["AUTH PLAIN !!!"],
        ["AUTH LOGIN", "!!!"],
    ],
)
async def test_i7_three_failures_end_the_connection(guarded: House, tries: list[str]) -> None:
    """After the third failure, of whatever sort, the client is sent away."""
    async with Client(guarded.port) as client:
        await client.greet()
        await client.secure()
        for _ in range(3):
            for line in tries:
                (reply,) = await client.say(line)
            assert reply[:3] in {"535", "501"}
        assert (await client.reply()).startswith("421 4.7.0 ")
        assert await client.reply() == ""


async def test_i7_guesses_that_are_sent_at_once_are_not_all_tried(guarded: House) -> None:
    """The right password behind three wrong ones in the same segment opens nothing."""
    async with Client(guarded.port) as client:
        await client.greet()
        await client.secure()
        wrong = [f"AUTH PLAIN {plain(NAME, 'wrong')}"] * 3
        right = [
            f"AUTH PLAIN {plain(NAME, PASSWORD)}",
            "MAIL FROM:<me@a.test>",
            "RCPT TO:<you@b.test>",
            "DATA",
            "x\r\n.",
        ]
        replies = await client.say(*wrong, *right)
        assert codes(replies) == ["535"] * 3 + ["421"] + [""] * 4
    assert await guarded.taken() == []


@pytest.mark.parametrize("injected", [b"NOOP\r\n", b"MAIL FROM:<evil@a.test>\r\n", b"x"])
async def test_i6_clear_text_behind_starttls_ends_the_connection(guarded: House, injected: bytes) -> None:
    """What was put behind STARTTLS by somebody else is never executed."""
    async with Client(guarded.port) as client:
        await client.greet()
        client.send(b"STARTTLS\r\n" + injected)
        assert (await client.reply()).startswith("554 5.5.1 ")
        assert await client.reply() == ""


async def test_i6_starttls_begins_the_session_anew(make_house: MakeHouse) -> None:
    """Greeting and envelope from before TLS are forgotten, and STARTTLS is not offered again."""
    house = await make_house(tls=True)
    async with Client(house.port) as client:
        await client.greet()
        await client.say("MAIL FROM:<old@a.test>", "RCPT TO:<old@b.test>")
        assert codes(await client.say("STARTTLS")) == ["220"]
        context = ssl.create_default_context(cafile=str(CERTIFICATE))
        await client.writer.start_tls(context, server_hostname="mx.sandbox.test")
        assert codes(await client.say("RCPT TO:<you@b.test>", "MAIL FROM:<me@a.test>")) == ["503", "503"]
        (offer,) = await client.say("EHLO client.test")
        assert "STARTTLS" not in offer
        assert codes(await client.say("STARTTLS", "DATA")) == ["503", "503"]
        assert (await client.deliver()).startswith("250 ")
    (message,) = await house.taken()
    assert b" with ESMTPS id " in message.content


async def test_a_failed_handshake_frees_its_place(make_house: MakeHouse) -> None:
    """A client that asks for TLS and speaks something else is disconnected, and counts no more."""
    house = await make_house(tls=True, max_connections_per_address=2)
    for _ in range(4):
        async with Client(house.port) as client:
            await client.greet()
            assert codes(await client.say("STARTTLS")) == ["220"]
            client.send(b"this is not TLS\r\n" * 20)
            while await client.reply():
                pass
        await until(lambda: not house.listener._admission._connections)
    async with Client(house.port) as client:
        await client.greet()
        await client.secure()
        assert (await client.deliver()).startswith("250 ")


async def test_a_client_that_leaves_within_the_handshake_frees_its_place(make_house: MakeHouse) -> None:
    """A connection that is reset in place of TLS counts no more."""
    house = await make_house(tls=True)
    for politely in (False, True):
        async with Client(house.port) as client:
            await client.greet()
            assert codes(await client.say("STARTTLS")) == ["220"]
            client.writer.close() if politely else client.reset()
        await until(lambda: not house.listener._admission._connections)


async def test_smtplib_logs_in(guarded: House) -> None:
    """A client of the standard library encrypts, logs in and delivers."""

    def send() -> dict[str, tuple[int, bytes]]:
        context = ssl.create_default_context(cafile=str(CERTIFICATE))
        context.check_hostname = False
        with smtplib.SMTP("127.0.0.1", guarded.port, local_hostname="client.test") as smtp:
            smtp.starttls(context=context)
            smtp.login(NAME, PASSWORD)
            return smtp.sendmail("me@a.test", ["you@b.test"], b"Subject: x\r\n\r\nhello\r\n")

    assert await asyncio.to_thread(send) == {}
    (content,) = await guarded.contents()
    assert content.endswith(b"\r\nSubject: x\r\n\r\nhello\r\n")


async def test_i1_neither_a_proxy_nor_a_header_makes_a_client_trusted(make_house: MakeHouse) -> None:
    """What a client says of its address is its own word: XCLIENT, PROXY and HELO names open nothing."""
    house = await make_house(relay_networks=["10.0.0.0/8"])
    for opening in ("PROXY TCP4 10.0.0.1 10.0.0.2 1 25", "XCLIENT ADDR=10.0.0.1", "XFORWARD ADDR=10.0.0.1"):
        async with Client(house.port) as client:
            await client.reply()
            replies = await client.say(opening, "EHLO [10.0.0.1]", "MAIL FROM:<me@a.test>", "RCPT TO:<you@b.test>")
            assert replies[0].startswith("500 ")
            assert replies[2].startswith("554 5.7.1 ")
            assert codes(replies[3:]) == ["503"]
    assert await house.taken() == []


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("fe80::1%lo", False),
        ("2001:db8::1", False),
        ("", False),
        ("localhost", False),
    ],
)
async def test_i1_the_default_trusts_this_machine_only(house: House, address: str, *, trusted: bool) -> None:
    """Addresses of other machines, however they are written, may not relay."""
    assert house.listener._admission.trusts(address) is trusted


async def test_i7_an_unknown_user_costs_what_a_known_one_does(guarded: House) -> None:
    """The hash that stands for nobody has the cost of a real one, so that time tells no names."""
    users = guarded.listener._admission.users
    assert users is not None
    assert users._nobody.split("$")[:4] == users._hashes[NAME].split("$")[:4]


async def test_i7_a_flood_of_guesses_is_turned_away(guarded: House) -> None:
    """Only so many passwords wait to be checked; who is too many is told to come later, and nothing is opened."""
    users = guarded.listener._admission.users
    assert users is not None
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(_guess(users)) for _ in range(210)]
    found = [one.result() for one in tries]
    assert found.count("too many") == 10
    assert found.count("wrong") == 200


async def _guess(users: Users) -> str:
    try:
        return "right" if await users.check(NAME, "guess") else "wrong"
    except TooManyChecksError:
        return "too many"


async def test_users_and_certificate_are_read_anew(tmp_path: Path, make_house: MakeHouse) -> None:
    """A new user may log in without a restart; a file that cannot be used changes nothing."""
    users_file = tmp_path / "users.toml"
    users_file.write_text(f'bert = "{hash_password("old")}"\n')
    house = await make_house(tls=True, users_file=str(users_file))
    for text, right in ((f'ann = "{hash_password("new")}"\n', "new"), ("no toml", "new")):
        users_file.write_text(text)
        try:
            house.listener.reload()
        except ConfigError:
            assert text == "no toml"
        async with Client(house.port) as client:
            await client.greet()
            await client.secure()
            assert codes(await client.say(f"AUTH PLAIN {plain(NAME, right)}")) == ["235"]
