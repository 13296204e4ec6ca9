"""Real Postfix and Exim with limits that they do not tell: caps that change, rates, postscreen, greylisting.

Refusals are counted in the receiver's own log, and so is what arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sender.core.outcome import Reason
from tests.scenes.flow import Flow
from tests.servers import EximReceiver, PostfixReceiver, Postgrey, require
from tests.servers.postfix_receiver import connection_rate, holding, message_rate, policy
from tests.servers.postgrey import NAMES_NO_WAIT, NAMES_THE_WAIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scenes.world import Tables, World

_Receiver = type[PostfixReceiver] | type[EximReceiver]
# Sessions come and go, as they do over hours.
_SHORT_SESSIONS: Tables = {"delivery": {"messages_per_session": 50}}
_CAPS: dict[str, tuple[_Receiver, int, int, int]] = {
    "postfix": (PostfixReceiver, 5, 1500, 15),
    "exim": (EximReceiver, 3, 600, 12),
}
_CHANGES: dict[str, tuple[_Receiver, int, int]] = {
    "postfix-20-to-2": (PostfixReceiver, 20, 2),
    "postfix-2-to-20": (PostfixReceiver, 2, 20),
    "postfix-5-to-50": (PostfixReceiver, 5, 50),
    "exim-20-to-2": (EximReceiver, 20, 2),
    "exim-2-to-20": (EximReceiver, 2, 20),
}
_MOST_REFUSALS_OF_A_CHANGE = 25
_OF_A_RESTART = {Reason.CONNECTION_LIMIT, Reason.CONNECTION_LOST, Reason.CONNECT_FAILED}


@pytest.mark.parametrize("name", _CAPS)
async def test_a_cap_that_nobody_told_costs_few_refusals(world: World, name: str) -> None:
    """A real receiver with a cap that nobody told takes a whole queue, refuses few, and no message is tried twice."""
    kind, cap, messages, most_refusals = _CAPS[name]
    require(kind)
    async with kind(cap) as receiver, Flow(world, receiver) as flow:
        await flow.queue(messages)
        await flow.empty()
        assert abs(await flow.window() - cap) <= 1
        assert sorted(receiver.message_ids()) == sorted(flow.message_ids)
        print(f"{receiver.connections_refused()} refused")
        assert receiver.connections_refused() <= most_refusals
        assert flow.attempts() == 1


@pytest.mark.parametrize("name", _CHANGES)
async def test_a_cap_that_changes_while_mail_flows_is_found_again(world: World, name: str) -> None:
    """When a reload raises or lowers a cap tenfold, the window follows; few are refused, no message is tried twice.

    Sessions that were open at the reload are neither cut nor counted by the server.
    """
    kind, before, after = _CHANGES[name]
    require(kind)
    async with kind(before) as receiver, Flow(world, receiver, _SHORT_SESSIONS) as flow:
        async with flow.flowing():
            await flow.until_window(_near(before))
            await receiver.change_cap(after)
            await flow.until_window(_near(after))
        await flow.empty()
        assert sorted(receiver.message_ids()) == sorted(flow.message_ids)
        print(f"{receiver.connections_refused()} refused of {len(flow.message_ids)}")
        assert receiver.connections_refused() <= _MOST_REFUSALS_OF_A_CHANGE
        assert flow.attempts() == 1


def _near(cap: int) -> Callable[[int], bool]:
    return lambda window: abs(window - cap) <= 1


async def test_a_restart_of_the_receiver_loses_nothing(world: World) -> None:
    """A receiver that cuts all sessions gets everything; twice comes at most what it cut before its last answer."""
    require(PostfixReceiver)
    async with (
        PostfixReceiver(20, holding()) as receiver,
        Flow(world, receiver, {"retry": {"schedule": ["300ms"], "jitter": 0.0}}) as flow,
    ):
        async with flow.flowing():
            await flow.until_window(_near(20))
            await receiver.restart()
            await flow.delivered(len(flow.message_ids) + 200)
        await flow.delivered(len(flow.message_ids))
        arrived = receiver.held_ids()
        assert set(arrived) == set(flow.message_ids)
        assert len(arrived) - len(flow.message_ids) <= (await flow.metrics()).total("sender_ambiguous_total")
        assert (await flow.deferrals()).keys() <= _OF_A_RESTART


async def test_a_rate_of_messages_is_kept_in_order(world: World) -> None:
    """A receiver that takes 40 messages in 2 seconds gets all in their order, at one attempt each, and refuses few."""
    require(PostfixReceiver)
    async with (
        PostfixReceiver(settings=message_rate(40, each_s=2)) as receiver,
        Flow(world, receiver, {"window": {"start": 1, "max": 1}}) as flow,
    ):
        await flow.queue(100)
        await flow.empty()
        assert receiver.message_ids() == flow.message_ids
        print(f"{receiver.messages_too_fast()} refused")
        assert 0 < receiver.messages_too_fast() <= 12
        assert flow.attempts() == 1
        lane = await flow.lane()
        assert lane["messages_per_second"] is not None
        assert "too much mail" in lane["last_refusal"]["reply"]


async def test_a_rate_of_connections_costs_no_attempt(world: World) -> None:
    """A receiver that takes 6 connections in 2 seconds, and says no more than `too many connections`, gets all."""
    require(PostfixReceiver)
    async with (
        PostfixReceiver(settings=connection_rate(6, each_s=2)) as receiver,
        Flow(world, receiver, {"delivery": {"messages_per_session": 10}}) as flow,
    ):
        await flow.queue(140)
        await flow.empty()
        assert sorted(receiver.message_ids()) == sorted(flow.message_ids)
        print(f"{receiver.connections_too_fast()} refused")
        assert 0 < receiver.connections_too_fast() <= 12
        assert flow.attempts() == 1


async def test_postscreen_turns_only_the_first_session_away(world: World) -> None:
    """What postscreen answers to a client that it does not know is greylisting; a client that it knows is let in."""
    require(PostfixReceiver)
    async with (
        PostfixReceiver(5, postscreen=True) as receiver,
        Flow(world, receiver, {"retry": {"schedule": ["300ms"], "jitter": 0.0}}) as flow,
    ):
        await flow.queue(5)
        await receiver.until("the client is known", lambda: "PASS NEW" in receiver.log)
        await flow.queue(300)
        await flow.empty()
        assert sorted(receiver.message_ids()) == sorted(flow.message_ids)
        assert receiver.turned_away() == 5
        assert (await flow.deferrals()).keys() <= {Reason.GREYLISTED, Reason.CONNECTION_LIMIT}
        assert flow.attempts() == 2
        assert abs(await flow.window() - 5) <= 1


@pytest.mark.parametrize("text", [NAMES_NO_WAIT, NAMES_THE_WAIT], ids=["no-wait-named", "wait-named"])
async def test_greylisting_costs_each_message_one_attempt(world: World, text: str) -> None:
    """Each new recipient is let come again, and comes after the wait that is named, else by the schedule."""
    require(PostfixReceiver, Postgrey)
    # By the schedule it would come too early, or never, where a wait is named that it could follow instead.
    schedule = "2s" if text == NAMES_NO_WAIT else "1h"
    async with (
        Postgrey(delay_s=1, text=text) as postgrey,
        PostfixReceiver(settings=policy(postgrey.address)) as receiver,
        Flow(world, receiver, {"retry": {"schedule": [schedule], "jitter": 0.0}}) as flow,
    ):
        await flow.queue(40)
        await flow.empty()
        assert sorted(receiver.message_ids()) == sorted(flow.message_ids)
        assert receiver.greylisted() == 40
        assert await flow.deferrals() == {Reason.GREYLISTED: 40}
        assert flow.attempts() == 2
