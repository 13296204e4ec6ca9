"""What lanes have learned, in the SQLite spool: a row of JSON for each."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence


def save(connection: sqlite3.Connection, memory: Mapping[str, Mapping[str, Any]], now: float) -> None:
    """Write rows over what there is."""
    rows = [(name, now, orjson.dumps(learned).decode()) for name, learned in memory.items()]
    connection.executemany("INSERT OR REPLACE INTO lanes VALUES (?, ?, ?)", rows)


def read(connection: sqlite3.Connection) -> dict[str, tuple[float, dict[str, Any]]]:
    """Read every row, with the instant it was saved; what a disk has spoilt was not learned."""
    found = {}
    for name, at, memory in connection.execute("SELECT CAST(name AS TEXT), CAST(saved_at AS REAL), memory FROM lanes"):
        with contextlib.suppress(ValueError):
            learned = orjson.loads(memory)
            if isinstance(learned, dict):
                found[name] = at, learned
    return found


def forget(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    """Delete rows."""
    connection.executemany("DELETE FROM lanes WHERE name = ?", [(name,) for name in names])
