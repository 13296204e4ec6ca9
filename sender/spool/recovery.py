"""Put right what delivering processes before left. It runs in the transaction in which a process takes its token.

- What was delivered and could not be recorded is recorded now (`journal.py`).
- What was claimed is claimed by nobody any more: it goes back to its queue.
- A message that was in hand (`hands.py`) when a process ended has that counted. It is tried again a little later when
  that has happened before, and after the third time it is held: whatever ends processes shall not do so for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sender.core.identity import id_text
from sender.core.selection import Fault, Kind, Selection
from sender.spool import claims, reports, suspending, totals
from sender.spool.contract import State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable

    from sender.spool.contract import Settlement

CRASHES_MAX = 3  # processes that may end with a message in hand
_WAIT_S = 5.0  # before one that was in hand twice is tried again


def recover(
    connection: sqlite3.Connection,
    *,
    in_hand: Collection[int],
    delivered: Iterable[tuple[int, list[Settlement]]],
    now: float,
) -> tuple[int, list[int]]:
    """Do it: how many deliveries were recorded, and which messages are held from now on."""
    recorded = sum(_record(connection, token, settlements, now) for token, settlements in delivered)
    totals.add(connection, {State.DELIVERED.word: recorded})
    poisoned = _count_crashes(connection, in_hand, now)
    connection.execute("UPDATE recipients SET state = 0, owner = NULL WHERE state = 1")
    for message_id in poisoned:
        suspending.suspend(
            connection,
            Selection(Kind.MESSAGE, id_text(message_id)),
            now,
            None,
            Fault.POISON.reason(f"{CRASHES_MAX} processes ended while they had it in hand"),
        )
    _mend_suspensions(connection, now)
    claims.hold_suspended(connection)
    connection.execute("DELETE FROM queues WHERE id NOT IN (SELECT DISTINCT queue_id FROM recipients)")
    connection.execute(
        "DELETE FROM blocks WHERE message_id < ? AND message_id NOT IN (SELECT id FROM messages)",
        (reports.stale_before(now),),
    )
    return recorded, poisoned


def _mend_suspensions(connection: sqlite3.Connection, now: float) -> None:
    """Forget suspensions that a disk has spoilt; what they held stays held, and an operator can see it."""
    kinds = orjson.dumps([*Kind]).decode()
    connection.execute(
        "DELETE FROM suspensions WHERE kind NOT IN (SELECT value FROM json_each(?)) OR kind = ?"
        " AND (length(value) != ? OR value GLOB '*[^0-9A-Za-z]*' OR value GLOB '[^0-7]*')",
        (kinds, Kind.MESSAGE, len(id_text(0))),
    )
    rows = connection.execute("SELECT lower(value) FROM suspensions WHERE kind = ?", (Kind.MESSAGE,))
    known = {row[0] for row in rows}
    held = connection.execute(
        "SELECT DISTINCT message_id FROM recipients"
        " WHERE state = 2 AND typeof(message_id) = 'integer' AND message_id > 0"
    ).fetchall()
    for (message_id,) in held:
        if id_text(message_id) not in known:
            selection = Selection(Kind.MESSAGE, id_text(message_id))
            suspending.suspend(connection, selection, now, None, Fault.DAMAGED.reason("what held it cannot be read"))


def _record(connection: sqlite3.Connection, token: int, settlements: list[Settlement], now: float) -> int:
    """Record deliveries that their owner could not record; it may have done so at last."""
    ids = orjson.dumps([settlement.recipient_id for settlement in settlements]).decode()
    rows = connection.execute(
        "SELECT id FROM recipients WHERE state = 1 AND owner = ? AND id IN (SELECT value FROM json_each(?))",
        (token, ids),
    )
    still = {row[0] for row in rows}
    missing = [settlement for settlement in settlements if settlement.recipient_id in still]
    if missing:
        claims.settle(connection, token, missing, now)
    return len(missing)


def _count_crashes(connection: sqlite3.Connection, in_hand: Collection[int], now: float) -> list[int]:
    """Count that a process ended with these messages in hand; give those of which it is too many."""
    rows = connection.execute(
        "UPDATE recipients SET crashes = (crashes + 1) % ?1, due_at = iif(crashes, max(due_at, ?2), due_at)"
        " WHERE state = 1 AND message_id IN (SELECT value FROM json_each(?3)) RETURNING message_id, crashes",
        (CRASHES_MAX, now + _WAIT_S, orjson.dumps(sorted(in_hand)).decode()),
    ).fetchall()
    return sorted({message_id for message_id, crashes in rows if crashes == 0})
