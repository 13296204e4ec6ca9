"""Values that tests of the simulation begin with."""

from __future__ import annotations

from typing import Any

from sender.simulation.clockwork import Clockwork
from sender.simulation.mail import Message
from sender.simulation.receiver import Receiver, Visit
from sender.simulation.scenario import Scenario, from_tables


def scenario(name: str = "test", **tables: Any) -> Scenario:  # noqa: ANN401 - as TOML has them
    """Give a scenario of these tables."""
    return from_tables(tables, place="test.toml", name=name)


def receiver(*, mail_domains: int = 1, **keys: Any) -> tuple[Receiver, Clockwork]:  # noqa: ANN401 - as TOML has them
    """Give a receiver of these keys, and the clock that it lives by."""
    clockwork = Clockwork()
    table = scenario(receiver=keys, mail={"domains": mail_domains}).receiver
    return Receiver(table, clockwork=clockwork, domains=mail_domains, seed="test"), clockwork


def message(domain: int = 0) -> Message:
    """Give a message."""
    return Message(domain, 0.0)


def let_in(model: Receiver, count: int = 1) -> list[Visit]:
    """Let sessions in that carry a message each."""
    visits = []
    for _ in range(count):
        visit = Visit()
        assert model.knock(visit) is None
        assert model.mail(visit, message()) is None
        model.done()
        visits.append(visit)
    return visits
