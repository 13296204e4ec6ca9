"""Checksums of what a message's rows say of it: what a disk has changed must not send it to somebody else."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence


def of_message(values: Sequence[str | float | None]) -> int:
    """Give the CRC-32 of what stays as it was accepted, in the order of the columns; truth is 0 or 1."""
    return zlib.crc32(orjson.dumps(values))


def of_recipient(message_id: int, queue_id: int, rcpt_to: str, dsn: str) -> int:
    """Give the CRC-32 of whose copy goes where, and what is to be told of it."""
    return zlib.crc32(f"{message_id} {queue_id} {rcpt_to} {dsn}".encode())
