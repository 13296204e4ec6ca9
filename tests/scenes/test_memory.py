"""What lanes have learned: kept over sleep and restarts, set, forgotten and carried off by operators."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sender.clock import Clock
from sender.sandbox import Behaviour

if TYPE_CHECKING:
    from tests.scenes.world import World

_NAME = "default/mx.capped.test"
_DAEMON_OR_NONE = pytest.mark.parametrize("runs", [True, False], ids=["daemon", "offline"])


async def _throttled(world: World, tables: dict[str, Any] | None = None) -> None:
    """Start a daemon and have it find that mx.capped.test allows 3 sessions."""
    await world.site("capped.test", Behaviour(max_sessions=3, latency_s=0.01))
    await world.start({"events": {"file": "events.jsonl"}, **(tables or {})})
    await _deliver(world, 100)
    assert (await world.json("lane", _NAME))["window"] == 3


async def _deliver(world: World, count: int) -> None:
    await world.submit([world.message(f"user{number}@capped.test") for number in range(count)])
    await world.until_empty()


def _window_events(world: World) -> list[dict[str, Any]]:
    lines = (world.folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "window"]


@_DAEMON_OR_NONE
async def test_a_window_that_an_operator_sets_is_in_force_and_outlives_a_restart(world: World, runs: bool) -> None:  # noqa: FBT001
    """`lane --set-window` shows in the lane, its history and its explanation, daemon or none, and after a restart."""
    await _throttled(world)
    if not runs:
        await world.stop()
    code, text = await world.command("lane", _NAME, "--set-window", "8", "--reason", "they raised it")
    assert (code, 'an operator set the window from 3 to 8: "they raised it".' in text) == (0, True), text
    for _ in range(2):
        lane = await world.json("lane", _NAME)
        assert lane["window"] == 8
        told = lane["history"][-1]
        assert (told["from"], told["to"], told["cause"], told["reason"]) == (3, 8, "operator", "they raised it")
        if runs:
            await world.stop()
        runs = True
        await world.start()
        await _deliver(world, 1)


async def test_a_window_that_is_set_takes_effect_at_once(world: World) -> None:
    """A lane that waits for its receiver opens as many sessions as an operator says, and closes those above."""
    receiver = await world.site("capped.test", Behaviour(max_sessions=2, latency_s=0.05))
    await world.start({"window": {"start": 4}})
    await world.submit_at_once([world.message(f"user{number}@capped.test") for number in range(400)])
    await world.until("it is throttled", lambda: receiver.tally.sessions_refused > 0)
    receiver.behaviour = Behaviour(max_sessions=20, latency_s=0.05)
    await world.command("lane", _NAME, "--set-window", "6")
    await world.until("six are open", lambda: receiver.tally.sessions_open >= 6)
    await world.command("lane", _NAME, "--set-window", "1")
    await world.until("one is left", lambda: receiver.tally.sessions_open == 1)
    await world.command("delete", "--all")


async def test_each_change_of_a_window_is_an_event_and_is_counted(world: World) -> None:
    """Events, history and the counter tell the same changes, an operator's with its reason."""
    await _throttled(world)
    await world.command("lane", _NAME, "--set-window", "5", "--reason", "why not")
    await world.command("lane", _NAME, "--set-window", "5", "--reason", "again")
    await world.command("lane", _NAME, "--forget", "--reason", "a new contract")
    events = _window_events(world)
    assert all(event["lane"] == _NAME and event["site"] == "mx.capped.test" for event in events)
    told = [(event["from"], event["to"], event["cause"], event["reason"]) for event in events]
    assert told[-3:] == [
        (3, 5, "operator", "why not"),
        (5, 5, "operator", "again"),
        (5, 5, "operator", "a new contract"),
    ]
    by_cause: dict[str, float] = {}
    for event in events:
        if event["from"] != event["to"]:
            by_cause[event["cause"]] = by_cause.get(event["cause"], 0) + 1
    assert (await world.metrics()).by("sender_lane_window_changes_total", "cause") == by_cause
    history = (await world.json("lane", _NAME))["history"]
    assert [entry["act"] for entry in history] == ["forget"]


