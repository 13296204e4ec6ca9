"""Events: one JSON object per line, for each thing that happens to a recipient or a lane.

An event is written after what it tells of was recorded. A file that cannot be written stops no delivery.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


def instant(at: float) -> str:
    """Write an instant as RFC 3339 in UTC with milliseconds."""
    second, microseconds = divmod(round(at * 1_000_000), 1_000_000)
    return f"{_second(second)}.{microseconds // 1000:03}Z"


def line(event: dict[str, Any]) -> bytes:
    """Write an event, whose `at` is a text."""
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


@lru_cache(maxsize=16)  # most are of this second
def _second(at: int) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat()[: -len("+00:00")]


def _opened(path: Path) -> BinaryIO:
    """Open a file for the owner to write and the group to read: it tells who got mail from whom."""
    return open(path, "ab", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o640))


class Events:
    """Writes events to a file; without a file they are dropped, and `wanted` says so beforehand."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._failing = False
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _opened(path)

    @property
    def wanted(self) -> bool:
        """Tell whether anybody reads events."""
        return self._file is not None

    def write(self, events: list[dict[str, Any]]) -> None:
        """Append events; each has `at` in seconds since 1970 and is written with it as text."""
        if self._file is None or not events:
            return
        self.append(b"".join(line({**event, "at": instant(event["at"])}) for event in events))

    def append(self, lines: bytes) -> None:
        """Append events that are written already, as `line` gives them."""
        if self._file is None or not lines:
            return
        try:
            self._file.write(lines)
        except OSError as error:
            if not self._failing:
                log.error("%s: events cannot be written and are dropped: %s", self._path, error)  # noqa: TRY400
            self._failing = True
        else:
            self._failing = False

    def reopen(self) -> None:
        """Go on in a new file, after the old one was moved away."""
        if self._path is not None and self._file is not None:
            self._file.close()
            self._file = _opened(self._path)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
