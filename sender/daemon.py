"""The daemon as a value: built from Settings, started, drained, stopped; it also runs inside a test."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import socket
from enum import StrEnum
from typing import TYPE_CHECKING

import uvicorn

from sender import chores
from sender.api.app import Api
from sender.clock import Clock
from sender.core.endpoint import split_endpoint
from sender.core.errors import SpoolError
from sender.engine.ageing import expire_aged
from sender.engine.committer import Committer
from sender.engine.control import Control
from sender.engine.dispatcher import Dispatcher
from sender.engine.gauges import Gauges
from sender.engine.holding import Holding
from sender.engine.lasting import lasting
from sender.engine.settling import Settler
from sender.engine.surroundings import Budget, Surroundings
from sender.intake.acceptance import Acceptance
from sender.intake.drop import DropFolder
from sender.intake.listener import listeners
from sender.intake.pressure import Pressure
from sender.observe.events import Events
from sender.observe.metrics import Metrics
from sender.observe.traces import Traces
from sender.route.resolver import RESULTS, Resolver
from sender.route.router import Router
from sender.rules import classifier
from sender.spool.sqlite import Role as SpoolRole
from sender.spool.sqlite import SqliteSpool, open_spool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sender.intake.listener import Listener
    from sender.observe.webhook import Webhook
    from sender.settings import Settings
    from sender.spool.contract import QueueRow

log = logging.getLogger(__name__)
_FIXED = (
    "hostname",
    "spool",
    "smtp",
    "listeners",
    "http",
    "dns",
    "sources",
)  # tables that hold for a process's life
_CUT_OFF_S = 5.0  # that what was cut off may take to end


class Role(StrEnum):
    """What a daemon does."""

    ALL = "all"
    INTAKE = "intake"
    DELIVERY = "delivery"


class Daemon:
    """Parts in the order in which data flows through them; `stop` ends them in reverse."""

    def __init__(
        self, settings: Settings, role: Role = Role.ALL, *, clock: Clock | None = None, rng: random.Random | None = None
    ) -> None:
        self.settings = settings
        self.role = role
        self.clock = clock or Clock()
        self.metrics = Metrics()
        self.metrics.runs(role)
        self.metrics.streams.fix(settings.streams)
        self.emptied = asyncio.Event()
        self.listeners: list[Listener] = []
        self.dispatcher: Dispatcher | None = None
        self.control: Control | None = None
        self.http_port = 0
        self.spool: SqliteSpool
        self._rng = rng or random.Random()
        self._events: Events
        self._webhook: Webhook | None = None
        self._traces = Traces()
        self._acceptance: Acceptance | None = None
        self._pressure: Pressure | None = None
        self._drop: DropFolder | None = None
        self._committer: Committer | None = None
        self._resolver: Resolver | None = None
        self._api: Api | None = None
        self._server: uvicorn.Server | None = None
        self._server_task: asyncio.Task[None] | None = None
        self._chores: list[asyncio.Task[None]] = []
        self._stopping = False
        self._aborted = asyncio.Event()
        self._commits_fail = ""
        self._gauges: Gauges | None = None

    async def start(self) -> None:
        """Start every part. Raises SpoolError, OSError; what was started then is stopped again."""
        settings = self.settings
        delivers, accepts = self.role is not Role.INTAKE, self.role is not Role.DELIVERY
        self.spool = await open_spool(
            settings.spool_path,
            SpoolRole.DELIVERY if delivers else SpoolRole.INTAKE,
            now=self.clock.wall(),
            commit_interval_s=settings.spool.commit_interval,
            on_commit=self.metrics.committed,
        )
        try:
            self._open_events()
            if delivers:
                await self._prepare_delivery()
                assert self.dispatcher is not None  # noqa: S101 - tells the type checker
                await self._tell_of_the_last()
                await chores.mend_dates(self.dispatcher, self.spool.clock_was_at, self.clock)
                self.dispatcher.start(await self.spool.queues())
                self.spool.on_arrivals = self._arrived
            if accepts:
                self._pressure = Pressure(settings, self.spool)
                await self._pressure.look()
                self._acceptance = Acceptance(
                    settings, self.spool, self.clock, self.metrics, self._events, self._pressure
                )
                self._drop = DropFolder(self._acceptance)
                await self._drop.open()
                for listener in listeners(self._acceptance):
                    self.listeners.append(listener)
                    await listener.start()
            listen = settings.http.listen if delivers else settings.http.intake_listen
            if listen:
                await self._start_http(listen)
        except BaseException:
            await self.stop(drain_s=0)
            raise
        self._begin_chores()
        if self.dispatcher is not None:
            self.dispatcher.tell_if_empty()

    async def _tell_of_the_last(self) -> None:
        """Say what the delivering process before this one has left."""
        if self.spool.recovered:
            log.warning("%d deliveries are recorded that could not be before", self.spool.recovered)
        if not await self.spool.stopped_cleanly():
            log.warning("the last delivering process did not stop cleanly; limits begin lower")

    def _open_events(self) -> None:
        self._events = Events.open(self.settings, self.metrics)
        if self._events.tail is not None:
            from sender.observe.webhook import Webhook  # noqa: PLC0415 - its client costs every command a tenth of a second

            self._webhook = Webhook(self.settings, self._events.tail, self.metrics, self.clock, self._rng)

    @contextlib.asynccontextmanager
    async def offline(self, *, acts: bool) -> AsyncIterator[Control]:
        """Give what operators ask and do where no daemon runs: on the spool alone. Raises SpoolError.

        Acting needs the spool as a delivering daemon does: while one runs, SpoolBusyError.
        """
        role = SpoolRole.DELIVERY if acts else SpoolRole.TOOL
        self.spool = await open_spool(self.settings.spool_path, role, now=self.clock.wall())
        self._events = Events()
        clean = await self.spool.stopped_cleanly()  # of the last daemon: a command changes nothing about that
        try:
            await self._prepare_delivery()
            assert self.control is not None  # noqa: S101 - tells the type checker
            yield self.control
            assert self._committer is not None  # noqa: S101 - as above
            await self._committer.close()
        finally:
            await self.spool.close(clean=clean)

    async def _prepare_delivery(self) -> None:
        settings, clock = self.settings, self.clock
        self.dispatcher = dispatcher = Dispatcher(on_empty=self._empty)
        self._gauges = Gauges(self.metrics, dispatcher.lanes)
        self._committer = Committer(
            self.spool,
            self._events,
            clock,
            interval_s=settings.spool.commit_interval,
            on_recorded=dispatcher.recorded,
            on_health=self._commit_health,
        )
        for result in RESULTS:
            self.metrics.lookups.labels(result)  # a series that begins at 0 can be watched
        self._resolver = Resolver(settings.dns, clock=clock.steady, on_lookup=self.metrics.looked_up)
        around = Surroundings(
            settings=settings,
            classifier=classifier(settings.rules_path),
            spool=self.spool,
            router=Router(settings, self._resolver, self._rng),
            settler=Settler(
                settings, self.spool, self._committer, clock, self._rng, self.metrics, events=self._events.wanted
            ),
            committer=self._committer,
            holding=Holding(self.spool, self._events, self.metrics, clock, on_held=dispatcher.read_suspensions),
            metrics=self.metrics,
            events=self._events,
            clock=clock,
            rng=self._rng,
            budget=Budget(settings.delivery.max_sessions),
            traces=self._traces,
            next_due=dispatcher.next_due,
        )
        self.control = Control(dispatcher, around)
        await dispatcher.prepare(around)
        await around.holding.crashed(self.spool.poisoned)

    async def _start_http(self, listen: str) -> None:
        host, port = split_endpoint(listen)
        self._api = Api(
            self.settings,
            self.spool,
            self.clock,
            control=self.control,
            acceptance=self._acceptance,
            render_metrics=self._render_metrics,
            alive=self.answers,
            ready=self._not_ready,
        )
        config = uvicorn.Config(
            self._api.application(),
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment] # ours are elsewhere
        # Uvicorn would end the process where it cannot bind.
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.http_port = listening.getsockname()[1]
        self._server_task = asyncio.create_task(self._server.serve([listening]))
        while not self._server.started:
            if self._server_task.done():
                await self._server_task
                raise OSError(f"{listen}: the HTTP server has ended")
            await asyncio.sleep(0.005)

    def _arrived(self, rows: list[QueueRow]) -> None:
        self.emptied.clear()
        if self.dispatcher is not None:
            self.dispatcher.arrived(rows)

    def _empty(self) -> None:
        self.emptied.set()

    def _commit_health(self) -> None:
        failing = self._committer is not None and self._committer.failing
        self._commits_fail = "the spool cannot record outcomes" if failing else ""
        if not failing and self.dispatcher is not None:
            for lane in self.dispatcher.lanes.values():
                lane.pump()

    def _not_ready(self) -> str:
        if self._stopping:
            return "stopping"
        return self._commits_fail

    async def answers(self) -> None:
        """Return once the event loop, the committer and the spool's thread have answered, be it with an error.

        What cannot be recorded now is no reason to restart: see `_not_ready`. What never answers is.
        """
        await (self._committer.answers() if self._committer is not None else self.spool.answers())

    @property
    def condition(self) -> str:
        """What an operator wants to know first, in one line."""
        words = []
        if self.dispatcher is not None and self._gauges is not None:
            queued = sum(self._gauges.survey.recipients.values())
            sessions = sum(lane.sessions for lane in self.dispatcher.lanes.values())
            waiting = (
                "nothing is queued" if self.emptied.is_set() else f"recipients queued: {queued or 'not counted yet'}"
            )
            words.append(f"{waiting}, sessions open: {sessions}")
        if self._pressure is not None and self._pressure.why:
            words.append(f"nothing is accepted: {self._pressure.why}")
        return "; ".join([*words, *filter(None, [self._commits_fail])]) or "mail is accepted"

    async def _render_metrics(self, accept: str) -> tuple[bytes, str]:
        metrics, settings = self.metrics, self.settings
        if self._gauges is not None:
            self._gauges.set(self.clock.steady())
        metrics.sessions_max.set(settings.delivery.max_sessions)
        metrics.spool_failing.set(bool(self._commits_fail))
        if self._pressure is not None:
            metrics.spool_accepting.set_all({(): not self._pressure.why})
            metrics.queue_max.set_all({(): settings.spool.max_queued})
            metrics.min_free.set_all({(): settings.spool.min_free})
        return await asyncio.to_thread(metrics.render, accept)

    def _begin_chores(self) -> None:
        spool, settings, clock, metrics = self.spool, self.settings.spool, self.clock, self.metrics
        do = functools.partial
        begun = [do(chores.watch_lag, metrics), do(chores.watch_disk, spool, metrics), do(chores.rank, metrics, clock)]
        if self._pressure is not None:
            begun.append(do(self._pressure.watch))
        if self._drop is not None:
            begun += [do(self._drop.watch), do(chores.forget_keys, spool, settings, clock)]
        if self.dispatcher is not None and self.control is not None and self._gauges is not None:
            begun += [
                # Nobody knows when this process ends: what is kept now is that of one that did not stop cleanly.
                do(chores.keep_memory, do(self._save, clean=False, everything=False)),
                do(chores.purge, spool, settings, clock),
                do(expire_aged, self.dispatcher),
                do(chores.watch_clock, self.dispatcher, metrics, clock),
                do(chores.survey, self.control, self._gauges, clock),
                do(chores.forget_lanes, self.dispatcher.learned),
            ]
        self._chores = [asyncio.create_task(lasting(chore)) for chore in begun]

    async def _save(self, *, clean: bool, everything: bool) -> None:
        assert self.dispatcher is not None  # noqa: S101 - only delivering daemons come here
        memory = self.dispatcher.memory(clean=clean, everything=everything)
        if memory:
            try:
                await self.spool.save_lanes(memory, self.clock.wall())
            except SpoolError as error:
                log.error("%s", error)  # noqa: TRY400 - it is tried again

    # stopping

    async def stop(self, *, drain_s: float | None = None) -> None:
        """Accept nothing more, finish what is open for at most `drain_s`, QUIT, record that it stopped cleanly."""
        if self._stopping:
            return
        self._stopping = True
        limit_s = self.settings.delivery.drain_timeout if drain_s is None else drain_s
        closing = asyncio.create_task(self._close_listeners(min(limit_s, self.settings.smtp.block_timeout)))
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        clean = True
        if self.dispatcher is not None and self._committer is not None:
            clean = await self._drain(limit_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(_CUT_OFF_S, limit_s) if clean else _CUT_OFF_S):
                    await self._committer.close()
            await self._save(clean=clean, everything=True)
        await closing
        if self._resolver is not None:
            await self._resolver.close()
        self._traces.close()
        if self._server is not None and self._server_task is not None:
            self._server.should_exit = True
            await asyncio.gather(self._server_task, return_exceptions=True)
        with contextlib.suppress(SpoolError):
            await self.spool.close(clean=clean)
        if self._webhook is not None:
            await self._webhook.stop(at_once=self._aborted.is_set())
        if hasattr(self, "_events"):
            self._events.close()

    async def _close_listeners(self, grace_s: float) -> None:
        await asyncio.gather(*(listener.close(grace_s) for listener in self.listeners))

    async def _drain(self, limit_s: float) -> bool:
        """Tell whether every session ended by itself."""
        assert self.dispatcher is not None  # noqa: S101 - only delivering daemons come here
        drained = asyncio.create_task(self.dispatcher.drain())
        aborted = asyncio.create_task(self._aborted.wait())
        await asyncio.wait([drained, aborted], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        aborted.cancel()
        if drained.done():
            return not self._aborted.is_set()
        if not self._aborted.is_set():
            log.warning("sessions are still open after %g s: cut off", limit_s)
        self.dispatcher.abort()
        # What is cut off ends at once; what it was told may still wait for a spool that cannot record it.
        await asyncio.wait([drained], timeout=_CUT_OFF_S)
        drained.cancel()
        await asyncio.gather(drained, return_exceptions=True)
        return False

    def abort(self) -> None:
        """Cut every session off, those of clients too: `stop`, which is waiting, goes on at once."""
        self._aborted.set()
        for listener in self.listeners:
            listener.cut_off()
        if self.dispatcher is not None:
            self.dispatcher.abort()

    def reload(self, settings: Settings) -> None:
        """Take a new configuration, users, tokens and certificates; what only a restart can change is named in the log.

        Raises ConfigError, OSError.
        """
        for listener in self.listeners:
            listener.reload()
        if self._api is not None:
            self._api.use(self._api.read_tokens())
        fixed = [key for key in _FIXED if getattr(settings, key) != getattr(self.settings, key)]
        if settings.events.held != self.settings.events.held:
            fixed.append("events")
        elif self._webhook is not None:
            self._webhook.reload(settings)
        if fixed:
            log.warning("changed, but only a restart makes it so: %s", ", ".join(fixed))
        self.settings = settings.model_copy(update={key: getattr(self.settings, key) for key in {*_FIXED, *fixed}})
        self.metrics.streams.fix(self.settings.streams)
        if self._acceptance is not None:
            self._acceptance.settings = self.settings
        if self.dispatcher is not None:
            self.dispatcher.reload(self.settings, classifier(self.settings.rules_path))
        log.info("configuration reloaded")

    def reopen_events(self) -> None:
        """Go on in a new event file."""
        self._events.reopen()
