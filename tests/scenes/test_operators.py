"""The commands of operators, with a daemon that runs and with none."""

from __future__ import annotations

import email
import json
from typing import TYPE_CHECKING

import pytest

from sender.sandbox import Behaviour
from sender.spool.contract import State

if TYPE_CHECKING:
    from tests.scenes.world import World

_QUEUE = {"queued", "due", "deferred", "suspended", "in_flight", "oldest_age_s", "domains"}
_DOMAIN = {"domain", "site", "queued", "oldest_age_s", "last_reply"}
_LANE = {
    *("name", "source", "site", "window", "max_window", "sessions", "queued", "deferred", "delivered_per_minute"),
    *("deferrals_per_minute", "state", "blocked_by", "next_change_at", "history"),
}
_MESSAGE = {"id", "mail_from", "stream", "accepted_at", "size", "recipients"}
_RECIPIENT = {"rcpt_to", "state", "attempts", "next_attempt_at", "waiting_for", "history"}
_SLOW = {"retry": {"schedule": ["1h"]}}


async def _with_deferred(world: World, count: int) -> list[str]:
    """Start a daemon with so many deferred messages to full.test; give their ids."""
    await world.site("full.test", Behaviour(full_prefixes=("user",)))
    await world.start(_SLOW)
    ids = await world.submit([world.message(f"user{number}@full.test") for number in range(count)])
    await world.until("they are deferred", lambda: _deferred(world) == count)
    return ids


def _deferred(world: World) -> int:
    database = world.database()
    try:
        (count,) = database.execute("SELECT count(*) FROM recipients WHERE state = 0 AND attempts > 0").fetchone()
        return int(count)
    finally:
        database.close()


@pytest.mark.parametrize("runs", [True, False], ids=["daemon", "offline"])
async def test_reading_commands_have_the_keys_of_the_contract(world: World, runs: bool) -> None:  # noqa: FBT001
    """`queue`, `lanes`, `lane` and `message` show the contract's keys, as text and as JSON, daemon or none."""
    (message_id, *_) = await _with_deferred(world, 3)
    if not runs:
        await world.stop()
    queue = await world.json("queue", "--domain", "FULL.test")
    assert queue.keys() >= _QUEUE
    (domain,) = queue["domains"]
    assert domain.keys() >= _DOMAIN
    assert (domain["site"], domain["queued"], "mailbox full" in domain["last_reply"]) == ("mx.full.test", 3, True)
    assert (queue["queued"], queue["due"], queue["deferred"]) == (3, 0, 3)
    assert (await world.json("queue", "--domain", "elsewhere.test"))["queued"] == 0
    (lane,) = await world.json("lanes")
    assert lane.keys() >= _LANE
    assert (lane["name"], lane["queued"], lane["deferred"]) == ("default/mx.full.test", 3, 3)
    assert (await world.json("lane", "mx.full.test"))["name"] == lane["name"]
    if runs:
        (brief,) = json.loads((await world.get("/v1/lanes?brief=1"))[1])["lanes"]
        assert brief.keys() == lane.keys() - {"history", "taught", "tried", "paced", "last_refusal", "explanation"}
    message = await world.json("message", message_id)
    assert message.keys() >= _MESSAGE
    (recipient,) = message["recipients"]
    assert recipient.keys() >= _RECIPIENT
    assert (recipient["state"], recipient["attempts"]) == ("deferred", 1)
    for words, expected in (
        (("queue",), "3 queued (0 due, 3 deferred)"),
        (("lanes",), "default/mx.full.te"),  # the rest is on the next line: the screen is narrow
        (("lane", "default/mx.full.test"), "default/mx.full.test has a window of"),
        (("message", message_id), "It waits until its next attempt, in "),
    ):
        code, text = await world.command(*words)
        assert code == 0
        assert expected in text


@pytest.mark.parametrize("runs", [True, False], ids=["daemon", "offline"])
async def test_mail_is_bounced_and_deleted_by_command(world: World, runs: bool) -> None:  # noqa: FBT001
    """`bounce` tells the sender and `delete` does not; each prints how many recipients it touched."""
    inbox = await world.inbox()
    ids = await _with_deferred(world, 5)
    if not runs:
        await world.stop()
    assert (await world.command("bounce", "--message", ids[0], "--reason", "wrong list"))[1] == "1 recipient\n"
    assert (await world.command("delete", "--message", ids[1]))[1] == "1 recipient\n"
    assert (await world.command("delete", "--domain", "full.test"))[1] == "3 recipients\n"
    assert (await world.command("bounce", "--all"))[1] in {
        "0 recipients\n",
        "1 recipient\n",
    }  # the notice, if it is there yet
    world.notices = 1
    if not runs:
        await world.start()
    await world.until_empty()
    assert world.books().states[State.REMOVED] == 4
    if world.books().states[State.DELIVERED]:
        (notice,) = inbox.arrivals
        assert "wrong list" in email.message_from_bytes(notice.content).as_string()


@pytest.mark.parametrize("runs", [True, False], ids=["daemon", "offline"])
async def test_deferred_mail_is_retried_by_command(world: World, runs: bool) -> None:  # noqa: FBT001
    """`retry` makes deferred mail due now, and says how much."""
    await _with_deferred(world, 4)
    receiver = world.receivers["mx.full.test"]
    receiver.behaviour = Behaviour()
    if not runs:
        await world.stop()
    assert (await world.command("retry", "--site", "mx.full.test"))[1] == "4 recipients\n"
    if not runs:
        await world.start()
    await world.until_empty()
    assert receiver.tally.messages == 4


