"""The lock that lets one process deliver from a spool: the system frees it when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import socket
from typing import TYPE_CHECKING

from sender.core.errors import SpoolBusyError

if TYPE_CHECKING:
    from pathlib import Path


class DeliveryLock:
    """Held from construction to `free`. Raises SpoolBusyError where another process has it."""

    def __init__(self, spool: Path) -> None:
        self._file: int | None = os.open(spool.with_name(spool.name + "-lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 100, 0).decode(errors="replace").strip()
            self.free()
            raise SpoolBusyError("open", f"{spool}: another process delivers from it ({holder})") from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def free(self) -> None:
        """Let another process have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
