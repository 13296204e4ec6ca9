"""When to try again what failed as a whole, such as connecting: after a wait that doubles, until it succeeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


class Backoff:
    """Waits from `first_s` to `most_s` seconds. `until` is the instant from which another try may be made."""

    def __init__(self, now: float, *, first_s: float, most_s: float) -> None:
        self.until = now
        self.first_s = first_s
        self.most_s = most_s
        self._wait_s = first_s

    def failed(self, now: float, rng: Random) -> None:
        """Wait, and the next time twice as long."""
        self.until = now + self._wait_s * rng.uniform(0.8, 1.2)
        self._wait_s = min(self._wait_s * 2, self.most_s)

    def pause(self, now: float, seconds: float) -> None:
        """Wait for a cause that has nothing to do with the other side."""
        self.until = max(self.until, now + seconds)

    def succeeded(self) -> None:
        """Begin with short waits again."""
        self._wait_s = self.first_s

    def forget(self, now: float) -> None:
        """Try at once: somebody says that it works again."""
        self.until = now
        self._wait_s = self.first_s
