"""strace: what a program asks of the system."""

from __future__ import annotations

import os
from pathlib import Path

from .process import ServerMissing, find_program

_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")  # 0: of one's own processes all may be traced (Yama)


class Strace:
    """See `tests/chaos/tracing.py`."""

    @classmethod
    def find(cls) -> Path:
        """Find the program; or raise ServerMissing."""
        return find_program("strace")


class StraceOfOthers(Strace):
    """The same for a process that runs already, and was not started by it."""

    @classmethod
    def find(cls) -> Path:
        """Find the program; or raise ServerMissing, also where it may not do that."""
        if os.geteuid() != 0 and _SCOPE.exists() and _SCOPE.read_text().strip() != "0":
            raise ServerMissing("strace", "it may not follow a running process here")
        return super().find()
