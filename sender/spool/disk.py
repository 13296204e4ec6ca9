"""The disk that a spool is on, and how much of it the spool takes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Figures in bytes."""

    size: int
    free: int  # for those who are not root
    spool: int  # of the database and what SQLite keeps beside it


def look(database: Path) -> Disk:
    """Look at the disk of a database. It may wait for the disk. Raises OSError."""
    disk = os.statvfs(database.parent)
    files = (database, database.with_name(f"{database.name}-wal"))
    return Disk(
        size=disk.f_blocks * disk.f_frsize,
        free=disk.f_bavail * disk.f_frsize,
        spool=sum(file.stat().st_size for file in files if file.exists()),
    )
