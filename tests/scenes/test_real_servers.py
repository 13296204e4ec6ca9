"""Real Postfix and Exim that allow few connections and do not say how many."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from sender.spool.contract import NewMessage
from sender.spool.sqlite import Role, open_spool
from tests.scenes.processes import Served
from tests.servers import EximReceiver, PostfixReceiver, require

if TYPE_CHECKING:
    from tests.scenes.world import World

_Receivers = dict[str, tuple[type[PostfixReceiver] | type[EximReceiver], int, int]]
_CASES: _Receivers = {"postfix": (PostfixReceiver, 5, 2000), "exim": (EximReceiver, 3, 1000)}
_REFUSALS = 25


@pytest.mark.parametrize("name", _CASES)
async def test_a_real_receiver_gets_everything_for_few_refusals(world: World, name: str) -> None:
    """A real receiver with a limit that nobody told takes a whole queue, refuses few, and no message is tried twice."""
    kind, limit, messages = _CASES[name]
    require(kind)
    async with kind(limit) as receiver:
        host, port = receiver.address
        config = world.configure({"routes": {"*": f"{host}:{port}"}})
        await _fill(world, messages)
        began_at = time.monotonic()
        async with Served(config, "--role", "delivery", "--until-empty") as served:
            code = await served.ended(deadline_s=120.0)
            seconds = time.monotonic() - began_at
            assert code == 0, served.log
        await receiver.until("every message is in its log", lambda: receiver.messages_accepted() == messages)
        print(f"{name}: {messages} messages in {seconds:.1f} s, {receiver.connections_refused()} refused")
        assert receiver.connections_refused() < _REFUSALS
    assert world.books().most_attempts == 1


async def _fill(world: World, messages: int) -> None:
    """Queue messages in the spool, as an intake process would."""
    spool = await open_spool(world.settings.spool_path, Role.INTAKE, now=time.time())
    futures = []
    for number in range(messages):
        now = time.time()
        content = world.message(f"user{number}@capped.test").content
        futures.append(
            spool.accept(
                NewMessage(
                    id=spool.ids.next(now),
                    mail_from="news@origin.test",
                    rcpt_tos=(f"user{number}@capped.test",),
                    domains=("capped.test",),
                    content=content,
                    size=len(content),
                    accepted_at=now,
                    due_ats=(now,),
                    listener="smtp",
                )
            )
        )
    for future in futures:
        await future
    await spool.close(clean=True)
