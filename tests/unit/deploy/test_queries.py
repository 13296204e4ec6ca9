"""The queries of dashboards and rules ask for metrics, labels and words that the code has."""

from __future__ import annotations

import pytest

from sender.core.explain.words import BLOCKS
from sender.core.outcome import Outcome, Reason
from tests.monitoring.documents import queries, rules
from tests.monitoring.promql import Reader, Wrong, exported, selectors

_VALUES = {
    **dict.fromkeys(("node", "provider", "source", "stream", "urgent"), ".*"),
    "__rate_interval": "1m",
    "__interval": "5s",
    "__range": "1h",
}
_REASONS_OF_LANES = ("sender_deferrals_total", "sender_bounces_total", "sender_sessions_refused_total")
_WORDS: dict[tuple[str, str], set[str]] = {
    **{(name, "reason"): set(Reason) for name in _REASONS_OF_LANES},
    ("sender_attempts_total", "outcome"): set(Outcome),
    ("sender_lane_blocked_seconds_total", "by"): set(BLOCKS),
    ("sender_lane_window_changes_total", "direction"): {"up", "down"},
    ("sender_queue_recipients", "state"): {"queued", "scheduled", "deferred", "suspended", "in_flight"},
    ("sender_stream_recipients_total", "outcome"): {"accepted", "delivered", "bounced", "expired", "removed"},
    ("sender_lanes", "state"): {"open", "throttled", "suspended"},
}
_READER = Reader()
_ALL = {
    **{query.place: (query.filled(_VALUES), query.shown) for query in queries()},
    **{f"rule: {rule.name} {number}": (rule.expr, rule.shown) for number, rule in enumerate(rules())},
}


@pytest.mark.parametrize("place", _ALL)
def test_a_query_names_what_the_code_has(place: str) -> None:
    """Metrics, labels and label values exist, vectors can match, and what a legend or an annotation shows is there."""
    expr, shown = _ALL[place]
    assert shown <= _READER.labels(expr)
    for selector in selectors(expr):
        for matcher in selector.matchers.matchers:
            words = _WORDS.get((selector.name or "", matcher.name))
            if words is not None and matcher.value != ".*":
                assert set(matcher.value.split("|")) <= words


def test_every_metric_is_shown_or_watched() -> None:
    """No metric is exported that neither a dashboard nor a rule asks for."""
    asked = {selector.name for expr, _ in _ALL.values() for selector in selectors(expr)}
    families = {name.removesuffix("_bucket") for name in exported() if not name.endswith(("_sum", "_count"))}
    unused = {name for name in families if not {name, f"{name}_bucket", f"{name}_sum"} & asked}
    assert {name for name in unused if name.startswith("sender_")} == {
        "sender_messages_accepted_total",  # by listener; dashboards count recipients
        "sender_notices_suppressed_total",
        "sender_spool_disk_bytes",
    }


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        ("sender_lane_windw", "no such metric: sender_lane_windw"),
        ('sender_lane_window{site="a"}', "sender_lane_window has no label site"),
        ("sum by (site) (sender_lane_window)", "no label site"),
        ("sender_lane_window / sender_queue_recipients", "never match"),
        ("sender_lane_window / on (stream) sender_lane_sessions", "no label stream on both sides"),
        ("histogram_quantile(0.9, sum by (stream) (rate(sender_delivery_seconds_bucket[1m])))", "no label le"),
        ("sum by (provider (sender_lane_window)", "unclosed left parenthesis"),
    ],
)
def test_a_query_for_what_is_not_there_is_found(expr: str, words: str) -> None:
    """A metric or label that does not exist, a join that never matches and a slip of syntax are told apart."""
    with pytest.raises(Wrong, match=words):
        _READER.labels(expr)
