"""Rows of the SQLite spool that come as one row of JSON, and rows that a disk has spoilt.

Python's lock is given away and taken back for every row that SQLite gives, and where the event loop wants it too, that
takes longer than to read the row.

One spoilt value fails no statement: text that is none comes with surrogates for its bytes, which `is_text` tells.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, TypeGuard

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def exactly(column: str, otherwise: str = "null") -> str:
    """Give a real number as JSON: of itself SQLite writes 15 digits, and an instant has 16.

    `otherwise` stands for NULL, and for what JSON has no number for.
    """
    return f"iif(abs({column}) < 1e300, json(printf('%!.17g', {column})), json('{otherwise}'))"


def read(connection: sqlite3.Connection, statement: str, *arguments: object) -> list[Any]:
    """Run a statement that gives one array."""
    whole = f"SELECT CAST(({statement}) AS BLOB)"
    (rows,) = connection.execute(whole, arguments).fetchone()
    try:
        found: list[Any] = orjson.loads(rows)
    except orjson.JSONDecodeError:
        found = json.loads(rows.decode("utf-8", "surrogateescape"))
    return found


def is_text(value: object) -> TypeGuard[str]:
    """Tell whether what stands where a text belongs is one."""
    if not isinstance(value, str):
        return False
    return value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)


def readable(value: object) -> str:
    """Give a text for people, whatever stands there; what is no text has marks in it."""
    if not value:
        return ""
    return str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def lenient(raw: bytes) -> str:
    """Decode a text of the spool for people; what is none has marks in it."""
    return raw.decode("utf-8", "replace")


def is_damage(error: BaseException | None) -> bool:
    """Tell whether the file is at fault: nothing that is tried again will help."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def why(error: Exception, path: Path) -> object:
    """Give what an operator is told about an error: of a file that is damaged, which one."""
    return f"{path}: {error}" if is_damage(error) else error


def as_json(values: Iterable[object]) -> str:
    """Write values as an array, for `json_each`."""
    return orjson.dumps([*values]).decode()
