"""The statements of the SQLite spool about receipts. They run inside the transaction that takes what they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.spool.contract import Receipt, ReceiptError

if TYPE_CHECKING:
    import sqlite3


def read(connection: sqlite3.Connection, owner: str, key: str) -> Receipt | None:
    """Read what was taken under a key."""
    row = connection.execute(
        "SELECT digest, taken, answer FROM receipts WHERE owner = ? AND key = ?", (owner, key)
    ).fetchone()
    return None if row is None else Receipt(owner=owner, key=key, digest=row[0], taken=row[1], answer=row[2])


def write(connection: sqlite3.Connection, receipt: Receipt, taken_before: int, now: float) -> None:
    """Write what is taken now. Raises ReceiptError where what stands there is not what it goes on from."""
    found = read(connection, receipt.owner, receipt.key)
    if found is not None and (found.digest, found.taken) != (receipt.digest, taken_before):
        raise ReceiptError(found)
    if found is None and taken_before:
        raise ReceiptError(receipt)  # it was forgotten meanwhile
    connection.execute(
        "INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?, ?, ?)",
        (receipt.owner, receipt.key, receipt.digest, receipt.taken, receipt.answer, now),
    )


def forget(connection: sqlite3.Connection, before: float) -> None:
    """Forget what was taken before an instant: nobody asks for it again."""
    connection.execute("DELETE FROM receipts WHERE at < ?", (before,))
