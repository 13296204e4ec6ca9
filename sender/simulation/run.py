"""One run: a scenario, a controller and a seed give a record for each sender. The same three give the same record."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from sender.settings import RetrySettings
from sender.simulation.clockwork import Clockwork
from sender.simulation.controllers import Controller, Ours, Place
from sender.simulation.lane import Lane
from sender.simulation.mail import Mail
from sender.simulation.oracle import Oracle
from sender.simulation.peers import Aimd, Postfix, TunedPostfix
from sender.simulation.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from sender.core.window import Remembered
    from sender.simulation.record import Record
    from sender.simulation.scenario import Scenario

    Make = Callable[[Place], Controller]

CONTROLLERS: dict[str, Make] = {
    "ours": Ours,
    "postfix": Postfix,
    "postfix-tuned": TunedPostfix,
    "aimd": Aimd,
    "oracle": Oracle,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run gave."""

    scenario: Scenario
    controller: str
    seed: int
    records: tuple[Record, ...]  # one for each sender
    ended_at: float  # the end of the campaign, or of the time
    complete: bool  # every message of the campaign has ended
    expired: int  # messages that were too old for another attempt

    @property
    def delivered(self) -> int:
        """Messages of all senders."""
        return sum(record.delivered for record in self.records)

    @property
    def throttles(self) -> int:
        """Refusals of all senders."""
        return sum(record.throttles for record in self.records)


class Simulation:
    """The parts of a run. The same scenario, controller and seed do the same."""

    def __init__(self, scenario: Scenario, make: Make, seed: int) -> None:
        self.clockwork = Clockwork()
        self.scenario = scenario
        self.seed = seed
        self._stream = f"{seed}/{scenario.name}"
        self.receiver = Receiver(
            scenario.receiver, clockwork=self.clockwork, domains=scenario.mail.domains, seed=self._stream
        )
        table = scenario.sender
        self.lanes = [self._lane(make, f"{self._stream}/{number}") for number in range(table.senders)]
        for number, lane in enumerate(self.lanes):
            self.clockwork.at(number * table.apart, lane.start)
        for event in scenario.events:
            self.clockwork.at(event.at, getattr(self.lanes[0], event.what))

    def run(self, controller: str) -> Run:
        """Let the time of the scenario pass; `controller` is the name that the run gets."""
        self.clockwork.run(self.scenario.duration_s)
        return Run(
            scenario=self.scenario,
            controller=controller,
            seed=self.seed,
            records=tuple(lane.record for lane in self.lanes),
            ended_at=self.clockwork.now,
            complete=self._complete,
            expired=sum(lane.mail.expired for lane in self.lanes),
        )

    @property
    def _complete(self) -> bool:
        return all(lane.mail.ended for lane in self.lanes)

    def _lane(self, make: Make, stream: str) -> Lane:
        table, receiver = self.scenario.sender, self.receiver
        rng = Random(f"{stream}/controller")

        def started(remembered: Remembered | None) -> Controller:
            now = self.clockwork.now
            return make(Place(table=table, receiver=receiver, now=now, rng=rng, remembered=remembered))

        def news() -> None:
            lane.pump()
            if self._complete:
                self.clockwork.stop()

        mail = Mail(
            self.scenario.mail,
            clockwork=self.clockwork,
            policy=RetrySettings().policy(),
            rng=Random(f"{stream}/mail"),
            on_news=news,
        )
        lane = Lane(
            clockwork=self.clockwork, receiver=receiver, mail=mail, idle_timeout_s=table.idle_timeout, make=started
        )
        return lane


def simulate(scenario: Scenario, controller: str = "ours", seed: int = 0, *, make: Make | None = None) -> Run:
    """Run a scenario. `make` gives another controller than the name does."""
    return Simulation(scenario, make or CONTROLLERS[controller], seed).run(controller)
