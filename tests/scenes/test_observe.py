"""What monitoring sees: health, metrics, events."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from sender.sandbox import Behaviour

if TYPE_CHECKING:
    from tests.scenes.world import World

_COUNTERS = (
    "sender_messages_accepted_total",
    "sender_attempts_total",
    "sender_deferrals_total",
    "sender_bounces_total",
    "sender_lane_window_changes_total",
    "sender_lane_blocked_seconds_total",
    "sender_sessions_opened_total",
    "sender_sessions_refused_total",
    "sender_dns_lookups_total",
)
_GAUGES = (
    "sender_lane_window",
    "sender_lane_sessions",
    "sender_lane_queued",
    "sender_lane_oldest_seconds",
    "sender_queue_recipients",
    "sender_queue_oldest_seconds",
)
_HISTOGRAMS = (
    "sender_delivery_seconds",
    "sender_transaction_seconds",
    "sender_spool_commit_seconds",
    "sender_spool_commit_size",
    "sender_event_loop_lag_seconds",
)
_LABELS = {
    "sender_messages_accepted_total": {"listener"},
    "sender_attempts_total": {"provider", "source", "outcome"},
    "sender_deferrals_total": {"provider", "source", "reason"},
    "sender_bounces_total": {"provider", "source", "reason"},
    "sender_lane_window": {"provider", "source"},
    "sender_lane_window_changes_total": {"provider", "source", "direction", "cause"},
    "sender_lane_blocked_seconds_total": {"provider", "source", "by"},
    "sender_sessions_refused_total": {"provider", "source", "reason"},
    "sender_queue_recipients": {"state"},
}
_OF_ALL = {"at", "event", "message_id", "mail_from", "rcpt_to", "domain", "stream", "size"}
_OF_ATTEMPTS = {
    *("site", "source", "attempt", "stage", "code", "enhanced_code", "reply", "reason", "scope", "host", "address"),
    *("tls", "queued_s", "session_s", "next_attempt_at"),
}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def _mixed_mail(world: World, tables: dict[str, Any] | None = None) -> None:
    """Deliver, defer, bounce and be refused."""
    await world.inbox()
    await world.site("capped.test", Behaviour(max_sessions=2, latency_s=0.01))
    await world.site("choosy.test", Behaviour(unknown_prefixes=("nobody",), greylist_s=0.5))
    await world.start(tables)
    await world.submit([world.message(f"user{number}@capped.test") for number in range(60)])
    await world.send("user@choosy.test", "nobody@choosy.test")
    await world.until_empty()
    world.notices = 1


async def test_health_and_readiness_are_told(world: World) -> None:
    """/healthz and /readyz answer 200 while the daemon works, in every role; unknown paths are 404 in JSON."""
    await world.start()
    assert (await world.get("/healthz"))[0] == 200
    status, body = await world.get("/readyz")
    assert (status, json.loads(body)) == (200, {"status": "ready"})
    status, body = await world.get("/nothing")
    assert (status, json.loads(body)["error"]) == (404, "not_found")


async def test_metrics_have_the_names_and_labels_of_the_contract(world: World) -> None:
    """Every metric of the contract is there with its labels, and no label has an address or an id."""
    await _mixed_mail(world)
    metrics = await world.metrics()
    assert metrics.content_type.startswith("text/plain; version=")
    for name in (*_COUNTERS, *_GAUGES):
        assert metrics.samples.get(name), name
    for name in _HISTOGRAMS:
        assert metrics.total(f"{name}_count") > 0, name
    for name, labels in _LABELS.items():
        assert {frozenset(sample) for sample, _ in metrics.samples[name]} == {frozenset(labels)}, name
    assert "# TYPE sender_messages_refused_total counter" in metrics.text
    assert "@" not in metrics.text
    assert metrics.by("sender_messages_accepted_total", "listener") == {"smtp": 61, "notice": 1}
    assert metrics.by("sender_attempts_total", "outcome") == {"delivered": 62, "deferred": 2, "bounced": 1} or (
        metrics.by("sender_attempts_total", "outcome") == {"delivered": 62, "deferred": 1, "bounced": 1}
    )
    assert metrics.by("sender_bounces_total", "reason") == {"mailbox_unknown": 1}
    assert metrics.by("sender_deferrals_total", "reason")["greylisted"] >= 1
    assert metrics.total("sender_dns_lookups_total") == metrics.total("sender_dns_lookup_seconds_count") >= 3
    assert metrics.by("sender_sessions_tls_total", "version") == {"none": metrics.total("sender_sessions_opened_total")}
    assert metrics.by("sender_stream_recipients_total", "outcome") == {"accepted": 63, "delivered": 62, "bounced": 1}
    assert metrics.total("process_resident_memory_bytes") > 1e7
    assert (metrics.total("sender_spool_accepting"), metrics.total("sender_spool_failing")) == (1, 0)
    assert metrics.total("sender_spool_disk_bytes") > metrics.total("sender_spool_bytes") > 0


async def test_prometheus_gets_an_example_of_each_figure(world: World) -> None:
    """In OpenMetrics, delays, deferrals and bounces name a message; it can be looked up."""
    await _mixed_mail(world)
    accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5"
    status, body = await world.get("/metrics", headers={"Accept": accept})
    assert status == 200
    examples = {
        (sample.name, sample.labels.get("reason", "")): sample.exemplar.labels["message_id"]
        for family in text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar
    }
    for of in (
        ("sender_delivery_seconds_bucket", ""),
        ("sender_deferrals_total", "greylisted"),
        ("sender_bounces_total", "mailbox_unknown"),
    ):
        status, body = await world.get(f"/v1/messages/{examples[of]}")
        assert (status, json.loads(body)["id"]) == (200, examples[of])


async def test_the_gauges_follow_the_queue(world: World) -> None:
    """The gauges of the queue and of a lane agree with the spool within a survey."""
    receiver = await world.site("full.test", Behaviour(full_prefixes=("user",)))
    await world.start({"retry": {"schedule": ["1h"]}})
    await world.submit([world.message(f"user{number}@full.test") for number in range(5)])

    async def shown() -> bool:
        metrics = await world.metrics()
        return (
            metrics.by("sender_queue_recipients", "state").get("deferred") == 5
            and metrics.total("sender_lane_queued") == 5
            and metrics.total("sender_lane_oldest_seconds") > 0
            and metrics.by("sender_provider_stream_queued", "provider") == {"mx.full.test": 5}
        )

    await world.until_true("five are deferred", shown)
    receiver.behaviour = Behaviour()
    await world.command("retry", "--all")
    await world.until_empty()


async def test_events_tell_each_attempt_of_each_recipient(world: World) -> None:
    """The event file has a line for each acceptance, attempt and end, with the contract's keys, and for each window."""
    await _mixed_mail(world, {"events": {"file": "events.jsonl"}})
    await world.stop()
    lines = (world.folder / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert all(_INSTANT.fullmatch(event["at"]) for event in events)
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        by_kind.setdefault(event["event"], []).append(event)
    assert by_kind.keys() == {"accepted", "delivered", "deferred", "bounced", "window"}
    assert len(by_kind["accepted"]) in {62, 63}  # the notice may or may not count as accepted
    assert len(by_kind["delivered"]) == 62
    assert len(by_kind["bounced"]) == 1
    for event in by_kind["accepted"]:
        assert event.keys() >= _OF_ALL
    for event in (*by_kind["delivered"], *by_kind["deferred"], *by_kind["bounced"]):
        assert event.keys() >= _OF_ALL | _OF_ATTEMPTS
    (bounce,) = by_kind["bounced"]
    assert (bounce["rcpt_to"], bounce["stage"], bounce["code"], bounce["enhanced_code"], bounce["reason"]) == (
        "nobody@choosy.test",
        "rcpt",
        550,
        "5.1.1",
        "mailbox_unknown",
    )
    for event in by_kind["deferred"]:
        assert (event["site"], event["reason"]) == ("mx.choosy.test", "greylisted")
        assert _INSTANT.fullmatch(event["next_attempt_at"])
    attempts = [
        (event["message_id"], event["rcpt_to"], event["attempt"])
        for kind in ("delivered", "deferred", "bounced")
        for event in by_kind[kind]
    ]
    assert len(attempts) == len(set(attempts))
    for event in by_kind["window"]:
        assert event.keys() >= {"site", "source", "from", "to", "cause", "reply"}
    assert any(event["to"] < event["from"] and "connections" in event["reply"] for event in by_kind["window"])


async def test_what_operators_do_is_an_event(world: World) -> None:
    """Suspending, resuming and deleting are told with what they were about; a removed recipient has an event."""
    await world.site("held.test")
    await world.start({"events": {"file": "events.jsonl"}})
    await world.command("suspend", "--domain", "held.test", "--reason", "why not")
    await world.send("user@held.test")
    await world.command("delete", "--domain", "held.test", "--reason", "a test")
    await world.command("resume", "--domain", "held.test")
    await world.until_empty()
    await world.stop()
    events = [json.loads(line) for line in (world.folder / "events.jsonl").read_text().splitlines()]
    told = {event["event"]: event for event in events}
    assert told.keys() == {"accepted", "suspended", "removed", "resumed"}
    assert (told["suspended"]["domain"], told["suspended"]["reason"]) == ("held.test", "why not")
    assert (told["removed"]["rcpt_to"], told["removed"]["reason"]) == ("user@held.test", "removed")
    assert told["resumed"]["domain"] == "held.test"


async def test_an_event_file_that_cannot_be_written_stops_nothing(world: World) -> None:
    """When the event file takes no more, mail is delivered all the same."""
    receiver = await world.site("ok.test")
    await world.start({"events": {"file": "/dev/full"}})
    await world.submit([world.message(f"user{number}@ok.test") for number in range(10)])
    await world.until_empty()
    assert receiver.tally.messages == 10
