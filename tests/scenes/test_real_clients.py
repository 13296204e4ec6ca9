"""Programs that others have written submit to a daemon of its own process, which delivers what they sent.

With STARTTLS and with TLS from the first byte, AUTH PLAIN and LOGIN, DSN and 8-bit content.
"""

from __future__ import annotations

import asyncio
import json
import re
import smtplib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from sender.intake.users import hash_password
from sender.sandbox import Behaviour
from tests.dialogs.client import CERTIFICATE
from tests.scenes.processes import Served
from tests.servers import Msmtp, PostfixSender, require
from tests.servers.process import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from sender.sandbox import Receiver
    from tests.scenes.world import World

_USER, _PASSWORD = "ann", "sesame"
_FROM, _RCPTS = "ann@origin.test", ("bo@site.test", "cy+x=1@site.test")
_HEADERS = (
    b"From: Ann <ann@origin.test>\r\nTo: bo@site.test\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n"
    b"Date: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@origin.test>\r\n"
)
# Dots, white space that ends lines, every byte that a line may have, and the longest line there is.
_BODY = (
    b"\r\n.\r\n..\r\n.x\r\ntabs\t\r\nspaces  \r\n\r\n"
    + bytes(byte for byte in range(1, 256) if byte not in b"\r\n")
    + b"\r\n"
    + b"\xc3\xa4" * 499
    + b"\r\n"
)
_CONTENT = _HEADERS + _BODY
_OURS = re.compile(rb"Received: from [^\r]*(?:\r\n\t[^\r]*)*\r\n")
_ASKED = ["NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bo+2B1@origin.test", "NOTIFY=DELAY"]
_WAYS = pytest.mark.parametrize(
    ("mechanism", "implicit_tls"),
    [("PLAIN", False), ("LOGIN", False), ("PLAIN", True), ("LOGIN", True)],
    ids=["plain-starttls", "login-starttls", "plain-tls", "login-tls"],
)


class Submissions:
    """A daemon that takes mail from a user under TLS, and nothing from anybody else; and what it made of that."""

    def __init__(self, world: World, receiver: Receiver, tls_port: int) -> None:
        self._world = world
        self._receiver = receiver
        self._tls_port = tls_port

    def address(self, *, implicit_tls: bool) -> tuple[str, int]:
        """Tell where to submit."""
        return "127.0.0.1", self._tls_port if implicit_tls else self._world.smtp_port

    async def arrived(self) -> bytes:
        """Wait for the one message that there is; give its content without our own line."""
        await self._world.until("it has arrived", lambda: bool(self._receiver.arrivals))
        await self._world.until_empty()
        (arrival,) = self._receiver.arrivals
        assert (arrival.mail_from, sorted(arrival.rcpt_tos)) == (_FROM, sorted(_RCPTS))
        match = _OURS.match(arrival.content)
        assert match is not None, arrival.content
        assert b"by sender.test (sender " in match[0]
        assert b" with ESMTPSA id " in match[0]
        return arrival.content[match.end() :]

    def told(self) -> tuple[str, str, list[str]]:
        """Read what the receiver was asked for: RET, ENVID, and of each recipient."""
        (arrival,) = self._receiver.arrivals
        rcpts = zip(arrival.rcpt_tos, arrival.rcpt_parameters, strict=True)
        dsn = [" ".join(f"{key}={value}" for key, value in parameters.items()) for _, parameters in sorted(rcpts)]
        return arrival.parameters["RET"], arrival.parameters["ENVID"], dsn

    def asked(self) -> tuple[dict[str, object], list[str]]:
        """Read what was asked for from the spool: of the message, and of each recipient."""
        with self._world.database() as database:
            ((options,),) = database.execute("SELECT options FROM messages").fetchall()
            rows = database.execute("SELECT dsn FROM recipients ORDER BY rcpt_to").fetchall()
        return json.loads(options), [dsn for (dsn,) in rows]


