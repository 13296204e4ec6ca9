"""strace: what a program asks of the system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .process import find_program

if TYPE_CHECKING:
    from pathlib import Path


class Strace:
    """See `tests/chaos/tracing.py`."""

    @classmethod
    def find(cls) -> Path:
        """Find the program; or raise ServerMissing."""
        return find_program("strace")
