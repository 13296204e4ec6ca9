"""Events at a webhook: what a dead receiver and a killed daemon cost (nothing), and how processes share one buffer."""

from __future__ import annotations

import json
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.scenes.hook import CLOSE, HANG, SECRET, Hook
from tests.scenes.processes import Served
from tests.servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.scenes.world import Tables, World


def _tables(hook: Hook, **more: Any) -> Tables:  # noqa: ANN401 - keys of `[events]`
    return {
        "events": {
            "file": "events.jsonl",
            "webhook": hook.url,
            "webhook_secret": SECRET,
            "webhook_batch_interval": "50ms",
            "webhook_backoff": "20ms",
            "webhook_backoff_max": "50ms",
            "webhook_drain": "0s",
            **more,
        }
    }


def _counted(events: Iterable[dict[str, Any]]) -> Counter[str]:
    return Counter(json.dumps(event, sort_keys=True) for event in events)


def _written(world: World) -> Counter[str]:
    """Count the events in the file, which is written after the buffer."""
    files = (path for path in world.folder.glob("events.jsonl*") if path.suffix != ".lock")
    return _counted(json.loads(line) for path in files for line in path.read_text().splitlines())


async def test_a_killed_daemon_loses_no_event_that_was_written(world: World) -> None:
    """The next one sends them all, whatever files they are in; what was sent before comes as it was."""
    await world.site("ok.test")
    async with Hook(always="503 Not now") as hook:
        config = world.configure(_tables(hook, webhook_drain="10s", max_size="64KiB", keep=100))
        async with Served(config) as served:
            await served.ready()
            await world.submit([world.message(f"user{number}@ok.test") for number in range(300)])
            await world.until("events wait", (world.folder / "events.jsonl.2").exists)
            await hook.until("a batch was tried", lambda: len(hook.requests) > 1)
            served.signal(signal.SIGKILL)
            await served.ended()
        tried = hook.requests[-1]
        hook.script.extend(["500 Still", CLOSE])
        hook.always = "200 OK"
        async with Served(config) as served:
            await served.ready()
            await world.until_empty()
            await hook.until("it takes them again", lambda: bool(hook.taken))
            served.signal(signal.SIGTERM)
            assert await served.ended() == 0, served.log
    assert not _written(world) - _counted(hook.events)
    assert _written(world).total() >= 550  # of the last commit before the end there may be none
    came = _counted(hook.events)
    # Between the two writes of one batch the process may be killed: then it is at the webhook alone.
    assert (came - _written(world)).total() <= 50
    assert max(came.values()) == 1
    files = {path.name: path.stat().st_size for path in world.folder.glob("events.jsonl.*[0-9]")}
    assert len(files) >= 3
    assert max(files.values()) <= 2**16
    (first, *_) = hook.taken
    assert (first.id, first.body) == (tried.id, tried.body)
    bodies: dict[str, set[bytes]] = {}
    for request in hook.requests:
        bodies.setdefault(request.id, set()).add(request.body)
        assert request.is_signed(SECRET)
    assert {len(each) for each in bodies.values()} == {1}


async def test_a_dead_receiver_holds_nothing_up_and_another_is_taken_on_reload(world: World) -> None:
    """Mail is delivered while the webhook hangs, and that is shown; SIGHUP brings a new address into force."""
    receiver = await world.site("ok.test")
    async with Hook(always=HANG) as dead, Hook() as alive:
        async with Served(world.configure(_tables(dead, webhook_timeout="200ms"))) as served:
            await served.ready()
            await world.submit([world.message(f"user{number}@ok.test") for number in range(200)])
            await world.until("all are delivered", lambda: receiver.tally.messages == 200)

            async def shown() -> bool:
                metrics = await world.metrics()
                failed = metrics.by("sender_webhook_requests_total", "result").get("failed", 0)
                waits = metrics.total("sender_webhook_buffer_bytes") > 50_000
                return failed > 0 and waits and metrics.total("sender_webhook_oldest_seconds") > 0

            await world.until_true("what waits is shown", shown)
            world.configure(_tables(alive))
            served.signal(signal.SIGHUP)
            await alive.until("all have come", lambda: 400 <= _written(world).total() == len(alive.events))
            world.configure({})
            served.signal(signal.SIGHUP)
            await served.says("only a restart makes it so: events")
            served.signal(signal.SIGTERM)
            assert await served.ended() == 0, served.log
        assert alive.url not in served.log
        assert served.log.count("does not take events") == 1
    assert _counted(alive.events) == _written(world)


async def test_processes_share_one_buffer(world: World) -> None:
    """One process sends for all, also what a command wrote and left; when it is killed another takes over."""
    await world.site("ok.test")
    async with Hook() as hook:
        http = {"intake_listen": f"127.0.0.1:{free_port()}"}
        config = world.configure({**_tables(hook), "http": http})
        message = world.folder / "message.eml"
        message.write_text("Subject: x\n\nx\n")
        words = ("enqueue", "--from", "news@origin.test", "--to", "user@ok.test", str(message))
        assert (await world.command(*words))[0] == 0
        assert _written(world).total() == 1
        async with Served(config, "--role", "intake") as intake:
            await intake.ready()
            await hook.until("the command's event has come", lambda: len(hook.events) == 1)
            async with Served(config, "--role", "delivery") as delivery:
                await delivery.ready()
                await world.submit([world.message(f"user{number}@ok.test") for number in range(50)])
                await hook.until("all have come", lambda: 102 <= _written(world).total() == len(hook.events))
                intake.signal(signal.SIGKILL)
                await intake.ended()
                assert (await world.command(*words))[0] == 0
                await hook.until("the rest has come", lambda: 104 <= _written(world).total() == len(hook.events))
    assert _counted(hook.events) == _written(world)
    kinds = Counter(event["event"] for event in hook.events)
    assert (kinds["accepted"], kinds["delivered"]) == (52, 52)
