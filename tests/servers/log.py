"""Follow the log of a server: each line is read once, however often it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Follower:
    """Reads on in a file that grows, from where it stopped."""

    def __init__(self, file: Path) -> None:
        """Begin at the start of a file that need not exist yet."""
        self._file = file
        self._offset = 0

    def lines(self) -> list[str]:
        """Give the lines that were completed since the last call."""
        try:
            with self._file.open("rb") as log:
                log.seek(self._offset)
                text = log.read()
        except FileNotFoundError:
            return []
        complete = text.rfind(b"\n") + 1
        self._offset += complete
        return text[:complete].decode(errors="replace").splitlines()
