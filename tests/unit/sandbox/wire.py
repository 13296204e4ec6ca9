"""A transport without a network."""

from __future__ import annotations

import asyncio


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and remembers whether it is read and open."""

    def __init__(self) -> None:
        """Begin with nothing written."""
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = b""
        self.is_read = True
        self.is_open = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written += data

    def pause_reading(self) -> None:
        """Read no more."""
        self.is_read = False

    def resume_reading(self) -> None:
        """Read again."""
        self.is_read = True

    def close(self) -> None:
        """End."""
        self.is_open = False
