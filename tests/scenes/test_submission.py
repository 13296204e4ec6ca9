"""Mail that is sent over HTTP, from the call to the receiver."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import signal
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from sender.clock import Clock
from sender.daemon import Role
from sender.intake.tokens import digest, new_token
from tests.dialogs.api.client import call, connected
from tests.scenes.processes import Served

if TYPE_CHECKING:
    from tests.scenes.world import World

_MEMORY_KB = 100_000
_MANY = 100_000
_KEY = {"Idempotency-Key": "spring"}
_TEMPLATE = {
    "from": "news@origin.test",
    "subject": "Hello {{ name }}",
    "text": "Dear {{ name }}",
    "html": "<p>{{ name }}</p>",
}


def _batch(count: int) -> bytes:
    recipients = [
        {"rcpt_to": f"user{number}@d{number % 100}.test", "substitutions": {"name": f"Nümber {number}"}}
        for number in range(count)
    ]
    return json.dumps({"template": _TEMPLATE, "recipients": recipients}).encode()


async def test_x13_a_blind_copy_reaches_its_recipient_and_nobody_learns_of_it(world: World) -> None:
    """What arrives has no trace of `bcc`: not in a field, and not in `Received`; by content and by parts."""
    receiver = await world.site("ok.test", keep_arrivals=True)
    await world.start()
    parts: dict[str, Any] = {"from": "news@origin.test", "to": "ann@ok.test", "bcc": "secret@ok.test", "text": "hi"}
    content = "From: news@origin.test\r\nTo: ann@ok.test\r\nBcc: secret@ok.test\r\n\r\nhi\r\n"
    written = {"mail_from": "news@origin.test", "rcpt_tos": ["ann@ok.test", "secret@ok.test"], "content": content}
    for body in (parts, written):
        assert (await call(world.http_port, "POST", "/v1/messages", body)).status == 202
    await world.until_empty()
    arrived = [rcpt_to for arrival in receiver.arrivals for rcpt_to in arrival.rcpt_tos]
    assert sorted(arrived) == ["ann@ok.test"] * 2 + ["secret@ok.test"] * 2
    for arrival in receiver.arrivals:
        assert b"secret" not in arrival.content
        assert b"for <" not in arrival.content


async def test_a_batch_arrives(world: World) -> None:
    """Each recipient of a batch gets the message that was made for it."""
    receiver = await world.site("ok.test", keep_arrivals=True)
    await world.start()
    recipients = [
        {"rcpt_to": f"u{number}@ok.test", "substitutions": {"name": f"Nümber {number}"}} for number in range(300)
    ]
    answer = await call(world.http_port, "POST", "/v1/batches", {"template": _TEMPLATE, "recipients": recipients})
    assert answer.json["accepted"] == 300
    await world.until_empty()
    subjects = {}
    for arrival in receiver.arrivals:
        message = email.message_from_bytes(arrival.content, policy=email.policy.default)
        subjects[arrival.rcpt_tos] = message["subject"]
    assert subjects == {(f"u{number}@ok.test",): f"Hello Nümber {number}" for number in range(300)}


async def test_i12_commands_show_the_token_that_they_are_given(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a file of tokens, a command needs --token or $SENDER_TOKEN; the file is what `config new-token` printed."""
    config = str(world.configure())
    code, text = await world.run("config", "new-token", "--config", config)
    token, line = text.splitlines()[0], next(line for line in text.splitlines() if line.startswith("token = "))
    assert (code, line) == (0, f'token = "{digest(token)}"')
    (world.folder / "tokens.toml").write_text(f'[ops]\n{line}\nscopes = ["operate"]\n')
    await world.start({"http": {"tokens_file": "tokens.toml"}})
    assert (await world.run("config", "check", "--config", config))[0] == 0
    for words in (("queue",), ("lanes",), ("suspend", "--all"), ("top", "--once")):
        code, text = await world.command(*words)
        assert (code, "give it with --token or $SENDER_TOKEN" in text) == (1, True), text
        assert (await world.command(*words, "--token", token))[0] == 0
    monkeypatch.setenv("SENDER_TOKEN", token)
    assert (await world.command("resume", "--all"))[0] == 0
    (world.folder / "tokens.toml").write_text(f'[ops]\ntoken = "{new_token()}"\nscopes = ["all"]\n')
    code, text = await world.run("config", "check", "--config", config)
    assert (code, "ops.token" in text, "ops.scopes" in text) == (2, True, True)


