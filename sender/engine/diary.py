"""What a limit has been through: the changes of its window, each with the reply that taught it, and what was tried.

Kept with the spool as JSON; instants are seconds since 1970. An entry whose `from` is its `to` changed nothing: a
refusal that confirmed the limit (`times` counts them), or an operator's word.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from sender.core.window import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sender.clock import Clock
    from sender.core.stage import Stage
    from sender.core.window import Change

KEPT = 50
_REFUSALS = frozenset({Cause.REFUSED, Cause.REFUSED_INSIDE, Cause.THROTTLED, Cause.OVERLOADED, Cause.BLOCKED})
_TAUGHT = _REFUSALS | {Cause.SLOWER}
_NOTHING = {"taken": 0, "taken_from": None, "taken_at": None, "refused": 0, "refused_at": None, "reply": ""}

Entry = dict[str, Any]


class Diary:
    """Changed by the calls below only.

    `taught` is the entry of the refusal that the limit goes back to, `tried` counts the tries beyond it since;
    `paced` is the last refusal for too many messages. They are kept when the entry itself has been forgotten.
    """

    def __init__(self, memory: Mapping[str, Any] | None = None) -> None:
        kept = memory or {}
        self._entries: deque[Entry] = deque((_whole(entry) for entry in kept.get("history") or ()), KEPT)
        self.taught: Entry | None = kept.get("taught")
        self.tried: Entry = {**_NOTHING, **(kept.get("tried") or {})}
        self.paced: Entry | None = kept.get("paced")
        self.stage: Stage | None = None  # of the last refusal of any kind
        self.reply = ""
        self.host = ""

    def heard(self, stage: Stage | None, text: str, host: str = "") -> None:
        """Keep the last refusal: it explains the change that follows."""
        self.stage, self.reply, self.host = stage, text, host

    def note(self, change: Change, clock: Clock, *, act: str = "", reason: str = "") -> Entry | None:
        """Write down a change of the window, and give the entry; None where what was remembered is what was known.

        `act` is what an operator did, `reason` why.
        """
        taught, refused = change.cause in _TAUGHT, change.cause in _REFUSALS
        last = self._entries[-1] if self._entries else None
        before = change.before
        if change.cause is Cause.REMEMBERED and last is not None:
            before = last["to"]  # not the starting value, which nobody has seen
            if before == change.after:
                return None
        again = taught and last is not None and before == change.after == last["from"] == last["to"]
        again = again and last is not None and last["cause"] in _TAUGHT
        entry = {
            "at": clock.wall_at(change.at),
            "from": before,
            "to": change.after,
            "cause": str(change.cause),
            "stage": str(self.stage or "") if refused else "",
            "host": self.host if refused else "",
            "reply": self.reply if refused else "",
            "times": (last["times"] if again and last else 0) + 1,
            "act": act,
            "reason": reason,
        }
        self._reckon(entry, change.cause)
        if again:
            self._entries.pop()  # a limit that is confirmed again and again is one entry
        self._entries.append(entry)
        return entry

    def _reckon(self, entry: Entry, cause: Cause) -> None:
        """Keep the score of what was tried since the limit was learned."""
        if entry["act"] in {"set", "forget"}:
            self.taught, self.tried = None, dict(_NOTHING)
        elif cause is Cause.TAKEN:
            first = entry["from"] if self.tried["taken_from"] is None else self.tried["taken_from"]
            self.tried |= {"taken": self.tried["taken"] + 1, "taken_from": first, "taken_at": entry["at"]}
        elif cause in _TAUGHT and (self.taught is None or entry["to"] < entry["from"]):
            self.taught, self.tried = entry, dict(_NOTHING)
        elif cause in _TAUGHT:
            refused = {"refused": self.tried["refused"] + 1, "refused_at": entry["at"], "reply": entry["reply"]}
            self.tried |= refused

    def note_pace(self, at: float, per_second: float | None) -> None:
        """Write down that the last refusal was one for too many messages, and the pace that follows from it."""
        self.paced = {
            "at": at,
            "per_second": per_second,
            "stage": str(self.stage or ""),
            "host": self.host,
            "reply": self.reply,
        }

    def entries(self) -> list[Entry]:
        """Give the changes, the oldest first."""
        return list(self._entries)

    def memory(self) -> Entry:
        """Give what is kept."""
        return {"history": self.entries(), "taught": self.taught, "tried": self.tried, "paced": self.paced}


def _whole(entry: Mapping[str, Any]) -> Entry:
    """Give an entry every key that it has today."""
    return {"stage": "", "host": "", "reply": "", "times": 1, "act": "", "reason": "", **entry}
