"""A settler with its surroundings, and results to settle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, cast

from sender.clock import Clock
from sender.core.identity import MessageIds
from sender.core.options import NO_OPTIONS, Options
from sender.core.outcome import Outcome, Scope, Verdict
from sender.core.reply import Reply
from sender.core.stage import Stage
from sender.engine.committer import Batch, Committer
from sender.engine.results import Result, Way
from sender.engine.settling import Settler
from sender.observe.metrics import Metrics
from sender.settings import Settings, from_tables
from sender.spool.contract import ClaimedMessage, ClaimedRecipient
from sender.spool.sqlite import SqliteSpool

from .values import ACCEPTED_AT, message, recipients

WAY = Way(site="mx.example.org", host="mx1.example.org", address="192.0.2.1", tls="TLSv1.3", session_s=1.23456)


class _FakeSpool:
    """Gives ids."""

    ids = MessageIds(1)


class _FakeCommitter:
    """Keeps the batch."""

    def __init__(self) -> None:
        self.batch = Batch()
        self.noted = 0

    def note(self) -> None:
        """Count."""
        self.noted += 1


class Desk:
    """A settler with its surroundings, `age_s` after the message was accepted."""

    def __init__(self, age_s: float = 100.0, **retry: Any) -> None:  # noqa: ANN401 - keys of `[retry]`
        self.now = ACCEPTED_AT + age_s
        self.steady = 1000.0
        self._retry = {"jitter": 0.0, **retry}
        settings = self._settings(20)
        metrics = Metrics()
        self.registry = metrics.registry
        self.metrics = metrics.lane("mx.example.org", "default")
        self.committer = _FakeCommitter()
        self.settler = Settler(
            settings,
            cast("SqliteSpool", _FakeSpool()),
            cast("Committer", self.committer),
            Clock(wall=lambda: self.now, steady=lambda: self.steady),
            Random(1),
            metrics,
            events=True,
        )

    def _settings(self, max_per_hour: int) -> Settings:
        tables = {
            "hostname": "mta.example.com",
            "retry": self._retry,
            "destinations": {"patient.example": {"retry": {"max_age": "10d"}}},
            "notices": {"max_per_hour": max_per_hour},
        }
        return from_tables(tables, Path("sender.toml"))

    def reload(self, *, max_per_hour: int) -> None:
        """Go on with another configuration."""
        self.settler.reload(self._settings(max_per_hour))

    @property
    def batch(self) -> Batch:
        """What is to be recorded."""
        return self.committer.batch

    def settle(
        self,
        *results: Result,
        mail_from: str = "me@example.com",
        expires_at: float | None = None,
        options: Options = NO_OPTIONS,
        tells: bool = False,
    ) -> None:
        """Settle results of one message; `tells`: the receiver had announced DSN."""
        claimed = [result.recipient for result in results]
        of = replace(message(*claimed, mail_from=mail_from, expires_at=expires_at), options=options)
        self.settle_of(of, *results, way=replace(WAY, tells=tells))

    def settle_of(self, of: ClaimedMessage, *results: Result, way: Way = WAY) -> None:
        """Settle results of a message."""
        self.settler.settle(of, results, way, self.metrics)

    def value(self, name: str, **labels: str) -> float | None:
        """Give a metric."""
        return self.registry.get_sample_value(f"sender_{name}", labels)


def got(outcome: Outcome, raw: str, *, recipient: ClaimedRecipient | None = None, **verdict: Any) -> Result:  # noqa: ANN401
    """Give what one recipient got: a reply to RCPT or, where it is delivered, to the content."""
    return Result(
        recipient=recipient or recipients("you@example.org")[0],
        verdict=Verdict(outcome=outcome, **{"scope": Scope.RECIPIENT, "rule": "a rule", **verdict}),
        stage=Stage.END_OF_DATA if outcome is Outcome.DELIVERED else Stage.RCPT,
        reply=Reply.parse(raw),
    )
