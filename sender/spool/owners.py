"""The statements about processes that use a spool: each has a token of its own. They run inside a transaction."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


def begin(connection: sqlite3.Connection, role: str, now: float) -> int:
    """Write down that this process begins; gives its token."""
    cursor = connection.execute(
        "INSERT INTO owners (role, host, pid, started_at) VALUES (?, ?, ?, ?)",
        (role, socket.gethostname(), os.getpid(), now),
    )
    return int(cursor.lastrowid or 0)


def end(connection: sqlite3.Connection, token: int, now: float, *, clean: bool) -> None:
    """Write down how it ended."""
    connection.execute("UPDATE owners SET stopped_at = ?, clean = ? WHERE token = ?", (now, clean, token))


def ended_cleanly(connection: sqlite3.Connection, role: str, before: int) -> bool:
    """Tell whether the last process in a role before a token ended cleanly (or there was none)."""
    row = connection.execute(
        "SELECT clean FROM owners WHERE role = ? AND token < ? ORDER BY token DESC LIMIT 1", (role, before)
    ).fetchone()
    return row is None or bool(row[0])
