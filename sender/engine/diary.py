"""What a lane has been through: the last changes of its window, each with the reply that taught it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from sender.core.window import Cause

if TYPE_CHECKING:
    from sender.clock import Clock
    from sender.core.stage import Stage
    from sender.core.window import Change

KEPT = 50
_TAUGHT = frozenset({Cause.REFUSED, Cause.REFUSED_INSIDE, Cause.THROTTLED, Cause.OVERLOADED, Cause.BLOCKED})


class Diary:
    """Kept with the spool as JSON. An entry whose `from` is its `to` is a refusal that confirmed the limit."""

    def __init__(self, entries: list[dict[str, Any]] | None = None) -> None:
        self._entries: deque[dict[str, Any]] = deque(entries or (), KEPT)
        self.stage: Stage | None = None  # of the last refusal of any kind
        self.reply = ""

    @classmethod
    def restored(cls, memory: dict[str, Any] | None) -> Diary:
        """Read what was kept."""
        return cls(list((memory or {}).get("history", [])))

    def heard(self, stage: Stage | None, text: str) -> None:
        """Keep the last refusal: it explains the change that follows."""
        self.stage, self.reply = stage, text

    def note(self, change: Change, clock: Clock) -> dict[str, Any]:
        """Write down a change of the window, and give the entry."""
        taught = change.cause in _TAUGHT
        last = self._entries[-1] if self._entries else None
        again = last is not None and change.before == change.after == last["from"] == last["to"]
        entry = {
            "at": clock.wall_at(change.at),
            "from": change.before,
            "to": change.after,
            "cause": str(change.cause),
            "stage": str(self.stage or "") if taught else "",
            "reply": self.reply if taught else "",
            "times": (last["times"] if again and last else 0) + 1,
        }
        if again:
            self._entries.pop()  # a limit that is confirmed again and again is one entry
        self._entries.append(entry)
        return entry

    def entries(self) -> list[dict[str, Any]]:
        """Give the changes, the oldest first; `at` is in seconds since 1970."""
        return list(self._entries)
