"""Who sees into the receiver, and does what it can without being refused: the measure of all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.simulation.peers import Peer

if TYPE_CHECKING:
    from sender.core.window import Ticket
    from sender.simulation.controllers import Place

_LOOKS_EVERY_S = 0.1


class Oracle(Peer):
    """See the module."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._receiver = place.receiver
        self.allowed = self._may_start

    @property
    def limit(self) -> int:
        """What the receiver allows, or what is best."""
        bounds = (self.most, self._receiver.room, self._receiver.best_window)
        return min(bound for bound in bounds if bound is not None)

    def _may_start(self, domain: int, now: float) -> bool:  # noqa: ARG002 - the receiver knows it
        return self._receiver.would_take_for(domain)

    def held_until(self, now: float) -> float:  # noqa: ARG002 - the receiver knows it
        """Wait until a message would be taken."""
        return self._receiver.next_message_at()

    def obstacle(self, now: float) -> tuple[str, float | None] | None:
        """Open a session when it would be let in; look again soon."""
        best = self._receiver.best_window
        if self.in_use >= (self.most if best is None else min(self.most, best)):
            return "window", None
        if not self._receiver.would_take(self._receiver.announced):
            return "window", now + _LOOKS_EVERY_S
        return None

    def _kept(self) -> int:
        """End what the receiver would end, or what it is better off without."""
        receiver = self._receiver
        if receiver.ends_sessions:
            return self.limit
        return self.most if receiver.best_window is None else receiver.best_window

    def opening(self, now: float) -> Ticket:
        """Say so to others who see it."""
        self._receiver.announced += 1
        return super().opening(now)

    def delivered(self, now: float, seconds: float) -> None:
        """Learn nothing."""

    def _refused(self, now: float) -> None:
        """Learn nothing: it was chance."""

    def _slowed(self, now: float) -> None:
        """Learn nothing: it was chance."""
