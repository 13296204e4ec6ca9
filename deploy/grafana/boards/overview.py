"""Overview: is mail flowing, and what needs attention now."""

from __future__ import annotations

from deploy.grafana.boards.parts import (
    AMBER,
    BLUE,
    FROM_NOW,
    GREEN,
    NODES,
    PER_SECOND,
    PROVIDERS,
    RED,
    SECONDS,
    SHARE,
    STREAMS,
    Board,
    Kind,
    Link,
    Panel,
    Query,
    Row,
    board_url,
    quantile,
)

_LANES = "sum by (instance, provider, source)"
_WAITING = f"({_LANES} (sender_lane_queued{{NODE}}) > 0)"
_ENDED = 'sender_attempts_total{NODE,outcome=~"delivered|bounced"}'
# Throttles are deferrals, but no attempts: an answer is either of them. Who only defers has no attempt.
_DEFERRED = 'rate(sender_deferrals_total{NODE,provider=~"$provider"}RATE)'
_TRIED = 'rate(sender_attempts_total{NODE,provider=~"$provider",outcome=~"delivered|bounced"}RATE)'

_FIGURES = Row(
    heading="Now",
    height=4,
    panels=(
        Panel(
            title="Accepted",
            description="Recipients accepted per second. Zero while clients send: see 'Is mail taken?' on Node.",
            kind=Kind.FIGURE,
            width=4,
            unit=PER_SECOND,
            colour=BLUE,
            queries=(
                Query(expr='sum(rate(sender_stream_recipients_total{NODE,outcome="accepted"}RATE))', legend="accepted"),
            ),
        ),
        Panel(
            title="Delivered",
            description="Recipients delivered per second. Zero while mail waits: look at the lanes below.",
            kind=Kind.FIGURE,
            width=4,
            unit=PER_SECOND,
            colour=GREEN,
            queries=(Query(expr='sum(rate(sender_attempts_total{NODE,outcome="delivered"}RATE))', legend="delivered"),),
        ),
        Panel(
            title="Deferred",
            description=(
                "Refusals per second that pass: greylisting, throttles, full mailboxes. More than half of what is "
                "delivered: see 'Which provider defers?' below."
            ),
            kind=Kind.FIGURE,
            width=4,
            unit=PER_SECOND,
            colour=AMBER,
            queries=(Query(expr="sum(rate(sender_deferrals_total{NODE}RATE))", legend="deferred"),),
            nothing="none",
        ),
        Panel(
            title="Bounced",
            description=(
                "Recipients per second that came back or expired. Above 2 % of what is delivered the list is bad: "
                "stop the stream (`sender suspend --stream S`) before receivers do."
            ),
            kind=Kind.FIGURE,
            width=4,
            unit=PER_SECOND,
            colour=RED,
            queries=(Query(expr="sum(rate(sender_bounces_total{NODE}RATE))", legend="bounced"),),
            nothing="none",
        ),
        Panel(
            title="Waiting",
            description="Recipients in the queue. It shall fall after a campaign; which lane does not: table below.",
            kind=Kind.FIGURE,
            width=4,
            colour=BLUE,
            queries=(Query(expr="sum(sender_queue_recipients{NODE})", legend="waiting"),),
        ),
        Panel(
            title="Everything is through",
            description=(
                "When the queue is empty at the rate of now, deferred mail counted. Each provider has its own "
                "estimate on Provider."
            ),
            kind=Kind.FIGURE,
            width=4,
            unit=FROM_NOW,
            nothing="nothing moves",
            queries=(
                Query(
                    expr=(
                        f"1000 * (time() + (sum(sender_queue_recipients{{NODE}}) > 0) / (sum(rate({_ENDED}RATE)) > 0))"
                    ),
                    legend="through",
                ),
            ),
        ),
    ),
)

_ATTENTION = Row(
    heading="Attention",
    height=9,
    panels=(
        Panel(
            title="What needs attention now?",
            description=(
                "Lanes with mail waiting. Read first: old mail (red), a window of 1, held back nearly all the time. "
                "100 % held back: one lane, all the time. Click the provider: it says by what, and what to do."
            ),
            kind=Kind.TABLE,
            width=16,
            sort_by="Oldest",
            hidden=("__name__", "job"),
            nothing="no mail waits",
            queries=(
                Query(expr=_WAITING, legend="Waiting"),
                Query(
                    expr=f"max by (instance, provider, source) (sender_lane_oldest_seconds{{NODE}}) and {_WAITING}",
                    legend="Oldest",
                    unit=SECONDS,
                    shape="coloured",
                ),
                Query(expr=f"{_LANES} (sender_lane_window{{NODE}}) and {_WAITING}", legend="Window"),
                Query(expr=f"{_LANES} (sender_lane_sessions{{NODE}}) and {_WAITING}", legend="Sessions"),
                Query(
                    expr=f"{_LANES} (rate(sender_lane_blocked_seconds_total{{NODE}}RATE)) and {_WAITING}",
                    legend="Held back",
                    unit=SHARE,
                ),
                Query(
                    expr=f'{_LANES} (rate(sender_attempts_total{{NODE,outcome="delivered"}}RATE)) and {_WAITING}',
                    legend="Delivered",
                    unit=PER_SECOND,
                ),
            ),
            steps=((1800, AMBER), (14400, RED)),
            links=(
                Link(
                    of="provider",
                    title="Why is it slow?",
                    url=board_url(
                        "sender-provider",
                        provider="${__data.fields.provider:percentencode}",
                        source="${__data.fields.source:percentencode}",
                    ),
                ),
            ),
        ),
        Panel(
            title="Which alerts are firing?",
            description="Each has its section in deploy/RUNBOOK.md: what it means, where to look, what to do.",
            kind=Kind.TABLE,
            width=8,
            hidden=("__name__", "alertstate", "job", "source", "Value"),
            nothing="none",
            queries=(
                Query(
                    expr='ALERTS{alertname=~"Sender.*",alertstate="firing",instance=~"$node"}',
                    legend="Firing",
                ),
            ),
        ),
    ),
)

