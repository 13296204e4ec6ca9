"""Streams: how far is the campaign, when is it through, and does urgent mail still go at once."""

from __future__ import annotations

from deploy.grafana.boards.parts import (
    AMBER,
    BLUE,
    FROM_NOW,
    GREEN,
    NODES,
    PER_SECOND,
    RED,
    SECONDS,
    SHARE,
    STREAMS,
    URGENT,
    Board,
    Kind,
    Link,
    Panel,
    Query,
    Row,
    board_url,
    quantile,
    quantiles,
)

_ACCEPTED = 'sender_stream_recipients_total{STREAM,outcome="accepted"}'
_ENDED = 'sender_stream_recipients_total{STREAM,outcome!="accepted"}'
_DONE = f"sum(increase({_ENDED}[$__range]))"
_URGENT = 'sender_delivery_seconds_bucket{NODE,stream=~"$urgent"}'
_LEFT = f"(sum(sender_stream_queued{{STREAM}}) > 0) / (sum(rate({_ENDED}RATE)) > 0)"

_NOW = Row(
    heading="The campaign",
    height=4,
    panels=(
        Panel(
            title="How much is done?",
            description=(
                "Recipients that ended in the time that is shown, of those and what waits. It stands still: see the "
                "rate below, then Provider for what holds it back."
            ),
            kind=Kind.FIGURE,
            width=5,
            unit=SHARE,
            colour=BLUE,
            steps=((1, GREEN),),
            nothing="nothing was sent",
            queries=(Query(expr=f"{_DONE} / ({_DONE} + sum(sender_stream_queued{{STREAM}}) > 0)", legend="done"),),
        ),
        Panel(
            title="Accepted",
            description="Recipients accepted in the time that is shown. Less than the list: the submission broke off.",
            kind=Kind.FIGURE,
            width=4,
            colour=BLUE,
            queries=(Query(expr=f"sum(increase({_ACCEPTED}[$__range]))", legend="accepted"),),
        ),
        Panel(
            title="Waiting",
            description="Recipients that have not ended. `sender queue --stream S` says at which domains.",
            kind=Kind.FIGURE,
            width=4,
            colour=BLUE,
            queries=(Query(expr="sum(sender_stream_queued{STREAM})", legend="waiting"),),
        ),
        Panel(
            title="The campaign is through",
            description="What waits divided by what ends per second now. The last ones, deferred mail, take longer.",
            kind=Kind.FIGURE,
            width=6,
            unit=FROM_NOW,
            nothing="nothing waits, or nothing moves",
            queries=(Query(expr=f"1000 * (time() + {_LEFT})", legend="through"),),
        ),
        Panel(
            title="Urgent mail takes (p95)",
            description="The stream chosen above as urgent. Above 2 s: look at the panel beside the campaign.",
            kind=Kind.FIGURE,
            width=5,
            unit=SECONDS,
            colour=GREEN,
            steps=((2, AMBER), (10, RED)),
            nothing="none was sent",
            queries=(
                Query(
                    expr=quantile(0.95, _URGENT),
                    legend="p95",
                ),
            ),
        ),
    ),
)

_PROGRESS = Row(
    heading="Progress",
    height=9,
    panels=(
        Panel(
            title="How far is it? Accepted against ended",
            description=(
                "The areas fill up to the blue line: then it is through. Red grows: a bad list; stop the stream with "
                "`sender suspend --stream S`. All begins at zero when the daemon restarts."
            ),
            kind=Kind.LINES,
            width=12,
            queries=(
                Query(expr=f"sum({_ACCEPTED})", legend="accepted", shape="step"),
                Query(expr=f"sum by (outcome) ({_ENDED})", legend="{{outcome}}", shape="stacked"),
            ),
        ),
        Panel(
            title="Does urgent mail still go at once?",
            description=(
                "Accepted to delivered, of the urgent stream, while the campaign runs beside it. Above the line: "
                "is its priority `urgent`? Is it deferred by its receiver?"
            ),
            kind=Kind.LINES,
            width=12,
            unit=SECONDS,
            steps=((2, RED),),
            nothing="none was sent",
            queries=quantiles(_URGENT, "p50", "p95", "p99"),
        ),
    ),
)

_ALL = Row(
    heading="All streams",
    height=9,
    panels=(
        Panel(
            title="Where does each stream stand?",
            description="One line a stream, since the daemon started. Click a stream to see it alone.",
            kind=Kind.TABLE,
            width=14,
            sort_by="Waiting",
            queries=(
                Query(
                    expr='sum by (stream) (sender_stream_recipients_total{STREAM,outcome="accepted"})',
                    legend="Accepted",
                ),
                Query(
                    expr='sum by (stream) (sender_stream_recipients_total{STREAM,outcome="delivered"})',
                    legend="Delivered",
                ),
                Query(
                    expr='sum by (stream) (sender_stream_recipients_total{STREAM,outcome=~"bounced|expired"})',
                    legend="Bounced",
                ),
                Query(expr="sum by (stream) (sender_stream_queued{STREAM})", legend="Waiting"),
                Query(
                    expr="max by (stream) (sender_stream_oldest_seconds{STREAM})",
                    legend="Oldest",
                    unit=SECONDS,
                    shape="coloured",
                ),
                Query(
                    expr=(
                        "sum by (stream) (sender_stream_queued{STREAM} > 0)"
                        f" / (sum by (stream) (rate({_ENDED}RATE)) > 0)"
                    ),
                    legend="Left",
                    unit=SECONDS,
                ),
            ),
            steps=((1800, AMBER), (14400, RED)),
            links=(
                Link(
                    of="stream",
                    title="This stream alone",
                    url=board_url("sender-streams", stream="${__data.fields.stream:percentencode}"),
                ),
            ),
        ),
        Panel(
            title="Who gets through how fast?",
            description=(
                "Recipients that end per second, by stream: how the limits are shared. One takes all: see `weight` "
                "and `priority` in `[streams]`."
            ),
            kind=Kind.AREAS,
            width=10,
            unit=PER_SECOND,
            queries=(Query(expr=f"sum by (stream) (rate({_ENDED}RATE))", legend="{{stream}}"),),
        ),
    ),
)

STREAMS_BOARD = Board(
    uid="sender-streams",
    title="Sender streams",
    description="How far is the campaign, when is it through, and does urgent mail still go at once?",
    variables=(NODES, STREAMS, URGENT),
    rows=(_NOW, _PROGRESS, _ALL),
)
