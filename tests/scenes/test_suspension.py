"""What operators hold stays held, whatever happens meanwhile; what they let go goes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from sender.sandbox import Behaviour
from sender.spool.contract import State

if TYPE_CHECKING:
    from tests.scenes.world import World

_SELECTIONS = {
    "domain": ("--domain", "held.test"),
    "site": ("--site", "mx.held.test"),
    "source": ("--source", "default"),
    "stream": ("--stream", "default"),
    "all": ("--all",),
}


@pytest.mark.parametrize("kind", _SELECTIONS)
async def test_a_selection_is_held_and_resumed(world: World, kind: str) -> None:
    """Mail of a suspended selection waits without an attempt; resumed, it goes; each command counts what it touched."""
    receiver = await world.site("held.test")
    await world.start()
    await world.send("before@held.test")
    await world.until_empty()
    code, text = await world.command("suspend", *_SELECTIONS[kind], "--reason", "maintenance")
    assert (code, text) == (0, "0 recipients\n")
    await world.submit([world.message(f"user{number}@held.test") for number in range(30)])
    other = await world.site("other.test")
    if kind in {"domain", "site"}:
        await world.send("user@other.test")
        await world.until("the other domain goes on", lambda: other.tally.messages == 1)
    queue = await world.json("queue")
    assert (queue["suspended"] if kind != "source" else queue["queued"]) == 30
    assert receiver.tally.messages == 1
    code, text = await world.command("resume", *_SELECTIONS[kind])
    assert (code, text) == (0, "30 recipients\n")
    await world.until_empty()
    assert receiver.tally.messages == 31
    assert world.books().most_attempts == 1


@pytest.mark.parametrize("kind", ["domain", "stream", "site", "all"])
async def test_a_suspension_stops_a_busy_lane(world: World, kind: str) -> None:
    """A selection that is suspended while its mail comes and goes stops within the transactions that are open."""
    receiver = await world.site("held.test")
    await world.start({"window": {"start": 3, "max": 3}})
    messages = [world.message(f"user{number}@held.test") for number in range(400)]
    submitting = asyncio.create_task(world.submit(messages))
    for _ in range(3):
        before = receiver.tally.messages
        await world.until("the lane is busy", lambda before=before: receiver.tally.messages >= before + 30)  # type: ignore[misc]
        code, _ = await world.command("suspend", *_SELECTIONS[kind])
        assert code == 0
        await world.until("no session is open", lambda: receiver.tally.sessions_open == 0)
        await world.until("nothing is claimed", lambda: world.books().states[State.CLAIMED] == 0)
        taken, accepted = receiver.tally.messages, world.books().totals["accepted"]
        await world.until(
            "more comes in",
            lambda accepted=accepted: submitting.done() or world.books().totals["accepted"] > accepted + 30,  # type: ignore[misc]
        )
        assert receiver.tally.messages == taken
        await world.command("resume", *_SELECTIONS[kind])
    await submitting
    await world.until_empty()
    assert receiver.tally.messages == 400
    assert world.books().most_attempts == 1


async def test_a_suspended_domain_does_not_ride_along(world: World) -> None:
    """A recipient of a suspended domain stays when another domain of the same site takes its message."""
    receiver = await world.receiver("mx.shared.test")
    for domain in ("free.test", "held.test"):
        world.dns.mx(domain, [(10, "mx.shared.test")])
    await world.start()
    await world.send("a@free.test", "b@held.test")
    await world.until_empty()
    await world.command("suspend", "--domain", "held.test")
    message_id = await world.send("a@free.test", "b@held.test")
    await world.until("the free one is there", lambda: receiver.tally.recipients >= 3)
    await world.until("nothing is claimed", lambda: world.books().states[State.CLAIMED] == 0)
    states = [recipient["state"] for recipient in (await world.json("message", message_id))["recipients"]]
    assert states == ["delivered", "suspended"]
    assert receiver.tally.recipients == 3
    await world.command("resume", "--domain", "held.test")
    await world.until_empty()


async def test_a_suspension_ends_by_itself(world: World) -> None:
    """Mail that is suspended for a time goes when that time is over, a domain's and a single message's alike."""
    receiver = await world.site("held.test", Behaviour(full_prefixes=("user",)))
    await world.start({"retry": {"schedule": ["1h"]}, "events": {"file": "events.jsonl"}})
    message_id = await world.send("user@held.test")
    await world.until("it is deferred", lambda: world.books().most_attempts == 1)
    receiver.behaviour = Behaviour()
    for selection, touched in ((("--message", message_id), 1), (("--domain", "held.test"), 1)):
        assert (await world.command("suspend", *selection, "--for", "1s"))[1] == f"{touched} recipient\n"
    code, _ = await world.command("suspend", "--domain", "held.test", "--for", "soon")
    assert code == 2
    await world.until_empty()
    assert receiver.tally.messages == 1
    await world.stop()
    events = [json.loads(line) for line in (world.folder / "events.jsonl").read_text().splitlines()]
    resumed = [event for event in events if event["event"] == "resumed"]
    assert [event["reason"] for event in resumed] == ["its time is over"] * 2
    assert {event.get("domain") or event.get("message_id") for event in resumed} == {"held.test", message_id}


async def test_a_suspended_message_stays_so_over_a_restart(world: World) -> None:
    """A suspended message is held over a restart and a crash, beside mail of its domain; resumed, it goes."""
    receiver = await world.site("held.test", Behaviour(full_prefixes=("user",)))
    await world.start({"retry": {"schedule": ["1h"]}})
    held = await world.send("user@held.test")
    await world.until("it is deferred", lambda: world.books().most_attempts == 1)
    await world.command("suspend", "--message", held)
    await world.stop()
    await world.start()
    assert (await world.json("message", held))["recipients"][0]["state"] == "suspended"
    await world.send("user2@held.test")
    await world.until("another one is deferred", lambda: world.books().states[State.QUEUED] == 1)
    await world.command("resume", "--message", held)
    await world.until("both have been tried", lambda: len(_attempts(world)) == 2 and sum(_attempts(world)) == 3)
    receiver.behaviour = Behaviour()
    assert (await world.command("retry", "--all"))[1] == "2 recipients\n"
    await world.until_empty()
    assert receiver.tally.messages == 2


async def test_a_suspension_that_ended_while_nobody_ran_has_ended(world: World) -> None:
    """A message whose suspension runs out while no daemon runs goes at the next start."""
    receiver = await world.site("held.test", Behaviour(full_prefixes=("user",)))
    await world.start({"retry": {"schedule": ["1h"]}})
    held = await world.send("user@held.test")
    await world.until("it is deferred", lambda: world.books().most_attempts == 1)
    await world.command("suspend", "--message", held, "--for", "1s")
    until_at = asyncio.get_running_loop().time() + 1.0
    await world.stop()
    receiver.behaviour = Behaviour()
    await world.until("the time is over", lambda: asyncio.get_running_loop().time() > until_at)
    await world.start()
    await world.until_empty()
    assert receiver.tally.messages == 1


async def test_a_message_that_is_being_tried_is_held_afterwards(world: World) -> None:
    """A message that is suspended while it is being tried, and is deferred then, is held."""
    receiver = await world.site("held.test", Behaviour(full_prefixes=("user",), latency_s=0.5))
    await world.start()
    message_id = await world.send("user@held.test")
    await world.until("the answer is on its way", lambda: receiver.tally.rejected_recipients == 1)
    await world.command("suspend", "--message", message_id)
    await world.until("it was tried", lambda: world.books().most_attempts == 1)
    await world.until("it is held", lambda: world.books().states[State.SUSPENDED] == 1)
    receiver.behaviour = Behaviour()
    await world.command("retry", "--all")
    assert receiver.tally.messages == 0
    await world.command("resume", "--message", message_id)
    await world.until_empty()


async def test_held_mail_is_not_forgotten_beside_delivered_mail(world: World) -> None:
    """A message that was held over a restart is tried again, though later mail of its queue is delivered first."""
    receiver = await world.site("held.test", Behaviour(full_prefixes=("user", "later")))
    await world.start({"retry": {"schedule": ["1h"]}, "window": {"max": 1, "start": 1}})
    held = await world.send("user@held.test")
    await world.until("it is deferred", lambda: world.books().most_attempts == 1)
    await world.command("suspend", "--message", held)
    await world.stop()
    await world.start({"retry": {"schedule": ["500ms"]}, "window": {"max": 1, "start": 1}})
    await world.command("suspend", "--domain", "held.test")
    await world.send("later@held.test")
    receiver.behaviour = Behaviour(full_prefixes=("user",), latency_s=0.1)
    await world.command("resume", "--message", held)
    await world.command("resume", "--domain", "held.test")
    await world.until("the one is delivered, the other deferred", lambda: sum(_attempts(world)) >= 3)
    assert not world.daemon.emptied.is_set()
    receiver.behaviour = Behaviour()
    await world.until_empty()
    assert receiver.tally.messages == 2


def _attempts(world: World) -> list[int]:
    database = world.database()
    try:
        return [attempts for (attempts,) in database.execute("SELECT attempts FROM recipients")]
    finally:
        database.close()
