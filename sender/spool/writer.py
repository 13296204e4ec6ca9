"""Group commit: one thread writes to the database, and what waits for it shares a transaction.

A unit of work is a function of the connection. Units that arrive while a commit is under way, or within the commit
interval after a busy one began, run together; their callers hear of the result after the commit. A unit that fails is
run again without the others, so that it alone is refused.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sender.core.errors import SpoolError
from sender.spool.rows import why

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)
T = TypeVar("T")
_BATCH = 2000  # units in one commit at most


@dataclass(slots=True)
class _Unit(Generic[T]):
    doing: str
    work: Callable[[sqlite3.Connection], T]
    future: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None


class Writer:
    """Owns the writing connection and its thread.

    `before_commit` runs at the end of each transaction, `after_commit` or `after_rollback` behind it; in the thread.
    `on_commit(seconds, units)` is called in the event loop.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        commit_interval_s: float,
        before_commit: Callable[[], None],
        after_commit: Callable[[], None],
        after_rollback: Callable[[], None],
        on_commit: Callable[[float, int], None],
    ) -> None:
        self._connection = connection
        self._path = path  # for words
        self._interval_s = commit_interval_s
        self._before_commit = before_commit
        self._after_commit = after_commit
        self._after_rollback = after_rollback
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Unit[Any]] = []
        self._arrived = threading.Condition()
        self._closing = False
        self._began = False
        self._thread = threading.Thread(target=self._run, name="spool-writer", daemon=True)
        self._thread.start()

    def submit(self, doing: str, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Have `work` done in a transaction; the future ends after the commit, or with SpoolError."""
        future: asyncio.Future[T] = self._loop.create_future()
        with self._arrived:
            if self._closing:
                raise SpoolError(doing, "the spool is closed")
            self._waiting.append(_Unit(doing, work, future))
            self._arrived.notify()
        return future

    async def close(self) -> None:
        """Finish what was submitted, then end the thread. The connection stays open."""
        with self._arrived:
            self._closing = True
            self._arrived.notify()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        busy, began_at = False, 0.0
        while True:
            with self._arrived:
                while not self._waiting and not self._closing:
                    self._arrived.wait()
                if not self._waiting:
                    return
            wait_s = began_at + self._interval_s - time.monotonic()
            if busy and wait_s > 0:
                time.sleep(wait_s)
            began_at = time.monotonic()
            with self._arrived:
                units, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            busy = len(units) > 1
            self._commit(units)

    def _commit(self, units: list[_Unit[Any]]) -> None:
        began_at = time.monotonic()
        if not self._try(units) and len(units) > 1 and self._began:
            # Whose fault it was is not known in every case: each has its own transaction now.
            for unit in units:
                self._try([unit])
        seconds = time.monotonic() - began_at
        self._call(self._answer, units, seconds)

    def _try(self, units: list[_Unit[Any]]) -> bool:
        """Run units in one transaction; tell whether it is committed. If not, nothing of it remains."""
        self._began = False  # while another process holds the lock, no unit is to blame
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._began = True
            for unit in units:
                unit.error = None
                unit.result = unit.work(self._connection)
            self._before_commit()
            self._connection.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - the callers hear of it, whatever it is
            if self._connection.in_transaction:
                try:
                    self._connection.execute("ROLLBACK")
                except sqlite3.Error as second:
                    error.add_note(f"rolling back failed too: {second}")
            self._after_rollback()
            for unit in units:
                unit.error = error
            return False
        try:
            self._after_commit()
        except Exception:
            # What was committed stays committed, and the thread goes on for those who come next.
            log.exception("spool: telling of a commit failed")
        return True

    def _answer(self, units: list[_Unit[Any]], seconds: float) -> None:
        self._on_commit(seconds, len(units))
        for unit in units:
            if unit.future.done():
                continue
            if unit.error is None:
                unit.future.set_result(unit.result)
            elif isinstance(unit.error, sqlite3.Error | OSError):
                refusal = SpoolError(unit.doing, why(unit.error, self._path))
                refusal.__cause__ = unit.error
                unit.future.set_exception(refusal)
            else:
                unit.future.set_exception(unit.error)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is gone: nobody waits any more
            return
