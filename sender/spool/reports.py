"""What is read from the SQLite spool: the queues at start, content, and the figures that operators see."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any

import orjson

from sender.core.identity import id_at, id_text, id_time
from sender.core.options import NO_OPTIONS
from sender.spool.contract import DamagedError, Priority, QueueRow, State
from sender.spool.messages import options_of
from sender.spool.rows import is_damage

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = ("send_at", "campaign", "metadata", "envelope_id", "submitter")  # of what a client asked for
_UNREADABLE = {"at": "", "outcome": "unreadable", "reply": "this line of the history cannot be read"}
_SEND_AT = "iif(json_valid(m.options), CAST(m.options ->> 'send_at' AS REAL), NULL)"
_QUEUED = (
    "SELECT queue_id, due_at, attempts, message_id, CASE WHEN due_at > ?1 AND attempts = 0 AND history = ''"  # noqa: S608
    f" THEN EXISTS (SELECT 1 FROM messages m WHERE m.id = message_id AND {_SEND_AT} > ?1) ELSE 0 END AS scheduled"
    " FROM recipients WHERE state = 0"
)
_PRIORITY = "iif(q.priority IN (0, 1, 2), q.priority, 1)"
_STALE_S = 3600.0  # content without a message that is older than this belongs to nobody


def _instant(column: str) -> str:
    """Read an instant of some thousand years at most: a disk may have spoilt it."""
    return f"iif(abs({column}) < 1e11, CAST({column} AS REAL), NULL)"


def wall_clock() -> float:
    """Read the clock that dates what is stored, in seconds since 1970."""
    return time.time()


def stale_before(now: float) -> int:
    """Give the message id before which content without a message was given up."""
    return id_at(now - _STALE_S)


def queues(connection: sqlite3.Connection) -> list[QueueRow]:
    """Read every queue in which recipients wait; from the indexes alone, but for who is suspended."""
    rows = connection.execute(
        f"SELECT q.id, CAST(q.domain AS TEXT), CAST(q.stream AS TEXT), {_PRIORITY},"  # noqa: S608 - a constant
        " min(r.due_at), sum(r.waiting) FROM"
        " (SELECT queue_id, min(due_at) AS due_at, count(*) AS waiting FROM recipients WHERE state = 0"
        " GROUP BY queue_id"
        " UNION ALL"
        " SELECT queue_id, 9e999, count(*) FROM recipients WHERE state = 2 GROUP BY queue_id) r"
        " JOIN queues q ON q.id = r.queue_id GROUP BY q.id"
    )
    return [QueueRow(*row) for row in rows]


def block(connection: sqlite3.Connection, message_id: int, number: int) -> bytes:
    """Read one block of content; block 0 is the one that comes with a claim."""
    statement, arguments = "SELECT content FROM contents WHERE message_id = ?", [message_id]
    if number:
        statement, arguments = "SELECT content FROM blocks WHERE message_id = ? AND number = ?", [message_id, number]
    try:
        row = connection.execute(statement, arguments).fetchone()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        raise DamagedError("read content", f"block {number} of message {id_text(message_id)}: {error}") from error
    if row is None:
        raise DamagedError("read content", f"message {id_text(message_id)} has no block {number}")
    return bytes(row[0])


def arrivals(connection: sqlite3.Connection, last_seen: int) -> tuple[list[QueueRow], int]:
    """Give the queues of recipients with higher ids than the one that was seen last, and the highest of these."""
    rows = connection.execute(
        # A claim in the same commit may have taken some of them: they count, and are due no more.
        f"SELECT q.id, CAST(q.domain AS TEXT), CAST(q.stream AS TEXT), {_PRIORITY},"  # noqa: S608 - a constant
        " min(iif(r.state = 0, r.due_at, 9e999)), count(*), max(r.id)"
        " FROM recipients r JOIN queues q ON q.id = r.queue_id WHERE r.id > ? AND r.state < 2 GROUP BY q.id",
        (last_seen,),
    ).fetchall()
    return [QueueRow(*row[:6]) for row in rows], max((row[6] for row in rows), default=last_seen)


def last_ids(connection: sqlite3.Connection) -> tuple[int, int]:
    """Give the highest id of a message and of a recipient; 0 where there is none."""
    newest: tuple[int, int] = connection.execute(
        "SELECT (SELECT coalesce(max(id), 0) FROM messages), (SELECT coalesce(max(id), 0) FROM recipients)"
    ).fetchone()
    return newest


def last_instant(connection: sqlite3.Connection) -> float:
    """Give the latest instant at which a process has begun or stopped, or taken a message; 0 in a new spool."""
    (at,) = connection.execute("SELECT max(max(started_at), max(coalesce(stopped_at, 0))) FROM owners").fetchone()
    (last_id,) = connection.execute("SELECT max(id) FROM messages").fetchone()
    return max(at or 0.0, id_time(last_id) if last_id else 0.0)


def queue_report(connection: sqlite3.Connection, now: float) -> list[dict[str, Any]]:
    """Count recipients by queue and state. What is to be sent later, and was not tried yet, has no age."""
    # Each state by its own index: what has ended is kept for a while, and is not to be read for this.
    rows = connection.execute(
        f"SELECT g.*, (SELECT {_SEND_AT} FROM messages m WHERE m.id = g.first) FROM ("  # noqa: S608
        "SELECT q.id, CAST(q.domain AS TEXT), CAST(d.site AS TEXT), CAST(q.stream AS TEXT),"
        f" {_PRIORITY}, CAST(coalesce(d.last_reply, '') AS TEXT),"
        " sum(s.queued), sum(s.due), sum(s.in_flight), sum(s.held), sum(s.deferred), sum(s.scheduled),"
        " CAST(min(s.first) AS INTEGER) AS first"
        " FROM ("
        "SELECT queue_id, count(*) AS queued, sum(due_at <= ?1) AS due, 0 AS in_flight, 0 AS held,"
        " sum(due_at > ?1 AND attempts > 0) AS deferred, sum(scheduled) AS scheduled,"
        " min(iif(scheduled, NULL, message_id)) AS first"
        f" FROM ({_QUEUED}) GROUP BY queue_id"
        " UNION ALL SELECT queue_id, 0, 0, 1, 0, 0, 0, message_id FROM recipients WHERE state = 1"
        " UNION ALL SELECT queue_id, 0, 0, 0, 1, 0, 0, message_id FROM recipients WHERE state = 2"
        ") s JOIN queues q ON q.id = s.queue_id LEFT JOIN domains d ON d.name = q.domain GROUP BY q.id) g",
        (now,),
    ).fetchall()
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
        "scheduled",
    )
    # Ids tell the age of all but what had to wait: where such a message seems to be the oldest, look closer.
    oldest = {row[0]: id_time(row[12]) for row in rows if row[12] is not None}
    oldest |= _began_at(connection, [row[0] for row in rows if row[13] is not None])
    return [
        {**dict(zip(names, row[:12], strict=True)), "oldest_age_s": max(0.0, now - oldest.get(row[0], now))}
        for row in rows
    ]


def _began_at(connection: sqlite3.Connection, queue_ids: Sequence[int]) -> dict[int, float]:
    """Give the instant from which the age of the oldest recipient of each queue counts."""
    if not queue_ids:
        return {}
    rows = connection.execute(
        f"SELECT s.queue_id, min(max(m.accepted_at, coalesce({_SEND_AT}, 0))) FROM ("  # noqa: S608
        "SELECT queue_id, message_id FROM recipients WHERE state = 0"
        " UNION ALL SELECT queue_id, message_id FROM recipients WHERE state IN (1, 2)"
        ") s JOIN messages m ON m.id = s.message_id WHERE s.queue_id IN (SELECT value FROM json_each(?)) GROUP BY 1",
        (orjson.dumps(list(queue_ids)).decode(),),
    )
    return dict(rows.fetchall())


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
    """Read a message with its recipients and their histories; of a damaged one, what there is."""
    message = connection.execute(
        "SELECT CAST(mail_from AS TEXT), CAST(stream AS TEXT), priority,"  # noqa: S608 - columns of ours
        f" coalesce({_instant('accepted_at')}, ?), CAST(size AS INTEGER), {_instant('expires_at')},"
        " CAST(options AS TEXT), CAST(first_recipient AS INTEGER), CAST(recipients AS INTEGER)"
        " FROM messages WHERE id = ?",
        (id_time(message_id), message_id),
    ).fetchone()
    if message is None:
        message = ("", "default", Priority.NORMAL, id_time(message_id), 0, None, None)
        where, arguments = "r.message_id = ? AND r.state = 2", [message_id]  # those without a message are held
    else:
        where, arguments = "r.id >= ? AND r.id < ? + ? AND r.message_id = ?", [*message[7:8], *message[7:9], message_id]
    recipients = connection.execute(
        # A text that is none is read all the same.
        "SELECT CAST(r.rcpt_to AS TEXT), r.state, CAST(r.attempts AS INTEGER),"  # noqa: S608
        f" coalesce({_instant('r.due_at')}, 0.0), CAST(r.history AS BLOB), q.id, CAST(q.domain AS TEXT),"
        " CAST(d.site AS TEXT)"
        " FROM recipients r JOIN queues q ON q.id = r.queue_id LEFT JOIN domains d ON d.name = q.domain"
        f" WHERE {where} ORDER BY r.id",
        arguments,
    ).fetchall()
    if not recipients:
        return None
    return {
        "id": id_text(message_id),
        "mail_from": message[0],
        "stream": message[1],
        "priority": message[2] if message[2] in set(Priority) else Priority.NORMAL,
        "accepted_at": message[3],
        "size": message[4],
        "expires_at": message[5],
        **_asked(message[6]),
        "recipients": [
            {
                "rcpt_to": row[0],
                "state": State(row[1]) if row[1] in set(State) else State.SUSPENDED,
                "attempts": row[2],
                # New mail is placed before its acceptance, to go in order.
                "due_at": row[3] if row[2] else max(row[3], message[3]),
                "history": [*map(_record, row[4].splitlines())],
                "queue_id": row[5],
                "domain": row[6],
                "site": row[7],
            }
            for row in recipients
        ],
    }


def _asked(stored: str | None) -> dict[str, Any]:
    """Give what a client asked for and people want to see, where it did."""
    options = (options_of(stored) if stored is not None else None) or NO_OPTIONS
    return {name: value for name in _SHOWN if (value := getattr(options, name))}


def _record(line: bytes) -> dict[str, Any]:
    """Read a line of a history; one that cannot be read says so."""
    try:
        record = orjson.loads(line)
    except ValueError:
        return _UNREADABLE
    return record if isinstance(record, dict) else _UNREADABLE