@_DAEMON_OR_NONE
async def test_a_lane_that_forgets_begins_anew(world: World, runs: bool) -> None:  # noqa: FBT001
    """`lane --forget` leaves the starting value and the operator's word alone; then the limit is found again."""
    await _throttled(world, {"window": {"start": 7}})
    if not runs:
        await world.stop()
    lane = await world.json("lane", _NAME, "--forget", "--reason", "they moved")
    assert (lane["window"], lane["taught"]) == (7, None)
    assert [(entry["act"], entry["reason"]) for entry in lane["history"]] == [("forget", "they moved")]
    if not runs:
        await world.start()
    await _deliver(world, 200)
    lane = await world.json("lane", _NAME)
    assert lane["window"] == 3
    assert "too many connections" in lane["taught"]["reply"]


@_DAEMON_OR_NONE
async def test_what_was_learned_is_carried_to_another_spool(world: World, runs: bool) -> None:  # noqa: FBT001
    """What `--export` prints, `lanes --import` takes, daemon or none; its history comes along."""
    await _throttled(world)
    if not runs:
        await world.stop()
    one = await world.json("lane", _NAME, "--export")
    everything = await world.json("lanes", "--export")
    assert one["lanes"].keys() == everything["lanes"].keys() == {_NAME}
    assert one["lanes"][_NAME]["limit"] == 3
    await world.command("lane", _NAME, "--forget")
    file = world.folder / "learned.json"
    file.write_text(json.dumps(everything))
    assert await world.command("lanes", "--import", str(file), "--reason", "back again") == (0, "1 lane\n")
    lane = await world.json("lane", _NAME)
    assert lane["window"] == 3
    assert lane["history"][:-1] == [
        {**entry, "at": lane["history"][number]["at"]} for number, entry in enumerate(one["lanes"][_NAME]["history"])
    ]
    assert (lane["history"][-1]["act"], lane["history"][-1]["reason"]) == ("import", "back again")
    assert "too many connections" in lane["taught"]["reply"]


async def test_a_lane_that_slept_knows_what_it_knew(world: World) -> None:
    """A lane without mail goes to sleep and is still shown; when mail comes it has its window and its whole history."""
    asleep_s = 0.0
    world.clock = Clock(steady=lambda: time.monotonic() + asleep_s, wall=lambda: time.time() + asleep_s)
    await _throttled(world)
    before = await world.json("lane", _NAME)
    dispatcher = world.daemon.dispatcher
    assert dispatcher is not None
    await world.until("its sessions have ended", lambda: not dispatcher.lanes[_NAME].crew.tasks)
    asleep_s = 3600.0
    dispatcher.memory(clean=False, everything=False)
    dispatcher.memory(clean=False, everything=False)
    assert dispatcher.lanes == {}
    asleep = await world.json("lane", _NAME)
    assert (asleep["blocked_by"], asleep["window"], asleep["history"]) == ("asleep", 3, before["history"])
    await _deliver(world, 3)
    after = await world.json("lane", _NAME)
    assert (after["blocked_by"], after["window"]) == ("", 3)
    assert after["history"][: len(before["history"])] == before["history"]
    assert after["taught"] == before["taught"]


async def test_a_lane_without_mail_for_a_month_is_forgotten(world: World) -> None:
    """A lane that is asleep and has had no mail for thirty days is gone, from the spool too; one at work stays."""
    later_s = 0.0
    world.clock = Clock(steady=lambda: time.monotonic() + later_s, wall=lambda: time.time() + later_s)
    await _throttled(world)
    dispatcher = world.daemon.dispatcher
    assert dispatcher is not None
    await world.until("its sessions have ended", lambda: not dispatcher.lanes[_NAME].crew.tasks)
    later_s = 3600.0
    dispatcher.memory(clean=False, everything=False)
    dispatcher.memory(clean=False, everything=False)
    await dispatcher.learned.forget_old()
    assert [lane["name"] for lane in await world.json("lanes")] == [_NAME]
    later_s = 31 * 86400.0
    await dispatcher.learned.forget_old()
    assert await world.json("lanes") == []
    assert await world.daemon.spool.lanes() == {}


