"""Metrics: the names of the contract, and bounded labels."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from sender.core.outcome import Outcome, Reason
from sender.observe.metrics import PROVIDERS, Metrics
from sender.observe.names import OTHER

_LANE = ("provider", "source")
# The contract's table: dashboards rely on these names and labels.
_CONTRACT = {
    "sender_messages_accepted_total": ("listener",),
    "sender_messages_refused_total": ("listener", "reason"),
    "sender_attempts_total": (*_LANE, "outcome"),
    "sender_deferrals_total": (*_LANE, "reason"),
    "sender_bounces_total": (*_LANE, "reason"),
    "sender_lane_window": _LANE,
    "sender_lane_sessions": _LANE,
    "sender_lane_queued": _LANE,
    "sender_lane_oldest_seconds": _LANE,
    "sender_lane_window_changes_total": (*_LANE, "direction", "cause"),
    "sender_lane_blocked_seconds_total": (*_LANE, "by"),
    "sender_sessions_opened_total": _LANE,
    "sender_sessions_refused_total": (*_LANE, "reason"),
    "sender_queue_recipients": ("state",),
    "sender_queue_oldest_seconds": ("state",),
    "sender_delivery_seconds": ("stream",),
    "sender_transaction_seconds": ("provider",),
    "sender_spool_commit_seconds": (),
    "sender_spool_commit_size": (),
    "sender_event_loop_lag_seconds": (),
    "sender_dns_lookups_total": ("result",),
}


def _labels(metrics: Metrics) -> dict[str, tuple[str, ...]]:
    """Give each metric as it is scraped, with its labels."""
    return {
        f"{metric._name}{'_total' if metric._type == 'counter' else ''}": tuple(metric._labelnames)
        for metric in vars(metrics).values()
        if hasattr(metric, "_labelnames")
    }


def test_every_metric_of_the_contract_is_there_with_its_labels() -> None:
    """Names and labels are those that the contract lists; others may be added."""
    labels = _labels(Metrics())
    assert {name: labels.get(name) for name in _CONTRACT} == _CONTRACT


def test_every_metric_has_the_prefix_and_a_help() -> None:
    """What is scraped begins with `sender_`, or `process_` as everywhere, and says what it is in a sentence."""
    families = list(text_string_to_metric_families(Metrics().render()[0].decode()))
    assert len(families) >= len(_CONTRACT)
    for family in families:
        assert re.fullmatch(r"(sender|process)_[a-z_]+", family.name)
        assert family.documentation.endswith(".")


def test_two_daemons_in_one_process_do_not_share_their_metrics() -> None:
    """Each daemon has its own registry, or the one that it is given."""
    one, other = Metrics(), Metrics()
    one.accepted.labels("smtp").inc()
    assert one.registry.get_sample_value("sender_messages_accepted_total", {"listener": "smtp"}) == 1
    assert other.registry.get_sample_value("sender_messages_accepted_total", {"listener": "smtp"}) is None
    registry = CollectorRegistry()
    assert Metrics(registry).registry is registry


def test_i14_a_hundred_thousand_sites_have_a_bounded_number_of_series() -> None:
    """The first sites have their names, all others are `other`; a configured provider has its name in any case."""
    metrics = Metrics()
    lanes = [metrics.lane(f"mx{number}.example", "default") for number in range(100_000)]
    assert len({lane.provider for lane in lanes}) == PROVIDERS + 1
    assert (lanes[0].provider, lanes[-1].provider) == ("mx0.example", OTHER)
    assert metrics.lane("mx.large.example", "default", "large").provider == "large"


@pytest.mark.parametrize(("before", "after", "direction"), [(4, 5, "up"), (5, 4, "down")])
def test_a_change_of_the_window_has_a_direction(before: int, after: int, direction: str) -> None:
    """A rise counts as `up`, a fall as `down`, with its cause."""
    metrics = Metrics()
    metrics.lane("mx.example", "default").window_changed(before, after, "refused")
    labels = {"provider": "mx.example", "source": "default", "direction": direction, "cause": "refused"}
    assert metrics.registry.get_sample_value("sender_lane_window_changes_total", labels) == 1


def test_what_happens_in_a_lane_is_counted_under_its_provider_and_source() -> None:
    """Attempts, deferrals, bounces, sessions and waits have the lane's labels and their own."""
    metrics = Metrics()
    lane = metrics.lane("mx.example", "default")
    lane.attempt(Outcome.DELIVERED)
    lane.attempt(Outcome.DELIVERED)
    lane.deferred(Reason.GREYLISTED)
    lane.bounced(Reason.EXPIRED)
    lane.ambiguous()
    lane.opened("TLSv1.3", None)
    lane.refused(Reason.CONNECTION_LIMIT)
    lane.blocked("window", 2.5)
    lane.transaction(0.2)
    metrics.committed(0.01, 7)
    metrics.looked_up("answer", 0.02)
    found = {
        name: metrics.registry.get_sample_value(
            f"sender_{name}", {"provider": "mx.example", "source": "default", **labels}
        )
        for name, labels in {
            "attempts_total": {"outcome": "delivered"},
            "deferrals_total": {"reason": "greylisted"},
            "bounces_total": {"reason": "expired"},
            "ambiguous_total": {},
            "sessions_opened_total": {},
            "sessions_refused_total": {"reason": "connection_limit"},
            "lane_blocked_seconds_total": {"by": "window"},
        }.items()
    }
    assert list(found.values()) == [2, 1, 1, 1, 1, 1, 2.5]
    assert metrics.registry.get_sample_value("sender_transaction_seconds_count", {"provider": "mx.example"}) == 1
    assert metrics.registry.get_sample_value("sender_spool_commit_size_sum") == 7
    assert metrics.registry.get_sample_value("sender_dns_lookups_total", {"result": "answer"}) == 1
