"""The tables of the SQLite spool, and the way from each earlier version to this one.

`PRAGMA user_version` counts the migrations that were applied; each runs in one transaction with its count.
A spool that is newer than this program is refused.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from typing import TYPE_CHECKING

from sender.core.errors import SpoolError
from sender.spool.rows import lenient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FIRST = """
CREATE TABLE owners (              -- a row for each start of a process on this spool
    token INTEGER PRIMARY KEY AUTOINCREMENT,
    role TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at REAL NOT NULL,
    stopped_at REAL,
    clean INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE domains (
    name TEXT PRIMARY KEY,
    site TEXT,
    last_reply TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE queues (              -- mail of one domain, stream and priority waits in one order
    id INTEGER PRIMARY KEY,
    domain TEXT NOT NULL,
    stream TEXT NOT NULL,
    priority INTEGER NOT NULL,
    UNIQUE (domain, stream, priority)
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    mail_from TEXT NOT NULL,
    size INTEGER NOT NULL,
    stream TEXT NOT NULL,
    priority INTEGER NOT NULL,
    eight_bit INTEGER NOT NULL,
    smtputf8 INTEGER NOT NULL,
    accepted_at REAL NOT NULL,
    expires_at REAL,
    listener TEXT NOT NULL,
    blocks INTEGER NOT NULL,
    first_recipient INTEGER NOT NULL,  -- the recipients of a message have consecutive ids
    recipients INTEGER NOT NULL,
    remaining INTEGER NOT NULL,        -- recipients that have not ended
    ended_at REAL
);
CREATE INDEX messages_ended ON messages (ended_at) WHERE ended_at IS NOT NULL;
CREATE TABLE contents (            -- the first block of each message that has not ended
    message_id INTEGER PRIMARY KEY,
    content BLOB NOT NULL
);
CREATE TABLE blocks (              -- the further blocks
    message_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (message_id, number)
);
CREATE TABLE recipients (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- grows with each commit: what is new has a higher one
    message_id INTEGER NOT NULL,
    queue_id INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    owner INTEGER,
    crashes INTEGER NOT NULL DEFAULT 0,    -- times that a process ended while it had claimed this
    warned INTEGER NOT NULL DEFAULT 0,
    rcpt_to TEXT NOT NULL,
    history TEXT NOT NULL DEFAULT ''       -- a line of JSON for each attempt
);
CREATE INDEX recipients_due ON recipients (queue_id, due_at) WHERE state = 0;
CREATE INDEX recipients_claimed ON recipients (id) WHERE state = 1;
CREATE INDEX recipients_suspended ON recipients (message_id) WHERE state = 2;
CREATE TABLE suspensions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    since REAL NOT NULL,
    until REAL,
    reason TEXT NOT NULL
);
CREATE TABLE lanes (
    name TEXT PRIMARY KEY,
    saved_at REAL NOT NULL,
    memory TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE totals (
    name TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) WITHOUT ROWID;
"""

_DOTTED = "ALTER TABLE messages ADD COLUMN dotted INTEGER NOT NULL DEFAULT 1"  # a line may begin with a dot

_ASKED = """
ALTER TABLE messages ADD COLUMN options TEXT;    -- JSON, where a client asked for more than usual
ALTER TABLE messages ADD COLUMN checksum INTEGER;  -- CRC-32 of the whole content; NULL: it is not known
ALTER TABLE recipients ADD COLUMN dsn TEXT NOT NULL DEFAULT '';  -- NOTIFY and ORCPT, as RCPT takes them
CREATE TABLE receipts (            -- what was taken under a key that a client may repeat
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,          -- of what was asked
    taken INTEGER NOT NULL,        -- recipients
    answer BLOB NOT NULL,          -- what the client was told, when all was taken
    at REAL NOT NULL,
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE INDEX receipts_at ON receipts (at);
"""

# CRC-32 of what is never changed (checksums.py); NULL: it is not known.
_CHECKED = """
ALTER TABLE messages ADD COLUMN envelope INTEGER;
ALTER TABLE recipients ADD COLUMN checksum INTEGER;
"""

MIGRATIONS = (_FIRST, f"{_DOTTED};", _ASKED, _CHECKED)
_BUSY_S = 30.0  # how long another process may hold the write lock


def connect(path: Path, *, cache_mb: int = 64) -> sqlite3.Connection:
    """Connect; whoever may read the file may read mail, so it is its owner's alone (SQLite's side files follow it)."""
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, stat.S_IRUSR | stat.S_IWUSR))
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S, cached_statements=256
    )
    try:
        connection.text_factory = lenient
        _begin_wal(connection, _BUSY_S)
        # Some SQLites come with secure_delete: every page that a message leaves would be written once more, as zeros.
        cache = f"cache_size = -{1024 * cache_mb}"
        for pragma in ("synchronous = FULL", cache, "temp_store = MEMORY", "secure_delete = OFF"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _begin_wal(connection: sqlite3.Connection, wait_s: float) -> None:
    """Switch to WAL. SQLite does not wait by itself when two processes do this to a new file at the same time.

    Raises SpoolError where the disk does not let it: SQLite would go on with what it had, which promises less.
    """
    until = time.monotonic() + wait_s
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            if mode != "wal":
                raise SpoolError("open", f"the journal's mode is {mode}, and cannot be made wal")
            return


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a spool forward to this version. Raises SpoolError for one from the future."""
    applied = _version(connection)
    if applied > len(MIGRATIONS):
        raise SpoolError("open", f"schema version {applied} is newer than this program's {len(MIGRATIONS)}")
    for number in range(applied, len(MIGRATIONS)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) == number:  # another process that opens it now may have been faster
                for statement in _statements(MIGRATIONS[number]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number + 1}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _statements(script: str) -> Iterator[str]:
    """Split a script: `executescript` would commit by itself."""
    statement = ""
    for piece in script.split(";")[:-1]:
        statement += f"{piece};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
