"""Rows of the SQLite spool that come as one row of JSON.

Python's lock is given away and taken back for every row that SQLite gives, and where the event loop wants it too, that
takes longer than to read the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


def exactly(column: str) -> str:
    """Give a real number as JSON: of itself SQLite writes 15 digits, and an instant has 16."""
    return f"iif({column} IS NULL, json('null'), json(printf('%!.17g', {column})))"


def read(connection: sqlite3.Connection, statement: str, *arguments: object) -> list[Any]:
    """Run a statement that gives one array."""
    found: list[Any] = orjson.loads(connection.execute(statement, arguments).fetchone()[0])
    return found


def as_json(values: Iterable[object]) -> str:
    """Write values as an array, for `json_each`."""
    return orjson.dumps([*values]).decode()
