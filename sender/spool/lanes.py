"""What lanes have learned, in the SQLite spool: a row of JSON for each."""

from __future__ import annotations

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
    """Read every row, with the instant it was saved."""
    return {name: (at, orjson.loads(memory)) for name, at, memory in connection.execute("SELECT * FROM lanes")}


def forget(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    """Delete rows."""
    connection.executemany("DELETE FROM lanes WHERE name = ?", [(name,) for name in names])
