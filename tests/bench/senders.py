"""Senders that drain the same queue into a receiver with limits: this daemon, and Postfix with and without tuning.

None of them is told what the receiver allows. The time runs from the start on a full queue until it is empty.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from sender.spool.contract import State
from tests.bench.daemon import folder
from tests.servers import PostfixSender, ServerError, SmtpSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SIZE = 2048
_FILL_SESSIONS = 20
_LONGEST_FILL_S = 120.0
_IN_A_SESSION = 500  # Exim takes a thousand, and smtp-source does not share them out evenly

# What Postfix's own documents advise for a receiver that answers 421 above its cap, and waits made short:
TUNED: Mapping[str, str] = MappingProxyType(
    {
        # QSHAPE_README, "High volume destination backlog": failures that do not make a destination dead,
        # and sessions that are kept.
        "default_destination_concurrency_failed_cohort_limit": "100",
        "smtp_connection_cache_destinations": "static:all",
        # SCHEDULER_README, "Limitations of less-than-1 per delivery feedback": of use where a receiver limits actively.
        # Fixed and small was the best of what was tried: 1/concurrency, 1/sqrt_concurrency, 1/20, 1/100.
        "default_destination_concurrency_positive_feedback": "1/100",
        "default_destination_concurrency_negative_feedback": "1/100",
        # postconf(5): what is deferred comes back soon.
        "minimal_backoff_time": "10s",
        "maximal_backoff_time": "60s",
        "queue_run_delay": "5s",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a sender has to do, and what it is told: nothing about the receiver, but of the mail's own nature."""

    messages: int
    to: tuple[str, int]
    messages_per_session: int | None = None
    schedule: tuple[int, ...] | None = None  # seconds after the first, second, ... attempt; Postfix gets the first
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Drained:
    """How it went: `seconds` until the queue was empty or, where it never was, until the deadline."""

    seconds: float
    empty: bool
    deferred: int  # messages that had to come again


class Sender(Protocol):
    """One that drains a queue."""

    @property
    def name(self) -> str:
        """What it is called in the table."""

    async def drain(self, task: Task) -> Drained:
        """Queue the messages, then deliver them."""


class ThisDaemon:
    """The project's own."""

    name = "sender"

    async def drain(self, task: Task) -> Drained:
        """Drain a spool with defaults, durable outcomes, events and metrics on."""
        async with folder() as daemon:
            daemon.configure(task.to, _tables(task))
            await daemon.fill(task.messages, _SIZE)
            async with daemon.serving("--role", "delivery", "--until-empty") as serving:
                try:
                    seconds = await serving.emptied(task.deadline_s)
                except TimeoutError:
                    return Drained(task.deadline_s, empty=False, deferred=_deferred(daemon.spool))
            return Drained(seconds, empty=True, deferred=_deferred(daemon.spool))


@dataclass(frozen=True)
class Postfix:
    """Postfix, with main.cf parameters of its own."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)

    async def drain(self, task: Task) -> Drained:
        """Drain a queue that was held until it was full."""
        settings = {**self.settings}
        if task.messages_per_session is not None:
            settings["smtp_connection_reuse_count_limit"] = str(task.messages_per_session)
        if task.schedule is not None:
            first, last = task.schedule[0], task.schedule[-1]
            settings |= {"minimal_backoff_time": f"{first}s", "queue_run_delay": f"{first}s"}
            settings["maximal_backoff_time"] = f"{last}s"
        async with PostfixSender(task.to, settings, held=True) as sender:
            # Each message has a recipient of its own, as greylisting counts them.
            async with SmtpSource(
                sender.address, messages=task.messages, size=_SIZE, sessions=_FILL_SESSIONS, options=["-N"]
            ) as source:
                await source.finished(deadline_s=_LONGEST_FILL_S)
            started_at = time.perf_counter()
            await sender.release()
            try:
                await sender.drained(deadline_s=task.deadline_s)
            except ServerError:
                return Drained(task.deadline_s, empty=False, deferred=sender.deferred_once())
            return Drained(time.perf_counter() - started_at, empty=True, deferred=sender.deferred_once())


SENDERS: tuple[Sender, ...] = (ThisDaemon(), Postfix("Postfix"), Postfix("Postfix, tuned", TUNED))


async def knowing(messages: int, to: tuple[str, int], *, sessions: int) -> float:
    """Measure the seconds that a client needs who knows how many sessions the receiver allows."""
    at_once = _IN_A_SESSION * sessions
    started_at = time.perf_counter()
    for done in range(0, messages, at_once):
        async with SmtpSource(to, messages=min(at_once, messages - done), size=_SIZE, sessions=sessions) as source:
            await source.finished(deadline_s=_LONGEST_FILL_S)
    return time.perf_counter() - started_at


def _deferred(spool: Path) -> int:
    with closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True, timeout=10.0)) as database:
        # A failed attempt was counted before the one that delivered, or while it still waits.
        (count,) = database.execute(
            "SELECT count(*) FROM recipients WHERE attempts > (state = ?)", (State.DELIVERED,)
        ).fetchone()
    return int(count)


def _tables(task: Task) -> str:
    more = '[events]\nfile = "events.jsonl"\n'
    if task.messages_per_session is not None:
        more += f"[delivery]\nmessages_per_session = {task.messages_per_session}\n"
    if task.schedule is not None:
        more += f"[retry]\nschedule = {[f'{seconds}s' for seconds in task.schedule]}\n"
    return more
