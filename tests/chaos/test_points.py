"""Crash points: killed, cancelled or surprised anywhere, a process loses nothing, and repeats one at the most."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import urllib.request
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import aiosmtplib
import pytest

from sender.sandbox import Behaviour
from sender.spool.contract import State
from tests.chaos.faults import Fault, Trap
from tests.chaos.forge import Forge
from tests.chaos.points import POINTS, Point, Scene
from tests.chaos.scale import in_full
from tests.scenes.arrivals import Arrivals

if TYPE_CHECKING:
    from tests.chaos.forge import Forged
    from tests.chaos.report import Report
    from tests.scenes.world import Submission, Tables, World

_AT_A_START = {Scene.AFTER_KILL, Scene.AFTER_FAILING, Scene.AGED, Scene.ENDED}
_ITSELF_S = 4.0  # in which a daemon goes on by itself after an exception


class Case:
    """One fault at one point, with a spool of its own."""

    def __init__(self, world: World, forge: Forge, arrivals: Arrivals, point: Point, fault: Fault) -> None:
        self._world, self._forge, self._arrivals = world, forge, arrivals
        self._point, self._fault = point, fault
        self._acknowledged: set[tuple[str, str]] = set()
        name = f"{point.name} {fault.name}".replace(" ", "-").replace(",", "")
        self._fired = world.folder / f"{name}.fired"
        tables: Tables = {
            "spool": {"url": f"sqlite:{name}/spool.db", "min_free": "1MiB"},
            "events": {"file": f"{name}.jsonl"},
            "delivery": {"drain_timeout": "2s", "idle_timeout": "20ms"},
        }
        if point.scene is Scene.AGED:
            tables["retry"] = {"schedule": ["10m"], "max_age": "1s"}
        if point.scene is Scene.ENDED:
            tables["spool"]["keep_ended"] = "0s"
        self._config = world.configure(tables)

    async def play(self) -> None:
        """Let it happen, let the next process put it right, and look at what is left. Raises AssertionError."""
        scene = self._point.scene
        repeats_before = self._arrivals.repeats
        if scene in _AT_A_START:
            await self._prepare()
            repeats_before = self._arrivals.repeats
            served = await self._forge.serve(self._config, "--until-empty", trap=self._trap)
            await self._world.until("it happens", self._fired.exists)
        else:
            served = await self._forge.serve(self._config, trap=self._trap)
            if await served.ready():
                await self._act(served)
        await self._end(served)
        assert self._fired.exists(), f"it was not reached\n{served.log}"
        last = await self._forge.serve(self._config)
        assert await last.ready(), last.log
        if self._point.scene is Scene.COMMANDS:
            await self._world.command("resume", "--all")
            await self._world.until_true("it is deleted", self._is_deleted)
        await self._world.until("nothing waits", lambda: not self._waiting())
        last.signal(signal.SIGTERM)
        assert await last.ended() == 0, last.log
        await self._examine(repeats_before, served.log)

    @property
    def _trap(self) -> Trap:
        point = self._point
        return Trap(
            target=point.target,
            after=point.after,
            fault=self._fault,
            nth=point.nth,
            fired=str(self._fired),
            settling_fails=point.scene is Scene.FAILING,
        )

    # what leads there

    async def _prepare(self) -> None:
        """Leave what the scene begins with."""
        scene, world = self._point.scene, self._world
        trap = None
        if scene is Scene.AFTER_FAILING:
            trap = Trap(
                target="sender.spool.sqlite:SqliteSpool.keep",
                after=True,
                fault=Fault.KILL,
                nth=1,
                fired=str(self._fired.with_suffix(".before")),
                settling_fails=True,
            )
        elif scene is Scene.AFTER_KILL:
            trap = Trap(
                target="sender.engine.lane:Lane.enveloped",
                after=False,
                fault=Fault.KILL,
                nth=1,
                fired=str(self._fired.with_suffix(".before")),
            )
        served = await self._forge.serve(self._config, trap=trap)
        assert await served.ready(), served.log
        if scene is Scene.AGED:
            await self._submit(served, "full@choosy.test")
            await world.until("it is deferred", lambda: world.books().most_attempts > 0)
        else:
            await self._submit(served, "user@quick.test")
            await self._submit(served, "user@slow.test")
        if trap is None and scene is Scene.ENDED:
            await self._settled(served)
        if trap is not None:
            assert await served.ended() == -signal.SIGKILL
        else:
            await self._forge.kill(served)
        if scene is Scene.AGED:
            await asyncio.sleep(1.0)  # its age
            with closing(sqlite3.connect(world.settings.spool_path)) as database, database:
                # It is not due: nothing but its age ends it.
                database.execute("UPDATE recipients SET due_at = due_at + 3600 WHERE state = ?", (State.QUEUED,))

    async def _act(self, served: Forged) -> None:
        """Do what leads to the point, a step after the other, so that one transaction is in flight at the most."""
        match self._point.scene:
            case Scene.BATCH:
                for number in range(2):
                    await self._post(served, f"key-{number}", "user@quick.test")
                    await self._settled(served)
            case Scene.COMMANDS:
                await self._submit(served, "user@held.test")
                for words in (("suspend", "--all"), ("resume", "--all")):
                    await self._command(served, *words)
                await self._submit(served, "full@choosy.test", acknowledged=False)
                with suppress(TimeoutError):  # an exception may keep it for the next process
                    async with asyncio.timeout(_ITSELF_S):
                        await self._world.until_true("it is deleted", lambda: self._is_deleted(served))
            case _:
                for rcpt_to in ("user@quick.test", "user@choosy.test", "nobody@choosy.test", "user@quick.test"):
                    await self._submit(served, rcpt_to)
                    await self._settled(served)
                await self._submit(served, "long@quick.test", size=600_000)
                await self._settled(served)

    async def _submit(self, served: Forged, rcpt_to: str, *, size: int = 0, acknowledged: bool = True) -> None:
        if not served.running:
            return
        message = self._world.message(rcpt_to)
        content = message.content + (b"x" * 70 + b"\r\n") * (size // 72)
        with suppress(aiosmtplib.SMTPException, OSError):
            async with self._world.client() as client:
                await client.sendmail(message.mail_from, message.rcpt_tos, content)
                if acknowledged:
                    self._acknowledge(message)

    def _acknowledge(self, message: Submission) -> None:
        self._acknowledged.update((message.identity, rcpt_to) for rcpt_to in message.rcpt_tos)

    async def _post(self, served: Forged, key: str, rcpt_to: str) -> None:
        if not served.running:
            return
        message = self._world.message(rcpt_to)
        body = {"mail_from": message.mail_from, "rcpt_tos": message.rcpt_tos, "content": message.content.decode()}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._world.http_port}/v1/messages",
            json.dumps(body).encode(),
            {"Idempotency-Key": key, "Content-Type": "application/json"},
        )

        def post() -> int:
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - as above
                return int(response.status)

        with suppress(OSError):
            if await asyncio.to_thread(post) == 202:
                self._acknowledge(message)

    async def _is_deleted(self, served: Forged | None = None) -> bool:
        """Delete what the choosy receiver does not take; who is just being tried is not there to be deleted."""
        if served is not None and not served.running:
            return True
        await self._world.command("delete", "--domain", "choosy.test")
        return not self._waiting()

    async def _command(self, served: Forged, *words: str) -> None:
        if served.running:
            await self._world.command(*words)

    async def _settled(self, served: Forged) -> None:
        """Wait until nothing waits, or the process has ended, or an exception has stopped it for a while."""
        with suppress(TimeoutError):
            await self._world.until(
                "it has ended", lambda: not served.running or not self._waiting(), deadline_s=_ITSELF_S
            )

    def _waiting(self) -> int:
        books = self._world.books()
        return books.states[State.QUEUED] + books.states[State.CLAIMED]

    async def _end(self, served: Forged) -> None:
        match self._fault:
            case Fault.KILL:
                assert await served.ended() == -signal.SIGKILL, served.log
            case Fault.STOP:
                assert await served.ended(deadline_s=20.0) == 0, served.log
            case Fault.RAISE:
                served.signal(signal.SIGTERM)  # it may have ended by itself
                await served.ended(deadline_s=20.0)

    # what is left

    async def _examine(self, repeats_before: int, log: str) -> None:
        point, world = self._point, self._world
        if point.scene is Scene.ENDED:
            return  # what was purged, no file tells of; nothing of it may be lost by then
        books = world.books()
        held = books.states[State.SUSPENDED]
        assert held <= (point.held and self._fault is Fault.RAISE), log
        with world.database() as database:
            rows = database.execute("SELECT DISTINCT message_id FROM recipients WHERE state IN (?, ?)", (4, 5))
            world.notices = len(rows.fetchall())
        await world.balance()
        lost = {
            (identity, rcpt_to)
            for identity, rcpt_to in self._acknowledged
            if not self._arrivals.count[identity, rcpt_to] and not rcpt_to.startswith(("nobody", "full"))
        }
        assert len(lost) <= held, f"lost: {lost}\n{log}"
        repeated = self._arrivals.repeats - repeats_before
        # A signal is heard when the event loop comes round: the final dot may be out by then.
        allowed = max(point.repeats, self._fault is Fault.STOP)
        assert repeated <= allowed, f"{repeated} repeated\n{log}"


_FOUND = {("after a commit, in the thread", Fault.RAISE)}  # what was committed was counted twice


def _cases(scene: Scene) -> list[tuple[Point, Fault]]:
    """All of them; with `make test` every 23rd of the table, and those that have found something."""
    cases = enumerate((point, fault) for point in POINTS for fault in Fault)
    return [
        (point, fault)
        for number, (point, fault) in cases
        if point.scene is scene and (in_full() or number % 23 == 0 or (point.name, fault) in _FOUND)
    ]


@pytest.mark.parametrize("scene", Scene, ids=[scene.name.lower() for scene in Scene])
async def test_c3_at_no_point_is_anything_lost(world: World, report: Report, scene: Scene) -> None:
    """Killed, cancelled or surprised at any named point, a daemon loses nothing, and repeats what nobody can know."""
    cases, failures = _cases(scene), []
    arrivals = Arrivals()
    plain = Behaviour(chunking=False)  # content has its own round trip, so that more instants can be told apart
    await world.site("quick.test", plain, store=arrivals)
    await world.site("slow.test", replace(plain, latency_s=0.05), store=arrivals)
    await world.site("held.test", replace(plain, latency_s=0.3), store=arrivals)
    choosy = replace(plain, unknown_prefixes=("nobody",), full_prefixes=("full",), greylist_s=0.1)
    await world.site("choosy.test", choosy, store=arrivals)
    await world.inbox()
    async with Forge() as forge:
        for point, fault in cases:
            try:
                await Case(world, forge, arrivals, point, fault).play()
            except (AssertionError, TimeoutError) as error:
                failures.append(f"{point.name}, {fault}: {error!r}")
                print(failures[-1], flush=True)
            await forge.clear()
    world.configure({"spool": {"url": "sqlite:none.db"}})
    world.notices = 0
    assert not failures, "\n\n".join(failures)
    points = len({point.name for point, _ in cases})
    figures = f"{scene}: {points} points, {len(Fault)} faults, 0 lost, {arrivals.repeats} repeated"
    report.held("C3", runs=len(cases), figures=figures)
