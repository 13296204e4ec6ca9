"""The statements of the SQLite spool that make a message of what was accepted. They run inside a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    import sqlite3

    from sender.spool.contract import NewMessage

QueueIds = dict[tuple[str, str, int], int]


def insert(connection: sqlite3.Connection, message: NewMessage, queue_ids: QueueIds) -> None:
    """Write a message with its recipients and its first block; `queue_ids` remembers queues by what they are for."""
    dsns = message.dsn or ("",) * len(message.rcpt_tos)
    recipients = [
        (message.id, _queue_id(connection, (domain, message.stream, message.priority), queue_ids), due_at, rcpt_to, dsn)
        for rcpt_to, domain, due_at, dsn in zip(message.rcpt_tos, message.domains, message.due_ats, dsns, strict=True)
    ]
    statement = "INSERT INTO recipients (message_id, queue_id, due_at, rcpt_to, dsn) VALUES (?, ?, ?, ?, ?)"
    first = connection.execute(statement, recipients[0]).lastrowid
    if len(recipients) > 1:
        connection.executemany(statement, recipients[1:])
    connection.execute(
        "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?)",
        (
            message.id,
            message.mail_from,
            message.size,
            message.stream,
            message.priority,
            message.eight_bit,
            message.smtputf8,
            message.accepted_at,
            message.expires_at,
            message.listener,
            message.blocks,
            first,
            len(recipients),
            len(recipients),
            message.dotted,
            orjson.dumps(options).decode() if (options := message.options.stated()) else None,
            message.checksum,
        ),
    )
    connection.execute("INSERT INTO contents VALUES (?, ?)", (message.id, message.content))


def _queue_id(connection: sqlite3.Connection, key: tuple[str, str, int], queue_ids: QueueIds) -> int:
    known = queue_ids.get(key)
    if known is not None:
        return known
    row = connection.execute(
        "INSERT INTO queues (domain, stream, priority) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET domain = excluded.domain RETURNING id",
        key,
    ).fetchone()
    queue_ids[key] = int(row[0])
    return int(row[0])
