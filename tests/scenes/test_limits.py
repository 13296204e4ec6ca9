"""Receivers that allow few connections and do not say how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sender.sandbox import Behaviour, Close
from sender.sandbox.ledger import identity

if TYPE_CHECKING:
    from tests.scenes.world import World

_MESSAGES = 400
_EXCHANGE = "451 4.7.652 The mail server [{peer}] has exceeded the maximum number of connections."
_CAPS = {
    "banner": Behaviour(max_sessions=3, latency_s=0.01, accept_delay_s=0.01),
    "mail": Behaviour(max_sessions=3, latency_s=0.01, accept_delay_s=0.01, refuse_at="mail", refuse_with=_EXCHANGE),
}


@pytest.mark.parametrize("refuses_at", _CAPS)
async def test_a_limit_on_connections_is_found_and_kept(world: World, refuses_at: str) -> None:
    """A receiver that allows 3 connections gets 3; few are refused, no message pays, no other host is asked."""
    capped = await world.receiver("mx1.capped.test", _CAPS[refuses_at])
    spare = await world.receiver("mx2.capped.test")
    world.dns.mx("capped.test", [(10, "mx1.capped.test"), (20, "mx2.capped.test")])
    await world.start({"retry": {"schedule": ["1h"]}})
    await world.submit([world.message(f"user{number}@capped.test") for number in range(_MESSAGES)])
    await world.until_empty()
    lane = await world.lane()
    assert lane["window"] == 3
    assert capped.tally.messages == _MESSAGES
    assert 0 < capped.tally.sessions_refused < 12
    assert spare.tally.sessions_opened == 0
    assert world.books().most_attempts == 1
    taught = [change for change in lane["history"] if change["to"] < change["from"]]
    assert taught
    assert all("connections" in change["reply"] for change in taught)
    assert any("refused" in sentence and "connections" in sentence for sentence in lane["explanation"])


async def test_a_limit_that_was_raised_is_found(world: World) -> None:
    """When a receiver allows more than it did, the window grows again as deliveries pay for the tries."""
    receiver = await world.site("capped.test", Behaviour(max_sessions=2, latency_s=0.005))
    await world.start({"retry": {"schedule": ["1h"]}})
    await world.submit([world.message(f"user{number}@capped.test") for number in range(100)])
    await world.until_empty()
    assert (await world.lane())["window"] == 2
    receiver.behaviour = Behaviour(max_sessions=30, latency_s=0.005)
    sent = 100
    while (await world.lane())["window"] <= 4:
        await world.submit([world.message(f"user{sent + number}@capped.test") for number in range(100)])
        sent += 100
        assert sent < 10_000
    await world.until_empty()
    assert receiver.tally.messages == sent


async def test_sessions_that_are_closed_after_some_messages_cost_nothing(world: World) -> None:
    """A receiver that takes 5 messages per session and says so gets them all, at one attempt each."""
    receiver = await world.site("short.test", Behaviour(max_messages_per_session=5))
    await world.start({"retry": {"schedule": ["1h"]}})
    await world.submit([world.message(f"user{number}@short.test") for number in range(100)])
    await world.until_empty()
    assert receiver.tally.messages == 100
    assert world.books().most_attempts == 1
    assert (await world.lane())["messages_per_session"] == 5


async def test_a_rate_of_messages_is_kept(world: World) -> None:
    """A receiver that takes 40 messages per second gets no more than it takes for long, at one attempt each."""
    receiver = await world.site("slow.test", Behaviour(messages_per_second=40, burst=5))
    await world.start({"retry": {"schedule": ["1h"]}})
    await world.submit([world.message(f"user{number}@slow.test") for number in range(120)])
    await world.until_empty()
    assert receiver.tally.messages == 120
    assert world.books().most_attempts == 1
    assert (await world.lane())["messages_per_second"] is not None


async def test_sessions_that_die_between_messages_cost_nothing(world: World) -> None:
    """A session that the receiver closes where the next MAIL would be answered costs that message no attempt."""
    receiver = await world.site("dying.test")
    # The session of the first message is there for the second one, however busy the machine is.
    await world.start(
        {"retry": {"schedule": ["1h"]}, "window": {"start": 1, "max": 1}, "delivery": {"idle_timeout": "30s"}}
    )
    await world.send("first@dying.test")
    await world.until("it is there", lambda: receiver.tally.messages == 1)
    receiver.behaviour = Behaviour(scripted={"mail": [Close()]})
    await world.send("second@dying.test")
    await world.until_empty()
    assert receiver.tally.messages == 2
    assert world.books().most_attempts == 1


@pytest.mark.parametrize(
    "script",
    [
        {"banner": ["421 4.7.0 too many connections", "421 4.7.0 too many connections"]},
        {"mail": ["421 4.7.0 too many connections", Close(reply="421 4.7.0 too many connections")]},
        {"rcpt": ["451 4.7.1 rate limit of your server exceeded"]},
        {"end_of_data": ["451 4.7.1 rate limit of your server exceeded"]},
    ],
    ids=lambda script: next(iter(script)),
)
async def test_a_throttle_keeps_the_order_of_the_queue(world: World, script: dict[str, list[str | Close]]) -> None:
    """Mail that was throttled, at whatever stage, goes out before mail that came later."""
    receiver = await world.site("a.test", Behaviour(scripted=script), keep_arrivals=True)
    await world.start({"retry": {"schedule": ["1h"]}, "window": {"start": 1, "max": 1}})
    messages = [world.message(f"user{number}@a.test") for number in range(20)]
    await world.submit(messages, sessions=1)
    await world.until_empty()
    assert [identity(arrival.content).decode() for arrival in receiver.arrivals] == [
        message.identity for message in messages
    ]
    assert world.books().most_attempts == 1
