"""Messages that are begun before the one before is answered: from receivers that cope, and from those that do not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from sender.sandbox import Behaviour, Close
from sender.sandbox.behaviour import Answer
from sender.spool.contract import State

if TYPE_CHECKING:
    from sender.sandbox import Receiver
    from tests.scenes.world import World

_MESSAGES = 200
_AT_ONCE = {"window": {"start": 2, "max": 2}}


async def _sent(world: World, messages: int = _MESSAGES) -> None:
    await world.submit([world.message(f"user{number}@far.test") for number in range(messages)])
    await world.until_empty()


def _once(receiver: Receiver) -> bool:
    """Tell whether every message arrived exactly once."""
    counts = Counter(arrival.rcpt_tos for arrival in receiver.arrivals)
    return set(counts.values()) == {1} and len(counts) == receiver.tally.messages


@pytest.mark.parametrize("chunking", [False, True])
async def test_most_messages_are_begun_before_the_one_before_is_answered(world: World, *, chunking: bool) -> None:
    """A receiver with PIPELINING gets nearly every message behind another one, each once and at its first attempt."""
    receiver = await world.site("far.test", Behaviour(latency_s=0.04, chunking=chunking), keep_arrivals=True)
    await world.start(_AT_ONCE)
    await _sent(world)
    assert _once(receiver)
    assert receiver.tally.messages == _MESSAGES
    assert receiver.tally.ahead > _MESSAGES / 3
    assert receiver.tally.uninvited == 0
    assert world.books().most_attempts == 1
    assert (await world.lane())["mishandled"] == []


@pytest.mark.parametrize("behaviour", [Behaviour(pipelining=False), Behaviour()])
async def test_a_receiver_without_pipelining_is_served_step_by_step(world: World, behaviour: Behaviour) -> None:
    """Where PIPELINING is not announced, or the destination forbids it, no command comes before its reply."""
    receiver = await world.site("far.test", behaviour, keep_arrivals=True)
    await world.start({"destinations": {"mx.far.test": {"pipelining": False}}} if behaviour.pipelining else None)
    await _sent(world, 20)
    assert _once(receiver)
    assert (receiver.tally.ahead, receiver.tally.uninvited) == (0, 0)
    assert world.books().most_attempts == 1


async def test_a_receiver_that_forgets_what_came_ahead_costs_no_message_anything(world: World) -> None:
    """One message waits for its timeout and goes again at once; the others are not tried so, nor after a restart."""
    receiver = await world.site("far.test", Behaviour(forgets_ahead=True, latency_s=0.005), keep_arrivals=True)
    await world.start({**_AT_ONCE, "delivery": {"mail_timeout": "300ms", "rset_timeout": "300ms"}})
    await _sent(world)
    assert _once(receiver)
    assert world.books().most_attempts == 1
    assert receiver.tally.ahead == 1
    lane = await world.lane()
    assert lane["mishandled"] == ["overlapping"]
    assert any("mishandles" in sentence for sentence in lane["explanation"])
    await world.stop()
    await world.start()
    await _sent(world, 20)
    assert receiver.tally.ahead == 1
    assert (await world.lane())["mishandled"] == ["overlapping"]
    assert world.books().states[State.DELIVERED] == _MESSAGES + 20


async def test_a_receiver_that_announces_chunking_and_knows_no_bdat_gets_data(world: World) -> None:
    """The message whose BDAT was not understood goes by DATA at once, and pays no attempt."""
    script: dict[str, list[Answer]] = {"end_of_data": ["502 5.5.1 Error: command not implemented"]}
    receiver = await world.site("far.test", Behaviour(scripted=script), keep_arrivals=True)
    await world.start({**_AT_ONCE, "retry": {"schedule": ["1h"]}})
    await _sent(world)
    assert _once(receiver)
    assert world.books().most_attempts == 1
    assert (await world.lane())["mishandled"] == ["chunking"]


async def test_a_receiver_that_closes_without_a_word_costs_what_was_begun_nothing(world: World) -> None:
    """A receiver that takes one message and closes at the next MAIL gets all, each at its first attempt."""
    script: dict[str, list[Answer]] = {"mail": ["250 ok", Close()] * 40}
    receiver = await world.site("far.test", Behaviour(chunking=False, scripted=script), keep_arrivals=True)
    await world.start({"window": {"start": 1, "max": 1}, "retry": {"schedule": ["1h"]}})
    await _sent(world, 30)
    assert _once(receiver)
    assert receiver.tally.messages == 30
    assert world.books().most_attempts == 1


async def test_the_last_message_of_a_session_is_not_followed(world: World) -> None:
    """A session has no more messages than `messages_per_session`, those included that were begun ahead."""
    receiver = await world.site("far.test", Behaviour(latency_s=0.005), keep_arrivals=True)
    await world.start({**_AT_ONCE, "delivery": {"messages_per_session": 5}})
    await _sent(world, 50)
    assert _once(receiver)
    assert receiver.tally.sessions_opened >= 10
    assert receiver.tally.lost == 0
