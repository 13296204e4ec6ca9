"""Every metric, by name, in one place. The registry is given, so that two daemons can live in one process.

`provider` is bounded: the busiest sites by name, all others as `other`. A site that has its name keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from sender.observe.tallies import Histogram

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sender.core.outcome import Outcome, Reason

OTHER = "other"
PROVIDERS = 50  # sites with a series of their own
CONTENT_TYPE = CONTENT_TYPE_LATEST
_FAST_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SLOW_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 1800, 3600, 10800, 43200, 86400, 259200)
_TRANSACTION_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class Metrics:
    """The metrics of one daemon."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        lane = ("provider", "source")
        self.accepted = self._counter("messages_accepted", "Messages accepted, by way in.", ("listener",))
        self.refused = self._counter("messages_refused", "Messages refused at submission.", ("listener", "reason"))
        self.attempts = self._counter("attempts", "Attempts, one per recipient, by outcome.", (*lane, "outcome"))
        self.deferrals = self._counter("deferrals", "Recipients deferred, by reason.", (*lane, "reason"))
        self.bounces = self._counter("bounces", "Recipients bounced or expired, by reason.", (*lane, "reason"))
        self.ambiguous = self._counter(
            "ambiguous", "Transactions lost after their content: they may be repeated.", lane
        )
        self.held = self._counter(
            "messages_held", "Messages held for a fault that is their own, by reason.", ("reason",)
        )
        self.notices_suppressed = self._counter(
            "notices_suppressed", "Notices that were not written, since their sender had too many.", ()
        )
        self.window = self._gauge("lane_window", "Sessions that a lane may have open now.", lane)
        self.sessions = self._gauge("lane_sessions", "Sessions that a lane has open.", lane)
        self.lane_queued = self._gauge("lane_queued", "Recipients queued for a lane.", lane)
        self.lane_oldest = self._gauge("lane_oldest_seconds", "Age of the oldest recipient queued for a lane.", lane)
        self.window_changes = self._counter(
            "lane_window_changes", "Changes of the window, by direction and cause.", (*lane, "direction", "cause")
        )
        self.blocked = self._counter(
            "lane_blocked_seconds", "Seconds in which mail waited for a lane, by what held it.", (*lane, "by")
        )
        self.opened = self._counter("sessions_opened", "Sessions that receivers took.", lane)
        self.sessions_refused = self._counter("sessions_refused", "Sessions that were not taken.", (*lane, "reason"))
        self.queue_recipients = self._gauge("queue_recipients", "Recipients in the spool, by state.", ("state",))
        self.queue_oldest = self._gauge("queue_oldest_seconds", "Age of the oldest recipient, by state.", ("state",))
        self.delivery = self._histogram("delivery_seconds", "Accepted to delivered.", ("stream",), _SLOW_S)
        self.transaction = self._histogram(
            "transaction_seconds", "MAIL to the reply to the end of data.", ("provider",), _TRANSACTION_S
        )
        self.commit_seconds = self._histogram("spool_commit_seconds", "Duration of a spool commit.", (), _FAST_S)
        self.commit_size = self._histogram("spool_commit_size", "Units of work in a spool commit.", (), _SIZES)
        self.loop_lag = self._histogram("event_loop_lag_seconds", "How late the event loop is.", (), _FAST_S)
        self.lookups = self._counter("dns_lookups", "Look-ups that went to a name server, by result.", ("result",))
        self.events_dropped = self._counter("events_dropped", "Events that could not be written or kept.", ("to",))
        self.webhook_requests = self._counter("webhook_requests", "Requests to the webhook, by result.", ("result",))
        self.webhook_bytes = self._gauge("webhook_buffer_bytes", "Bytes of events that wait for the webhook.", ())
        self.webhook_oldest = self._gauge("webhook_oldest_seconds", "Age of the oldest event that waits for it.", ())
        self.streams: Collection[str] = ()  # that have a series of their own
        self._named: dict[str, str] = {}

    def _counter(self, name: str, text: str, labels: Iterable[str]) -> Counter:
        return Counter(f"sender_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Iterable[str]) -> Gauge:
        return Gauge(f"sender_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: Iterable[str], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"sender_{name}", text, tuple(labels), buckets, self.registry)

    def provider(self, site: str) -> str:
        """Give the label of a site: its name while there is room for it."""
        known = self._named.get(site)
        if known is None and len(self._named) < PROVIDERS:
            known = self._named[site] = site
        return known or OTHER

    def delivered(self, stream: str, seconds: float) -> None:
        """Note that a message came through, so long after it was accepted."""
        self.delivery.labels(stream if stream in self.streams else OTHER).observe(seconds)

    def committed(self, seconds: float, units: int) -> None:
        """Note one commit of the spool."""
        self.commit_seconds.observe(seconds)
        self.commit_size.observe(units)

    def looked_up(self, result: str) -> None:
        """Note one look-up."""
        self.lookups.labels(result).inc()

    def render(self) -> bytes:
        """Write all metrics in the text format."""
        return generate_latest(self.registry)


class LaneMetrics:
    """The series of one lane, looked up once."""

    def __init__(self, metrics: Metrics, site: str, source: str) -> None:
        self.provider = metrics.provider(site)
        self._labels = (self.provider, source)
        self._metrics = metrics
        self._attempts: dict[Outcome, Counter] = {}
        self._transaction = metrics.transaction.labels(self.provider)

    def attempt(self, outcome: Outcome) -> None:
        """Note one recipient's attempt."""
        series = self._attempts.get(outcome)
        if series is None:
            series = self._attempts[outcome] = self._metrics.attempts.labels(*self._labels, outcome)
        series.inc()

    def deferred(self, reason: Reason) -> None:
        """Note one deferral."""
        self._metrics.deferrals.labels(*self._labels, reason).inc()

    def bounced(self, reason: Reason) -> None:
        """Note one bounce or expiry."""
        self._metrics.bounces.labels(*self._labels, reason).inc()

    def ambiguous(self) -> None:
        """Note a transaction whose outcome nobody knows."""
        self._metrics.ambiguous.labels(*self._labels).inc()

    def opened(self) -> None:
        """Note a session that was taken."""
        self._metrics.opened.labels(*self._labels).inc()

    def refused(self, reason: Reason) -> None:
        """Note a session that was not taken."""
        self._metrics.sessions_refused.labels(*self._labels, reason).inc()

    def transaction(self, seconds: float) -> None:
        """Note the length of a transaction."""
        self._transaction.observe(seconds)

    def window_changed(self, before: int, after: int, cause: str) -> None:
        """Note a change of the window."""
        direction = "up" if after > before else "down"
        self._metrics.window_changes.labels(*self._labels, direction, cause).inc()

    def blocked(self, by: str, seconds: float) -> None:
        """Note time in which mail waited."""
        self._metrics.blocked.labels(*self._labels, by).inc(seconds)
