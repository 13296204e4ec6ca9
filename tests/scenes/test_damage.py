"""X11, X12: mail that a disk or a person has spoilt, and mail under which our own code fails. Others are delivered."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sender.core.identity import id_number
from sender.daemon import Role
from sender.sandbox import Behaviour
from sender.spool.contract import BLOCK, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.scenes.world import World

_LARGE = 3 * BLOCK  # bytes of a message in several blocks

# What is done to the message whose id is :id, and what is found then.
_DAMAGES = {
    "row without content": ("DELETE FROM contents WHERE message_id = :id", "it has no content"),
    "content without row": ("DELETE FROM messages WHERE id = :id", "there are recipients, and no message"),
    "recipients alone": (
        "DELETE FROM messages WHERE id = :id; DELETE FROM contents WHERE message_id = :id",
        "there are recipients, and no message",
    ),
    "truncated": (
        "UPDATE contents SET content = substr(content, 1, length(content) - 7) WHERE message_id = :id",
        "bytes of content, and",
    ),
    "zero-length": ("UPDATE contents SET content = x'' WHERE message_id = :id", "it has 0 bytes of content, and"),
    "flipped byte": (
        "UPDATE contents SET content = CAST(replace(content, 'Good', 'God!') AS BLOB) WHERE message_id = :id",
        "its content is not what was accepted",
    ),
    "no JSON": ("UPDATE messages SET options = '{' WHERE id = :id", "what its client asked for cannot be read"),
    "no address": (
        "UPDATE recipients SET rcpt_to = CAST(x'75736572ff4066756c6c2e74657374' AS TEXT) WHERE message_id = :id",
        "an address of it cannot be read",
    ),
    "no sender": (
        "UPDATE messages SET mail_from = CAST(x'ff406f726967696e2e74657374' AS TEXT) WHERE id = :id",
        "what is known of it cannot be read",
    ),
    "a block missing": ("DELETE FROM blocks WHERE message_id = :id AND number = 1", "has no block 1"),
    "flipped byte in a later block": (
        "UPDATE blocks SET content = CAST(replace(content, 'end of', 'End of') AS BLOB) WHERE message_id = :id",
        "is not what was accepted",
    ),
    "truncated block": (
        "UPDATE blocks SET content = substr(content, 1, 9) WHERE message_id = :id AND number = 1",
        "is not what was accepted",
    ),
}


def _spoil(world: World, statements: Iterable[tuple[str, str]]) -> None:
    """Change the spool's file behind the daemon's back: statements, each with the id of a message."""
    with closing(sqlite3.connect(world.settings.spool_path)) as database, database:
        for script, message_id in statements:
            for statement in script.split("; "):
                assert database.execute(statement, {"id": id_number(message_id)}).rowcount > 0, statement


async def _accepted(world: World) -> dict[str, str]:
    """Have a message for each damage accepted, between others, by a process that only accepts; give their ids."""
    world.configure({"events": {"file": "events.jsonl"}})
    await world.start(role=Role.INTAKE)
    ids = {}
    async with world.client() as client:
        for number, name in enumerate(_DAMAGES):
            await world.send(f"neighbour{number}@full.test")
            message = world.message(f"victim{number}@full.test", f"second{number}@full.test")
            content = message.content
            if "block" in name:
                content += b"A line of a large message.\r\n" * (_LARGE // 28) + b"This is the end of it.\r\n"
            _, reply = await client.sendmail(message.mail_from, message.rcpt_tos, content)
            ids[name] = reply.rpartition(" ")[2]
    await world.send("last@full.test")
    await world.stop()
    return ids


async def test_x11_what_is_damaged_is_held_while_its_neighbours_are_delivered(world: World) -> None:
    """Each kind of damage is told in the log's words by command, event and metric; resumed, it is found again."""
    receiver = await world.site("full.test", keep_arrivals=True)
    ids = await _accepted(world)
    _spoil(world, [(_DAMAGES[name][0], message_id) for name, message_id in ids.items()])
    await world.start()
    await world.until("the neighbours are there", lambda: receiver.tally.messages >= len(ids) + 1)
    await world.until("all others are held", lambda: world.books().states[State.SUSPENDED] == 2 * len(ids))
    assert all(arrival.rcpt_tos[0].startswith(("neighbour", "last")) for arrival in receiver.arrivals)

    async def told() -> bool:
        metrics = await world.metrics()
        return metrics.by("sender_messages_held_total", "reason") == {"damaged": len(ids)}

    await world.until_true("each is counted once", told)
    lines = [json.loads(line) for line in (world.folder / "events.jsonl").read_text().splitlines()]
    events = {event["message_id"]: event["reason"] for event in lines if event["event"] == "suspended"}
    for name, message_id in ids.items():
        found = _DAMAGES[name][1]
        assert events[message_id].startswith("damaged: "), name
        assert found in events[message_id], name
        message = await world.json("message", message_id)
        assert [recipient["state"] for recipient in message["recipients"]] == ["suspended", "suspended"], name
        assert "It has been held since it was found to be damaged" in message["recipients"][0]["waiting_for"]
        assert found in message["recipients"][0]["waiting_for"], name
        assert (await world.command("message", message_id))[0] == 0, name
    queue = await world.json("queue")
    assert (queue["suspended"], queue["queued"]) == (2 * len(ids), 0)
    for message_id in ids.values():
        assert await world.command("resume", "--message", message_id) == (0, "2 recipients\n")
    await world.until("all are held again", lambda: world.books().states[State.SUSPENDED] == 2 * len(ids))
    assert receiver.tally.messages == len(ids) + 1
    for message_id in ids.values():
        assert await world.command("delete", "--message", message_id) == (0, "2 recipients\n")
    await world.until_empty()
    assert world.books().states[State.REMOVED] == 2 * len(ids)
    assert json.loads((await world.get("/v1/suspensions"))[1]) == {"suspensions": []}