@pytest.fixture
async def submissions(world: World) -> AsyncIterator[Submissions]:
    """Give a daemon that runs, with a user."""
    async with _daemon(world) as submissions:
        yield submissions


@asynccontextmanager
async def _daemon(world: World) -> AsyncIterator[Submissions]:
    receiver = await world.site("site.test", Behaviour(dsn=True), keep_arrivals=True)
    tls_port = free_port()
    (world.folder / "users.toml").write_text(f'{_USER} = "{hash_password(_PASSWORD)}"\n')
    smtp = {
        "listen_tls": [f"127.0.0.1:{tls_port}"],
        "relay_networks": [],
        "users_file": "users.toml",
        "tls_cert": str(CERTIFICATE),
        "tls_key": str(CERTIFICATE),
    }
    async with Served(world.configure({"smtp": smtp})) as served:
        await served.ready()
        yield Submissions(world, receiver, tls_port)


def _with_smtplib(address: tuple[str, int], mechanism: str, content: bytes, *, implicit_tls: bool) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client: smtplib.SMTP
    if implicit_tls:
        client = smtplib.SMTP_SSL(*address, local_hostname="client.test", timeout=30, context=context)
    else:
        client = smtplib.SMTP(*address, local_hostname="client.test", timeout=30)
    with client:
        if not implicit_tls:
            client.starttls(context=context)
        client.ehlo()
        client.user, client.password = _USER, _PASSWORD
        client.auth(mechanism, client.auth_plain if mechanism == "PLAIN" else client.auth_login)
        assert client.mail(_FROM, ["BODY=8BITMIME", "RET=HDRS", "ENVID=a+2Bb"])[0] == 250
        for rcpt_to, asked in zip(_RCPTS, _ASKED, strict=True):
            assert client.docmd(f"RCPT TO:<{rcpt_to}>", asked)[0] == 250
        code, text = client.data(content)
        assert code == 250, text


@_WAYS
async def test_what_smtplib_submits_is_delivered_as_it_was_sent(
    submissions: Submissions, mechanism: str, *, implicit_tls: bool
) -> None:
    """Byte for byte; what notices are wanted is in the spool, and told to the receiver, of each recipient."""
    address = submissions.address(implicit_tls=implicit_tls)
    await asyncio.to_thread(_with_smtplib, address, mechanism, _CONTENT, implicit_tls=implicit_tls)
    assert await submissions.arrived() == _CONTENT
    assert submissions.told() == ("HDRS", "a+2Bb", _ASKED)
    assert submissions.asked() == ({"returns": "HDRS", "envelope_id": "a+2Bb", "submitter": _USER}, _ASKED)


async def test_date_and_message_id_are_added_where_they_are_missing(submissions: Submissions) -> None:
    """And nothing else is, and nothing where they are not."""
    bare = b"From: ann@origin.test\r\nSubject: x\r\n" + _BODY
    address = submissions.address(implicit_tls=False)
    await asyncio.to_thread(_with_smtplib, address, "PLAIN", bare, implicit_tls=False)
    content = await submissions.arrived()
    added = content.removesuffix(bare)
    assert re.fullmatch(rb"Date: [^\r]* GMT\r\nMessage-ID: <[^\r]*@sender\.test>\r\n", added), content


@_WAYS
async def test_what_msmtp_submits_is_delivered_as_it_was_sent(
    submissions: Submissions, mechanism: str, *, implicit_tls: bool
) -> None:
    """It asks for the same notices for all, and for headers back."""
    require(Msmtp)
    address = submissions.address(implicit_tls=implicit_tls)
    client = Msmtp(address, user=_USER, password=_PASSWORD, mechanism=mechanism, implicit_tls=implicit_tls)
    dsn = ("--dsn-notify=failure,delay", "--dsn-return=hdrs")
    await client.send(_FROM, _RCPTS, _CONTENT.replace(b"\r\n", b"\n"), *dsn)
    assert await submissions.arrived() == _CONTENT
    options, asked = submissions.asked()
    assert options == {"returns": "HDRS", "submitter": _USER}
    assert asked == ["NOTIFY=FAILURE,DELAY"] * 2


