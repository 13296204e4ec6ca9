"""Messages as a claim gives them, read from the SQLite spool; and which of them are damaged.

Damaged is what has no message or no content, or content of another length or checksum than was accepted: a disk or a
person has done that. Nobody may have it: it is held, and what waits behind it goes on.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from sender.core.identity import id_time
from sender.core.options import NO_OPTIONS, Options
from sender.spool.contract import ClaimedMessage, Priority
from sender.spool.rows import as_json, exactly, read

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

_SHORT = 16 * 1024  # bytes of a message that is copied once more rather than read by itself


class Found(NamedTuple):
    """A message without its content, and where its recipients are."""

    message: ClaimedMessage
    first: int
    recipients: int
    length: int  # of the first block
    damage: str  # what is wrong with it; empty: nothing that can be seen so far


def find(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[int, Found]:
    """Read messages, each without its content."""
    rows = read(
        connection,
        "SELECT json_group_array(json_array(j.value, m.mail_from, m.size, m.stream, m.priority, m.eight_bit,"  # noqa: S608
        f" m.smtputf8, {exactly('m.accepted_at')}, {exactly('m.expires_at')}, m.blocks, m.first_recipient,"
        " m.recipients, length(c.content), m.dotted, m.options, m.checksum))"
        " FROM json_each(?) j LEFT JOIN messages m ON m.id = j.value LEFT JOIN contents c ON c.message_id = j.value",
        as_json(dict.fromkeys(ids)),
    )
    return {row[0]: _found(row) for row in rows}


def _found(row: list[Any]) -> Found:
    if row[1] is None:
        nobodys = ClaimedMessage(
            id=row[0],
            mail_from="",
            size=0,
            stream="default",
            priority=Priority.NORMAL,
            eight_bit=False,
            smtputf8=False,
            accepted_at=id_time(row[0]),
            expires_at=None,
            blocks=1,
        )
        return Found(nobodys, 0, 1, 0, "there are recipients, and no message")
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
        dotted=bool(row[13]),
        checksum=row[15],
    )
    damage = ""
    if row[14] is not None:
        options = options_of(row[14])
        message.options = options or NO_OPTIONS
        damage = "" if options is not None else "what its client asked for cannot be read"
    length = row[12]
    if length is None:
        length, damage = 0, "it has no content"
    elif message.blocks == 1 and length != message.size:
        damage = f"it has {length} bytes of content, and {message.size} were accepted"
    return Found(message, row[10], row[11], length, damage)


def options_of(stored: str) -> Options | None:
    """Read what a client asked for; None where that cannot be read."""
    try:
        return Options.of(orjson.loads(stored))
    except (ValueError, TypeError):
        return None


def give_contents(connection: sqlite3.Connection, messages: Mapping[int, ClaimedMessage]) -> None:
    """Read the first blocks of messages: the short ones all in one piece."""
    lengths, contents = connection.execute(
        "SELECT json_group_array(json_array(c.message_id, length(c.content))),"
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
