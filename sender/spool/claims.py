"""The statements of the SQLite spool that move recipients from state to state. They run inside a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sender.core.identity import id_at, id_number, id_text
from sender.core.selection import Fault, Kind, Selection
from sender.spool import messages as stored
from sender.spool.contract import Claim, ClaimedMessage, FencedError
from sender.spool.recipients import RECIPIENT, give_recipients, spoilt_recipients
from sender.spool.rows import as_json, exactly, read

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Container, Iterable, Mapping, Sequence

    from sender.spool.contract import Settlement
    from sender.spool.recipients import Row


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
    unreadable: Mapping[int, str],
) -> Claim:
    """Claim up to `limit` due recipients of these queues in their order, and the same messages' others at the site.

    `unreadable` are messages that the database cannot give: they are held and not looked at. Raises UnreadableError.
    """
    rows = _due(connection, queue_ids, now, max(1, limit // max(1, len(queue_ids))))
    found = stored.find(connection, [row[1] for row in rows if row[1] not in unreadable])
    damaged = spoilt_recipients(rows)
    damaged |= {message_id: one.damage for message_id, one in found.items() if one.damage}
    damaged |= {row[1]: unreadable[row[1]] for row in rows if row[1] in unreadable}
    taken: dict[int, ClaimedMessage] = {}
    claimed: list[Row] = []
    seen: set[int] = set()
    size = 0
    for row in rows:
        message_id = row[1]
        if message_id in damaged:
            continue
        if message_id not in taken:
            message, first, recipients, length, _ = found[message_id]
            size += length
            if size > byte_limit and taken:
                break
            taken[message_id] = message
            if recipients > 1:
                siblings = _siblings(connection, message_id, first, recipients, site, now, together)
                damaged |= spoilt_recipients(siblings)
                claimed += (sibling for sibling in siblings if sibling[0] not in seen)
                seen.update(sibling[0] for sibling in siblings)
        if row[0] not in seen:
            seen.add(row[0])
            claimed.append(row)
    stored.give_contents(connection, taken)
    changed = [message_id for message_id, message in taken.items() if stored.is_changed(message)]
    damaged = dict.fromkeys(changed, "its content is not what was accepted") | damaged
    if damaged:
        _hold_damaged(connection, damaged, rows, now, unreadable)
        taken = {message_id: message for message_id, message in taken.items() if message_id not in damaged}
        claimed = [row for row in claimed if row[1] in taken]
    give_recipients(taken, claimed)
    _mark(connection, token, (row[0] for row in claimed))
    next_due = _next_due(connection, {*queue_ids, *(row[2] for row in claimed)})
    return Claim([*taken.values()], next_due, damaged)


def _hold_damaged(
    connection: sqlite3.Connection,
    damaged: Mapping[int, str],
    rows: Iterable[Row],
    now: float,
    unreadable: Container[int],
) -> None:
    """Suspend messages that cannot be delivered as they were accepted; an operator decides about them."""
    for message_id, damage in damaged.items():
        selection = Selection(Kind.MESSAGE, id_text(message_id))
        if not is_suspended(connection, selection):
            connection.execute(
                "INSERT INTO suspensions (kind, value, since, until, reason) VALUES (?, ?, ?, NULL, ?)",
                (selection.kind, selection.value, now, Fault.DAMAGED.reason(damage)),
            )
        if message_id not in unreadable:
            hold_message(connection, selection)
    # Recipients without a message, or of one that cannot be read, are found by themselves only.
    connection.execute(
        "UPDATE recipients SET state = 2 WHERE state = 0 AND id IN (SELECT value FROM json_each(?))",
        (as_json(row[0] for row in rows if row[1] in damaged),),
    )


def _due(connection: sqlite3.Connection, queue_ids: Sequence[int], now: float, share: int) -> list[Row]:
    """Read due recipients, up to `share` of each queue, in the order of the queues and then of their instants."""
    rows = read(
        connection,
        f"SELECT {RECIPIENT} FROM json_each(?) q CROSS JOIN recipients r ON r.id IN (SELECT due.id"  # noqa: S608
        " FROM recipients due WHERE due.queue_id = q.value AND due.state = 0 AND due.due_at <= ?"
        " ORDER BY due.due_at LIMIT ?)",
        as_json(queue_ids),
        now,
        share,
    )
    place = {queue_id: number for number, queue_id in enumerate(queue_ids)}
    rows.sort(key=lambda row: (place.get(row[2], 0), row[4]))
    return rows


def _siblings(
    connection: sqlite3.Connection, message_id: int, first: int, recipients: int, site: str, now: float, limit: int
) -> list[Row]:
    return read(
        connection,
        f"SELECT {RECIPIENT} FROM (SELECT r.* FROM recipients r JOIN queues q ON q.id = r.queue_id"  # noqa: S608
        " JOIN domains d ON d.name = q.domain"
        " WHERE r.id >= ? AND r.id < ? AND r.message_id = ? AND r.state = 0 AND r.due_at <= ? AND d.site = ?"
        " AND NOT EXISTS"
        " (SELECT 1 FROM suspensions s WHERE s.kind = ? AND s.value = q.domain) ORDER BY r.id LIMIT ?) r",
        first,
        first + recipients,
        message_id,
        now,
        site,
        Kind.DOMAIN,
        limit,
    )


def _mark(connection: sqlite3.Connection, token: int, ids: Iterable[int]) -> None:
    connection.execute(
        "UPDATE recipients SET state = 1, owner = ? WHERE id IN (SELECT value FROM json_each(?))", (token, as_json(ids))
    )


def _next_due(connection: sqlite3.Connection, queue_ids: Iterable[int]) -> dict[int, float | None]:
    return dict(
        read(
            connection,
            f"SELECT json_group_array(json_array(q.value, {exactly('q.due_at')})) FROM (SELECT j.value,"  # noqa: S608
            " (SELECT min(due_at) FROM recipients WHERE queue_id = j.value AND state = 0) AS due_at"
            " FROM json_each(?) j) q",
            as_json(queue_ids),
        )
    )


def claim_selected(
    connection: sqlite3.Connection, token: int, selection: Selection, limit: int, unreadable: Container[int]
) -> list[ClaimedMessage]:
    """Claim recipients that wait, whether due or not, suspended or not. Raises UnreadableError."""
    where, arguments = _where(connection, selection)
    return _claim_rows(
        connection,
        token,
        read(
            connection,
            f"SELECT {RECIPIENT} FROM (SELECT r.* FROM recipients r"  # noqa: S608
            f" WHERE r.state IN (0, 2) AND {where} LIMIT ?) r",
            *arguments,
            limit,
        ),
        unreadable,
    )


def claim_aged(
    connection: sqlite3.Connection,
    token: int,
    tried_before: float,
    untried_before: float,
    limit: int,
    held: Sequence[int],
    unreadable: Container[int],
) -> list[ClaimedMessage]:
    """Claim what was accepted before these instants: ids sort by time, so this reads the oldest only.

    Raises UnreadableError.
    """
    return _claim_rows(
        connection,
        token,
        read(
            connection,
            f"SELECT {RECIPIENT} FROM (SELECT r.* FROM messages m JOIN recipients r"  # noqa: S608
            " ON r.id >= m.first_recipient AND r.id < m.first_recipient + m.recipients AND r.message_id = m.id"
            " WHERE m.id < ? AND m.ended_at IS NULL AND r.state = 0 AND (r.attempts > 0 OR m.id < ?)"
            # Its age counts from the instant that it was to wait for.
            " AND coalesce(iif(json_valid(m.options), m.options ->> 'send_at', 0), 0) < iif(r.attempts > 0, ?, ?)"
            " AND r.queue_id NOT IN (SELECT value FROM json_each(?)) LIMIT ?) r",
            id_at(tried_before),
            id_at(untried_before),
            tried_before,
            untried_before,
            as_json(held),
            limit,
        ),
        unreadable,
    )


def _claim_rows(
    connection: sqlite3.Connection, token: int, rows: list[Row], unreadable: Container[int]
) -> list[ClaimedMessage]:
    """Claim for an operator, or to let it expire: damaged or not, but what nobody can read stays held."""
    rows = [row for row in rows if row[1] not in unreadable]
    found = stored.find(connection, (row[1] for row in rows))
    messages = {message_id: one.message for message_id, one in found.items()}
    give_recipients(messages, rows)
    stored.give_contents(connection, messages)
    _mark(connection, token, (row[0] for row in rows))
    return [*messages.values()]


def settle(connection: sqlite3.Connection, token: int, settlements: Sequence[Settlement], now: float) -> None:
    """Write outcomes in one statement; a claim that is not this owner's any more fails the whole."""
    rows = as_json(
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
    ended: dict[int, int] = {}
    back: set[int] = set()
    for settlement in settlements:
        if settlement.state.ended:
            ended[settlement.message_id] = ended.get(settlement.message_id, 0) + 1
        else:
            back.add(settlement.message_id)
    if back:
        _hold_again(connection, back)
    if ended:
        _end_messages(connection, ended, now)


def fenced(connection: sqlite3.Connection, token: int, ids: Sequence[int]) -> set[int]:
    """Find those that this owner has not claimed."""
    ours = connection.execute(
        "SELECT id FROM recipients WHERE state = 1 AND owner = ? AND id IN (SELECT value FROM json_each(?))",
        (token, as_json(ids)),
    )
    return set(ids).difference(row[0] for row in ours)


def _end_messages(connection: sqlite3.Connection, ended: dict[int, int], now: float) -> None:
    rows = as_json(ended.items())
    connection.execute(
        "UPDATE messages SET remaining = remaining - (e.value ->> 1),"
        " ended_at = CASE WHEN remaining = (e.value ->> 1) THEN ? END"
        " FROM json_each(?) e WHERE messages.id = e.value ->> 0",
        (now, rows),
    )
    # Recipients without a message are over when none of them is held any more.
    over = (
        "(SELECT e.value ->> 0 FROM json_each(?) e LEFT JOIN messages m ON m.id = e.value ->> 0 WHERE coalesce("
        "m.remaining, (SELECT count(*) FROM recipients r WHERE r.message_id = e.value ->> 0 AND r.state = 2)) = 0{0})"
    )
    connection.execute(f"DELETE FROM contents WHERE message_id IN {over.format('')}", (rows,))  # noqa: S608
    long = over.format(" AND coalesce(m.blocks, 2) > 1")
    connection.execute(f"DELETE FROM blocks WHERE message_id IN {long}", (rows,))  # noqa: S608
    if _holds_messages(connection):
        ids = read(
            connection,
            f"SELECT json_group_array(j.value) FROM json_each(?) j WHERE j.value IN {over.format('')}",  # noqa: S608
            as_json(ended),
            rows,
        )
        connection.execute(
            "DELETE FROM suspensions WHERE kind = ? AND lower(value) IN (SELECT value FROM json_each(?))",
            (Kind.MESSAGE, as_json(map(id_text, ids))),
        )


def release(connection: sqlite3.Connection, token: int, ids: Sequence[int], not_before: Mapping[int, float]) -> None:
    """Put claimed recipients back: into their queues, where they were or, who rests, later; or among the suspended."""
    rows = as_json((recipient_id, not_before.get(recipient_id, 0.0)) for recipient_id in ids)
    changed = connection.execute(
        "UPDATE recipients SET state = 0, owner = NULL, due_at = max(due_at, r.value ->> 1) FROM json_each(?) r"
        " WHERE recipients.id = r.value ->> 0 AND state = 1 AND owner = ?",
        (rows, token),
    ).rowcount
    if changed != len(ids):
        raise FencedError("release", f"{len(ids) - changed} claims belong to another process")
    if _holds_messages(connection):
        of = "SELECT json_group_array(DISTINCT message_id) FROM recipients WHERE id IN (SELECT value FROM json_each(?))"
        _hold_again(connection, read(connection, of, as_json(ids)))


def redate(connection: sqlite3.Connection, by_s: float, after: float, latest: float) -> None:
    """Move instants after `after` by so many seconds, to `latest` at most; not those of scheduled mail."""
    connection.execute(
        "UPDATE recipients SET due_at = min(due_at + ?, ?) WHERE state = 0 AND due_at > ? AND NOT (attempts = 0"
        " AND EXISTS (SELECT 1 FROM messages m WHERE m.id = message_id AND json_valid(m.options)"
        " AND m.options ->> 'send_at' IS NOT NULL))",
        (by_s, latest, after),
    )


def _where(connection: sqlite3.Connection, selection: Selection) -> tuple[str, tuple[object, ...]]:
    """Give the condition on `recipients r` for a selection. Queued mail has no source: that selects nothing."""
    match selection.kind:
        case Kind.ALL:
            return "1", ()
        case Kind.MESSAGE:
            return _of_message(connection, id_number(selection.value))
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


def _of_message(connection: sqlite3.Connection, message_id: int) -> tuple[str, tuple[object, ...]]:
    found: tuple[int, int] | None = connection.execute(
        "SELECT first_recipient, first_recipient + recipients FROM messages WHERE id = ?", (message_id,)
    ).fetchone()
    # Recipients without a message are held as soon as they are found.
    if found is None:
        return "r.state = 2 AND r.message_id = ?", (message_id,)
    return "r.id >= ? AND r.id < ? AND r.message_id = ?", (*found, message_id)


def count(connection: sqlite3.Connection, selection: Selection) -> int:
    """Count the recipients that wait, or are being tried, in a selection."""
    where, arguments = _where(connection, selection)
    statement = f"SELECT count(*) FROM recipients r WHERE r.state IN (0, 1, 2) AND {where}"  # noqa: S608
    return int(connection.execute(statement, arguments).fetchone()[0])


def hold_message(connection: sqlite3.Connection, selection: Selection) -> None:
    """Take a message's queued recipients out of their queues."""
    where, arguments = _where(connection, selection)
    connection.execute(f"UPDATE recipients AS r SET state = 2 WHERE r.state = 0 AND {where}", arguments)  # noqa: S608


def hold_suspended(connection: sqlite3.Connection) -> None:
    """Take out what came back into its queue while its message is suspended."""
    for (value,) in connection.execute(
        "SELECT DISTINCT value FROM suspensions WHERE kind = ?", (Kind.MESSAGE,)
    ).fetchall():
        hold_message(connection, Selection(Kind.MESSAGE, value))


def _hold_again(connection: sqlite3.Connection, message_ids: Iterable[int]) -> None:
    """Do that for some messages: many may be held, and few come back at a time."""
    for (value,) in connection.execute(
        "SELECT DISTINCT value FROM suspensions WHERE kind = ? AND lower(value) IN (SELECT value FROM json_each(?))",
        (Kind.MESSAGE, as_json(map(id_text, message_ids))),
    ).fetchall():
        hold_message(connection, Selection(Kind.MESSAGE, value))


def _holds_messages(connection: sqlite3.Connection) -> bool:
    rows = connection.execute("SELECT 1 FROM suspensions WHERE kind = ? LIMIT 1", (Kind.MESSAGE,))
    return rows.fetchone() is not None


def is_suspended(connection: sqlite3.Connection, selection: Selection) -> bool:
    """Tell whether a suspension of exactly this selection stands."""
    rows = connection.execute(
        "SELECT 1 FROM suspensions WHERE kind = ? AND value = ?", (selection.kind, selection.value)
    )
    return rows.fetchone() is not None


def free_message(connection: sqlite3.Connection, selection: Selection, now: float) -> None:
    """Put a message's suspended recipients back, due at once."""
    where, arguments = _where(connection, selection)
    connection.execute(
        f"UPDATE recipients AS r SET state = 0, due_at = min(due_at, ?) WHERE r.state = 2 AND {where}",  # noqa: S608
        (now, *arguments),
    )


def make_due(connection: sqlite3.Connection, selection: Selection, now: float) -> int:
    """Bring queued recipients forward."""
    where, arguments = _where(connection, selection)
    return connection.execute(
        f"UPDATE recipients AS r SET due_at = min(due_at, ?) WHERE r.state = 0 AND {where}",  # noqa: S608
        (now, *arguments),
    ).rowcount


def purge(connection: sqlite3.Connection, ended_before: float, limit: int) -> int:
    """Forget ended messages, the oldest first."""
    rows = connection.execute(
        # Only what is sure to be over: what a disk has spoilt of one message shall not take another's recipients away.
        "SELECT id, first_recipient, recipients FROM messages WHERE ended_at < ? AND remaining <= 0"
        " ORDER BY ended_at LIMIT ?",
        (ended_before, limit),
    ).fetchall()
    for message_id, first, recipients in rows:
        connection.execute(
            "DELETE FROM recipients WHERE id >= ? AND id < ? AND message_id = ?",
            (first, first + recipients, message_id),
        )
        connection.execute("DELETE FROM messages WHERE id = ?", (message_id,))
    return len(rows)
