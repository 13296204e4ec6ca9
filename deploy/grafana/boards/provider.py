"""Provider: why is it slow, what is the limit, who feels it, when is it through."""

from __future__ import annotations

from deploy.grafana.boards.parts import (
    AMBER,
    FROM_NOW,
    GREEN,
    NODES,
    PER_SECOND,
    PROVIDERS,
    PURPLE,
    RED,
    SECONDS,
    SHARE,
    SOURCES,
    Board,
    Kind,
    Link,
    Panel,
    Query,
    Row,
    board_url,
    grown,
    quantile,
    quantiles,
)

_LEFT = (
    "(sum(sender_lane_queued{LANE}) > 0)"
    ' / (sum(rate(sender_attempts_total{LANE,outcome=~"delivered|bounced"}RATE)) > 0)'
)

_WAITING = 'sender_provider_stream_queued{NODE,provider=~"$provider"}'

# Why a lane is held back, and what to do.
_CAUSES = {
    "window": "every session that the receiver allows is in use. That is its limit, nothing is wrong.",
    "pace": "it takes only so many messages per second. That is its limit too.",
    "opening": "sessions are being opened, one after another.",
    "slower": "with more sessions messages took longer, so there are no more for now.",
    "turn": "another lane that shares the limit goes first.",
    "retry": "a session within the limit was refused; it is tried again in a moment.",
    "hold": "the receiver asked for a rest, or blocks us. Its words: `sender lane NAME`.",
    "daily_limit": "it takes no more from us for now. Tomorrow, or from another source.",
    "connect_failed": "no connection can be made. Network, firewall, or their trouble.",
    "max_window": "our own limit for this destination. Raise `max_window`.",
    "max_sessions": "our own limit for all lanes. Raise `[delivery] max_sessions`.",
    "suspended": "an operator did it. `sender resume --site SITE`",
    "spool": "outcomes cannot be recorded. See Node.",
}

_QUESTIONS = Row(
    heading="The four questions",
    height=9,
    panels=(
        Panel(
            title="Why is mail to this provider slow?",
            description=(
                "What held mail back while it waited; 100 % is one lane, all the time. Nothing here, and mail waits: "
                "it is deferred (see below).\n" + "".join(f"\n- **{word}**: {text}" for word, text in _CAUSES.items())
            ),
            kind=Kind.AREAS,
            width=10,
            unit=SHARE,
            nothing="nothing holds it back",
            queries=(Query(expr="sum by (by) (rate(sender_lane_blocked_seconds_total{LANE}RATE))", legend="{{by}}"),),
        ),
        Panel(
            title="What is the limit now?",
            description=(
                "Window: sessions that may be open. Sessions: that are. Pace: messages per second, where the receiver "
                "limits them. `sender lane NAME` tells how it was learned and what comes next; `sender lane NAME "
                "--set-window N` sets it, where they told you a number."
            ),
            kind=Kind.FIGURE,
            width=4,
            colour=PURPLE,
            queries=(
                Query(expr="sum(sender_lane_window{LANE})", legend="window"),
                Query(expr="sum(sender_lane_sessions{LANE})", legend="sessions"),
                Query(expr="sum(sender_lane_pace_per_second{LANE})", legend="pace", unit=PER_SECOND),
            ),
        ),
        Panel(
            title="Who feels it?",
            description=(
                "The streams whose mail waits for this provider, the oldest first; p95 is the time from accepted to "
                "delivered at all providers. With the domains: `sender queue --site SITE`. An urgent stream among "
                'them: give it `priority = "urgent"`, then it goes first within the same limit.'
            ),
            kind=Kind.TABLE,
            width=6,
            sort_by="Oldest",
            hidden=("__name__", "job"),
            nothing="no mail waits",
            queries=(
                Query(expr=f"sum by (stream) ({_WAITING})", legend="Waiting"),
                Query(
                    expr='max by (stream) (sender_provider_stream_oldest_seconds{NODE,provider=~"$provider"})',
                    legend="Oldest",
                    unit=SECONDS,
                    shape="coloured",
                ),
                Query(
                    expr=(
                        quantile(0.95, "sender_delivery_seconds_bucket{NODE}", "stream", over="[$__range]")
                        + f" and sum by (stream) ({_WAITING})"
                    ),
                    legend="p95",
                    unit=SECONDS,
                ),
            ),
            steps=((1800, AMBER), (14400, RED)),
            links=(
                Link(
                    of="stream",
                    title="Its progress",
                    url=board_url("sender-streams", stream="${__data.fields.stream:percentencode}"),
                ),
            ),
        ),
        Panel(
            title="When is it through?",
            description=(
                "What waits for this provider divided by what ends per second now; deferred mail is counted, so it "
                "may be later. Far away: more source addresses are more budget; or the campaign waits for the night."
            ),
            kind=Kind.FIGURE,
            width=4,
            unit=SECONDS,
            nothing="nothing waits, or nothing moves",
            queries=(
                Query(expr="sum(sender_lane_queued{LANE})", legend="waiting", unit="short"),
                Query(expr=_LEFT, legend="left"),
                Query(expr=f"1000 * (time() + {_LEFT})", legend="through", unit=FROM_NOW),
            ),
        ),
    ),
)

