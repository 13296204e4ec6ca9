"""A real Prometheus watches the receivers of the demonstration: what dashboards and rules ask for is there."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sender import chores
from sender.cli.sandbox import PLACES, Place, running
from sender.sandbox import Behaviour
from sender.sandbox.behaviour import Close
from sender.smtp import opening
from tests.dialogs.session.sending import CERTIFICATE, server_context
from tests.monitoring.documents import PROMETHEUS, Query, alerts, queries, recorded
from tests.monitoring.promql import operands
from tests.scenes.hook import SECRET, Hook
from tests.servers import Prometheus, require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.scenes.world import World

_EVERY = "500ms"  # scrapes and evaluations
_STEP_S = 0.25
_VALUES = {
    **dict.fromkeys(("node", "provider", "source", "stream"), ".*"),
    "urgent": "transactional",
    "__rate_interval": "2s",
    "__interval": "1s",
    "__range": "1m",
}
_SENT = {"capped.test": 120, "greylisting.test": 15, "choosy.test": 20, "fast.test": 60, "paced.test": 30}
# Beside the receivers of the demonstration: what they do not do.
_MORE = (
    Place(
        host="mx.paced.test",
        domains=("paced.test",),
        behaviour=Behaviour(name="mx.paced.test", messages_per_second=15, burst=5),
        text="takes 15 messages a second",
    ),
    Place(
        host="mx.sandbox.test",  # the name in the certificate
        domains=("safe.test",),
        behaviour=Behaviour(name="mx.sandbox.test", tls=server_context()),
        text="offers TLS",
    ),
    Place(
        host="mx.plain.test",
        domains=("plain.test",),
        behaviour=Behaviour(name="mx.plain.test"),
        text="offers none, though it has to: its mail waits",
    ),
    Place(
        host="mx.blocking.test",
        domains=("blocking.test",),
        behaviour=Behaviour(
            name="mx.blocking.test",
            refused_rcpts={"@blocking.test": "550 5.7.1 Client host blocked using zen.spamhaus.org"},
        ),
        text="has us on a list",
    ),
    Place(
        host="mx.shutting.test",
        domains=("shutting.test",),
        behaviour=Behaviour(
            name="mx.shutting.test",
            scripted={"banner": ["554 5.7.1 Client host blocked using zen.spamhaus.org"] * 1000},
        ),
        text="does not even greet us: its mail waits",
    ),
    Place(
        host="mx.losing.test",
        domains=("losing.test",),
        behaviour=Behaviour(name="mx.losing.test", scripted={"end_of_data": [Close(abort=True)]}),
        text="loses the connection after a content",
    ),
)
_PLACES = (*PLACES, *_MORE)
_WAIT = ("user@plain.test", "user@shutting.test")
_FIRING = 'ALERTS{alertstate="firing"}'
_TABLES = {
    "window": {"start": 2},  # that one sees it grow
    "streams": {"transactional": {"priority": "urgent"}, "campaign": {"priority": "bulk"}},
    "destinations": {"safe.test": {"tls": "required"}, "plain.test": {"tls": "required"}},
}

# Why a query finds nothing here, by the beginning of its place.
_HOLDS = "no message is damaged or makes the daemon fail"
_EXPIRES = "nothing is old enough to expire"
_NOTHING = {
    "sender-overview: Is mail flowing?: expired": _EXPIRES,
    "sender-node: What is not taken from clients, or held?: held": _HOLDS,
    "SenderMessagesHeld": _HOLDS,
}


@pytest.fixture
def _prepared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trust the receivers' certificate, and let the gauges of the queue follow as fast as Prometheus looks."""
    monkeypatch.setattr(chores, "_SURVEY_EVERY_S", 0.5)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    opening._context.cache_clear()
    yield
    opening._context.cache_clear()


