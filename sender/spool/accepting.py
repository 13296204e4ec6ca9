"""The statements of the SQLite spool that make a message of what was accepted. They run inside a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sender.spool import checksums

if TYPE_CHECKING:
    import sqlite3

    from sender.spool.contract import NewMessage

QueueIds = dict[tuple[str, str, int], int]


def insert(connection: sqlite3.Connection, message: NewMessage, queue_ids: QueueIds) -> None:
    """Write a message with its recipients and its first block; `queue_ids` remembers queues by what they are for."""
    dsns = message.dsn or ("",) * len(message.rcpt_tos)
    recipients = []
    for rcpt_to, domain, due_at, dsn in zip(message.rcpt_tos, message.domains, message.due_ats, dsns, strict=True):
        queue_id = _queue_id(connection, (domain, message.stream, message.priority), queue_ids)
        checksum = checksums.of_recipient(message.id, queue_id, rcpt_to, dsn)
        recipients.append((message.id, queue_id, due_at, rcpt_to, dsn, checksum))
    statement = (
        "INSERT INTO recipients (message_id, queue_id, due_at, rcpt_to, dsn, checksum) VALUES (?, ?, ?, ?, ?, ?)"
    )
    first = connection.execute(statement, recipients[0]).lastrowid
    if len(recipients) > 1:
        connection.executemany(statement, recipients[1:])
    options = message.options.stated()
    envelope = (
        message.id,
        message.mail_from,
        message.size,
        message.stream,
        int(message.priority),
        int(message.eight_bit),
        int(message.smtputf8),
        float(message.accepted_at),
        None if message.expires_at is None else float(message.expires_at),
        message.blocks,
        first,
        len(recipients),
        int(message.dotted),
        orjson.dumps(options).decode() if options else None,
        message.checksum,
    )
    connection.execute(
        "INSERT INTO messages (id, mail_from, size, stream, priority, eight_bit, smtputf8, accepted_at, expires_at,"
        " blocks, first_recipient, recipients, dotted, options, checksum, envelope, listener, remaining)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*envelope, checksums.of_message(envelope), message.listener, len(recipients)),
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
