"""A disk that is full from any write on to any of our files: clients are asked to wait, and nothing else happens."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Self

import aiosmtplib
import pytest

from sender.sandbox import Behaviour
from sender.spool.contract import State
from sender.spool.journal import Journal
from tests.chaos.battery import Sized
from tests.chaos.forge import Forge
from tests.chaos.scale import in_full, scaled
from tests.chaos.test_disk import _end as end_under_strace
from tests.scenes.arrivals import Arrivals
from tests.scenes.hook import SECRET, Hook
from tests.scenes.processes import Served
from tests.servers import require
from tests.servers.strace import Strace, StraceOfOthers

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable
    from pathlib import Path

    from sender.sandbox import Receiver
    from tests.chaos.forge import Forged
    from tests.chaos.report import Report
    from tests.scenes.world import World

_IDENTITY = re.compile(rb"^X-Ledger: (\S+)", re.MULTILINE)
_KNOWN, _UNKNOWN = "user@quick.test", "nobody@quick.test"
_KINDS = ((_KNOWN,), (_UNKNOWN,), (_KNOWN, _UNKNOWN))
_CLIENTS = 3
_ALWAYS = "1+"
_WAIT = "outcomes cannot be recorded, deliveries wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Files for which there is no room, by patterns, beside the spool: it is about the last one."""

    files: tuple[str, ...]
    calls: str = "pwrite64,ftruncate"
    size: int = 0  # bytes that are added to each message
    heard: bool = False  # by clients
    kept: bool = True  # what is delivered meanwhile, for the next process

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many calls fail."""
        return (1, 2, 5, 25) if len(self.files) == 1 else (1, 2)

    def when(self, begins: int, calls: int) -> str:
        """Say which calls of each thread fail: where several files have no room, all until there is room again."""
        return f"{begins}..{begins + calls - 1}" if len(self.files) == 1 else _ALWAYS


_LOG = "spool.db-wal"
_PLACES = {
    "write-ahead log": Place(files=(_LOG,), heard=True),
    "checkpoint": Place(files=("spool.db",), size=1_000_000),
    "log and its index": Place(files=("spool.db", "spool.db-shm"), size=4_000_000, heard=True),
    "deliveries": Place(files=(_LOG, "spool.db-deliveries"), heard=True, kept=False),
    "events": Place(files=("events.jsonl",), calls="write"),
    "webhook": Place(files=("webhook/*",), calls="write,pwrite64"),
    "messages to the operator": Place(files=(_LOG, "../forged.log"), calls="write,pwrite64", heard=True),
}


class Full:
    """Within its block some calls of each thread of a daemon find no room for some files, as strace counts them."""

    def __init__(self, served: Forged, place: Place, spool: Path, when: str) -> None:
        self._trace = spool.with_name("trace")
        files = [[file.resolve() for file in spool.parent.glob(pattern)] for pattern in place.files]
        assert all(files), place
        about = b"|".join(re.escape(os.fsencode(file)) for file in files[-1]) if len(files) > 1 else b""
        self._failed = re.compile(rb"<(%b)>.*\(INJECTED\)" % about if about else rb"\(INJECTED\)")
        self._command = ["strace", "-f", "-y", "-e", "signal=none", "-o", str(self._trace), "-p", str(served.pid)]
        self._command += [word for group in files for file in group for word in ("-P", str(file))]
        self._command += ["-e", f"trace={place.calls}", "-e", f"inject={place.calls}:error=ENOSPC:when={when}"]
        self._process: Process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(*self._command, stderr=asyncio.subprocess.PIPE)
        assert self._process.stderr is not None
        said = await self._process.stderr.readline()
        assert b"attached" in said, said
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):  # it ends with the daemon
            self._process.terminate()
        await self._process.communicate()

    @property
    def failed(self) -> int:
        """Count the calls that found no room, where it is about."""
        return len(self._failed.findall(self._trace.read_bytes()))


class Mail:
    """What was submitted, what clients heard, and what became of it."""

    def __init__(self, world: World, arrivals: Arrivals, inbox: Receiver, size: int) -> None:
        self.heard = Counter[int]()
        self._world, self._arrivals, self._inbox, self._size = world, arrivals, inbox, size
        self._kinds = cycle(_KINDS)
        self._taken: set[tuple[str, str]] = set()

    async def send(self) -> int:
        """Submit a message; give the code that the client heard, or 0 where there was nobody."""
        message = self._world.message(*next(self._kinds))
        content = Sized(message.rcpt_tos, message.mail_from, message.identity, self._size).content
        code = 250
        try:
            async with self._world.client() as client:
                refused, _ = await client.sendmail(message.mail_from, message.rcpt_tos, content)
                assert not refused
        except aiosmtplib.SMTPResponseException as error:
            code = error.code
        else:
            self._taken.update((message.identity, rcpt_to) for rcpt_to in message.rcpt_tos)
        self.heard[code] += 1
        return code

    async def enqueue(self) -> None:
        """Submit a message of each kind by the command, which needs no daemon."""
        for rcpt_tos in _KINDS:
            message = self._world.message(*rcpt_tos)
            file = self._world.folder / "enqueued.eml"
            file.write_bytes(message.content)
            to = [word for rcpt_to in rcpt_tos for word in ("--to", rcpt_to)]
            code, said = await self._world.command("enqueue", "--from", message.mail_from, *to, str(file))
            assert code == 0, said
            self._taken.update((message.identity, rcpt_to) for rcpt_to in rcpt_tos)

    async def until_known(self) -> None:
        """Wait until it is known what was delivered."""
        await self._world.until("what was delivered is known", lambda: self.unknown == 0)

    async def send_some(self) -> None:
        """Submit one message of each kind, which must be taken, and wait until some are on their way."""
        for _ in _KINDS:
            assert await self.send() == 250
        await self._world.until("some are on their way", lambda: self._world.books().states[State.CLAIMED] > 0)

    async def send_until(self, holds: Callable[[], bool]) -> None:
        """Have some clients submit until something holds."""

        async def go_on() -> None:
            while not holds():
                await self.send()
                await asyncio.sleep(0.01)

        async with asyncio.timeout(60):
            await asyncio.gather(*(go_on() for _ in range(_CLIENTS)))

    @property
    def spool(self) -> Path:
        """Where it waits."""
        return self._world.settings.spool_path

    @property
    def unknown(self) -> int:
        """Count the recipients, of notices too, that were delivered, and that is neither recorded nor kept."""
        delivered = len(self._arrivals.count) + len(self._returned)
        journal = Journal(self.spool)
        try:
            kept = {settlement.recipient_id for _, settlements in journal.read() for settlement in settlements}
        finally:
            journal.close()
        with closing(self._world.database()) as database:
            rows = database.execute("SELECT id FROM recipients WHERE state = ?", (State.DELIVERED,))
            return delivered - len(kept | {row[0] for row in rows})

    @property
    def _returned(self) -> Counter[str]:
        return Counter(identity for each in self._inbox.arrivals for identity in _identities(each.content))

    @property
    def repeats(self) -> int:
        """Count what came more than once, notices too."""
        return self._arrivals.repeats + self._returned.total() - len(self._returned)

    def settle(self) -> None:
        """Assert that all has become of it what the receiver said, and nothing else."""
        assert self.heard.keys() <= {250, 450, 451, 452}
        assert self._arrivals.count.keys() == {each for each in self._taken if each[1] == _KNOWN}
        assert self._returned.keys() == {identity for identity, rcpt_to in self._taken if rcpt_to == _UNKNOWN}
        assert len(self._inbox.arrivals) == self._returned.total()


def _identities(notice: bytes) -> list[str]:
    return [identity.decode() for identity in _IDENTITY.findall(notice)]


@pytest.mark.parametrize("where", _PLACES)
async def test_r5_a_disk_that_is_full_at_any_write_loses_and_repeats_nothing(
    world: World, report: Report, where: str
) -> None:
    """Full from any write on, for some calls or until it is stopped: 452, each message once, and one notice of each."""
    require(StraceOfOthers)
    place, arrivals = _PLACES[where], Arrivals()
    behaviour = Behaviour(unknown_prefixes=("nobody",), latency_s=0.05, accept_delay_s=0.1)
    receiver = await world.site("quick.test", behaviour, store=arrivals)
    mail = Mail(world, arrivals, await world.inbox(), place.size)
    lives, rounds = scaled(1, 5), scaled(1, 4)
    failed = unknown = number = waited = 0
    async with Hook() as hook, Forge() as forge:
        config = world.configure(_tables(hook))
        for life in range(lives):
            served = await forge.serve(config)
            assert await served.ready(), served.log
            await mail.send_some()  # the first makes files
            await world.until_empty()
            await hook.until("the webhook is told", lambda: bool(hook.taken))
            for _ in range(rounds):
                number += 1
                calls = place.lengths[number % len(place.lengths)]
                await mail.send_some()  # whose outcomes are among the first that are to be recorded
                async with Full(served, place, mail.spool, place.when(number, calls)) as full:
                    await mail.send_until(lambda calls=calls, full=full: full.failed >= calls)  # type: ignore[misc]
                    failed += full.failed
                await mail.send_some()
                await world.until_empty()
                assert mail.repeats <= unknown  # of the ends before
            await mail.send_some()
            # Who cannot record has ten seconds to stop; a kill is faster.
            killed = place.heard and life % 2 == 0
            failed += await _stop(served, place, mail, signal.SIGKILL if killed else signal.SIGTERM)
            waited += served.log.count(_WAIT)
            await receiver.until_idle()
            unknown_now = mail.unknown
            assert not unknown_now or killed or not place.kept
            unknown += unknown_now
            served = await forge.serve(config, "--until-empty")
            assert await served.ended() == 0, served.log
    assert bool(mail.heard.keys() - {250}) == place.heard
    assert waited or not (in_full() and place.files == (_LOG,))
    mail.settle()
    assert mail.repeats <= unknown
    for line in mail.spool.with_name("events.jsonl").read_bytes().splitlines():
        json.loads(line)
    world.notices = world.books().notices
    await world.balance()
    heard = ", ".join(f"{code}: {count}" for code, count in sorted(mail.heard.items()))
    figures = f"{where}: {failed} calls failed, outcomes waited {waited} times, clients heard {heard}; 0 lost"
    report.held("R5", runs=number + lives, figures=f"{figures}, {mail.repeats} repeated of {unknown} unknown")
    if mail.repeats:
        reason = "who is stopped while not even the file whose room is taken beforehand can be written repeats: nothing"
        report.not_held("R5", reason=f"{reason} of it can be remembered ({mail.repeats} in {lives} such stops)")


async def _stop(served: Forged, place: Place, mail: Mail, number: int) -> int:
    """End a daemon while there is no room; give how many calls failed."""
    async with Full(served, place, mail.spool, _ALWAYS) as full:
        await mail.send_until(lambda: full.failed > 0)
        if place.kept:
            await mail.until_known()
        served.signal(number)
        code = await served.ended()
        assert place.heard or code == 0
        return full.failed


def _tables(hook: Hook) -> dict[str, dict[str, object]]:
    return {
        "spool": {"url": "sqlite:0/spool.db", "min_free": "1MiB"},
        "delivery": {"drain_timeout": "1s"},
        "window": {"start": 10},
        "events": {
            "file": "0/events.jsonl",
            "webhook": hook.url,
            "webhook_secret": SECRET,
            "webhook_batch_interval": "50ms",
            "webhook_backoff": "50ms",
            "webhook_backoff_max": "50ms",
        },
    }


_SPOOL = ("spool.db", "spool.db-wal", "spool.db-shm", "spool.db-journal", "spool.db-deliveries", "spool.db-hands")
_CALLS = "pwrite64,ftruncate,fallocate"


async def test_r5_a_disk_that_is_full_at_any_write_of_a_start_loses_and_repeats_nothing(
    world: World, report: Report
) -> None:
    """Who finds no room as it starts goes on or ends with the reason; whoever starts next has all the mail."""
    require(Strace)
    arrivals = Arrivals()
    await world.site("quick.test", Behaviour(unknown_prefixes=("nobody",)), store=arrivals)
    mail = Mail(world, arrivals, await world.inbox(), 0)
    numbers = range(1, 41) if in_full() else (12,)
    ended = 0
    async with Forge() as forge:
        for number in numbers:
            config = world.configure({"spool": {"url": f"sqlite:{number}/spool.db", "min_free": "1MiB"}})
            folder = world.settings.spool_path.parent
            if number % 2 == 0:  # where there was a spool before, the start writes other things
                await mail.enqueue()
            command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={_CALLS}"]
            command += [word for name in _SPOOL for word in ("-P", str(folder / name))]
            command += ["-e", f"inject={_CALLS}:error=ENOSPC:when={number}..{number + number % 3}"]
            async with Served(config, under=command) as tried:
                try:
                    await tried.ready()
                except AssertionError:
                    assert await tried.ended() != 0
                    ended += 1
                else:
                    await end_under_strace(world, tried, signal.SIGTERM)
                assert "Traceback" not in tried.log, tried.log
            await mail.enqueue()
            served = await forge.serve(config, "--until-empty")
            assert await served.ended() == 0, served.log
            world.notices = world.books().notices
            await world.balance()
    mail.settle()
    assert mail.repeats == 0
    figures = f"at a start: {ended} of {len(numbers)} ended with the reason; 0 lost, 0 repeated, one notice of each"
    report.held("R5", runs=len(numbers), figures=figures)
