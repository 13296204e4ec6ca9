"""The statements of the SQLite spool about suspensions. They run inside a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.core.selection import Kind, Selection
from sender.spool import claims
from sender.spool.contract import Suspension

if TYPE_CHECKING:
    import sqlite3


def suspend(
    connection: sqlite3.Connection, selection: Selection, now: float, until: float | None, reason: str
) -> tuple[int, int]:
    """Hold a selection: the suspension's id, and how many recipients it touches."""
    cursor = connection.execute(
        "INSERT INTO suspensions (kind, value, since, until, reason) VALUES (?, ?, ?, ?, ?)",
        (selection.kind, selection.value, now, until, reason),
    )
    touched = claims.count(connection, selection)
    if selection.kind is Kind.MESSAGE:
        claims.hold_message(connection, selection)
    return int(cursor.lastrowid or 0), touched


def resume(connection: sqlite3.Connection, selection: Selection, now: float) -> int:
    """End the suspensions of a selection; `all` ends every one."""
    if selection.kind is Kind.ALL:
        ended = connection.execute("DELETE FROM suspensions RETURNING kind, value").fetchall()
    else:
        ended = connection.execute(
            "DELETE FROM suspensions WHERE kind = ? AND value = ? RETURNING kind, value",
            (selection.kind, selection.value),
        ).fetchall()
    return _resumed(connection, ended, now)


def resume_id(connection: sqlite3.Connection, suspension_id: int, now: float) -> int | None:
    """End one suspension."""
    ended = connection.execute(
        "DELETE FROM suspensions WHERE id = ? RETURNING kind, value", (suspension_id,)
    ).fetchall()
    return _resumed(connection, ended, now) if ended else None


def in_force(connection: sqlite3.Connection, now: float) -> list[Suspension]:
    """End the suspensions whose time is over, and read the others."""
    over = connection.execute("DELETE FROM suspensions WHERE until <= ? RETURNING kind, value", (now,)).fetchall()
    _resumed(connection, over, now)
    rows = connection.execute(
        "SELECT id, kind, CAST(value AS TEXT), CAST(since AS REAL), CAST(until AS REAL), CAST(reason AS TEXT)"
        " FROM suspensions ORDER BY id"
    )
    return [
        Suspension(id=row[0], selection=Selection(Kind(row[1]), row[2]), since=row[3], until=row[4], reason=row[5])
        for row in rows
        if row[1] in set(Kind)  # what a disk has spoilt selects nothing
    ]


def _resumed(connection: sqlite3.Connection, ended: list[tuple[str, str]], now: float) -> int:
    """Count what is let go, and put the recipients of messages back into their queues."""
    touched = 0
    for selection in {Selection(Kind(kind), str(value)) for kind, value in ended if kind in set(Kind)}:
        touched += claims.count(connection, selection)
        if selection.kind is Kind.MESSAGE and not claims.is_suspended(connection, selection):
            claims.free_message(connection, selection, now)
    return touched
