"""Events: one JSON object per line, for each thing that happens to a recipient or a lane.

An event is written after what it tells of was recorded: those of one commit may be missing where the process is killed
just between. What cannot be written is dropped and counted, and stops no delivery.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from sender.observe.buffer import Tail
from sender.observe.event_file import EventFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from sender.observe.metrics import Metrics
    from sender.settings import Settings

SCHEMA = Path(__file__).with_name("events.schema.json")
_HEAD = {"at": "", "event": ""}  # these stand first, in this order


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


class Events:
    """Writes events to a file, and to the buffer of the webhook; without both they are dropped, which `wanted` says.

    `on_dropped` hears of which could not be written: where, and how many.
    """

    def __init__(
        self,
        file: EventFile | None = None,
        tail: Tail | None = None,
        *,
        on_dropped: Callable[[str, int], None] = lambda _to, _count: None,
    ) -> None:
        self.file = file
        self.tail = tail
        self._on_dropped = on_dropped

    @classmethod
    def open(cls, settings: Settings, metrics: Metrics) -> Events:
        """Write them where the configuration says. Raises OSError."""
        events, dropped = settings.events, metrics.events_dropped
        file = tail = None
        if events.webhook:
            tail = Tail(settings.webhook_path, events.webhook_buffer, on_dropped=dropped.labels("webhook").inc)
            tail.wanted = frozenset(map(str.encode, events.webhook_events)) or None
        if events.file:
            file = EventFile(settings.path(events.file), max_size=events.max_size, keep=events.keep)
            dropped.labels("file")  # a series that begins at 0 can be watched
        return cls(file, tail, on_dropped=lambda to, count: dropped.labels(to).inc(count))

    @property
    def wanted(self) -> bool:
        """Tell whether anybody reads events."""
        return self.file is not None or self.tail is not None

    def write(self, events: list[dict[str, Any]]) -> None:
        """Append events; each has `at` in seconds since 1970 and is written with it as text."""
        if self.wanted:
            self.append(b"".join(line({**_HEAD, **event, "at": instant(event["at"])}) for event in events))

    def append(self, lines: bytes) -> None:
        """Append events that are written already, as `line` gives them; they begin with `at` and `event`."""
        if not lines:
            return
        if self.tail is not None and (dropped := self.tail.append(lines)):
            self._on_dropped("webhook", dropped)
        if self.file is not None and (dropped := self.file.append(lines)):
            self._on_dropped("file", dropped)

    def reopen(self) -> None:
        """Go on in a new file, after the old one was moved away."""
        if self.file is not None:
            self.file.reopen()

    def close(self) -> None:
        """Close what is open."""
        if self.tail is not None:
            self.tail.close()
        if self.file is not None:
            self.file.close()
        self.file = self.tail = None
