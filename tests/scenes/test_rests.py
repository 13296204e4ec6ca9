"""Throttles that are not the lane's: a mailbox, a domain or a sender rests, and its neighbours go on."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sender.sandbox import Behaviour
from sender.sandbox.ledger import identity

if TYPE_CHECKING:
    from sender.sandbox import Receiver
    from tests.scenes.world import World

_VAGUE = "451 4.7.1 too much mail, slow down"
_BUSY = "450 4.2.1 <{rcpt}>: The user you are trying to contact is receiving mail at a rate that is too high"
_SENDER = "450 4.7.1 your sender domain sends too many messages"
_DAY = "550 5.4.5 Daily sending limit exceeded"
_SHORT: dict[str, Any] = {
    "retry": {"schedule": ["1h"]},
    "rests": {"first": "1s", "doubtful": "1s", "max": "1s"},
}
_LONG: dict[str, Any] = {"retry": {"schedule": ["1h"]}}


async def _one_site(world: World, behaviour: Behaviour, *domains: str) -> Receiver:
    """Start one receiver for several domains."""
    receiver = await world.site(domains[0], behaviour)
    for domain in domains[1:]:
        world.dns.mx(domain, [(10, f"mx.{domains[0]}")])
    return receiver


async def test_a_mailbox_that_is_throttled_delays_no_neighbour(world: World) -> None:
    """A busy mailbox is tried once and rests; all others are delivered meanwhile, and nobody pays an attempt."""
    receiver = await world.site("a.test", Behaviour(refused_rcpts={"busy@a.test": _BUSY}))
    await world.start(_LONG)
    messages = [world.message("busy@a.test") for _ in range(20)]
    messages += [world.message(f"user{number}@a.test") for number in range(100)]
    (first, *_) = await world.submit(messages, sessions=1)
    await world.until("the others have theirs", lambda: receiver.tally.messages == 100)
    await world.until("the mailbox rests", lambda: world.books().waiting == 20)
    lane = await world.lane()
    assert [(rest["kind"], rest["name"]) for rest in lane["rests"]] == [("mailbox", "busy@a.test")]
    assert lane["messages_per_second"] is None
    assert receiver.tally.rejected_recipients <= 5  # one for each session that was open
    assert any(
        "1 mailbox rests" in sentence and "rate that is too high" in sentence for sentence in lane["explanation"]
    )
    (recipient,) = (await world.json("message", first))["recipients"]
    assert recipient["attempts"] == 0
    assert "mailbox busy@a.test rests since the receiver said" in recipient["waiting_for"]
    assert world.books().most_attempts == 1


async def test_a_rest_ends(world: World) -> None:
    """When its rest is over the mailbox is tried again, and gets all its mail in the order in which it came."""
    receiver = await world.site("a.test", Behaviour(refused_rcpts={"busy@a.test": _BUSY}), keep_arrivals=True)
    await world.start({**_SHORT, "window": {"start": 1, "max": 1}})
    messages = [world.message("busy@a.test") for _ in range(20)]
    await world.submit(messages, sessions=1)
    await world.until("it was refused", lambda: receiver.tally.rejected_recipients > 0)
    receiver.behaviour = Behaviour()
    await world.until_empty()
    assert [identity(arrival.content) for arrival in receiver.arrivals] == [
        message.identity.encode() for message in messages
    ]
    assert world.books().most_attempts == 1
    assert (await world.lane())["rests"] == []


async def test_an_operator_ends_a_rest(world: World) -> None:
    """`sender retry` tries a mailbox at once that would rest for ten minutes."""
    receiver = await world.site("a.test", Behaviour(refused_rcpts={"busy@a.test": _BUSY}))
    await world.start(_LONG)
    await world.send("busy@a.test")
    await world.until("it was refused", lambda: receiver.tally.rejected_recipients == 1)
    await world.until("it rests", lambda: world.books().waiting == 1)
    receiver.behaviour = Behaviour()
    await world.command("retry", "--all")
    await world.until_empty()
    assert world.books().most_attempts == 1


async def test_a_sender_that_is_throttled_delays_no_other_sender(world: World) -> None:
    """Mail of one sending domain rests when the receiver names it; that of another goes on to the same mailboxes."""
    receiver = await world.site("a.test", Behaviour(refused_senders={"@loud.test": _SENDER}))
    await world.start(_LONG)
    await world.submit([world.message(f"user{number}@a.test", mail_from="news@loud.test") for number in range(50)])
    await world.submit([world.message(f"user{number}@a.test") for number in range(50)])
    await world.until("the other sender's mail is there", lambda: receiver.tally.messages == 50)
    await world.until("the loud one's rests", lambda: world.books().waiting == 50)
    lane = await world.lane()
    assert [(rest["kind"], rest["name"]) for rest in lane["rests"]] == [("identity", "loud.test")]
    receiver.behaviour = Behaviour()
    await world.command("retry", "--all")
    await world.until_empty()
    assert world.books().most_attempts == 1


@pytest.mark.parametrize("window", [1, 5])
async def test_a_domain_is_found_by_evidence(world: World, window: int) -> None:
    """A receiver refuses one of its domains with words that name none: the domain rests, the other goes on."""
    receiver = await _one_site(world, Behaviour(refused_rcpts={"@slow.test": _VAGUE}), "fast.test", "slow.test")
    await world.start({**_LONG, "window": {"start": window, "max": window}})
    messages = [world.message(f"user{number}@{domain}.test") for number in range(100) for domain in ("slow", "fast")]
    await world.submit(messages, sessions=1)
    await world.until("the other domain has its mail", lambda: receiver.tally.messages == 100)
    await world.until("the domain rests", lambda: world.books().waiting == 100)
    lane = await world.lane()
    assert ("domain", "slow.test") in [(rest["kind"], rest["name"]) for rest in lane["rests"]]
    assert lane["messages_per_second"] is None
    receiver.behaviour = Behaviour()
    await world.command("retry", "--all")
    await world.until_empty()
    assert world.books().most_attempts == 1


async def test_a_daily_limit_lets_the_lane_rest(world: World) -> None:
    """When a receiver takes no more for the day, nothing more is tried until the rest is over, and nobody pays."""
    receiver = await world.site("a.test", Behaviour(refused_senders={"@origin.test": _DAY}))
    await world.start({**_LONG, "window": {"start": 1, "max": 1}})
    await world.submit([world.message(f"user{number}@a.test") for number in range(20)])

    async def rests() -> bool:
        return bool((await world.lane())["blocked_by"] == "daily_limit")

    await world.until_true("it rests", rests)
    assert receiver.tally.sessions_opened == 1
    receiver.behaviour = Behaviour()
    await world.command("retry", "--all")
    await world.until_empty()
    assert world.books().most_attempts == 1


async def test_a_rest_outlives_the_daemon(world: World) -> None:
    """A daemon that is started again leaves a mailbox alone whose rest is not over."""
    receiver = await world.site("a.test", Behaviour(refused_rcpts={"busy@a.test": _BUSY}))
    await world.start(_LONG)
    await world.send("busy@a.test")
    await world.until("it rests", lambda: world.books().waiting == 1 and receiver.tally.rejected_recipients == 1)
    await world.stop()
    await world.start(_LONG)
    await world.send("busy@a.test")
    await world.send("other@a.test")
    await world.until("the neighbour has its mail", lambda: receiver.tally.messages == 1)
    assert receiver.tally.rejected_recipients == 1
    receiver.behaviour = Behaviour()
    await world.command("retry", "--all")
    await world.until_empty()


async def test_a_throttle_ages_nobody(world: World) -> None:
    """Mail that a receiver throttles for longer than `max_age`, and that was never tried, is delivered all the same."""
    receiver = await world.site("a.test", Behaviour(messages_per_second=1e-9, burst=0))
    await world.start({"retry": {"schedule": ["1h"], "max_age": "1s"}})
    accepted_by = time.time()
    await world.submit([world.message(f"user{number}@a.test") for number in range(5)])
    await world.until("it is older than max_age", lambda: time.time() > accepted_by + 1.5)
    receiver.behaviour = replace(receiver.behaviour, messages_per_second=None)
    await world.until_empty()
    assert receiver.tally.messages == 5
    assert world.books().most_attempts == 1
