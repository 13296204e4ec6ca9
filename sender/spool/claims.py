"""The statements of the SQLite spool that move recipients from state to state. They run inside a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sender.core.identity import id_at, id_number
from sender.core.selection import Kind, Selection
from sender.spool.contract import Claim, ClaimedMessage, ClaimedRecipient, FencedError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from sender.spool.contract import Settlement

_COLUMNS = "r.id, r.message_id, r.queue_id, r.rcpt_to, r.due_at, r.attempts, r.warned"
_Row = tuple[int, int, int, str, float, int, int]


def claim(
    connection: sqlite3.Connection,
    token: int,
    queue_ids: Sequence[int],
    *,
    site: str,
    now: float,
    limit: int,
    byte_limit: int,
    together: int,
) -> Claim:
    """Claim up to `limit` due recipients of these queues in their order, and the same messages' others at the site."""
    rows: list[_Row] = []
    share = max(1, limit // max(1, len(queue_ids)))
    for queue_id in queue_ids:
        rows += connection.execute(
            f"SELECT {_COLUMNS} FROM recipients r WHERE r.queue_id = ? AND r.state = 0 AND r.due_at <= ?"  # noqa: S608
            " ORDER BY r.due_at LIMIT ?",
            (queue_id, now, share),
        ).fetchall()
    messages = _messages(connection, [row[1] for row in rows])
    taken: dict[int, ClaimedMessage] = {}
    claimed: list[_Row] = []
    seen: set[int] = set()
    size = 0
    for row in rows:
        message_id = row[1]
        if message_id not in taken:
            message, first, recipients = messages[message_id]
            size += min(message.size, len(message.content))
            if size > byte_limit and taken:
                break
            taken[message_id] = message
            if recipients > 1:
                siblings = _siblings(connection, first, recipients, site, now, together)
                claimed += (sibling for sibling in siblings if sibling[0] not in seen)
                seen.update(sibling[0] for sibling in siblings)
        if row[0] not in seen:
            seen.add(row[0])
            claimed.append(row)
    for row in claimed:
        taken[row[1]].recipients.append(_recipient(row))
    _mark(connection, token, (row[0] for row in claimed))
    return Claim(list(taken.values()), _next_due(connection, {*queue_ids, *(row[2] for row in claimed)}))


def _siblings(
    connection: sqlite3.Connection, first: int, recipients: int, site: str, now: float, limit: int
) -> list[_Row]:
    return connection.execute(
        f"SELECT {_COLUMNS} FROM recipients r JOIN queues q ON q.id = r.queue_id JOIN domains d ON d.name = q.domain"  # noqa: S608
        " WHERE r.id >= ? AND r.id < ? AND r.state = 0 AND r.due_at <= ? AND d.site = ? AND NOT EXISTS"
        " (SELECT 1 FROM suspensions s WHERE s.kind = ? AND s.value = q.domain) ORDER BY r.id LIMIT ?",
        (first, first + recipients, now, site, Kind.DOMAIN, limit),
    ).fetchall()


def _messages(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[int, tuple[ClaimedMessage, int, int]]:
    """Read messages with their first blocks: id -> message, first recipient, number of recipients."""
    rows = connection.execute(
        "SELECT m.id, m.mail_from, m.size, m.stream, m.priority, m.eight_bit, m.smtputf8, m.accepted_at, m.expires_at,"
        " m.blocks, c.content, m.first_recipient, m.recipients FROM json_each(?) j"
        " JOIN messages m ON m.id = j.value JOIN contents c ON c.message_id = m.id",
        (orjson.dumps(list(dict.fromkeys(ids))).decode(),),
    )
    return {
        row[0]: (
            ClaimedMessage(
                id=row[0],
                mail_from=row[1],
                size=row[2],
                stream=row[3],
                priority=row[4],
                eight_bit=bool(row[5]),
                smtputf8=bool(row[6]),
                accepted_at=row[7],
                expires_at=row[8],
                blocks=row[9],
                content=row[10],
            ),
            row[11],
            row[12],
        )
        for row in rows
    }


def _recipient(row: _Row) -> ClaimedRecipient:
    return ClaimedRecipient(
        id=row[0], queue_id=row[2], rcpt_to=row[3], due_at=row[4], attempts=row[5], warned=bool(row[6])
    )


def _mark(connection: sqlite3.Connection, token: int, ids: Iterable[int]) -> None:
    connection.execute(
        "UPDATE recipients SET state = 1, owner = ? WHERE id IN (SELECT value FROM json_each(?))",
        (token, orjson.dumps(list(ids)).decode()),
    )


def _next_due(connection: sqlite3.Connection, queue_ids: Iterable[int]) -> dict[int, float | None]:
    return {
        queue_id: connection.execute(
            "SELECT min(due_at) FROM recipients WHERE queue_id = ? AND state = 0", (queue_id,)
        ).fetchone()[0]
        for queue_id in queue_ids
    }


def claim_selected(
    connection: sqlite3.Connection, token: int, selection: Selection, limit: int
) -> list[ClaimedMessage]:
    """Claim recipients that wait, whether due or not, suspended or not."""
    where, arguments = _where(selection)
    return _claim_rows(
        connection,
        token,
        connection.execute(
            f"SELECT {_COLUMNS} FROM recipients r WHERE r.state IN (0, 2) AND {where} LIMIT ?",  # noqa: S608
            (*arguments, limit),
        ).fetchall(),
    )


def claim_aged(
    connection: sqlite3.Connection,
    token: int,
    tried_before: float,
    untried_before: float,
    limit: int,
    held: Sequence[int],
) -> list[ClaimedMessage]:
    """Claim what was accepted before these instants: ids sort by time, so this reads the oldest only."""
    return _claim_rows(
        connection,
        token,
        connection.execute(
            f"SELECT {_COLUMNS} FROM messages m JOIN recipients r"  # noqa: S608
            " ON r.id >= m.first_recipient AND r.id < m.first_recipient + m.recipients"
            " WHERE m.id < ? AND m.ended_at IS NULL AND r.state = 0 AND (r.attempts > 0 OR m.id < ?)"
            " AND r.queue_id NOT IN (SELECT value FROM json_each(?)) LIMIT ?",
            (id_at(tried_before), id_at(untried_before), orjson.dumps(list(held)).decode(), limit),
        ).fetchall(),
    )


def _claim_rows(connection: sqlite3.Connection, token: int, rows: list[_Row]) -> list[ClaimedMessage]:
    messages = _messages(connection, (row[1] for row in rows))
    for row in rows:
        messages[row[1]][0].recipients.append(_recipient(row))
    _mark(connection, token, (row[0] for row in rows))
    return [message for message, _, _ in messages.values()]


def settle(connection: sqlite3.Connection, token: int, settlements: Sequence[Settlement], now: float) -> None:
    """Write outcomes in one statement; a claim that is not this owner's any more fails the whole."""
    rows = orjson.dumps([(s.recipient_id, s.state, s.due_at, s.attempts, s.warned, s.record) for s in settlements])
    changed = connection.execute(
        "UPDATE recipients SET state = s.value ->> 1, due_at = s.value ->> 2, attempts = s.value ->> 3,"
        " warned = s.value ->> 4, history = history || (s.value ->> 5), owner = NULL, crashes = 0"
        " FROM json_each(?) s WHERE recipients.id = s.value ->> 0 AND state = 1 AND owner = ?",
        (rows.decode(), token),
    ).rowcount
    if changed != len(settlements):
        raise FencedError("record outcomes", f"{len(settlements) - changed} claims belong to another process")
    hold_suspended(connection)
    ended: dict[int, int] = {}
    for settlement in settlements:
        if settlement.state.ended:
            ended[settlement.message_id] = ended.get(settlement.message_id, 0) + 1
    if ended:
        _end_messages(connection, ended, now)


def _end_messages(connection: sqlite3.Connection, ended: dict[int, int], now: float) -> None:
    rows = orjson.dumps(list(ended.items())).decode()
    connection.execute(
        "UPDATE messages SET remaining = remaining - (e.value ->> 1),"
        " ended_at = CASE WHEN remaining = (e.value ->> 1) THEN ? END"
        " FROM json_each(?) e WHERE messages.id = e.value ->> 0",
        (now, rows),
    )
    over = "(SELECT m.id FROM json_each(?) e JOIN messages m ON m.id = e.value ->> 0 WHERE m.remaining = 0{0})"
    connection.execute(f"DELETE FROM contents WHERE message_id IN {over.format('')}", (rows,))  # noqa: S608
    connection.execute(f"DELETE FROM blocks WHERE message_id IN {over.format(' AND m.blocks > 1')}", (rows,))  # noqa: S608


def release(connection: sqlite3.Connection, token: int, ids: Sequence[int], not_before: Mapping[int, float]) -> None:
    """Put claimed recipients back: into their queues, where they were or, who rests, later; or among the suspended."""
    rows = orjson.dumps([(recipient_id, not_before.get(recipient_id, 0.0)) for recipient_id in ids]).decode()
    changed = connection.execute(
        "UPDATE recipients SET state = 0, owner = NULL, due_at = max(due_at, r.value ->> 1) FROM json_each(?) r"
        " WHERE recipients.id = r.value ->> 0 AND state = 1 AND owner = ?",
        (rows, token),
    ).rowcount
    if changed != len(ids):
        raise FencedError("release", f"{len(ids) - changed} claims belong to another process")
    hold_suspended(connection)


def _where(selection: Selection) -> tuple[str, tuple[object, ...]]:
    """Give the condition on `recipients r` for a selection. Queued mail has no source: that selects nothing."""
    match selection.kind:
        case Kind.ALL:
            return "1", ()
        case Kind.MESSAGE:
            message_id = id_number(selection.value)
            return (
                (
                    "r.id >= (SELECT first_recipient FROM messages WHERE id = ?)"
                    " AND r.id < (SELECT first_recipient + recipients FROM messages WHERE id = ?)"
                ),
                (message_id, message_id),
            )
        case Kind.DOMAIN:
            return "r.queue_id IN (SELECT id FROM queues WHERE domain = ?)", (selection.value,)
        case Kind.STREAM:
            return "r.queue_id IN (SELECT id FROM queues WHERE stream = ?)", (selection.value,)
        case Kind.SITE:
            return (
                "r.queue_id IN (SELECT q.id FROM queues q JOIN domains d ON d.name = q.domain WHERE d.site = ?)",
                (selection.value,),
            )
        case Kind.SOURCE:
            return "0", ()


def count(connection: sqlite3.Connection, selection: Selection) -> int:
    """Count the recipients that wait, or are being tried, in a selection."""
    where, arguments = _where(selection)
    statement = f"SELECT count(*) FROM recipients r WHERE r.state IN (0, 1, 2) AND {where}"  # noqa: S608
    return int(connection.execute(statement, arguments).fetchone()[0])


def hold_message(connection: sqlite3.Connection, selection: Selection) -> None:
    """Take a message's queued recipients out of their queues."""
    where, arguments = _where(selection)
    connection.execute(f"UPDATE recipients AS r SET state = 2 WHERE r.state = 0 AND {where}", arguments)  # noqa: S608


def hold_suspended(connection: sqlite3.Connection) -> None:
    """Take out what came back into its queue while its message is suspended."""
    for (value,) in connection.execute(
        "SELECT DISTINCT value FROM suspensions WHERE kind = ?", (Kind.MESSAGE,)
    ).fetchall():
        hold_message(connection, Selection(Kind.MESSAGE, value))


def is_suspended(connection: sqlite3.Connection, selection: Selection) -> bool:
    """Tell whether a suspension of exactly this selection stands."""
    rows = connection.execute(
        "SELECT 1 FROM suspensions WHERE kind = ? AND value = ?", (selection.kind, selection.value)
    )
    return rows.fetchone() is not None


def free_message(connection: sqlite3.Connection, selection: Selection, now: float) -> None:
    """Put a message's suspended recipients back, due at once."""
    where, arguments = _where(selection)
    connection.execute(
        f"UPDATE recipients AS r SET state = 0, due_at = min(due_at, ?) WHERE r.state = 2 AND {where}",  # noqa: S608
        (now, *arguments),
    )


def make_due(connection: sqlite3.Connection, selection: Selection, now: float) -> int:
    """Bring queued recipients forward."""
    where, arguments = _where(selection)
    return connection.execute(
        f"UPDATE recipients AS r SET due_at = min(due_at, ?) WHERE r.state = 0 AND {where}",  # noqa: S608
        (now, *arguments),
    ).rowcount


def purge(connection: sqlite3.Connection, ended_before: float, limit: int) -> int:
    """Forget ended messages, the oldest first."""
    rows = connection.execute(
        "SELECT id, first_recipient, recipients FROM messages WHERE ended_at < ? ORDER BY ended_at LIMIT ?",
        (ended_before, limit),
    ).fetchall()
    for message_id, first, recipients in rows:
        connection.execute("DELETE FROM recipients WHERE id >= ? AND id < ?", (first, first + recipients))
        connection.execute("DELETE FROM messages WHERE id = ?", (message_id,))
    return len(rows)
