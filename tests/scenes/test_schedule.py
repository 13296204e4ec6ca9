"""Mail that is to be sent later (RFC 4865): it waits, says so, and has no age until then."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sender.sandbox import Behaviour

if TYPE_CHECKING:
    from tests.scenes.world import World


async def _hold(world: World, rcpt_to: str, *parameters: str) -> str:
    message = world.message(rcpt_to)
    async with world.client() as client:
        _, reply = await client.sendmail(
            message.mail_from, message.rcpt_tos, message.content, mail_options=list(parameters)
        )
    return reply.rpartition(" ")[2]


async def test_scheduled_mail_waits_and_says_for_what(world: World) -> None:
    """Command, call and gauges tell it from mail that is due; it is in no age; `retry` lets it go at once."""
    receiver = await world.site("later.test")
    await world.start({"events": {"file": "events.jsonl"}})
    message_id = await _hold(world, "ann@later.test", "HOLDFOR=7200")
    queue = await world.json("queue")
    assert [queue[name] for name in ("queued", "due", "scheduled", "oldest_age_s")] == [1, 0, 1, 0.0]
    assert [queue["domains"][0][name] for name in ("queued", "scheduled", "oldest_age_s")] == [1, 1, 0.0]
    assert (await world.command("queue"))[1].startswith("1 queued (0 due, 0 deferred, 1 scheduled), 0 suspended")
    message = await world.json("message", message_id)
    assert message["send_at"] == message["recipients"][0]["next_attempt_at"]
    assert message["recipients"][0]["waiting_for"].startswith("It is to be sent at ")
    until = datetime.fromisoformat(message["recipients"][0]["expires_at"])
    assert until - datetime.fromisoformat(message["send_at"]) == timedelta(minutes=10)
    assert "  to be sent at " in (await world.command("message", message_id))[1]
    control = world.daemon.control
    assert control is not None
    survey = await control.survey()
    assert (survey.recipients["scheduled"], survey.recipients["queued"]) == (1, 0)
    assert survey.oldest_s == {}
    assert receiver.tally.messages == 0
    assert await world.command("retry", "--message", message_id) == (0, "1 recipient\n")
    await world.until_empty()
    assert receiver.tally.messages == 1
    events = [json.loads(line) for line in (world.folder / "events.jsonl").read_text().splitlines()]
    assert [event["queued_s"] for event in events if event["event"] == "delivered"] == [0.0]


async def test_scheduled_mail_goes_when_its_time_has_come(world: World) -> None:
    """It goes at its instant, also when the daemon was not there meanwhile, and its age begins there."""
    receiver = await world.site("later.test")
    await world.start()
    message_id = await _hold(world, "ann@later.test", "HOLDFOR=2")
    await world.stop()
    assert receiver.tally.messages == 0
    await world.start({"events": {"file": "events.jsonl"}})
    await world.until_empty()
    assert receiver.tally.messages == 1
    (event,) = [json.loads(line) for line in (world.folder / "events.jsonl").read_text().splitlines()]
    assert event["event"] == "delivered"
    send_at = (await world.json("message", message_id))["send_at"]
    waited = datetime.fromisoformat(event["at"]) - datetime.fromisoformat(send_at)
    assert event["queued_s"] == pytest.approx(waited.total_seconds(), abs=0.002)


async def test_a_sender_hears_when_its_mail_is_late(world: World) -> None:
    """With DELIVERBY in mode N one notice of a delay comes at that time, and the mail goes on."""
    inbox = await world.inbox()
    receiver = await world.site("busy.test", Behaviour(full_prefixes=("ann",)))
    await world.start({"retry": {"schedule": ["1h"], "max_age": "1d"}})
    await _hold(world, "ann@busy.test", "BY=1;N")
    await world.until("the sender has heard", lambda: len(inbox.arrivals) == 1)
    assert b"\r\nAction: delayed\r\n" in inbox.arrivals[0].content
    receiver.behaviour = Behaviour(name="mx.busy.test")
    await world.command("retry", "--domain", "busy.test")
    await world.until_empty()
    assert (receiver.tally.messages, len(inbox.arrivals)) == (1, 1)
    world.notices = 1


async def test_what_a_client_calls_its_mail_comes_back_everywhere(world: World) -> None:
    """Campaign and envelope id stand in events about each recipient, in the call and in the command."""
    await world.site("told.test", Behaviour(unknown_prefixes=("nobody",)))
    await world.start({"events": {"file": "events.jsonl"}})
    message = world.message("ann@told.test", "nobody@told.test")
    async with world.client() as client:
        content = b"X-Sender-Campaign: spring\r\n" + message.content
        _, reply = await client.sendmail("", message.rcpt_tos, content, mail_options=["ENVID=QQ1"])
    message_id = reply.rpartition(" ")[2]
    await world.until_empty()
    lines = [json.loads(line) for line in (world.folder / "events.jsonl").read_text().splitlines()]
    assert sorted((line["event"], line["campaign"]) for line in lines) == [
        *[("accepted", "spring")] * 2,
        ("bounced", "spring"),
        ("delivered", "spring"),
    ]
    shown = await world.json("message", message_id)
    assert (shown["campaign"], shown["envelope_id"]) == ("spring", "QQ1")
    code, text = await world.command("message", message_id)
    assert code == 0
    assert "\n  campaign spring\n" in text
    assert "\n  envelope id QQ1\n" in text