async def test_a_suspension_that_was_made_offline_is_in_force(world: World) -> None:
    """What is suspended while no daemon runs is held by the next one, and resumed offline it goes with the next."""
    ids = await _with_deferred(world, 3)
    receiver = world.receivers["mx.full.test"]
    receiver.behaviour = Behaviour()
    await world.stop()
    assert (await world.command("suspend", "--message", ids[0]))[1] == "1 recipient\n"
    assert (await world.command("retry", "--all"))[1] == "2 recipients\n"
    await world.start()
    await world.until("the others went", lambda: receiver.tally.messages == 2)
    assert world.books().states[State.SUSPENDED] == 1
    await world.stop()
    assert (await world.command("resume", "--message", ids[0]))[1] == "1 recipient\n"
    await world.start()
    await world.until_empty()
    assert receiver.tally.messages == 3


async def test_deleting_everything_leaves_nothing_to_deliver(world: World) -> None:
    """After `delete --all` a busy lane delivers no more than the transactions that were open."""
    receiver = await world.site("slow.test", Behaviour(latency_s=0.1))
    await world.start({"window": {"start": 5, "max": 5}})
    await world.submit_at_once([world.message(f"user{number}@slow.test") for number in range(200)])
    await world.until("the lane is busy", lambda: receiver.tally.sessions_open == 5)
    _, text = await world.command("delete", "--all")
    then = receiver.tally.messages
    await world.until_empty()
    removed = world.books().states[State.REMOVED]
    assert text == f"{removed} recipients\n"
    assert removed + receiver.tally.messages == 200
    assert receiver.tally.messages <= then + 5


async def test_a_due_message_is_explained_by_its_lane(world: World) -> None:
    """A message that is due and waits says for which lane, how many go before it, and what holds it."""
    await world.site("capped.test", Behaviour(max_sessions=1, latency_s=1.0))
    await world.start()
    ids = await world.submit([world.message(f"user{number}@capped.test") for number in range(40)], sessions=1)

    async def waits() -> bool:
        (recipient,) = (await world.json("message", ids[-1]))["recipients"]
        return (
            recipient["state"] == "queued"
            and "It is due, and waits for its turn in default/mx.capped.test." in recipient["waiting_for"]
            and recipient["attempts"] == 0
        )

    await world.until_true("the last one waits for its lane", waits)
    await world.stop(drain_s=0.0)


async def test_a_lane_that_cannot_connect_says_why(world: World) -> None:
    """`lane` and `message` tell the error of a host that refuses connections."""
    await world.inbox()
    down = await world.site("down.test")
    await down.close()
    await world.start(_SLOW)
    message_id = await world.send("user@down.test")
    await world.until("it was tried", lambda: world.books().most_attempts == 1)
    assert "while connecting" in (await world.lane())["connect_failure"]
    (recipient,) = (await world.json("message", message_id))["recipients"]
    assert (recipient["state"], recipient["history"][0]["reason"]) == ("deferred", "connect_failed")


async def test_what_does_not_exist_is_said_so(world: World) -> None:
    """A lane or message that is not there, a wrong id and an unknown selection are errors with words, not traces."""
    await world.start()
    for words, expected in (
        (("lane", "nowhere.test"), "there is no lane 'nowhere.test'"),
        (("message", "0000000000000"), "there is no message '0000000000000'"),
        (("message", "no-id"), "'no-id' is no message id"),
        (("suspend", "--message", "no-id"), "'no-id' is no message id"),
    ):
        code, text = await world.command(*words)
        assert (code, expected in text) == (1, True), text
    status, body = await world.get("/v1/lanes/nowhere.test")
    assert (status, b'"error":"not_found"' in body) == (404, True)


@pytest.mark.parametrize("runs", [True, False], ids=["daemon", "offline"])
async def test_the_queue_is_shown_by_age_and_a_recipient_is_found(world: World, runs: bool) -> None:  # noqa: FBT001
    """`queue --ages` counts by domain and age, `message --to` lists the messages of an address; daemon or none."""
    (message_id, *_) = await _with_deferred(world, 3)
    if not runs:
        await world.stop()
    ages = await world.json("queue", "--ages", "--domain", "FULL")
    assert (sum(ages["due"]), ages["deferred"][0], ages["domains"][0]["domain"]) == (0, 3, "full.test")
    assert (await world.json("queue", "--ages", "--domain", "elsewhere"))["deferred"][0] == 0
    code, text = await world.command("queue", "--ages")
    assert code == 0
    assert [line.split()[:3] for line in text.splitlines() if line.startswith(("TOTAL", "full.test"))] == [
        ["TOTAL", "3", "3"],
        ["full.test", "3", "3"],
    ]
    (found,) = (await world.json("message", "--to", "USER0@full.test"))["recipients"]
    assert (found["id"], found["state"]) == (message_id, "deferred")
    code, text = await world.command("message", "--to", "user0@full.test")
    assert (code, message_id in text) == (0, True)
    assert (await world.command("message", "--to", "nobody@full.test"))[0] == 1
    assert (await world.command("message"))[0] == 2
    assert (await world.command("message", message_id, "--to", "user0@full.test"))[0] == 2
