"""Sites that share one limit: their lanes stay within one window together, and learn it once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from sender.sandbox import Behaviour, Counts

if TYPE_CHECKING:
    from sender.sandbox import Receiver
    from tests.scenes.world import World

_PATIENT = {"timeout": "5s", "lifetime": "20s"}  # many look-ups at once take their time
_CAP = Behaviour(max_sessions=4, latency_s=0.02)


async def _provider(world: World, *domains: str, behaviour: Behaviour = _CAP) -> list[Receiver]:
    """Start receivers that count their peers' sessions together, as the sites of one provider do."""
    counts = Counts()
    return [await world.site(domain, behaviour, counts=counts) for domain in domains]


def _shared(*domains: str, **tables: Any) -> dict[str, Any]:  # noqa: ANN401 - any table
    return {"destinations": {f"mx.{domain}": {"share": "provider"} for domain in domains}, **tables}


def _messages(world: World, domain: str, count: int) -> list[Any]:
    return [world.message(f"user{number}@{domain}") for number in range(count)]


async def test_two_sites_that_share_a_limit_find_it_once(world: World) -> None:
    """Two receivers that allow 4 sessions together get 4 together, divided evenly; few are refused, nobody pays."""
    receivers = await _provider(world, "a.test", "b.test")
    await world.start(_shared("a.test", "b.test", retry={"schedule": ["1h"]}))
    peaks = [0, 0]
    submitting = asyncio.create_task(world.submit([*_messages(world, "a.test", 200), *_messages(world, "b.test", 200)]))
    while not submitting.done() or world.books().waiting:
        open_now = [receiver.tally.sessions_open for receiver in receivers]
        peaks = [max(pair) for pair in zip(peaks, open_now, strict=True)]
        assert sum(open_now) <= 5
        await asyncio.sleep(0)
    await submitting
    await world.until_empty()
    lanes = {lane["name"]: lane for lane in await world.json("lanes")}
    assert {name: lane["window"] for name, lane in lanes.items()} == {"default/mx.a.test": 4, "default/mx.b.test": 4}
    assert [receiver.tally.messages for receiver in receivers] == [200, 200]
    assert 0 < sum(receiver.tally.sessions_refused for receiver in receivers) < 12
    assert all(peak >= 2 for peak in peaks)
    assert world.books().most_attempts == 1
    shown = await world.json("lane", "mx.a.test")
    assert (shown["share"], shown["shared_with"]) == ("default/provider", ["default/mx.b.test"])
    assert shown["history"] == (await world.json("lane", "mx.b.test"))["history"]
    assert any("shared with default/mx.b.test" in sentence for sentence in shown["explanation"])


async def test_a_busy_lane_does_not_starve_one_that_shares_its_only_session(world: World) -> None:
    """Where one session is allowed, a lane with much mail lends it to another that has a message."""
    await _provider(world, "busy.test", "small.test", behaviour=Behaviour(max_sessions=1, accept_delay_s=0.1))
    await world.start(_shared("busy.test", "small.test", window={"start": 1, "max": 1}))
    busy, small = world.receivers["mx.busy.test"], world.receivers["mx.small.test"]
    await world.submit_at_once(_messages(world, "busy.test", 200))
    await world.until("the busy one is at work", lambda: busy.tally.messages > 5)
    await world.send("user@small.test")
    await world.until("the small one has its turn", lambda: small.tally.messages == 1)
    then = busy.tally.messages
    assert then < 190
    await world.until("the busy one goes on", lambda: busy.tally.messages > then)
    await world.command("delete", "--all")
    assert world.books().most_attempts == 1


async def test_many_sites_take_turns_in_a_small_window(world: World) -> None:
    """Thirty sites with a few messages each go through a window of 3 without a refusal, and wait for no timeout."""
    domains = [f"tenant{number}.test" for number in range(30)]
    receivers = await _provider(world, *domains, behaviour=Behaviour(max_sessions=3))
    await world.start(_shared(*domains, window={"start": 3, "max": 3}, delivery={"idle_timeout": "1h"}, dns=_PATIENT))
    await world.submit([message for domain in domains for message in _messages(world, domain, 3)])
    await world.until_empty()
    assert [receiver.tally.messages for receiver in receivers] == [3] * 30
    assert sum(receiver.tally.sessions_refused for receiver in receivers) == 0
    assert world.books().most_attempts == 1


