"""Recipients as a claim gives them, read from the SQLite spool; and which of them a disk has spoilt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.spool import checksums
from sender.spool.contract import ClaimedRecipient
from sender.spool.rows import exactly, is_text, readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sender.spool.contract import ClaimedMessage

# Of `recipients r`, in one array.
RECIPIENT = (
    "json_group_array(json_array("
    "r.id, max(0, coalesce(CAST(r.message_id AS INTEGER), 0)), CAST(r.queue_id AS INTEGER), CAST(r.rcpt_to AS TEXT),"
    f" {exactly('r.due_at', '0')}, CAST(r.attempts AS INTEGER), CAST(r.warned AS INTEGER), CAST(r.dsn AS TEXT),"
    " CAST(r.checksum AS INTEGER)))"
)
_ATTEMPTS = 10**6  # more are a spoilt count
Row = tuple[int, int, int, str, float, int, int, str, int | None]  # spoilt text is None, or has surrogates


def spoilt_recipients(rows: Iterable[Row]) -> dict[int, str]:
    """Find the messages of which a recipient has no address any more, or another one."""
    found = {}
    for _, message_id, queue_id, rcpt_to, _, _, _, dsn, checksum in rows:
        if not (is_text(rcpt_to) and is_text(dsn)):
            found[message_id] = "an address of it cannot be read"
        elif checksum is not None and checksum != checksums.of_recipient(message_id, queue_id, rcpt_to, dsn):
            found[message_id] = "an address of it is not what was accepted"
    return found


def give_recipients(messages: Mapping[int, ClaimedMessage], rows: Iterable[Row]) -> None:
    """Give each recipient to its message."""
    for row in rows:
        messages[row[1]].recipients.append(
            ClaimedRecipient(
                id=row[0],
                queue_id=row[2],
                rcpt_to=row[3] if row[3] and row[3].isascii() else readable(row[3]),
                due_at=row[4],
                attempts=min(max(0, row[5] or 0), _ATTEMPTS),
                warned=bool(row[6]),
                dsn=readable(row[7]),
            )
        )
