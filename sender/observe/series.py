"""The series of one lane and of one stream, looked up once, and again when their label has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.observe.tallies import exemplar_labels

if TYPE_CHECKING:
    from prometheus_client import Counter

    from sender.core.outcome import Outcome, Reason
    from sender.observe.metrics import Metrics
    from sender.observe.names import Name
    from sender.observe.tallies import Series


class LaneMetrics:
    """The series of one lane."""

    def __init__(self, metrics: Metrics, name: Name, source: str) -> None:
        self._name = name
        self._source = source
        self._metrics = metrics
        self._bind()

    def _bind(self) -> None:
        self._label = self._name.label
        self._labels = (self._label, self._source)
        self._attempts: dict[Outcome, Counter] = {}
        self._transaction: Series | None = None

    @property
    def provider(self) -> str:
        """The label of the lane's site."""
        return self._name.label

    @property
    def labels(self) -> tuple[str, str]:
        """The labels of the lane."""
        if self._label is not self._name.label:
            self._bind()
        return self._labels

    @property
    def named(self) -> bool:
        """Tell whether the site has series of its own."""
        return self._name.label is self._name.text

    def attempt(self, outcome: Outcome) -> None:
        """Note one recipient's attempt."""
        self._name.note()
        labels = self.labels
        series = self._attempts.get(outcome)
        if series is None:
            series = self._attempts[outcome] = self._metrics.attempts.labels(*labels, outcome)
        series.inc()

    def deferred(self, reason: Reason, message_id: int | None = None) -> None:
        """Note one deferral, of a message."""
        _count(self._metrics.deferrals.labels(*self.labels, reason), message_id)

    def bounced(self, reason: Reason, message_id: int | None = None) -> None:
        """Note one bounce or expiry, of a message."""
        _count(self._metrics.bounces.labels(*self.labels, reason), message_id)

    def ambiguous(self) -> None:
        """Note a transaction whose outcome nobody knows."""
        self._metrics.ambiguous.labels(*self.labels).inc()

    def opened(self, tls: str, certificate_expires_at: float | None) -> None:
        """Note a session that was taken, with its version of TLS, and of a certificate that was verified its end."""
        self._metrics.opened.labels(*self.labels).inc()
        self._metrics.sessions_tls.labels(*self.labels, tls or "none").inc()
        if certificate_expires_at is not None:
            self._metrics.certified(self._name, certificate_expires_at)

    def refused(self, reason: Reason) -> None:
        """Note a session that was not taken."""
        self._metrics.sessions_refused.labels(*self.labels, reason).inc()

    def transaction(self, seconds: float) -> None:
        """Note the length of a transaction."""
        labels = self.labels
        if self._transaction is None:
            self._transaction = self._metrics.transaction.labels(labels[0])
        self._transaction.observe(seconds)

    def window_changed(self, before: int, after: int, cause: str) -> None:
        """Note a change of the window."""
        direction = "up" if after > before else "down"
        self._metrics.window_changes.labels(*self.labels, direction, cause).inc()

    def blocked(self, by: str, seconds: float) -> None:
        """Note time in which mail waited."""
        self._metrics.blocked.labels(*self.labels, by).inc(seconds)


class StreamMetrics:
    """The series of one stream."""

    def __init__(self, metrics: Metrics, name: Name) -> None:
        self.name = name
        self._metrics = metrics
        self._bind()

    def _bind(self) -> None:
        self._label = self.name.label
        self._delivery = self._metrics.delivery.labels(self._label)
        self._recipients: dict[str, Counter] = {}

    def count(self, outcome: str, recipients: int = 1) -> None:
        """Note recipients that were accepted, or how they ended."""
        self.name.note()
        if self._label is not self.name.label:
            self._bind()
        series = self._recipients.get(outcome)
        if series is None:
            series = self._recipients[outcome] = self._metrics.stream_recipients.labels(self._label, outcome)
        series.inc(recipients)

    def delivered(self, seconds: float, message_id: int) -> None:
        """Note that a message came through, so long after it was accepted."""
        if self._label is not self.name.label:
            self._bind()
        self._delivery.observe(seconds, message_id)


def _count(series: Counter, message_id: int | None) -> None:
    series.inc(1, None if message_id is None else exemplar_labels(message_id))