_LIMIT = Row(
    heading="The limit",
    height=10,
    panels=(
        Panel(
            title="How the limit is found: window, sessions and refusals",
            description=(
                "The window (step) opens until the receiver refuses a session (red bar), and is held there. From time "
                "to time one more is tried. Refusals that do not end: the limit moves, or it is no limit but a block; "
                "read the reasons below. Marks: each change, with its cause."
            ),
            kind=Kind.LINES,
            width=24,
            queries=(
                Query(
                    expr="sum by (provider, source) (sender_lane_window{LANE})",
                    legend="window {{provider}} {{source}}",
                    shape="step",
                ),
                Query(
                    expr="sum by (provider, source) (sender_lane_sessions{LANE})",
                    legend="sessions {{provider}} {{source}}",
                ),
                Query(
                    expr=f"sum by (reason) {grown('sender_sessions_refused_total{LANE}')}",
                    legend="refused: {{reason}}",
                    shape="right",
                ),
            ),
        ),
    ),
)


def _by_reason(counter: str) -> Query:
    return Query(expr=f"sum by (reason) (rate({counter}{{LANE}}RATE))", legend="{{reason}}", exemplars=True)


_ANSWERS = Row(
    heading="Answers",
    height=8,
    panels=(
        Panel(
            title="Why does it defer?",
            description=(
                "Purple: our pace, the window learns from it. Amber: its state, it passes. Red: trust; stop, find out, "
                "ask the receiver. Yellow: the network. Blue: the mailbox. Dots are messages, click one. The words: "
                "`sender lane NAME`."
            ),
            kind=Kind.BARS,
            width=8,
            unit=PER_SECOND,
            families=True,
            nothing="it does not",
            queries=(
                Query(
                    expr="sum by (reason) (rate(sender_deferrals_total{LANE}RATE))", legend="{{reason}}", exemplars=True
                ),
            ),
        ),
        Panel(
            title="What comes back?",
            description=(
                "Bounces and expiries by reason. Blue: addresses that are gone; clean the list. Red: we or the content "
                "are refused. Grey: too old. `sender message ID` shows the reply."
            ),
            kind=Kind.BARS,
            width=8,
            unit=PER_SECOND,
            families=True,
            nothing="nothing does",
            queries=(
                Query(
                    expr="sum by (reason) (rate(sender_bounces_total{LANE}RATE))", legend="{{reason}}", exemplars=True
                ),
            ),
        ),
        Panel(
            title="Attempts by outcome",
            description="Green shall rule. Amber without green: nothing gets through; see why it defers.",
            kind=Kind.AREAS,
            width=8,
            unit=PER_SECOND,
            queries=(Query(expr="sum by (outcome) (rate(sender_attempts_total{LANE}RATE))", legend="{{outcome}}"),),
        ),
    ),
)

