"""What is left of a spool after a fault of the disk: whether it opens, is sound, and has what was acknowledged."""

from __future__ import annotations

import re
import sqlite3
import zlib
from contextlib import closing
from typing import TYPE_CHECKING

from sender.core.identity import id_number
from sender.spool.contract import State
from sender.spool.sqlite import Role, open_spool

if TYPE_CHECKING:
    from pathlib import Path

MEMORY = ("", "-wal", "-journal", "-deliveries")  # -shm, -hands and -lock are no memory: they are made anew
_ACKNOWLEDGED = re.compile(rb"250 2\.0\.0 Queued as ([0-9a-z]{13})\r\n")
_WAITS_FOR_NOBODY = (
    "SELECT count(*) FROM messages m WHERE ended_at IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM recipients r WHERE r.message_id = m.id AND r.state < ?)"
)


def acknowledged_ids(said: bytes | bytearray) -> set[int]:
    """Give the messages that clients were told of."""
    return {id_number(text.decode()) for text in _ACKNOWLEDGED.findall(said)}


async def examine(folder: Path, acknowledged: set[int]) -> str:
    """Open a spool after a power cut; say what is wrong with it."""
    path = folder / "spool.db"
    spool = await open_spool(path, Role.DELIVERY, now=0.0, commit_interval_s=0.0)
    await spool.close(clean=False)
    with closing(sqlite3.connect(path)) as database:
        (sound,) = database.execute("PRAGMA integrity_check").fetchone()
        if sound != "ok":
            return f"integrity_check: {sound}"
        messages = {row[0]: row[1:] for row in database.execute("SELECT id, checksum, blocks, ended_at FROM messages")}
        for message_id in acknowledged:
            if message_id not in messages:
                return f"{message_id} is lost"
            checksum, blocks, ended_at = messages[message_id]
            if ended_at is None and zlib.crc32(_content(database, message_id, blocks)) != checksum:
                return f"{message_id} is not what was accepted"
        if database.execute(_WAITS_FOR_NOBODY, (State.DELIVERED,)).fetchone() != (0,):
            return "a message waits without a recipient that does"
    return ""


def _content(database: sqlite3.Connection, message_id: int, blocks: int) -> bytes:
    (first,) = database.execute("SELECT content FROM contents WHERE message_id = ?", (message_id,)).fetchone()
    more = database.execute("SELECT content FROM blocks WHERE message_id = ? ORDER BY number", (message_id,)).fetchall()
    assert len(more) == blocks - 1
    return bytes(first) + b"".join(row[0] for row in more)