def _taken(world: World) -> list[str]:
    with closing(world.database()) as database:
        return [row[0] for row in database.execute("SELECT rcpt_to FROM recipients ORDER BY id")]


async def test_i12_a_batch_survives_the_end_of_its_process(world: World) -> None:
    """A daemon that is killed within a batch leaves whole messages; the repeat takes the others, and none twice."""
    config = world.configure({"http": {"intake_listen": f"127.0.0.1:{world.http_port}"}})
    body = _batch(3000)
    async with Served(config, "--role", "intake") as served:
        await served.ready()
        asking = asyncio.create_task(call(world.http_port, "POST", "/v1/batches", body, _KEY))
        await world.until("some are taken", lambda: len(_taken(world)) >= 500)
        served.signal(signal.SIGKILL)
        await asyncio.gather(asking, return_exceptions=True)
        await served.ended()
    before = _taken(world)
    assert 500 <= len(before) < 3000
    async with Served(config, "--role", "intake") as served:
        await served.ready()
        answer = await call(world.http_port, "POST", "/v1/batches", body, _KEY)
        assert (answer.status, answer.json["accepted"]) == (202, 3000)
        again = await call(world.http_port, "POST", "/v1/batches", body, _KEY)
        assert (again.json, again.headers["idempotent-replayed"]) == (answer.json, "true")
        served.signal(signal.SIGTERM)
        assert await served.ended() == 0
    assert _taken(world) == [f"user{number}@d{number % 100}.test" for number in range(3000)]


async def test_a_hundred_thousand_recipients_take_bounded_memory(world: World) -> None:
    """A batch of 100,000 costs the daemon less than 100 MB of memory, whatever it has read and made of it."""
    config = world.configure({"http": {"intake_listen": f"127.0.0.1:{world.http_port}"}})
    body = _batch(_MANY)
    async with Served(config, "--role", "intake") as served:
        await served.ready()
        assert (await call(world.http_port, "POST", "/v1/batches", _batch(1))).status == 202
        before = served.memory_kb
        async with connected(world.http_port) as line:
            head = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(body))}
            await line.begin("POST", "/v1/batches", head)
            await line.send(body)
            answer = await line.answer(deadline_s=240.0)
        assert (answer.status, answer.json["accepted"]) == (202, _MANY)
        assert served.peak_kb - before < _MEMORY_KB
        served.signal(signal.SIGTERM)
        assert await served.ended() == 0
    with closing(world.database()) as database:
        (recipients, addresses) = database.execute(
            "SELECT count(*), count(DISTINCT rcpt_to) FROM recipients"
        ).fetchone()
    assert (recipients, addresses) == (_MANY + 1, _MANY)


async def test_a_key_is_forgotten_after_its_time(world: World) -> None:
    """What was taken under a key is known for `spool.keep_keys`; after that, the key is as good as new."""
    later_s = 0.0
    world.clock = Clock(wall=lambda: time.time() + later_s)
    parts = {"from": "news@origin.test", "to": "user@ok.test", "text": "hi"}
    await world.site("ok.test")
    await world.start({"spool": {"keep_keys": "1h", "keep_ended": "30d"}})
    first = await call(world.http_port, "POST", "/v1/messages", parts, _KEY)
    await world.until_empty()
    await world.stop()

    later_s = 3000.0
    await world.start()
    for _ in range(5):  # commits, before which the daemon had its chance to forget
        await call(world.http_port, "POST", "/v1/messages", parts)
    assert (await call(world.http_port, "POST", "/v1/messages", parts, _KEY)).json == first.json
    await world.until_empty()
    await world.stop()

    async def is_new() -> bool:
        return bool((await call(world.http_port, "POST", "/v1/messages", parts, _KEY)).json != first.json)

    later_s = 4000.0
    await world.start()
    await world.until_true("it is another message", is_new)
    await world.until_empty()


async def test_a_process_that_only_delivers_takes_nothing(world: World) -> None:
    """Mail that is sent to a delivering process over HTTP is answered 409, with who to ask."""
    await world.start(role=Role.DELIVERY)
    for path in ("/v1/messages", "/v1/batches"):
        answer = await call(world.http_port, "POST", path, {})
        assert answer.error == (409, "")
        assert "ask an accepting one" in answer.json["detail"]
