"""The spool in one SQLite file: WAL, `synchronous=FULL`, one writing thread with group commit, one reading thread.

One delivering process per file (a lock beside it says so); any number of processes may only accept.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from sender.core.errors import SpoolError
from sender.core.identity import MessageIds
from sender.spool import accepting, ages, claims, lanes, owners, receipts, reports, schema, suspending, totals
from sender.spool.beside import Beside
from sender.spool.contract import FencedError
from sender.spool.files import Files
from sender.spool.finding import find_recipients
from sender.spool.messages import UnreadableError
from sender.spool.recovery import recover
from sender.spool.rows import why
from sender.spool.wake import Waker, wake
from sender.spool.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sender.core.selection import Selection
    from sender.spool.contract import Claim, ClaimedMessage, NewMessage, QueueRow, Receipt, Settlement, Suspension

T = TypeVar("T")


class Role(StrEnum):
    """What a process does with the spool."""

    DELIVERY = "delivery"  # claims; may accept too
    INTAKE = "intake"  # accepts
    TOOL = "tool"  # a command of an operator


class SqliteSpool:
    """See `contract.Spool`. Made by `open_spool`."""

    def __init__(
        self, path: Path, role: Role, *, commit_interval_s: float, on_commit: Callable[[float, int], None]
    ) -> None:
        self.path = path
        self.role = role
        self.token = 0
        self.ids = MessageIds(0)
        self.clock_was_at = 0.0  # the latest instant that a process before has dated something with
        self.recovered = 0  # deliveries that a process before could not record
        self.poisoned: list[int] = []  # messages that are held since this process began
        self.on_arrivals: Callable[[list[QueueRow]], None] | None = None
        self._commit_interval_s = commit_interval_s
        self._on_commit = on_commit
        self._beside: Beside | None = None
        self._waker: Waker | None = None
        self._finding = asyncio.Lock()
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="spool-reader")
        # Of the writing thread:
        self._queue_ids: dict[tuple[str, str, int], int] = {}
        self._totals: Counter[str] = Counter()
        self._accepted = False
        self._last_seen = 0
        self._unreadable: dict[int, str] = {}  # messages that the database cannot give, and why
        self._reported: int | None = None  # the last recipient of the last report of the queues

    # opening and closing

    async def _open(self, now: float) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(self._connect, now)
        except BaseException:
            self._reading.shutdown()
            self._let_go()
            raise
        self._writer = Writer(
            self._connection,
            self.path,
            commit_interval_s=self._commit_interval_s,
            before_commit=self._before_commit,
            after_commit=self._after_commit,
            after_rollback=self._after_rollback,
            on_commit=self._on_commit,
        )
        if self.role is Role.DELIVERY:
            self._waker = Waker(self._pipe, self._look_for_arrivals)

    @property
    def _pipe(self) -> Path:
        return self.path.with_name(self.path.name + "-wake")

    def _let_go(self) -> None:
        if self._beside is not None:
            self._beside.close()

    def _connect(self, now: float) -> None:
        if self.role is Role.DELIVERY:
            self._beside = Beside(self.path)
        self._connection = schema.connect(self.path)
        try:
            self._begin(self._connection, now)
            self._reader = schema.connect(self.path, cache_mb=8)  # for blocks of content, and reports
        except BaseException:
            self._connection.close()
            raise
        self._reader.execute("PRAGMA query_only = ON")
        self._files = Files(self.path)

    def _begin(self, connection: sqlite3.Connection, now: float) -> None:
        """Take a token, and put right what the processes before left."""
        schema.migrate(connection)
        connection.execute("BEGIN IMMEDIATE")
        self.clock_was_at = reports.last_instant(connection)
        self.token = owners.begin(connection, self.role, now)
        if self._beside is not None:
            self.recovered, self.poisoned = recover(
                connection, in_hand=self._beside.hands.left, delivered=self._beside.journal.read(), now=now
            )
        last_id, self._last_seen = reports.last_ids(connection)
        connection.execute("COMMIT")
        if self._beside is not None:
            self._beside.hands.forget_left()
            self._beside.journal.forget()
        self.ids = MessageIds(self.token, after=last_id)

    async def close(self, *, clean: bool) -> None:
        """Finish what was asked, record how this process stopped, and let go of the file."""
        if self._waker is not None:
            self._waker.close()
            self._waker = None
        token, stopped_at = self.token, reports.wall_clock()
        try:
            await self._writer.submit("record the stop", lambda c: owners.end(c, token, stopped_at, clean=clean))
        finally:
            await self._writer.close()
            await asyncio.to_thread(self._connection.close)
            await self._loop.run_in_executor(self._reading, self._reader.close)
            self._reading.shutdown()
            await asyncio.to_thread(self._let_go)  # it may wait for the disk

    async def stopped_cleanly(self) -> bool:
        """Tell whether the delivering process before this one stopped cleanly (or there was none)."""
        return await self._read(lambda c: owners.ended_cleanly(c, Role.DELIVERY, self.token))

    # what happens around each commit, in the writing thread

    def _before_commit(self) -> None:
        self._files.check()  # nothing is promised that goes into a file that nobody will read
        counts, self._totals = self._totals, Counter()  # whatever comes now, no other commit counts them again
        totals.add(self._connection, counts)

    def _after_commit(self) -> None:
        if self.role is not Role.DELIVERY:
            self._queue_ids.clear()  # a delivering process that starts forgets empty queues
        if not self._accepted:
            return
        self._accepted = False
        if self.role is Role.DELIVERY:
            self._tell_arrivals(self._connection)
        else:
            wake(self._pipe)

    def _after_rollback(self) -> None:
        self._totals.clear()
        self._queue_ids.clear()  # ids that were made in what was rolled back are not there
        self._accepted, self._reported = False, None

    def _tell_arrivals(self, connection: sqlite3.Connection) -> None:
        """Tell the event loop of recipients that came since the last time, whoever accepted them.

        Only what is committed counts: the ids of what is rolled back come again.
        """
        if self.on_arrivals is None:
            self._last_seen = max(self._last_seen, self._reported or 0)
            return
        arrivals, self._last_seen = reports.arrivals(connection, self._last_seen)
        if arrivals:
            self._loop.call_soon_threadsafe(self.on_arrivals, arrivals)

    def _look_for_arrivals(self) -> None:
        def work(_: sqlite3.Connection) -> None:
            self._accepted = True  # by whomever: the commit tells of it

        future = self._writer.submit("look for new mail", work)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._loop.run_in_executor(self._reading, work, self._reader)
        except sqlite3.Error as error:
            raise SpoolError("read", why(error, self.path)) from error

    async def _change(self, doing: str, statement: str, rows: Sequence[Sequence[object]]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            # The cursor stays in this thread: were it let go in another, it would reset a statement that is in use.
            connection.executemany(statement, rows)

        await self._writer.submit(doing, work)

    # accepting

    async def accept(self, *messages: NewMessage, receipt: Receipt | None = None, taken_before: int = 0) -> None:
        """Remember messages durably, with a receipt where a client may ask for them again."""

        def work(connection: sqlite3.Connection) -> None:
            if receipt is not None:
                receipts.write(connection, receipt, taken_before, reports.wall_clock())
            for message in messages:
                self._insert(connection, message)

        await self._writer.submit("accept a message", work)

    async def receipt(self, owner: str, key: str) -> Receipt | None:
        """Read what was taken under a key."""
        return await self._read(lambda c: receipts.read(c, owner, key))

    async def put_block(self, message_id: int, number: int, content: bytes) -> None:
        """Keep a further block of a message that will be accepted later."""
        await self._change("keep content", "INSERT INTO blocks VALUES (?, ?, ?)", [(message_id, number, content)])

    async def drop_blocks(self, message_id: int) -> None:
        """Forget the blocks of a message that will not be accepted."""
        await self._change("drop content", "DELETE FROM blocks WHERE message_id = ?", [(message_id,)])

    def _insert(self, connection: sqlite3.Connection, message: NewMessage) -> None:
        accepting.insert(connection, message, self._queue_ids)
        self._totals["accepted"] += len(message.rcpt_tos)
        self._accepted = True

    # claiming and settling

    async def queues(self) -> list[QueueRow]:
        """Every queue that has recipients that wait; who came before this is not told to `on_arrivals` any more."""

        def work(connection: sqlite3.Connection) -> list[QueueRow]:
            (self._reported,) = connection.execute("SELECT max(id) FROM recipients").fetchone()
            self._accepted = True  # who is not told yet is told before this ends
            return reports.queues(connection)

        return await self._writer.submit("read the queues", work)

    async def claim(
        self, queue_ids: Sequence[int], *, site: str, now: float, limit: int, byte_limit: int, together: int = 100
    ) -> Claim:
        """Claim due recipients of these queues, with those of the same messages for the same site."""
        bounds: Any = {"limit": limit, "byte_limit": byte_limit, "together": together, "unreadable": self._unreadable}
        return await self._claim(lambda c: claims.claim(c, self.token, queue_ids, site=site, now=now, **bounds))

    async def claim_selected(self, selection: Selection, *, limit: int) -> list[ClaimedMessage]:
        """Claim queued and suspended recipients for an operator's command."""
        return await self._claim(lambda c: claims.claim_selected(c, self.token, selection, limit, self._unreadable))

    async def claim_aged(
        self, *, tried_before: float, untried_before: float, limit: int, held: Sequence[int] = ()
    ) -> list[ClaimedMessage]:
        """Claim recipients of old messages, but for those in the queues `held`."""
        return await self._claim(
            lambda c: claims.claim_aged(c, self.token, tried_before, untried_before, limit, held, self._unreadable)
        )

    async def _claim(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Claim; where a message cannot be read, once more without it."""
        while True:
            try:
                return await self._writer.submit("claim", work)
            except UnreadableError as error:
                self._unreadable |= error.messages  # which nobody looks at again

    async def answers(self) -> None:
        """Return once the writing thread has answered; whether it could commit is another matter."""
        with contextlib.suppress(SpoolError):
            await self._writer.submit("look whether it answers", lambda _connection: None)

    async def settle(
        self,
        settlements: Sequence[Settlement],
        notices: Sequence[NewMessage],
        last_replies: Mapping[str, str],
        now: float,
    ) -> None:
        """Remember durably what became of claimed recipients, and queue the notices about them."""

        def work(connection: sqlite3.Connection) -> None:
            claims.settle(connection, self.token, settlements, now)
            for settlement in settlements:
                if settlement.state.ended:
                    self._totals[settlement.state.word] += 1
            if last_replies:
                connection.executemany(
                    "UPDATE domains SET last_reply = ? WHERE name = ?",
                    [(reply, domain) for domain, reply in last_replies.items()],
                )
            for notice in notices:
                self._insert(connection, notice)

        try:
            await self._writer.submit("record outcomes", work)
        except FencedError as error:
            raise await self._fenced(error, [settlement.recipient_id for settlement in settlements]) from error

    async def keep(self, deliveries: Sequence[Settlement]) -> None:
        """Keep deliveries durably that cannot be settled now: what is opened next settles them."""
        if self._beside is not None:
            await asyncio.to_thread(self._beside.journal.write, self.token, deliveries)

    async def forget_kept(self) -> None:
        """Forget what was kept: it is settled."""
        if self._beside is not None:
            await asyncio.to_thread(self._beside.journal.forget)

    def take_in_hand(self, message_id: int) -> int | None:
        """Note that a message is being delivered, for whoever opens the spool next; gives the place of the note."""
        return self._beside.hands.take(message_id) if self._beside is not None else None

    def put_down(self, place: int | None) -> None:
        """Take back such a note."""
        if self._beside is not None:
            self._beside.hands.put_down(place)

    async def release(
        self, recipient_ids: Sequence[int], not_before: Mapping[int, float] = MappingProxyType({})
    ) -> None:
        """Put claimed recipients back, some of them not to be due before an instant."""
        try:
            await self._writer.submit("release", lambda c: claims.release(c, self.token, recipient_ids, not_before))
        except FencedError as error:
            raise await self._fenced(error, recipient_ids) from error

    async def _fenced(self, error: FencedError, ids: Sequence[int]) -> FencedError:
        """Say whose claims they were: the others have not had what was asked for them."""
        fenced = await self._writer.submit("look at claims", lambda c: claims.fenced(c, self.token, ids))
        return FencedError(error.doing, error.why, fenced)

    async def block(self, message_id: int, number: int) -> bytes:
        """Read one block of a message's content."""
        return await self._read(lambda c: reports.block(c, message_id, number))

    async def set_sites(self, sites: Mapping[str, str]) -> None:
        """Remember to which site domains belong."""
        await self._change(
            "remember sites",
            "INSERT INTO domains (name, site) VALUES (?, ?) ON CONFLICT DO UPDATE SET site = excluded.site",
            list(sites.items()),
        )

    # operators

    async def suspend(self, selection: Selection, *, now: float, until: float | None, reason: str) -> tuple[int, int]:
        """Hold a selection: the suspension's id, and how many recipients it touches."""
        return await self._writer.submit("suspend", lambda c: suspending.suspend(c, selection, now, until, reason))

    async def resume(self, selection: Selection, *, now: float) -> int:
        """Let a selection go again; `all` ends every suspension."""
        return await self._writer.submit("resume", lambda c: suspending.resume(c, selection, now))

    async def resume_id(self, suspension_id: int, *, now: float) -> int | None:
        """End one suspension."""
        return await self._writer.submit("resume", lambda c: suspending.resume_id(c, suspension_id, now))

    async def suspensions(self, now: float) -> list[Suspension]:
        """Read the suspensions in force; those whose time is over end here."""
        return await self._writer.submit("read suspensions", lambda c: suspending.in_force(c, now))

    async def redate(self, *, by_s: float, after: float, latest: float) -> None:
        """Move the instants after `after` at which recipients are due, but for those that were asked for."""
        await self._writer.submit("move what is due", lambda c: claims.redate(c, by_s, after, latest))

    async def retry(self, selection: Selection, *, now: float) -> int:
        """Make queued recipients due now."""
        return await self._writer.submit("retry", lambda c: claims.make_due(c, selection, now))

    # memory and reports

    async def save_lanes(self, memory: Mapping[str, Mapping[str, Any]], now: float) -> None:
        """Keep what lanes have learned."""
        await self._writer.submit("remember lanes", lambda c: lanes.save(c, memory, now))

    async def lanes(self) -> dict[str, tuple[float, dict[str, Any]]]:
        """What lanes had learned."""
        return await self._read(lanes.read)

    async def forget_lanes(self, names: Sequence[str]) -> None:
        """Forget what lanes had learned."""
        await self._writer.submit("forget lanes", lambda c: lanes.forget(c, names))

    async def queue_report(self, now: float) -> list[dict[str, Any]]:
        """Figures for each queue."""
        return await self._read(lambda c: reports.queue_report(c, now))

    async def age_report(self, now: float, *, domain: str, site: str, stream: str, limit: int) -> dict[str, Any]:
        """Queued recipients by age, in all and of the largest domains."""
        wanted = {"domain": domain, "site": site, "stream": stream}
        return await self._read(lambda c: ages.age_report(c, now, **wanted, limit=limit))

    async def find_recipients(self, *, rcpt_to: str, domain: str, limit: int) -> dict[str, Any]:
        """Recipients of an address, or of a domain; one search at a time, beside what else is read."""
        async with self._finding:
            try:
                return await asyncio.to_thread(find_recipients, self.path, rcpt_to=rcpt_to, domain=domain, limit=limit)
            except sqlite3.Error as error:
                raise SpoolError("read", error) from error

    async def message_report(self, message_id: int) -> dict[str, Any] | None:
        """A message and its recipients."""
        return await self._read(lambda c: reports.message_report(c, message_id))

    async def ahead(self, queue_ids: Sequence[int], *, due_before: float) -> int:
        """Count who is claimed, or due before an instant, in these queues."""
        return await self._read(lambda c: reports.ahead(c, queue_ids, due_before))

    async def totals(self) -> dict[str, int]:
        """Recipients since the spool was made."""
        return await self._read(totals.read)

    async def purge(self, ended_before: float, limit: int) -> int:
        """Forget messages that ended before an instant."""
        return await self._writer.submit("purge", lambda c: claims.purge(c, ended_before, limit))

    async def forget_receipts(self, before: float) -> None:
        """Forget what was taken under keys before an instant."""
        await self._writer.submit("forget receipts", lambda c: receipts.forget(c, before))


async def open_spool(
    path: Path,
    role: Role,
    *,
    now: float,
    commit_interval_s: float = 0.003,
    on_commit: Callable[[float, int], None] = lambda _seconds, _units: None,
) -> SqliteSpool:
    """Open or make a spool. Raises SpoolError; SpoolBusyError where another process delivers from it."""
    spool = SqliteSpool(path, role, commit_interval_s=commit_interval_s, on_commit=on_commit)
    try:
        # Nobody else can list it; the drop folder in it is for everybody.
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        await spool._open(now)  # noqa: SLF001
    except (sqlite3.Error, OSError, ValueError) as error:  # of a spoilt file not even the name of a table is text
        raise SpoolError("open", f"{path}: {error}") from error
    return spool