_RATE = Row(
    heading="Rate",
    height=8,
    panels=(
        Panel(
            title="Is the pace used? Rate against the pace",
            description=(
                "Dashed: messages per second that the pace (a learned or configured limit, or a warm-up) allows; no "
                "line where no limit is known. Green touches it: the pace is the limit. Green far below: the window "
                "is, or no mail is there."
            ),
            kind=Kind.LINES,
            width=8,
            unit=PER_SECOND,
            queries=(
                Query(
                    expr='sum by (source) (rate(sender_attempts_total{LANE,outcome="delivered"}RATE))',
                    legend="delivered {{source}}",
                ),
                Query(
                    expr="sum by (source) (sender_lane_pace_per_second{LANE})",
                    legend="pace {{source}}",
                    shape="dashed",
                ),
            ),
        ),
        Panel(
            title="How long does the receiver take?",
            description=(
                "MAIL to the reply to the end of data, of all sources. It rises with the window: the receiver is at "
                "its knee, and the window stops growing by itself. It rises alone: the receiver is slow today."
            ),
            kind=Kind.LINES,
            width=8,
            unit=SECONDS,
            queries=quantiles('sender_transaction_seconds_bucket{NODE,provider=~"$provider"}', "p50", "p95", "p99"),
        ),
        Panel(
            title="How much waits here, and how old is it?",
            description=(
                "Waiting falls when the campaign goes out; the oldest (bars) is young while lanes move. Both rise: "
                "ask the first question above."
            ),
            kind=Kind.LINES,
            width=8,
            queries=(
                Query(expr="sum by (source) (sender_lane_queued{LANE})", legend="queued {{source}}"),
                Query(
                    expr="max by (source) (sender_lane_oldest_seconds{LANE})",
                    legend="oldest {{source}}",
                    unit=SECONDS,
                    shape="right",
                ),
            ),
        ),
    ),
)

_TLS = Row(
    heading="Sessions and TLS",
    height=8,
    panels=(
        Panel(
            title="Are sessions encrypted?",
            description=(
                "Sessions by TLS version. Amber is plain text: to a large provider that is a fault on the way; set "
                '`tls = "required"` for the destination, and see whether mail is deferred then.'
            ),
            kind=Kind.AREAS,
            width=8,
            unit=PER_SECOND,
            queries=(Query(expr="sum by (version) (rate(sender_sessions_tls_total{LANE}RATE))", legend="{{version}}"),),
        ),
        Panel(
            title="Are sessions taken?",
            description=(
                "Opened against refused. A few refusals are how the limit is found; more refused than opened: stop "
                "and read the reply in `sender lane NAME`."
            ),
            kind=Kind.LINES,
            width=8,
            unit=PER_SECOND,
            queries=(
                Query(expr="sum(rate(sender_sessions_opened_total{LANE}RATE))", legend="sessions opened"),
                Query(expr="sum(rate(sender_sessions_refused_total{LANE}RATE))", legend="refused"),
            ),
        ),
        Panel(
            title="How long is the receiver's certificate valid?",
            description=(
                'Of receivers with `tls = "required"`: the earliest end. Red: mail will be deferred with tls_failure; '
                "tell the receiver's postmaster."
            ),
            kind=Kind.FIGURE,
            width=4,
            unit=SECONDS,
            colour=RED,
            steps=((7 * 86400, AMBER), (21 * 86400, GREEN)),
            nothing="none is verified",
            queries=(
                Query(
                    expr=(
                        "min by (provider) (sender_peer_certificate_expiry_timestamp_seconds"
                        '{NODE,provider=~"$provider"}) - time()'
                    ),
                    legend="{{provider}}",
                ),
            ),
        ),
        Panel(
            title="Lost after the content",
            description=(
                "Transactions whose answer was lost: such a message may arrive twice. Many: the receiver or a firewall "
                "drops connections; see the reasons timeout and connection_lost."
            ),
            kind=Kind.FIGURE,
            width=4,
            colour=GREEN,
            steps=((1, AMBER),),
            nothing="none",
            queries=(Query(expr="sum(increase(sender_ambiguous_total{LANE}[$__range]))", legend="lost"),),
        ),
    ),
)

PROVIDER = Board(
    uid="sender-provider",
    title="Sender provider",
    description="Why is mail to this provider slow, what is the limit, who feels it, when is it through?",
    variables=(NODES, PROVIDERS, SOURCES),
    rows=(_QUESTIONS, _LIMIT, _ANSWERS, _RATE, _TLS),
    marks=True,
    since="now-30m",
)