async def test_a_window_that_is_shared_is_remembered_for_all(world: World) -> None:
    """After a restart a site that has learned nothing itself begins with what another one's refusals taught."""
    (first, second) = await _provider(world, "a.test", "b.test")
    tables = _shared("a.test", "b.test")
    await world.start(tables)
    await world.submit(_messages(world, "a.test", 200))
    await world.until_empty()
    refused = first.tally.sessions_refused
    assert refused > 0
    await world.stop()
    await world.start()
    await world.submit(_messages(world, "b.test", 60))
    await world.until_empty()
    assert second.tally.messages == 60
    lane = await world.json("lane", "mx.b.test")
    assert lane["window"] == 4
    assert lane["taught"]["host"] == "mx.a.test[127.0.0.2]"


@pytest.mark.parametrize("tls", ["none", "opportunistic"])
async def test_two_ways_to_one_site_count_together(world: World, tls: str) -> None:
    """Domains of one site with different TLS policies have lanes of their own, and one window."""
    receiver = await world.receiver("mx.one.test", Behaviour(max_sessions=2, latency_s=0.01))
    for domain in ("plain.test", "other.test"):
        world.dns.mx(domain, [(10, "mx.one.test")])
    other = "opportunistic" if tls == "none" else "none"
    await world.start({"delivery": {"tls": tls}, "destinations": {"other.test": {"tls": other}}})
    await world.submit([*_messages(world, "plain.test", 60), *_messages(world, "other.test", 60)])
    await world.until_empty()
    lanes = await world.json("lanes")
    assert sorted(lane["name"] for lane in lanes) == ["default/mx.one.test", f"default/mx.one.test+{other}"]
    assert {lane["window"] for lane in lanes} == {2}
    assert receiver.tally.sessions_refused < 8
    assert receiver.tally.messages == 120


async def test_a_rate_that_is_shared_is_kept_together(world: World) -> None:
    """Two sites that count messages together get no more than they take for long, each about half of it."""
    one, other = await _provider(world, "a.test", "b.test", behaviour=Behaviour(messages_per_second=10, burst=10))
    await world.start(_shared("a.test", "b.test", retry={"schedule": ["1h"]}))
    both = zip(_messages(world, "a.test", 30), _messages(world, "b.test", 30), strict=True)
    await world.submit([message for pair in both for message in pair])
    await world.until("one has most of its mail", lambda: max(one.tally.messages, other.tally.messages) >= 20)
    assert min(one.tally.messages, other.tally.messages) >= 8  # at first there are ten for whoever comes first
    await world.until_empty()
    assert world.books().most_attempts == 1
    paces = {lane["messages_per_second"] for lane in [await world.json("lane", f"mx.{d}.test") for d in ("a", "b")]}
    assert len(paces) == 1
    assert None not in paces


async def test_an_operators_word_holds_for_all_who_share(world: World) -> None:
    """A shared limit has a name, by which it is set, daemon or none; each of its lanes shows it."""
    await _provider(world, "a.test", "b.test")
    await world.start(_shared("a.test", "b.test"))
    await world.submit([*_messages(world, "a.test", 3), *_messages(world, "b.test", 3)])
    await world.until_empty()
    assert (await world.json("lane", "default/provider", "--set-window", "2"))["window"] == 2
    assert [lane["window"] for lane in await world.json("lanes")] == [2, 2]
    await world.stop()
    assert [lane["window"] for lane in await world.json("lanes")] == [2, 2]
    shown = await world.json("lane", "provider", "--set-window", "3", "--reason", "why not")
    assert (shown["name"], shown["shared_with"]) == ("default/provider", ["default/mx.a.test", "default/mx.b.test"])
    await world.start()
    await world.submit(_messages(world, "b.test", 3))
    await world.until_empty()
    for lane in await world.json("lanes"):
        assert (lane["window"], lane["history"][-1]["reason"]) == (3, "why not")