_FLOW = Row(
    heading="Flow",
    height=8,
    panels=(
        Panel(
            title="Is mail flowing?",
            description=(
                "Green shall follow blue. Green below blue: the queue grows. Amber above green: receivers hold us "
                "back. Red that jumps: a bad list, or a receiver that blocks us."
            ),
            kind=Kind.LINES,
            width=12,
            unit=PER_SECOND,
            queries=(
                Query(expr='sum(rate(sender_stream_recipients_total{NODE,outcome="accepted"}RATE))', legend="accepted"),
                Query(expr='sum(rate(sender_attempts_total{NODE,outcome="delivered"}RATE))', legend="delivered"),
                Query(expr="sum(rate(sender_deferrals_total{NODE}RATE))", legend="deferred"),
                Query(expr='sum(rate(sender_bounces_total{NODE,reason!="expired"}RATE))', legend="bounced"),
                Query(expr='sum(rate(sender_bounces_total{NODE,reason="expired"}RATE))', legend="expired"),
            ),
        ),
        Panel(
            title="How much waits?",
            description=(
                "Queued is due now, deferred waits for its next attempt, scheduled for its `send_at`, suspended for "
                "an operator. Much deferred: see why they defer. Much suspended: `sender lanes`."
            ),
            kind=Kind.AREAS,
            width=6,
            queries=(Query(expr="sum by (state) (sender_queue_recipients{NODE})", legend="{{state}}"),),
        ),
        Panel(
            title="How old is the oldest?",
            description=(
                "Queued mail shall be young: above half an hour a lane is stuck (table above, or `sender queue`). "
                "Deferred mail may be as old as `[retry] max_age`."
            ),
            kind=Kind.LINES,
            width=6,
            unit=SECONDS,
            queries=(Query(expr="max by (state) (sender_queue_oldest_seconds{NODE})", legend="{{state}}"),),
        ),
    ),
)

_DEFERRALS = Row(
    heading="Deferrals",
    height=8,
    panels=(
        Panel(
            title="Which provider defers?",
            description=(
                "Deferrals in percent of all answers, throttles counted. A line that jumps: a receiver has changed "
                "its mind about us. Click it to go on to Provider."
            ),
            kind=Kind.LINES,
            width=12,
            unit=SHARE,
            most=1,
            nothing="nobody",
            queries=(
                Query(
                    expr=(
                        f"sum by (provider) ({_DEFERRED}) / ((sum by (provider) ({_DEFERRED})"
                        f" + (sum by (provider) ({_TRIED}) or sum by (provider) ({_DEFERRED}) * 0)) > 0)"
                    ),
                    legend="{{provider}}",
                ),
            ),
            links=(
                Link(
                    title="Provider",
                    url=board_url("sender-provider", provider="${__field.labels.provider:percentencode}"),
                ),
            ),
        ),
        Panel(
            title="Why do they defer?",
            description=(
                "The same by reason. Purple: our pace, the window learns from it. Amber: the receiver's state, it "
                "passes. Red: trust, somebody must act. Yellow: the network, DNS or TLS. Blue: the mailbox."
            ),
            kind=Kind.AREAS,
            width=12,
            unit=SHARE,
            families=True,
            nothing="nobody does",
            queries=(
                Query(
                    expr=(
                        f"sum by (reason) ({_DEFERRED}) / on () group_left ()"
                        f" (sum({_DEFERRED}) + (sum({_TRIED}) or vector(0)) > 0)"
                    ),
                    legend="{{reason}}",
                ),
            ),
        ),
    ),
)


_DELIVERY = "sender_delivery_seconds_bucket{STREAM}"

_TIME = Row(
    heading="Time to deliver",
    height=8,
    panels=(
        Panel(
            title="How long does delivery take?",
            description=(
                "p95 from accepted to delivered, by stream; a dot is a message, click it. An urgent stream above "
                "2 s: see Streams. A bulk stream is as slow as the receivers are."
            ),
            kind=Kind.LINES,
            width=14,
            unit=SECONDS,
            nothing="nothing was delivered",
            queries=(
                Query(
                    expr=quantile(0.95, _DELIVERY, "stream"),
                    legend="{{stream}}",
                    exemplars=True,
                ),
            ),
        ),
        Panel(
            title="p50, p95 and p99 by stream",
            description=(
                "Of the time that is shown. p50 high: the receivers are slow. Only p99 high: a few are deferred, "
                "mostly greylisted. Click a stream for its progress."
            ),
            kind=Kind.TABLE,
            width=10,
            unit=SECONDS,
            sort_by="p95",
            nothing="nothing was delivered",
            queries=(
                Query(expr=quantile(0.5, _DELIVERY, "stream", over="[$__range]"), legend="p50"),
                Query(expr=quantile(0.95, _DELIVERY, "stream", over="[$__range]"), legend="p95"),
                Query(expr=quantile(0.99, _DELIVERY, "stream", over="[$__range]"), legend="p99"),
            ),
            links=(
                Link(
                    of="stream",
                    title="Its progress",
                    url=board_url("sender-streams", stream="${__data.fields.stream:percentencode}"),
                ),
            ),
        ),
    ),
)

OVERVIEW = Board(
    uid="sender-overview",
    title="Sender overview",
    description="Is mail flowing, and what needs attention now?",
    variables=(NODES, PROVIDERS, STREAMS),
    rows=(_FIGURES, _ATTENTION, _FLOW, _DEFERRALS, _TIME),
)