async def test_x11_what_is_damaged_can_be_bounced(world: World) -> None:
    """Its sender is told, where it is known, with what is left of the headers."""
    inbox = await world.inbox()
    await world.site("full.test")
    ids = await _accepted(world)
    _spoil(world, [(_DAMAGES[name][0], message_id) for name, message_id in ids.items()])
    await world.start()
    await world.until("they are held", lambda: world.books().states[State.SUSPENDED] == 2 * len(ids))
    for message_id in ids.values():
        assert await world.command("bounce", "--message", message_id) == (0, "2 recipients\n")
    await world.until_empty()
    assert world.books().states[State.BOUNCED] == 2 * len(ids)
    world.notices = len(ids) - 3  # of three the sender is not known
    assert len(inbox.arrivals) == world.notices


async def test_x11_a_history_that_cannot_be_read_is_shown_as_far_as_it_can(world: World) -> None:
    """`sender message` and `sender queue` do not fail for a spoilt line."""
    await world.site("busy.test", Behaviour(full_prefixes=("ann",)))
    await world.start({"retry": {"schedule": ["1h"]}})
    message_id = await world.send("ann@busy.test")
    await world.until("it was tried", lambda: world.books().most_attempts == 1)
    line = "UPDATE recipients SET history = history || '{\"at' || char(10) WHERE message_id = :id"
    _spoil(world, [(line, message_id)])
    message = await world.json("message", message_id)
    assert [record["outcome"] for record in message["recipients"][0]["history"]] == ["deferred", "unreadable"]
    code, text = await world.command("message", message_id)
    assert code == 0
    assert "unreadable" in text
    assert (await world.command("queue"))[0] == 0
    assert (await world.command("delete", "--all"))[0] == 0


@pytest.mark.parametrize("end", ["delete", "bounce"])
async def test_x12_a_message_under_which_our_code_fails_is_held_after_three_times(world: World, end: str) -> None:
    """The address of one cannot be written to the receiver: its neighbours go, and it waits for an operator."""
    receiver = await world.site("plain.test", Behaviour(smtputf8=False), keep_arrivals=True)
    inbox = await world.inbox()
    world.configure({"events": {"file": "events.jsonl"}, "window": {"start": 1, "max": 1}})
    await world.start(role=Role.INTAKE)
    await world.send("before@plain.test")
    trap = await world.send("trap@plain.test")
    for number in range(20):
        await world.send(f"behind{number}@plain.test")
    await world.stop()
    _spoil(world, [("UPDATE recipients SET rcpt_to = 'trap@-ü-.test', checksum = NULL WHERE message_id = :id", trap)])
    await world.start()
    await world.until("the neighbours are there", lambda: receiver.tally.messages == 21)
    await world.until("it is held", lambda: world.books().states[State.SUSPENDED] == 1)

    async def told() -> bool:
        return (await world.metrics()).by("sender_messages_held_total", "reason") == {"poison": 1}

    await world.until_true("it is counted", told)
    (recipient,) = (await world.json("message", trap))["recipients"]
    assert (recipient["state"], recipient["attempts"]) == ("suspended", 0)
    assert "It has been held since it was found to make the daemon fail" in recipient["waiting_for"]
    assert "IDNA" in recipient["waiting_for"]
    assert await world.command("resume", "--message", trap) == (0, "1 recipient\n")
    await world.until("it is held again", lambda: world.books().states[State.SUSPENDED] == 1)
    assert await world.command(end, "--message", trap) == (0, "1 recipient\n")
    await world.until_empty()
    assert receiver.tally.messages == 21
    world.notices = int(end == "bounce")
    assert len(inbox.arrivals) == world.notices
