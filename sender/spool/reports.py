"""What is read from the SQLite spool: the queues at start, content, and the figures that operators see."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson

from sender.core.errors import SpoolError
from sender.core.identity import id_at, id_text, id_time
from sender.spool.contract import QueueRow, State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

_STALE_S = 3600.0  # content without a message that is older than this belongs to nobody


def wall_clock() -> float:
    """Read the clock that dates what is stored, in seconds since 1970."""
    return time.time()


def stale_before(now: float) -> int:
    """Give the message id before which content without a message was given up."""
    return id_at(now - _STALE_S)


def queues(connection: sqlite3.Connection) -> list[QueueRow]:
    """Read every queue in which recipients wait; from the indexes alone, but for who is suspended."""
    rows = connection.execute(
        "SELECT q.id, q.domain, q.stream, q.priority, min(r.due_at), sum(r.waiting) FROM"
        " (SELECT queue_id, min(due_at) AS due_at, count(*) AS waiting FROM recipients WHERE state = 0"
        " GROUP BY queue_id"
        " UNION ALL"
        " SELECT queue_id, 9e999, count(*) FROM recipients WHERE state = 2 GROUP BY queue_id) r"
        " JOIN queues q ON q.id = r.queue_id GROUP BY q.id"
    )
    return [QueueRow(*row) for row in rows]


def block(connection: sqlite3.Connection, message_id: int, number: int) -> bytes:
    """Read one block of content; block 0 is the one that comes with a claim."""
    if number == 0:
        row = connection.execute("SELECT content FROM contents WHERE message_id = ?", (message_id,)).fetchone()
    else:
        row = connection.execute(
            "SELECT content FROM blocks WHERE message_id = ? AND number = ?", (message_id, number)
        ).fetchone()
    if row is None:
        raise SpoolError("read content", f"message {id_text(message_id)} has no block {number}")
    return bytes(row[0])


def queue_report(connection: sqlite3.Connection, now: float) -> list[dict[str, Any]]:
    """Count recipients by queue and state."""
    # Each state by its own index: what has ended is kept for a while, and is not to be read for this.
    rows = connection.execute(
        "SELECT q.id, q.domain, d.site, q.stream, q.priority, coalesce(d.last_reply, ''),"
        " sum(s.queued), sum(s.due), sum(s.in_flight), sum(s.held), sum(s.deferred), min(s.first)"
        " FROM ("
        "SELECT queue_id, count(*) AS queued, sum(due_at <= ?1) AS due, 0 AS in_flight, 0 AS held,"
        " sum(due_at > ?1 AND attempts > 0) AS deferred, min(message_id) AS first"
        " FROM recipients WHERE state = 0 GROUP BY queue_id"
        " UNION ALL SELECT queue_id, 0, 0, 1, 0, 0, message_id FROM recipients WHERE state = 1"
        " UNION ALL SELECT queue_id, 0, 0, 0, 1, 0, message_id FROM recipients WHERE state = 2"
        ") s JOIN queues q ON q.id = s.queue_id LEFT JOIN domains d ON d.name = q.domain GROUP BY q.id",
        (now,),
    )
    names = (
        "id",
        "domain",
        "site",
        "stream",
        "priority",
        "last_reply",
        "queued",
        "due",
        "in_flight",
        "held",
        "deferred",
    )
    return [
        {**dict(zip(names, row[:11], strict=True)), "oldest_age_s": max(0.0, now - id_time(row[11]))} for row in rows
    ]


def ahead(connection: sqlite3.Connection, queue_ids: Sequence[int], due_before: float) -> int:
    """Count the recipients of queues that are claimed, or queued and due before an instant; from the indexes alone."""
    ids = orjson.dumps(list(queue_ids)).decode()
    (count,) = connection.execute(
        "SELECT (SELECT count(*) FROM json_each(?1) j JOIN recipients r ON r.queue_id = j.value"
        " WHERE r.state = 0 AND r.due_at < ?2)"
        " + (SELECT count(*) FROM recipients r WHERE r.state = 1 AND r.queue_id IN (SELECT value FROM json_each(?1)))",
        (ids, due_before),
    ).fetchone()
    return int(count)


def message_report(connection: sqlite3.Connection, message_id: int) -> dict[str, Any] | None:
    """Read a message with its recipients and their histories."""
    message = connection.execute(
        "SELECT mail_from, stream, priority, accepted_at, size, expires_at, first_recipient, recipients"
        " FROM messages WHERE id = ?",
        (message_id,),
    ).fetchone()
    if message is None:
        return None
    recipients = connection.execute(
        "SELECT r.rcpt_to, r.state, r.attempts, r.due_at, r.history, q.id, q.domain, d.site FROM recipients r"
        " JOIN queues q ON q.id = r.queue_id LEFT JOIN domains d ON d.name = q.domain"
        " WHERE r.id >= ? AND r.id < ? ORDER BY r.id",
        (message[6], message[6] + message[7]),
    )
    return {
        "id": id_text(message_id),
        "mail_from": message[0],
        "stream": message[1],
        "priority": message[2],
        "accepted_at": message[3],
        "size": message[4],
        "expires_at": message[5],
        "recipients": [
            {
                "rcpt_to": row[0],
                "state": State(row[1]),
                "attempts": row[2],
                "due_at": max(row[3], message[3]),
                "history": [orjson.loads(line) for line in row[4].splitlines()],
                "queue_id": row[5],
                "domain": row[6],
                "site": row[7],
            }
            for row in recipients
        ],
    }
