"""Every metric, by name, in one place. The registry is given, so that two daemons can live in one process.

`provider` and `stream` are bounded: those that are configured, the busiest of the others, and `other` (`names.py`).
Counters never go back while the daemon runs, but for names that have long been none of the busiest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from sender import __version__
from sender.observe.names import Names
from sender.observe.series import LaneMetrics, StreamMetrics
from sender.observe.tallies import GaugeFamily, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sender.observe.names import Name

PROVIDERS = 30  # sites with series of their own, beside the configured providers
STREAMS = 20  # streams with series of their own, beside the configured ones
_FAST_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SLOW_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 1800, 3600, 10800, 43200, 86400, 259200)
_TRANSACTION_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the number of series


class Metrics:
    """The metrics of one daemon."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:  # noqa: PLR0915 - a list
        self.registry = registry or CollectorRegistry()
        lane = ("provider", "source")
        # Mail.
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
        self.stream_recipients = self._counter(
            "stream_recipients", "Recipients of a stream that were accepted, and how they ended.", ("stream", "outcome")
        )
        self.stream_queued = self._gauges("stream_queued", "Recipients queued in a stream.", ("stream",))
        self.stream_oldest = self._gauges(
            "stream_oldest_seconds", "Age of the oldest recipient queued in a stream.", ("stream",)
        )
        self.waiting = self._gauges(
            "provider_stream_queued", "Recipients of a stream that wait for a provider.", ("provider", "stream")
        )
        self.waiting_oldest = self._gauges(
            "provider_stream_oldest_seconds", "Age of the oldest of them.", ("provider", "stream")
        )
        self.delivery = self._histogram("delivery_seconds", "Accepted to delivered.", ("stream",), _SLOW_S)
        self.queue_recipients = self._gauges("queue_recipients", "Recipients in the spool, by state.", ("state",))
        self.queue_oldest = self._gauges("queue_oldest_seconds", "Age of the oldest recipient, by state.", ("state",))
        self.queue_max = self._gauges("queue_max", "Recipients above which nothing is accepted.", ())
        # Lanes.
        self.window = self._gauges("lane_window", "Sessions that a lane may have open now.", lane)
        self.sessions = self._gauges("lane_sessions", "Sessions that a lane has open.", lane)
        self.pace = self._gauges(
            "lane_pace_per_second", "Messages that a lane may start per second, where known.", lane
        )
        self.lane_queued = self._gauges("lane_queued", "Recipients queued for a lane.", lane)
        self.lane_oldest = self._gauges("lane_oldest_seconds", "Age of the oldest recipient queued for a lane.", lane)
        self.narrow = self._gauges("lanes_at_window_one", "Lanes with mail that may have one session only.", lane)
        self.lanes = self._gauges("lanes", "Lanes, by state.", ("state",))
        self.window_changes = self._counter(
            "lane_window_changes", "Changes of the window, by direction and cause.", (*lane, "direction", "cause")
        )
        self.blocked = self._counter(
            "lane_blocked_seconds", "Seconds in which mail waited for a lane, by what held it.", (*lane, "by")
        )
        # Sessions.
        self.opened = self._counter("sessions_opened", "Sessions that receivers took.", lane)
        self.sessions_refused = self._counter("sessions_refused", "Sessions that were not taken.", (*lane, "reason"))
        self.sessions_tls = self._counter("sessions_tls", "Sessions taken, by version of TLS.", (*lane, "version"))
        self.sessions_max = self._gauge("sessions_max", "Sessions that all lanes together may have open.")
        self.certificates = self._gauges(
            "peer_certificate_expiry_timestamp_seconds",
            "When the first of the certificates expires that deliveries need (tls = required).",
            ("provider",),
        )
        self.transaction = self._histogram(
            "transaction_seconds", "MAIL to the reply to the end of data.", ("provider",), _TRANSACTION_S
        )
        self.lookups = self._counter("dns_lookups", "Look-ups that went to a name server, by result.", ("result",))
        self.lookup_seconds = self._histogram("dns_lookup_seconds", "Duration of a look-up.", (), _TRANSACTION_S)
        # The node.
        self.commit_seconds = self._histogram("spool_commit_seconds", "Duration of a spool commit.", (), _FAST_S)
        self.commit_size = self._histogram("spool_commit_size", "Units of work in a spool commit.", (), _SIZES)
        self.spool_failing = self._gauge("spool_failing", "1 while outcomes cannot be recorded, and nothing is sent.")
        self.spool_accepting = self._gauges(
            "spool_accepting", "0 while nothing is accepted: disk or queue are full.", ()
        )
        self.spool_bytes = self._gauge("spool_bytes", "Bytes of the spool's database and its log.")
        self.disk_bytes = self._gauge("spool_disk_bytes", "Bytes of the disk that the spool is on.")
        self.disk_free = self._gauge("spool_disk_free_bytes", "Bytes of it that are free.")
        self.min_free = self._gauges("spool_min_free_bytes", "Free bytes below which nothing is accepted.", ())
        self.clock_steps = self._counter("clock_steps", "Steps of the wall clock, by direction.", ("direction",))
        for direction in ("forward", "back"):
            self.clock_steps.labels(direction)  # a series that begins at 0 can be watched
        self.loop_lag = self._histogram("event_loop_lag_seconds", "How late the event loop is.", (), _FAST_S)
        self.build = self._gauge("build_info", "Always 1: version and role.", ("version", "role"))
        # Events.
        self.events_dropped = self._counter("events_dropped", "Events that could not be written or kept.", ("to",))
        self.webhook_requests = self._counter("webhook_requests", "Requests to the webhook, by result.", ("result",))
        self.webhook_bytes = self._gauge("webhook_buffer_bytes", "Bytes of events that wait for the webhook.")
        self.webhook_oldest = self._gauge("webhook_oldest_seconds", "Age of the oldest event that waits for it.")
        ProcessCollector(registry=self.registry)
        self.sites, self.streams = Names(PROVIDERS), Names(STREAMS)
        self._of_streams: dict[str, StreamMetrics] = {}
        self._expiries: WeakKeyDictionary[Name, float] = WeakKeyDictionary()  # of certificates: the one seen last

    def _counter(self, name: str, text: str, labels: Iterable[str]) -> Counter:
        return Counter(f"sender_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(f"sender_{name}", text, labels, registry=self.registry)

    def _gauges(self, name: str, text: str, labels: tuple[str, ...]) -> GaugeFamily:
        return GaugeFamily(f"sender_{name}", text, labels, self.registry)

    def _histogram(self, name: str, text: str, labels: Iterable[str], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"sender_{name}", text, tuple(labels), buckets, self.registry)

    def lane(self, site: str, source: str, provider: str | None = None) -> LaneMetrics:
        """Give the series of a lane to a site, which may be that of a configured provider."""
        if provider is not None:
            self.sites.fix([provider])
        return LaneMetrics(self, self.sites.find(provider or site), source)

    def stream(self, name: str) -> StreamMetrics:
        """Give the series of a stream."""
        series = self._of_streams.get(name)
        if series is None:
            series = self._of_streams[name] = StreamMetrics(self, self.streams.find(name))
        return series

    def took(self, listener: str, stream: str, recipients: int) -> None:
        """Note a message that was accepted, or a notice of ours."""
        self.accepted.labels(listener).inc()
        self.stream(stream).count("accepted", recipients)

    def rank(self, now: float) -> None:
        """Give the busiest sites and streams series of their own. `now` is of a clock that never steps back."""
        idle = [name for name, series in self._of_streams.items() if not series.name.activity]
        for name in idle:
            del self._of_streams[name]
        for site in self.sites.rank(now):
            for family in (
                self.attempts,
                self.deferrals,
                self.bounces,
                self.ambiguous,
                self.window_changes,
                self.blocked,
                self.opened,
                self.sessions_refused,
                self.sessions_tls,
                self.transaction,
            ):
                family.remove_by_labels({"provider": site})
        for stream in self.streams.rank(now):
            for of_stream in (self.stream_recipients, self.delivery):
                of_stream.remove_by_labels({"stream": stream})

    def certified(self, site: Name, expires_at: float) -> None:
        """Note when the certificate expires without which a site would get no mail; seconds since 1970."""
        self._expiries[site] = expires_at

    def committed(self, seconds: float, units: int) -> None:
        """Note one commit of the spool."""
        self.commit_seconds.observe(seconds)
        self.commit_size.observe(units)

    def looked_up(self, result: str, seconds: float) -> None:
        """Note one look-up."""
        self.lookups.labels(result).inc()
        self.lookup_seconds.observe(seconds)

    def runs(self, role: str) -> None:
        """Note what the daemon does."""
        self.build.labels(__version__, role).set(1)

    def certificate_expiries(self) -> dict[tuple[str], float]:
        """Give by label when the first certificate expires."""
        expiries: dict[tuple[str], float] = {}
        for site, expires_at in self._expiries.items():
            label = (site.label,)
            expiries[label] = min(expires_at, expiries.get(label, expires_at))
        return expiries

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Write all metrics in the format that a header Accept asks for: OpenMetrics, with exemplars, or text.

        It may be called in a thread of its own: of much it takes some tens of milliseconds.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
