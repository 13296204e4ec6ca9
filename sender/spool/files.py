"""Whether the files of a spool are still where the next process will look for them.

A file that was removed or replaced can be written for as long as somebody has it open, and nobody will read it again.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Files:
    """Made when the files are open, and have been written."""

    def __init__(self, spool: Path) -> None:
        """Look at the database and its log. Raises OSError."""
        self._files = {str(path): _identity(str(path)) for path in (spool, spool.with_name(f"{spool.name}-wal"))}

    def check(self) -> None:
        """Raise OSError where one of them is gone, or is another one."""
        for path, identity in self._files.items():
            if _identity(path) != identity:
                raise OSError(errno.ESTALE, "it was replaced while it was in use", path)


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 - before every commit; a Path takes twice as long
    return status.st_dev, status.st_ino
