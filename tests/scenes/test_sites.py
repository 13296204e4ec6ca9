"""Domains, sites, lanes and transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.sandbox import Behaviour

if TYPE_CHECKING:
    from tests.scenes.world import World


async def test_domains_with_the_same_mx_set_share_one_lane(world: World) -> None:
    """Domains whose MX sets are the same share one site and one lane, whatever the order and case of the records."""
    first, second = await world.receiver("mx1.big.test"), await world.receiver("mx2.big.test")
    world.dns.mx("one.test", [(10, "mx1.big.test"), (20, "mx2.big.test")])
    world.dns.mx("two.test", [(20, "MX2.big.test."), (10, "MX1.BIG.test")])
    world.dns.mx("other.test", [(10, "mx1.big.test")])
    await world.start()
    for domain in ("one.test", "TWO.test", "other.test"):
        await world.send(f"user@{domain}")
    await world.until_empty()
    assert len(await world.json("lanes")) == 2
    assert (first.tally.recipients, second.tally.recipients) == (3, 0)


async def test_recipients_at_one_site_share_a_transaction(world: World) -> None:
    """Recipients of one message in two domains of one site travel in one transaction; those elsewhere in another."""
    shared = await world.receiver("mx.big.test")
    apart = await world.site("apart.test")
    for domain in ("one.test", "two.test"):
        world.dns.mx(domain, [(10, "mx.big.test")])
    await world.start()
    await world.send("a@one.test", "b@two.test", "c@apart.test", "d@one.test")
    await world.until_empty()
    assert (shared.tally.messages, shared.tally.recipients) == (1, 3)
    assert (apart.tally.messages, apart.tally.recipients) == (1, 1)


async def test_too_many_recipients_are_split_at_once(world: World) -> None:
    """A receiver that takes 3 recipients per message gets 10 in four transactions at once: no attempt is counted."""
    receiver = await world.site("small.test", Behaviour(max_recipients=3))
    await world.start({"retry": {"schedule": ["1h"]}})
    await world.send(*(f"user{number}@small.test" for number in range(10)))
    await world.until_empty()
    assert (receiver.tally.messages, receiver.tally.recipients) == (4, 10)
    assert world.books().most_attempts == 1
    assert (await world.lane())["max_recipients"] == 3
    await world.send(*(f"again{number}@small.test" for number in range(6)))
    await world.until_empty()
    assert receiver.tally.messages == 6


async def test_limits_that_a_receiver_announces_are_kept(world: World) -> None:
    """RFC 9422: a receiver that says what it takes refuses nothing, no session, no message and no recipient."""
    announced = Behaviour(limits="MAILMAX=3 RCPTMAX=2 RCPTDOMAINMAX=1", max_messages_per_session=3, max_recipients=2)
    receiver = await world.receiver("mx.small.test", announced)
    for domain in ("one.test", "two.test"):
        world.dns.mx(domain, [(10, "mx.small.test")])
    await world.start({"window": {"start": 1, "max": 1}})
    await world.send(*(f"user{number}@{domain}" for number in range(10) for domain in ("one.test", "two.test")))
    await world.until_empty()
    assert (receiver.tally.messages, receiver.tally.recipients, receiver.tally.sessions_opened) == (10, 20, 4)
    assert world.books().most_attempts == 1
    lane = await world.lane()
    assert (lane["max_recipients"], lane["last_refusal"]) == (2, None)


async def test_no_recipient_at_all_is_no_recipient_limit(world: World) -> None:
    """A receiver that answers even a single recipient with 452 4.5.3 is tried again later, not at once for ever."""
    receiver = await world.site("full.test", Behaviour(max_recipients=0))
    await world.start({"retry": {"schedule": ["1h"]}})
    message_id = await world.send("user@full.test")
    await world.until("it was tried", lambda: world.books().most_attempts == 1)
    (recipient,) = (await world.json("message", message_id))["recipients"]
    assert recipient["state"] == "deferred"
    assert receiver.tally.messages == 0
    assert receiver.tally.sessions_opened == 1