@_WAYS
async def test_what_postfix_relays_is_delivered_as_it_was_sent(
    submissions: Submissions, tmp_path: Path, mechanism: str, *, implicit_tls: bool
) -> None:
    """Its own line comes before ours; what its client asked it for it asks us for."""
    require(PostfixSender)
    host, port = submissions.address(implicit_tls=implicit_tls)
    passwords = tmp_path / "passwords"
    passwords.write_text(f"[{host}]:{port} {_USER}:{_PASSWORD}\n")
    settings = {
        "smtp_sasl_auth_enable": "yes",
        "smtp_sasl_password_maps": f"texthash:{passwords}",
        "smtp_sasl_security_options": "noanonymous",
        "smtp_sasl_mechanism_filter": mechanism.lower(),
        "smtp_tls_security_level": "encrypt",
        "smtp_tls_wrappermode": "yes" if implicit_tls else "no",
        "smtp_destination_recipient_limit": "50",
    }
    async with PostfixSender((host, port), settings) as postfix:
        await asyncio.to_thread(_to_postfix, postfix.address)
        await postfix.drained()
        content = await submissions.arrived()
        match = _OURS.match(content)
        assert match is not None, content
        assert b"by postfix-sender.test (Postfix) with ESMTP id " in match[0]
        assert content[match.end() :] == _CONTENT
        assert submissions.asked() == (
            {"returns": "HDRS", "envelope_id": "a+2Bb", "submitter": _USER},
            [_ASKED[0], f"{_ASKED[1]} ORCPT=rfc822;cy+2Bx+3D1@site.test"],
        )
        assert f"sasl_method={mechanism}" in postfix.log or "status=sent (250 2.0.0 Queued as" in postfix.log


def _to_postfix(address: tuple[str, int]) -> None:
    with smtplib.SMTP(*address, local_hostname="client.test", timeout=30) as client:
        client.ehlo()
        assert client.mail(_FROM, ["BODY=8BITMIME", "RET=HDRS", "ENVID=a+2Bb"])[0] == 250
        for rcpt_to, asked in zip(_RCPTS, _ASKED, strict=True):
            assert client.docmd(f"RCPT TO:<{rcpt_to}>", asked)[0] == 250
        code, text = client.data(_CONTENT)
        assert code == 250, text


async def test_every_handshake_of_tls_from_the_first_byte_on_succeeds(submissions: Submissions) -> None:
    """However soon the first byte comes behind the connection."""
    address = submissions.address(implicit_tls=True)

    def handshakes() -> list[int]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        codes = []
        for _ in range(30):
            with smtplib.SMTP_SSL(*address, local_hostname="client.test", timeout=10, context=context) as client:
                codes.append(client.noop()[0])
        return codes

    assert await asyncio.to_thread(handshakes) == [250] * 30


async def test_i1_nobody_relays_who_is_not_a_user(submissions: Submissions, world: World) -> None:
    """Without a password, with a wrong one, and with a right one in clear text nothing is taken."""
    address = submissions.address(implicit_tls=False)

    def attempts() -> list[int]:
        with smtplib.SMTP(*address, local_hostname="client.test", timeout=30) as client:
            client.ehlo()
            refused = [client.mail(_FROM)[0], client.docmd("AUTH PLAIN", "AGFubgBzZXNhbWU=")[0]]
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.starttls(context=context)
            client.ehlo()
            return [*refused, client.mail(_FROM)[0], client.docmd("AUTH PLAIN", "AGFubgBndWVzcw==")[0]]

    assert await asyncio.to_thread(attempts) == [530, 538, 530, 535]
    assert world.books().states.total() == 0
