"""What lanes share: the parts of the daemon around them, and the budget of sessions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sender.observe.traces import Traces

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from sender.clock import Clock
    from sender.core.classify import Classifier
    from sender.engine.committer import Committer
    from sender.engine.holding import Holding
    from sender.engine.settling import Settler
    from sender.observe.events import Events
    from sender.observe.metrics import Metrics
    from sender.route.router import Router
    from sender.settings import Settings
    from sender.spool.sqlite import SqliteSpool


class Budget:
    """Sessions of all lanes together."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self._waiting: dict[Callable[[], None], None] = {}

    def take(self, otherwise: Callable[[], None]) -> bool:
        """Take one session; where there is none, `otherwise` is called when one comes back."""
        if self.used >= self.most:
            self._waiting[otherwise] = None
            return False
        self.used += 1
        return True

    def give_back(self) -> None:
        """A session has ended."""
        self.used -= 1
        if self._waiting:
            callback = next(iter(self._waiting))
            del self._waiting[callback]
            callback()


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """Handed to each lane. Only `settings` and `classifier` change, when the configuration is reloaded."""

    settings: Settings
    classifier: Classifier
    spool: SqliteSpool
    router: Router
    settler: Settler
    committer: Committer
    holding: Holding
    metrics: Metrics
    events: Events
    clock: Clock
    rng: Random
    budget: Budget
    traces: Traces = field(default_factory=Traces)
    next_due: Callable[[int, float | None, bool], None]  # queue, its next due instant, whether that is all there is
