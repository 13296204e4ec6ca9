"""Messages as a claim gives them, read from the SQLite spool; and which of them are damaged.

Damaged is what has no message or no content, or another envelope or content than was accepted, or what cannot be read:
a disk or a person has done that. Nobody may have it: it is held, and what waits behind it goes on.
"""

from __future__ import annotations

import sqlite3
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from sender.core.errors import SpoolError
from sender.core.identity import id_text, id_time
from sender.core.options import NO_OPTIONS, Options
from sender.spool import checksums
from sender.spool.contract import ClaimedMessage, Priority
from sender.spool.rows import as_json, exactly, is_damage, is_text, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_PRIORITIES = frozenset(map(int, Priority))
_SHORT = 16 * 1024  # bytes of a message that is copied once more rather than read by itself


class UnreadableError(SpoolError):
    """There are messages that the database cannot give. In a transaction that has met them it writes nothing more."""

    def __init__(self, messages: Mapping[int, str]) -> None:
        super().__init__("claim", "; ".join(f"message {id_text(each)}: {why}" for each, why in messages.items()))
        self.messages = dict(messages)


class Found(NamedTuple):
    """A message without its content, and where its recipients are."""

    message: ClaimedMessage
    first: int
    recipients: int
    length: int  # of the first block
    damage: str  # what is wrong with it; empty: nothing that can be seen so far


def find(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[int, Found]:
    """Read messages, each without its content. Raises UnreadableError."""
    found: list[list[Any]] = []
    _each(dict.fromkeys(ids), lambda some: found.extend(_rows(connection, some)))
    return {row[0]: _found(row) for row in found}


def _each(ids: Iterable[int], work: Callable[[Iterable[int]], object]) -> None:
    """Do something with messages together; where that cannot be done, find those that are to blame.

    Raises UnreadableError.
    """
    try:
        work(ids)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
    else:
        return
    unreadable = {}
    for message_id in ids:
        try:
            work([message_id])
        except sqlite3.DatabaseError as error:
            unreadable[message_id] = f"it cannot be read: {error}"
    raise UnreadableError(unreadable)


def _rows(connection: sqlite3.Connection, ids: Iterable[int]) -> list[list[Any]]:
    return read(
        connection,
        "SELECT json_group_array(json_array(j.value, CAST(m.mail_from AS TEXT), CAST(m.size AS INTEGER),"  # noqa: S608
        " CAST(m.stream AS TEXT), CAST(m.priority AS INTEGER), CAST(m.eight_bit AS INTEGER),"
        f" CAST(m.smtputf8 AS INTEGER), {exactly('m.accepted_at', '0')}, {exactly('m.expires_at')},"
        " CAST(m.blocks AS INTEGER), CAST(m.first_recipient AS INTEGER), CAST(m.recipients AS INTEGER),"
        " CAST(m.dotted AS INTEGER), CAST(m.options AS TEXT), CAST(m.checksum AS INTEGER),"
        " CAST(m.envelope AS INTEGER), length(c.content)))"
        " FROM json_each(?) j LEFT JOIN messages m ON m.id = j.value LEFT JOIN contents c ON c.message_id = j.value",
        as_json(ids),
    )


def _found(row: list[Any]) -> Found:
    if row[1] is None:
        return Found(_nobodys(row[0]), 0, 1, 0, "there are recipients, and no message")
    if not is_text(row[1]) or not is_text(row[3]) or row[4] not in _PRIORITIES or None in row[9:12] or row[9] < 1:
        return Found(_nobodys(row[0]), 0, 1, 0, "what is known of it cannot be read")
    message = ClaimedMessage(
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
        dotted=bool(row[12]),
        checksum=row[14],
    )
    damage = ""
    if row[13] is not None:
        options = options_of(row[13])
        message.options = options or NO_OPTIONS
        damage = "" if options is not None else "what its client asked for cannot be read"
    if not damage and row[15] not in {None, checksums.of_message(row[:15])}:
        return Found(_nobodys(row[0]), 0, 1, 0, "what is known of it is not what was accepted")
    length = row[16]
    if length is None:
        length, damage = 0, "it has no content"
    elif message.blocks == 1 and length != message.size:
        damage = f"it has {length} bytes of content, and {message.size} were accepted"
    return Found(message, row[10], row[11], length, damage)


def _nobodys(message_id: int) -> ClaimedMessage:
    """Make a message of which only the id is known."""
    return ClaimedMessage(
        id=message_id,
        mail_from="",
        size=0,
        stream="default",
        priority=Priority.NORMAL,
        eight_bit=False,
        smtputf8=False,
        accepted_at=id_time(message_id),
        expires_at=None,
        blocks=1,
    )


def options_of(stored: str) -> Options | None:
    """Read what a client asked for; None where that cannot be read."""
    try:
        return Options.of(orjson.loads(stored))
    except (ValueError, TypeError):
        return None


def give_contents(connection: sqlite3.Connection, messages: Mapping[int, ClaimedMessage]) -> None:
    """Read the first blocks of messages. Raises UnreadableError."""
    _each(messages, lambda some: _give_contents(connection, {message_id: messages[message_id] for message_id in some}))


def _give_contents(connection: sqlite3.Connection, messages: Mapping[int, ClaimedMessage]) -> None:
    """Read them, the short ones all in one piece."""
    lengths, contents = connection.execute(
        "SELECT json_group_array(json_array(c.message_id, coalesce(length(c.content), 0))),"
        # As text they can be joined; what is in them is not looked at.
        " CAST(group_concat(CAST(c.content AS TEXT), '') AS BLOB)"
        " FROM json_each(?) j JOIN contents c ON c.message_id = j.value",
        (as_json(message.id for message in messages.values() if message.size <= _SHORT),),
    ).fetchone()
    end = 0
    for message_id, length in orjson.loads(lengths):
        start, end = end, end + length
        messages[message_id].content = contents[start:end]
    for message in messages.values():
        if message.size > _SHORT:
            row = connection.execute("SELECT content FROM contents WHERE message_id = ?", (message.id,)).fetchone()
            message.content = row[0] if row is not None else b""


def is_changed(message: ClaimedMessage) -> bool:
    """Tell whether the content of a message in one block is another one than was accepted."""
    return message.blocks == 1 and message.checksum is not None and zlib.crc32(message.content) != message.checksum
