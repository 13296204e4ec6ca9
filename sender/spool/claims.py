"""The statements of the SQLite spool that move recipients from state to state. They run inside a transaction.

Each gives what it finds as one row of JSON: Python's lock is given away and taken back for every row that SQLite
gives, and where the event loop wants it too, that takes longer than to read the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sender.core.identity import id_at, id_number
from sender.core.selection import Kind, Selection
from sender.spool.contract import Claim, ClaimedMessage, ClaimedRecipient, FencedError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from sender.spool.contract import Settlement


def _exactly(column: str) -> str:
    """Give a real number as JSON: of itself SQLite writes 15 digits, and an instant has 16."""
    return f"iif({column} IS NULL, json('null'), json(printf('%!.17g', {column})))"


_RECIPIENT = (
    "json_group_array(json_array("
    f"r.id, r.message_id, r.queue_id, r.rcpt_to, {_exactly('r.due_at')}, r.attempts, r.warned))"
)
_SHORT = 16 * 1024  # bytes of a message that is copied once more rather than read by itself
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
    rows = _due(connection, queue_ids, now, max(1, limit // max(1, len(queue_ids))))
    messages = _messages(connection, [row[1] for row in rows])
    taken: dict[int, ClaimedMessage] = {}
    claimed: list[_Row] = []
    seen: set[int] = set()
    size = 0
    for row in rows:
        message_id = row[1]
        if message_id not in taken:
            message, first, recipients, length = messages[message_id]
            size += length
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
    _give_recipients(taken, claimed)
    _give_contents(connection, taken)
    _mark(connection, token, (row[0] for row in claimed))
    return Claim([*taken.values()], _next_due(connection, {*queue_ids, *(row[2] for row in claimed)}))


def _due(connection: sqlite3.Connection, queue_ids: Sequence[int], now: float, share: int) -> list[_Row]:
    """Read due recipients, up to `share` of each queue, in the order of the queues and then of their instants."""
    rows = _rows(
        connection,
        f"SELECT {_RECIPIENT} FROM json_each(?) q CROSS JOIN recipients r ON r.id IN (SELECT due.id"  # noqa: S608
        " FROM recipients due WHERE due.queue_id = q.value AND due.state = 0 AND due.due_at <= ?"
        " ORDER BY due.due_at LIMIT ?)",
        _json(queue_ids),
        now,
        share,
    )
    place = {queue_id: number for number, queue_id in enumerate(queue_ids)}
    rows.sort(key=lambda row: (place[row[2]], row[4]))
    return rows


def _siblings(
    connection: sqlite3.Connection, first: int, recipients: int, site: str, now: float, limit: int
) -> list[_Row]:
    return _rows(
        connection,
        f"SELECT {_RECIPIENT} FROM (SELECT r.* FROM recipients r JOIN queues q ON q.id = r.queue_id"  # noqa: S608
        " JOIN domains d ON d.name = q.domain"
        " WHERE r.id >= ? AND r.id < ? AND r.state = 0 AND r.due_at <= ? AND d.site = ? AND NOT EXISTS"
        " (SELECT 1 FROM suspensions s WHERE s.kind = ? AND s.value = q.domain) ORDER BY r.id LIMIT ?) r",
        first,
        first + recipients,
        now,
        site,
        Kind.DOMAIN,
        limit,
    )


def _rows(connection: sqlite3.Connection, statement: str, *arguments: object) -> list[Any]:
    """Run a statement that gives one array."""
    found: list[Any] = orjson.loads(connection.execute(statement, arguments).fetchone()[0])
    return found


def _json(values: Iterable[object]) -> str:
    return orjson.dumps([*values]).decode()


def _messages(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[int, tuple[ClaimedMessage, int, int, int]]:
    """Read messages without contents: id -> message, first recipient, recipients, bytes of the first block."""
    rows = _rows(
        connection,
        "SELECT json_group_array(json_array(m.id, m.mail_from, m.size, m.stream, m.priority, m.eight_bit, m.smtputf8,"  # noqa: S608
        f" {_exactly('m.accepted_at')}, {_exactly('m.expires_at')}, m.blocks, m.first_recipient, m.recipients,"
        " length(c.content), m.dotted))"
        " FROM json_each(?) j JOIN messages m ON m.id = j.value JOIN contents c ON c.message_id = m.id",
        _json(dict.fromkeys(ids)),
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
                dotted=bool(row[13]),
            ),
            row[10],
            row[11],
            row[12],
        )
        for row in rows
    }


def _give_contents(connection: sqlite3.Connection, messages: Mapping[int, ClaimedMessage]) -> None:
    """Read the first blocks of messages: the short ones all in one piece."""
    lengths, contents = connection.execute(
        "SELECT json_group_array(json_array(c.message_id, length(c.content))),"
        # As text they can be joined; what is in them is not looked at.
        " CAST(group_concat(CAST(c.content AS TEXT), '') AS BLOB)"
        " FROM json_each(?) j JOIN contents c ON c.message_id = j.value",
        (_json(message.id for message in messages.values() if message.size <= _SHORT),),
    ).fetchone()
    end = 0
    for message_id, length in orjson.loads(lengths):
        start, end = end, end + length
        messages[message_id].content = contents[start:end]
    for message in messages.values():
        if message.size > _SHORT:
            row = connection.execute("SELECT content FROM contents WHERE message_id = ?", (message.id,)).fetchone()
            message.content = row[0]


def _give_recipients(messages: Mapping[int, ClaimedMessage], rows: Iterable[_Row]) -> None:
    for row in rows:
        messages[row[1]].recipients.append(
            ClaimedRecipient(
                id=row[0], queue_id=row[2], rcpt_to=row[3], due_at=row[4], attempts=row[5], warned=bool(row[6])
            )
        )


def _mark(connection: sqlite3.Connection, token: int, ids: Iterable[int]) -> None:
    connection.execute(
        "UPDATE recipients SET state = 1, owner = ? WHERE id IN (SELECT value FROM json_each(?))", (token, _json(ids))
    )


def _next_due(connection: sqlite3.Connection, queue_ids: Iterable[int]) -> dict[int, float | None]:
    return dict(
        _rows(
            connection,
            f"SELECT json_group_array(json_array(q.value, {_exactly('q.due_at')})) FROM (SELECT j.value,"  # noqa: S608
            " (SELECT min(due_at) FROM recipients WHERE queue_id = j.value AND state = 0) AS due_at"
            " FROM json_each(?) j) q",
            _json(queue_ids),
        )
    )


def claim_selected(
    connection: sqlite3.Connection, token: int, selection: Selection, limit: int
) -> list[ClaimedMessage]:
    """Claim recipients that wait, whether due or not, suspended or not."""
    where, arguments = _where(selection)
    return _claim_rows(
        connection,
        token,
        _rows(
            connection,
            f"SELECT {_RECIPIENT} FROM (SELECT r.* FROM recipients r"  # noqa: S608
            f" WHERE r.state IN (0, 2) AND {where} LIMIT ?) r",
            *arguments,
            limit,
        ),
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
        _rows(
            connection,
            f"SELECT {_RECIPIENT} FROM (SELECT r.* FROM messages m JOIN recipients r"  # noqa: S608
            " ON r.id >= m.first_recipient AND r.id < m.first_recipient + m.recipients"
            " WHERE m.id < ? AND m.ended_at IS NULL AND r.state = 0 AND (r.attempts > 0 OR m.id < ?)"
            " AND r.queue_id NOT IN (SELECT value FROM json_each(?)) LIMIT ?) r",
            id_at(tried_before),
            id_at(untried_before),
            _json(held),
            limit,
        ),
    )


def _claim_rows(connection: sqlite3.Connection, token: int, rows: list[_Row]) -> list[ClaimedMessage]:
    messages = {message_id: found[0] for message_id, found in _messages(connection, (row[1] for row in rows)).items()}
    _give_recipients(messages, rows)
    _give_contents(connection, messages)
    _mark(connection, token, (row[0] for row in rows))
    return [*messages.values()]


def settle(connection: sqlite3.Connection, token: int, settlements: Sequence[Settlement], now: float) -> None:
    """Write outcomes in one statement; a claim that is not this owner's any more fails the whole."""
    rows = _json(
        (s.recipient_id, s.state, s.due_at, s.attempts, s.warned, orjson.Fragment(s.record)) for s in settlements
    )
    changed = connection.execute(
        "UPDATE recipients SET state = s.value ->> 1, due_at = s.value ->> 2, attempts = s.value ->> 3,"
        " warned = s.value ->> 4, history = history || (s.value -> 5) || char(10), owner = NULL, crashes = 0"
        " FROM json_each(?) s WHERE recipients.id = s.value ->> 0 AND state = 1 AND owner = ?",
        (rows, token),
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
    rows = _json(ended.items())
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
    rows = _json((recipient_id, not_before.get(recipient_id, 0.0)) for recipient_id in ids)
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
