"""Events as others read them: every kind is as its published schema says, in the file and at a webhook."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import jsonschema_rs

from sender.core.outcome import Reason, Scope
from sender.core.stage import Stage
from sender.events_settings import Kind
from sender.observe.events import SCHEMA
from sender.sandbox import Behaviour
from tests.dialogs.api.client import call
from tests.scenes.hook import SECRET, Hook

if TYPE_CHECKING:
    from tests.scenes.world import World

_KINDS = set(get_args(Kind))
_CONTRACT = {
    *("at", "event", "message_id", "mail_from", "rcpt_to", "domain", "site", "source", "stream", "attempt", "stage"),
    *("code", "enhanced_code", "reply", "reason", "scope", "host", "address", "tls", "queued_s", "session_s", "size"),
    "next_attempt_at",
}
_SCHEMA: dict[str, Any] = json.loads(SCHEMA.read_bytes())


async def _everything(world: World) -> None:
    """Let every kind of event happen."""
    await world.inbox()
    await world.site("ok.test")
    await world.site("capped.test", Behaviour(max_sessions=2, latency_s=0.01))
    await world.site("choosy.test", Behaviour(unknown_prefixes=("nobody",), full_prefixes=("full",)))
    await world.start()
    parts = {"from": "news@origin.test", "subject": "x", "text": "x", "metadata": {"order": 1}, "stream": "orders"}
    for rcpt_to in ("a@ok.test", "nobody@choosy.test", "full@choosy.test", "a@nowhere.test"):
        assert (await call(world.http_port, "POST", "/v1/messages", {**parts, "to": rcpt_to})).status == 202
    await world.submit([world.message(f"user{number}@capped.test") for number in range(60)])
    for selection in (("--domain", "held.test"), ("--source", "default"), ("--site", "mx.held.test"), ("--all",)):
        await world.command("suspend", *selection, "--reason", "a test", "--for", "1h")
        message_id = await world.send("user@held.test")
        await world.command("suspend", "--message", message_id)
        await world.command("resume", "--message", message_id)
        await world.command("delete", "--message", message_id)
        await world.command("resume", *selection)
    await world.until_empty()
    world.notices = world.books().notices


async def test_every_event_is_as_the_schema_says(world: World) -> None:
    """Each kind happens; each event is valid, has no key that is not described, and is the same at the webhook."""
    async with Hook() as hook:
        world.configure(
            {
                "events": {
                    "file": "events.jsonl",
                    "webhook": hook.url,
                    "webhook_secret": SECRET,
                    "webhook_batch_interval": "50ms",
                },
                "retry": {"schedule": ["100ms"], "max_age": "1s"},
            }
        )
        await _everything(world)
        await world.command("lane", "mx.capped.test", "--set-window", "4", "--reason", "they said so")
        published = await call(world.http_port, "GET", "/events.schema.json")
        assert published.json == _SCHEMA
        await world.stop()
    events = [json.loads(line) for line in (world.folder / "events.jsonl").read_text().splitlines()]
    validator = jsonschema_rs.Draft202012Validator(_SCHEMA)
    for event in events:
        problems = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(event)]
        assert problems == [], event
        assert event.keys() <= _properties(event["event"]), event
        assert list(event)[:2] == ["at", "event"]
    assert {event["event"] for event in events} == _KINDS
    assert hook.events == events
    assert all(request.is_signed(SECRET) for request in hook.requests)
    for kind in ("delivered", "deferred", "bounced", "expired", "removed"):
        assert all(event.keys() >= _CONTRACT for event in events if event["event"] == kind)
    sites = {event.get("message_id", "all") for event in events if event["event"] == "suspended"}
    assert len(sites) > 2


def _properties(kind: str) -> set[str]:
    """Name the keys that the schema describes for a kind."""
    definition = _SCHEMA["$defs"][kind]
    found = {"at", *definition["properties"]}
    for base in definition.get("allOf", ()):
        found |= _properties(base["$ref"].rpartition("/")[2])
    return found


def test_the_schema_has_the_words_of_the_code() -> None:
    """Kinds, reasons, scopes and stages are those that there are."""
    definitions = _SCHEMA["$defs"]
    attempt = definitions["attempt"]["properties"]
    assert set(_SCHEMA["properties"]["event"]["enum"]) == _KINDS
    assert [one["$ref"].rpartition("/")[2] for one in _SCHEMA["oneOf"]] == _SCHEMA["properties"]["event"]["enum"]
    assert attempt["reason"]["enum"] == [*map(str, Reason), None]
    assert attempt["scope"]["enum"] == [*map(str, Scope)]
    assert attempt["stage"]["enum"] == [*map(str, Stage), None]
    assert definitions["window"]["properties"]["stage"]["enum"] == [*map(str, Stage), ""]
    jsonschema_rs.meta.validate(_SCHEMA)