def _configuration(world: World) -> dict[str, Any]:
    """Give the configuration that is deployed, for this daemon, and with less time between scrapes."""
    configuration: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": _EVERY, "evaluation_interval": _EVERY, "scrape_timeout": _EVERY}
    configuration["rule_files"] = [str(PROMETHEUS / files) for files in configuration["rule_files"]]
    (job,) = configuration["scrape_configs"]
    del job["file_sd_configs"], job["scrape_interval"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{world.http_port}"]}]
    return configuration


@asynccontextmanager
async def _surrounded(world: World) -> AsyncIterator[None]:
    """Run the receivers and the daemon."""
    async with running(_PLACES, port=world.port) as sandbox, Hook() as hook:
        events = {"file": "events.jsonl", "webhook": f"http://127.0.0.1:{hook.port}/", "webhook_secret": SECRET}
        await world.start({**_TABLES, "events": events, "dns": {"nameservers": [sandbox.nameserver]}})
        yield
        await world.balance()
        await world.stop()


async def _is(prometheus: Prometheus, query: str, value: float) -> bool:
    return await prometheus.value(query) == value


async def _campaign(world: World) -> int:
    """Submit a campaign; give the number of its recipients."""
    numbers = count(1)
    mailboxes = [f"user{next(numbers)}@{domain}" for domain, most in _SENT.items() for _ in range(most)]
    await asyncio.gather(*(_send(world, mailboxes[begin::4], "campaign") for begin in range(4)))
    return len(mailboxes)


async def _more(world: World) -> int:
    """Submit urgent mail and what goes wrong; give the number of recipients that will end, notices included."""
    await asyncio.gather(
        _send(world, [f"urgent{number}@{domain}" for number in range(5) for domain in ("capped.test", "safe.test")]),
        _send(world, ["nobody@choosy.test", *(f"user{number}@blocking.test" for number in range(12))]),
        _send(world, ["user@losing.test", *_WAIT]),
        _refused(world),
    )
    world.notices = 1 + 12
    return 5 * 2 + 1 + 12 + 1 + world.notices


async def _send(world: World, mailboxes: list[str], stream: str = "transactional") -> None:
    async with world.client() as client:
        for mailbox in mailboxes:
            head = f"From: news@news.test\r\nTo: {mailbox}\r\nX-Sender-Stream: {stream}\r\n"
            await client.sendmail("news@news.test", [mailbox], f"{head}\r\nGood news.\r\n")


async def _refused(world: World) -> None:
    async with world.client() as client:
        await client.ehlo()
        code, _ = await client.execute_command(b"MAIL FROM:<news@news.test> SIZE=999999999")
        assert code == 552


@pytest.mark.usefixtures("_prepared")
async def test_every_query_finds_what_it_asks_for(world: World) -> None:
    """Each query of each panel, annotation, variable and rule returns data, or stands in a table with the reason.

    Meanwhile receivers cap, greylist, pace, block and lose. The rules are evaluated without an error, a block and a
    want of TLS fire their alerts, and examples of deliveries, deferrals and bounces name their messages.
    """
    require(Prometheus)
    began_at = time.time()
    async with _surrounded(world), Prometheus(_configuration(world)) as prometheus:
        # Prometheus asks nobody in its first five seconds.
        await world.command("suspend", "--all")
        recipients = await _campaign(world)
        await world.until_true("the first scrape", lambda: _is(prometheus, "up", 1))
        await world.command("resume", "--all")
        recipients += await _more(world)
        ended = 'sum(sender_attempts_total{outcome=~"delivered|bounced"})'
        await world.until_true("all is seen", lambda: _is(prometheus, ended, recipients))
        await world.until_true("both alerts fire", lambda: _is(prometheus, f"count({_FIRING})", 2))
        await _check_rules(prometheus)
        await _check_queries(prometheus, began_at)
        await _check_exemplars(prometheus, began_at)


async def _check_queries(prometheus: Prometheus, began_at: float) -> None:
    asked = [*queries(), *(Query(place=f"{rule.name} {rule.labels}", expr=rule.expr) for rule in recorded())]
    asked += [Query(place=alert.name, expr=expr) for alert in alerts() for expr in operands(alert.expr)]
    reasons = {query: _reason(query) for query in asked}
    empty = asked
    give_up_at = time.monotonic() + 10  # what was seen a moment ago may not be in a rate yet
    while any(not reasons[query] for query in empty) and time.monotonic() < give_up_at:
        span = _span(began_at)
        empty = [query for query in empty if not await _found(prometheus, query, span)]
    assert [f"{query.place}: {query.filled(_VALUES)}" for query in empty if not reasons[query]] == []
    assert [query.place for query in asked if reasons[query] and query not in empty] == []
    assert _NOTHING.keys() == {reason for reason in reasons.values() if reason}


def _reason(query: Query) -> str:
    """Give the key of the reason why a query finds nothing; empty where it has to find something."""
    return next((beginning for beginning in _NOTHING if query.place.startswith(beginning)), "")


def _span(began_at: float) -> dict[str, float]:
    """Give the time of the scene until now, in steps that end now."""
    now = time.time()
    return {"start": now - math.ceil((now - began_at) / _STEP_S) * _STEP_S, "end": now, "step": _STEP_S}


async def _found(prometheus: Prometheus, query: Query, span: dict[str, float]) -> bool:
    """Tell whether a query has a value that is a number in the time of the scene, with every label that is shown."""
    result = await prometheus.ask("query_range", query=query.filled(_VALUES), **span)
    return any(
        query.shown <= series["metric"].keys() and any(not math.isnan(float(value)) for _, value in series["values"])
        for series in result["result"]
    )


async def _check_rules(prometheus: Prometheus) -> None:
    groups = (await prometheus.ask("rules"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(recorded()) + len(alerts())
    assert [rule for rule in rules if rule["health"] != "ok" or rule.get("lastError")] == []
    firing = [rule["name"] for rule in rules if rule.get("state") == "firing"]
    assert firing == ["SenderReputationBlocked", "SenderTlsFails"]


async def _check_exemplars(prometheus: Prometheus, began_at: float) -> None:
    for metric in ("sender_delivery_seconds_bucket", "sender_deferrals_total", "sender_bounces_total"):
        found = await prometheus.ask("query_exemplars", query=metric, start=began_at, end=time.time())
        assert found, metric
        assert all("message_id" in one["labels"] for series in found for one in series["exemplars"])
