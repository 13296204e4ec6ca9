"""How much a receiver takes at a time: messages on one session, recipients in one envelope.

The configuration and the provider say how many at the most; a refusal that names one of them shows that it is less,
and some receivers say it themselves at the beginning of each session (RFC 9422), for now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sender.smtp.offer import Announced

if TYPE_CHECKING:
    from sender.core.memory import Memory
    from sender.engine.limits import Limits


class Sizes:
    """See the module. `learned_at`, in seconds since 1970: the last time that one was found to be too large."""

    def __init__(self, limits: Limits, memory: Memory, wall: float) -> None:
        self.learned_at = memory.sized_at
        self._learned_messages, self._learned_recipients = memory.sizes(wall)  # None: not learned
        self._announced = Announced()  # on the session that was opened last
        self.fit(limits)

    def fit(self, limits: Limits) -> None:
        """Keep to limits; what was learned or announced holds where it is less."""
        self._limits = limits
        self._settle()

    def _settle(self) -> None:
        self.messages_per_session = _least(self._limits.messages_per_session, self._learned_messages)
        self.max_recipients = _least(self._limits.max_recipients, self._learned_recipients, self._announced.recipients)
        self.max_domains = self._announced.domains  # of the recipients in one envelope; None: as many as there are

    def announced(self, limits: Announced) -> None:
        """A receiver has said what it takes; another of the lane's may say another thing."""
        if limits != self._announced:
            self._announced = limits
            self._settle()

    def in_session(self, announced: Announced) -> int:
        """Give the messages that a session may have whose receiver has announced limits."""
        return _least(self.messages_per_session, announced.messages)

    def too_many_messages(self, taken: int, wall: float) -> None:
        """A session took so many messages, and would take no more."""
        self._learned_messages, self.learned_at = taken, wall
        self._settle()

    def too_many_recipients(self, taken: int, wall: float) -> None:
        """An envelope may have so many recipients, and no more."""
        self._learned_recipients, self.learned_at = taken, wall
        self._settle()

    def memory(self) -> dict[str, Any]:
        """Give what is kept with the spool: what was learned, and not what the configuration says today."""
        return {
            "messages_per_session": self._learned_messages,
            "max_recipients": self._learned_recipients,
            "sized_at": self.learned_at,
        }


def _least(configured: int, *others: int | None) -> int:
    return min([configured, *(other for other in others if other is not None)])