async def test_what_cannot_be_meant_is_said_so(world: World) -> None:
    """A name that is not there is answered with those near it, a window out of range with its rule, and so by HTTP."""
    await _throttled(world, {"window": {"max": 20}})
    for words, expected in (
        (("lane", "mx.caped.test", "--set-window", "4"), f"there is no lane 'mx.caped.test'; near it: '{_NAME}'"),
        (("lane", "mx.caped.test"), f"there is no lane 'mx.caped.test'; near it: '{_NAME}'"),
        (("lane", "nowhere.invalid", "--forget"), "there is no lane 'nowhere.invalid'"),
        (
            ("lane", _NAME, "--set-window", "21"),
            f"lane {_NAME}: window = 21: must be from 1 to 20, its configured maximum",
        ),
        (
            ("lane", _NAME, "--set-window", "0"),
            f"lane {_NAME}: window = 0: must be from 1 to 20, its configured maximum",
        ),
    ):
        code, text = await world.command(*words)
        assert (code, text) == (1, f"sender: {expected}\n")
    for value, expected in (
        ('{"version": 2, "lanes": {}}', "import: version = 2: must be 1"),
        ('{"version": 1, "lanes": []}', "import: lanes = []: must be an object with a memory for each lane"),
        ('{"version": 1, "lanes": {"x": {"at": 1}}}', 'import: lanes = "x": must be named source/site'),
        (
            '{"version": 1, "lanes": {"a/x": {"at": 1, "limit": 0}}}',
            "import: a/x.limit = 0: must be a whole number, 1 or more, or null",
        ),
    ):
        (world.folder / "wrong.json").write_text(value)
        code, text = await world.command("lanes", "--import", str(world.folder / "wrong.json"))
        assert (code, text) == (1, f"sender: {expected}\n")
    code, text = await world.command("lanes", "--import", str(world.folder / "nothing.json"))
    assert (code, "cannot be read: No such file or directory" in text) == (2, True)
    assert (await world.json("lane", _NAME))["window"] == 3


async def test_a_lane_that_was_throttled_explains_itself(world: World) -> None:
    """The sentences of `lane` name the window, the reply with its stage and host, and what comes next."""
    await _throttled(world)
    text = " ".join((await world.json("lane", _NAME))["explanation"])
    assert f"{_NAME} has a window of 3 sessions" in text
    assert "with 3 sessions open the next one was refused at the banner by mx.capped.test[127.0.0.2]" in text
    assert '"421 4.7.0 mx.sandbox.test Error: too many connections from 127.0.0.1"' in text
    assert "one session more is tried" in text
    assert "If it is taken, the window becomes 4" in text


async def test_a_message_says_who_goes_before_it_and_when_it_is_given_up(world: World) -> None:
    """A message that waits in a lane has its place in line, an estimate, and the instant at which it is returned."""
    await world.site("slow.test", Behaviour(max_sessions=1, latency_s=0.05))
    await world.start({"window": {"start": 1, "max": 1}})
    ids = await world.submit([world.message(f"user{number}@slow.test") for number in range(300)], sessions=1)

    async def estimated() -> bool:
        (recipient,) = (await world.json("message", ids[-1]))["recipients"]
        waits = recipient["waiting_for"]
        return recipient["expected_at"] is not None and "recipients go before it; at the present rate" in waits

    await world.until_true("there is a rate", estimated)
    message = await world.json("message", ids[-1])
    (recipient,) = message["recipients"]
    assert 0 < recipient["ahead"] < 300
    assert message["accepted_at"] < recipient["expected_at"] < recipient["expires_at"]
    assert recipient["waiting_for"].endswith("it is returned to its sender.")
    await world.command("delete", "--all")


async def test_a_block_outlives_a_restart(world: World) -> None:
    """Who is refused for its reputation does not knock again because its daemon was started anew."""
    refusal = "421 4.7.0 your address has a poor reputation and is blocked"
    receiver = await world.site("capped.test", Behaviour(max_sessions=0, refuse_with=refusal))
    await world.start()
    await world.send("ann@capped.test")
    await world.until("it was refused", lambda: receiver.tally.sessions_refused == 1)
    ends_at = []
    for _ in range(2):
        await world.send("bob@capped.test")
        await world.until_true("it is blocked", lambda: _is_held(world))
        ends_at.append((await world.json("lane", _NAME))["next_change_at"])
        await world.stop()
        await world.start()
    first, second = (datetime.fromisoformat(end) for end in ends_at)
    assert abs(second - first) < timedelta(seconds=1)
    assert receiver.tally.sessions_refused == 1


async def _is_held(world: World) -> bool:
    return bool((await world.json("lane", _NAME))["blocked_by"] == "hold")
