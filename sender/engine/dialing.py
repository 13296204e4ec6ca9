"""How a lane gets its sessions: as whom it calls, and how long it waits after it could not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sender.core.backoff import Backoff
from sender.engine.contact import Caller, contact
from sender.smtp.habits import Habits

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sender.engine.contact import NoSession
    from sender.engine.placement import Placement
    from sender.engine.surroundings import Surroundings
    from sender.route.router import Route
    from sender.smtp.habits import Way
    from sender.smtp.session import Session

_LOCAL_PAUSE_S = 1.0


class Dialing:
    """`failure` says why there is no connection, while there is none; instants are of the steady clock."""

    def __init__(
        self,
        placement: Placement,
        forbidden: Collection[Way],
        around: Surroundings,
        memory: Mapping[str, Any] | None,
    ) -> None:
        settings, source = around.settings, placement.source
        mishandled = (memory or {}).get("mishandled", {})
        self.habits = Habits(placement.lane, forbidden, mishandled, around.clock.wall())
        self.failure = ""
        self._around = around
        delivery = settings.delivery
        self._backoff = Backoff(
            around.clock.steady(), first_s=delivery.connect_backoff, most_s=delivery.connect_backoff_max
        )
        self._caller = Caller(
            source_address=settings.sources[source].address,
            helo=settings.sources[source].helo or settings.hostname,
            tls=placement.tls,
            habits=self.habits,
            ear=around.traces.lane(placement.lane, placement.site, around.clock),
        )

    def reconfigure(self, forbidden: Collection[Way]) -> None:
        """Wait by another configuration from now on, and go no way that it forbids."""
        self.habits.forbid(forbidden)
        delivery = self._around.settings.delivery
        self._backoff.first_s, self._backoff.most_s = delivery.connect_backoff, delivery.connect_backoff_max

    @property
    def until(self) -> float:
        """The instant from which another connection may be tried."""
        return self._backoff.until

    async def contact(self, route: Route) -> Session | NoSession:
        """Open one session."""
        around = self._around
        return await contact(route, around.router, self._caller, around.settings.delivery, around.classifier)

    def connected(self) -> None:
        """A session is open: the next failure is the first."""
        self.failure = ""
        self._backoff.succeeded()

    def failed(self, why: str) -> None:
        """There is no connection: wait, and twice as long the next time."""
        self.failure = why
        self._backoff.failed(self._around.clock.steady(), self._around.rng)

    def pause(self) -> None:
        """Wait a moment for a fault of ours."""
        self._backoff.pause(self._around.clock.steady(), _LOCAL_PAUSE_S)

    def forget(self) -> None:
        """Try at once: somebody says that it works again."""
        self._backoff.forget(self._around.clock.steady())
