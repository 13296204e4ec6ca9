"""Real receivers with limits that they do not tell: how much of what is possible a sender gets through, at what price.

- The yardstick is a client that knows the limit: smtp-source with exactly the sessions that are allowed, measured in
  the same run, or, where a rate limits, what the rate lets through.
- Each sender gets a receiver of its own, new and with nothing in its memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.senders import SENDERS, Drained, Sender, Task, knowing
from tests.servers import EximReceiver, PostfixReceiver, PostfixSender, Postgrey, SmtpSource
from tests.servers.postfix_receiver import connection_rate, message_rate, policy
from tests.servers.process import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from tests.servers import Server

    Receiver = PostfixReceiver | EximReceiver

NEEDS: tuple[type[Server], ...] = (PostfixReceiver, EximReceiver, PostfixSender, Postgrey, SmtpSource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One receiver: `caps` are its connections, one after the other; the next holds once its share was taken."""

    name: str
    messages: int
    make: Callable[[int | None], AbstractAsyncContextManager[Receiver]]  # with the first of the caps
    caps: tuple[int, ...] = ()
    ideal_s: float | None = None  # where it is not to be measured
    messages_per_session: int | None = None
    schedule: tuple[int, ...] | None = None


_GREYLISTED_S = 30  # a tenth of postgrey's five minutes; the schedules are a tenth of the usual ones
_SHORT, _FEW = 50, 20  # messages in one session


def setups(minute_s: int) -> tuple[Setup, ...]:
    """Give the receivers; those with rates count them by `minute_s` seconds."""
    return (
        Setup(name="Postfix allows 5", messages=5000, make=PostfixReceiver, caps=(5,)),
        Setup(name="Exim allows 3", messages=3000, make=EximReceiver, caps=(3,)),
        *(
            Setup(
                name=f"{name} allows {before}, then {after}",
                messages=5000,
                make=make,
                caps=(before, after),
                messages_per_session=_SHORT,
            )
            for name, make, before, after in (
                ("Postfix", PostfixReceiver, 20, 2),
                ("Postfix", PostfixReceiver, 2, 20),
                ("Exim", EximReceiver, 20, 2),
            )
        ),
        Setup(
            name=f"Postfix takes 200 messages in {minute_s} s",
            messages=1000,
            make=lambda _: PostfixReceiver(settings=message_rate(200, each_s=minute_s)),
            ideal_s=_by_rate(1000, 200, each_s=minute_s),
        ),
        Setup(
            name=f"Postfix takes 10 connections in {minute_s} s",
            messages=1000,
            make=lambda _: PostfixReceiver(settings=connection_rate(10, each_s=minute_s)),
            ideal_s=_by_rate(1000, 10 * _FEW, each_s=minute_s),
            messages_per_session=_FEW,
        ),
        Setup(
            name=f"Postfix with postgrey, {_GREYLISTED_S} s",
            messages=200,
            make=_greylisting,
            ideal_s=float(_GREYLISTED_S),
            schedule=(12, 30, 90),
        ),
    )


def _by_rate(messages: int, rate: int, *, each_s: int) -> float:
    """Give the seconds that messages take of which so many may go in each span: the first go at once."""
    return float((math.ceil(messages / rate) - 1) * each_s)


@contextlib.asynccontextmanager
async def _greylisting(_: int | None) -> AsyncIterator[Receiver]:
    async with (
        Postgrey(delay_s=_GREYLISTED_S) as postgrey,
        PostfixReceiver(settings=policy(postgrey.address)) as receiver,
    ):
        yield receiver


async def receivers(words: str, *, deadline_s: float, minute_s: int) -> None:
    """Print the table of the receivers whose names contain `words`; a sender has at least thrice the ideal time."""
    print("| receiver | sender | goodput | refused per 1,000 | deferred | seconds to empty |")
    print("|---|---|---|---|---|---|", flush=True)
    for setup in setups(minute_s):
        if words.lower() not in setup.name.lower():
            continue
        ideal_s = await _ideal_s(setup)
        print(f"| {setup.name}: {setup.messages} messages | knows it | 100 % | 0 | 0 | {ideal_s:.1f} |", flush=True)
        for sender in SENDERS:
            print(await _measured(setup, sender, ideal_s, max(deadline_s, 3 * ideal_s)), flush=True)


async def _measured(setup: Setup, sender: Sender, ideal_s: float, deadline_s: float) -> str:
    async with setup.make(setup.caps[0] if setup.caps else None) as receiver:
        task = Task(
            messages=setup.messages,
            to=receiver.address,
            messages_per_session=setup.messages_per_session,
            schedule=setup.schedule,
            deadline_s=deadline_s,
        )
        changing = asyncio.create_task(_change(setup, receiver))
        try:
            drained = await sender.drain(task)
        finally:
            changing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await changing
        return _row(setup, sender.name, drained, receiver, ideal_s)


def _row(setup: Setup, name: str, drained: Drained, receiver: Receiver, ideal_s: float) -> str:
    taken = receiver.messages_accepted()
    goodput = (taken / drained.seconds) / (setup.messages / ideal_s)
    seconds = f"{drained.seconds:.1f}" if drained.empty else f"over {drained.seconds:.0f}: {taken} taken"
    refused = 1000 * receiver.refusals() / max(1, taken)
    return f"| | {name} | {100 * goodput:.0f} % | {refused:.1f} | {drained.deferred} | {seconds} |"


async def _change(setup: Setup, receiver: Receiver) -> None:
    """Set each further cap when its share of the mail has begun."""
    for number, cap in enumerate(setup.caps[1:], 1):
        await _taken(receiver, setup.messages * number // len(setup.caps))
        await receiver.change_cap(cap)


async def _taken(receiver: Receiver, messages: int) -> None:
    def taken() -> bool:
        return receiver.messages_accepted() >= messages

    # Who drains the queue has the deadline.
    await until(f"{messages} were taken", taken, deadline_s=math.inf, poll_s=0.05)


async def _ideal_s(setup: Setup) -> float:
    if setup.ideal_s is not None:
        return setup.ideal_s
    seconds = 0.0
    for cap in setup.caps:
        async with setup.make(cap) as receiver:
            seconds += await knowing(setup.messages // len(setup.caps), receiver.address, sessions=cap)
    return seconds
