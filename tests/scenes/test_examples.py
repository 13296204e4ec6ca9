"""The examples of deploy/ are used as they stand there, by the programs that they are for."""

from __future__ import annotations

import asyncio
import re
import smtplib
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sender.intake.users import hash_password
from tests.dialogs.client import CERTIFICATE
from tests.scenes.programs import run
from tests.servers import PostfixSender, require

if TYPE_CHECKING:
    from tests.scenes.world import World

_EXAMPLES = Path(__file__).parents[2] / "deploy/examples"
_DJANGO = """
import runpy, sys
from django.conf import settings
from django.core.mail import EmailMessage
values = {name: value for name, value in runpy.run_path(sys.argv[1]).items() if name.isupper()}
settings.configure(**values)
assert EmailMessage("Hello", "Good news", to=["user@example.net"], headers=values["TRANSACTIONAL"]).send() == 1
"""


def _placed(name: str, world: World) -> str:
    """Give an example with this world's listener, and its files where the test has them."""
    text = (_EXAMPLES / "postfix" / name).read_text()
    address = f"[127.0.0.1]:{world.smtp_port}"
    for there in ("[127.0.0.1]:2525", "[mta.example.com]:587"):
        text = text.replace(there, address)
    return text.replace("/etc/postfix/", f"{world.folder}/")


@pytest.mark.parametrize("name", ["relayhost", "transport", "sasl"])
async def test_postfix_hands_its_mail_over(world: World, name: str) -> None:
    """With the settings of the example and the files that they name, all of it or that for one domain, as a user."""
    require(PostfixSender)
    receiver = await world.site("example.net", keep_arrivals=True)
    smtp: dict[str, object] = {}
    if name == "sasl":
        (world.folder / "users.toml").write_text(f'shop = "{hash_password("the-password")}"\n')
        smtp = {"relay_networks": [], "users_file": "users.toml"}
        smtp |= {"tls_cert": str(CERTIFICATE), "tls_key": str(CERTIFICATE)}
    await world.start({"smtp": smtp})
    settings = dict(re.findall(r"^(\w+) = (.*)$", _placed(f"{name}.cf", world), re.MULTILINE))
    for value in settings.values():
        if value.startswith("texthash:"):
            file = Path(value.removeprefix("texthash:"))
            file.write_text(_placed(file.name, world))
            file.chmod(0o644)
    world.folder.chmod(0o755)
    if name == "transport":
        settings["relayhost"] = ""
    if name == "sasl":
        assert settings["smtp_tls_security_level"] == "secure"
        settings["smtp_tls_security_level"] = "encrypt"  # no authority has signed the certificate of the test
    async with PostfixSender(("127.0.0.1", 1), settings) as postfix:
        await asyncio.to_thread(_send, postfix.address)
        await postfix.drained()
        assert "warning: " not in postfix.log, postfix.log
    await world.until_empty()
    (arrival,) = receiver.arrivals
    assert arrival.rcpt_tos == ("user@example.net",)
    assert f"by {world.settings.hostname}".encode() in arrival.content


def _send(address: tuple[str, int]) -> None:
    with smtplib.SMTP(*address, local_hostname="client.test", timeout=30) as client:
        client.sendmail("shop@example.com", ["user@example.net"], "Subject: hello\n\nGood news.\n")


async def test_django_sends_its_mail(world: World) -> None:
    """With the settings of the example; the headers say which stream a message is of, and go no further."""
    receiver = await world.site("example.net", keep_arrivals=True)
    await world.start()
    script = ("-c", _DJANGO, str(_EXAMPLES / "django_settings.py"))
    ended = await run(sys.executable, *script, environment={"EMAIL_PORT": str(world.smtp_port)})
    assert ended.code == 0, ended.errors
    await world.until_empty()
    (arrival,) = receiver.arrivals
    assert (arrival.mail_from, arrival.rcpt_tos) == ("shop@example.com", ("user@example.net",))
    assert b"X-Sender-" not in arrival.content
    with closing(world.database()) as database:
        rows = database.execute("SELECT stream, priority FROM messages").fetchall()
    assert rows == [("transactional", 0)]
