"""How much a receiver takes at a time: messages on one session, recipients in one envelope.

The configuration and the provider say how many at the most; a refusal that names one of them shows that it is less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sender.core.memory import Memory
    from sender.engine.limits import Limits


class Sizes:
    """See the module. `learned_at`, in seconds since 1970: the last time that one was found to be too large."""

    def __init__(self, limits: Limits, memory: Memory, wall: float) -> None:
        self.learned_at = memory.sized_at
        self._learned_messages, self._learned_recipients = memory.sizes(wall)  # None: not learned
        self.fit(limits)

    def fit(self, limits: Limits) -> None:
        """Keep to limits; what was learned holds where it is less."""
        self.messages_per_session = _least(limits.messages_per_session, self._learned_messages)
        self.max_recipients = _least(limits.max_recipients, self._learned_recipients)

    def too_many_messages(self, taken: int, wall: float) -> None:
        """A session took so many messages, and would take no more."""
        self.messages_per_session = self._learned_messages = taken
        self.learned_at = wall

    def too_many_recipients(self, taken: int, wall: float) -> None:
        """An envelope may have so many recipients, and no more."""
        self.max_recipients = self._learned_recipients = taken
        self.learned_at = wall

    def memory(self) -> dict[str, Any]:
        """Give what is kept with the spool: what was learned, and not what the configuration says today."""
        return {
            "messages_per_session": self._learned_messages,
            "max_recipients": self._learned_recipients,
            "sized_at": self.learned_at,
        }


def _least(configured: int, learned: int | None) -> int:
    return configured if learned is None else min(configured, learned)
