"""Recipients found by their address or domain, ended ones too while they are kept.

Addresses have no index, which every acceptance and every end would pay for: the table is read, the newest first, over
a connection of its own, and for a bounded time. A million recipients take 0.1 s.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sender.core.identity import id_text
from sender.spool.contract import State

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_S = 5.0
_STEPS = 100_000  # of SQLite's machine, between two looks at the clock
_FOUND = (
    "SELECT r.rcpt_to, r.message_id, r.state, r.attempts, r.due_at, q.domain, d.site, q.stream, m.mail_from,"
    " m.accepted_at, m.ended_at FROM recipients r JOIN queues q ON q.id = r.queue_id"
    " LEFT JOIN domains d ON d.name = q.domain LEFT JOIN messages m ON m.id = r.message_id"
)


def find_recipients(path: Path, *, rcpt_to: str, domain: str, limit: int) -> dict[str, Any]:
    """Find recipients of an address, in any case, or of a domain, the newest first.

    `complete`: there are no others; else there are, or it was not looked for longer. Raises sqlite3.Error.
    """
    where, what = ("r.rcpt_to = ? COLLATE NOCASE", rcpt_to) if rcpt_to else ("q.domain = ?", domain.lower())
    give_up_at = time.monotonic() + _LONGEST_S
    found: list[dict[str, Any]] = []
    complete = True
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_LONGEST_S)) as connection:
        connection.set_progress_handler(lambda: int(time.monotonic() > give_up_at), _STEPS)
        try:
            rows = connection.execute(f"{_FOUND} WHERE {where} ORDER BY r.id DESC LIMIT ?", (what, limit + 1))
            found.extend(map(_recipient, rows))  # those before an interruption stay
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            complete = False
    return {"recipients": found[:limit], "complete": complete and len(found) <= limit}


def _recipient(row: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "rcpt_to": row[0],
        "id": id_text(row[1]),
        "state": State(row[2]),
        "attempts": row[3],
        "due_at": row[4],
        "domain": row[5],
        "site": row[6],
        "stream": row[7],
        "mail_from": row[8] or "",
        "accepted_at": row[9],
        "ended_at": row[10],
    }
