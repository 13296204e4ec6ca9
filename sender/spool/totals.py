"""Recipients since the spool was made: accepted, and by how they ended. The statements run inside a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping


def add(connection: sqlite3.Connection, counts: Mapping[str, int]) -> None:
    """Count recipients under their words."""
    connection.executemany(
        "INSERT INTO totals VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
        [(name, count) for name, count in counts.items() if count],
    )


def read(connection: sqlite3.Connection) -> dict[str, int]:
    """Give all counts."""
    return dict(connection.execute("SELECT name, CAST(count AS INTEGER) FROM totals"))
