"""What nobody may read: passwords and tokens stand in no log, event, metric or answer, and the spool is its owner's."""

from __future__ import annotations

import asyncio
import base64
import smtplib
import ssl
from typing import TYPE_CHECKING

from sender.intake.tokens import digest, new_token
from sender.intake.users import hash_password
from tests.dialogs.api.client import call
from tests.dialogs.client import CERTIFICATE
from tests.scenes.processes import Served

if TYPE_CHECKING:
    from tests.scenes.world import World

_PASSWORD, _WRONG = "open-sesame-17", "not-sesame-18"


def _log_in(port: int, password: str) -> int:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test") as client:
        client.starttls(context=context)
        client.ehlo()
        plain = base64.b64encode(f"\0ann\0{password}".encode()).decode()
        code, _ = client.docmd("AUTH", f"PLAIN {plain}")
        return code


async def test_secrets_are_nowhere_to_be_read(world: World) -> None:
    """Neither the right ones nor the wrong ones, as they are or as they were sent."""
    token = new_token()
    (world.folder / "users.toml").write_text(f'ann = "{hash_password(_PASSWORD)}"\n')
    (world.folder / "tokens.toml").write_text(f'[shop]\ntoken = "{digest(token)}"\nscopes = ["send"]\n')
    config = world.configure(
        {
            "smtp": {"users_file": "users.toml", "tls_cert": str(CERTIFICATE), "tls_key": str(CERTIFICATE)},
            "http": {"tokens_file": "tokens.toml"},
            "events": {"file": "events.jsonl"},
        }
    )
    answers = []
    async with Served(config) as served:
        await served.ready()
        for password, code in ((_PASSWORD, 235), (_WRONG, 535)):
            assert await asyncio.to_thread(_log_in, world.smtp_port, password) == code
        for shown, status in ((token, 422), (f"{token}x", 401)):
            headers = {"Authorization": f"Bearer {shown}", "Content-Type": "application/json"}
            answer = await call(world.http_port, "POST", "/v1/messages", {"to": "a@b.test"}, headers)
            assert answer.status == status
            answers.append(str(answer.json))
        _, metrics = await world.get("/metrics")
        read = [served.log, metrics.decode(), *answers, (world.folder / "events.jsonl").read_text()]
    sent = [base64.b64encode(f"\0ann\0{password}".encode()).decode() for password in (_PASSWORD, _WRONG)]
    secrets = [_PASSWORD, _WRONG, token, *sent]
    assert [secret for secret in secrets if any(secret in text for text in read)] == []
    assert "wrong name or password from 127.0.0.1" in served.log


async def test_the_spool_is_its_owners(world: World) -> None:
    """No file of it can be read by others, whatever the umask of the daemon is."""
    await world.start({"spool": {"url": "sqlite:spool/spool.db"}})
    files = [path for path in world.settings.spool_path.parent.iterdir() if path.is_file() or path.is_fifo()]
    assert {path.name for path in files} >= {"spool.db", "spool.db-wal", "spool.db-lock", "spool.db-wake"}
    assert [path.name for path in files if path.stat().st_mode & 0o077] == []
    assert not world.settings.spool_path.parent.stat().st_mode & 0o066
