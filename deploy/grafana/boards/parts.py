"""What dashboards are made of, as values; `drawing.py` turns them into Grafana's JSON.

- In an expression `NODE`, `LANE` and `STREAM` stand for matchers by the dashboard's variables, `RATE` for a range.
- A word has one colour everywhere: green is delivered, amber deferred, red bounced or refused, purple a limit.
- A description says what to look for, then what to do next.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

WIDTH = 24  # columns
BOARDS = ("sender-overview", "sender-provider", "sender-streams", "sender-node")
CONSOLE = "http://127.0.0.1:8025"  # until the reader names another

# Grafana's names of units.
SECONDS, BYTES, SHARE, NUMBER, PER_SECOND = "s", "bytes", "percentunit", "short", "suffix: /s"
MOMENT, FROM_NOW = "dateTimeAsLocalNoDateIfToday", "dateTimeFromNow"  # of milliseconds since 1970

GREEN, AMBER, RED, DARK_RED, BLUE, LIGHT_BLUE, PURPLE, GREY, YELLOW = (
    *("green", "orange", "red", "dark-red", "blue", "light-blue", "purple", "#8e8e8e", "yellow"),
)

# By label: what its values look like; under the empty label, words of legends.
COLOURS = {
    "": {
        "accepted": BLUE,
        "delivered": GREEN,
        "deferred": AMBER,
        "bounced": RED,
        "expired": DARK_RED,
        "refused": RED,
        "window": PURPLE,
        "pace": PURPLE,
        "sessions": LIGHT_BLUE,
        "queued": BLUE,
        "oldest": GREY,
        "p50": GREEN,
        "p95": AMBER,
        "p99": RED,
        "limit": RED,
    },
    "outcome": {"delivered": GREEN, "deferred": AMBER, "bounced": RED, "expired": DARK_RED, "removed": GREY},
    "state": {
        "queued": BLUE,
        "in_flight": GREEN,
        "scheduled": LIGHT_BLUE,
        "deferred": AMBER,
        "suspended": GREY,
    },
    "by": {
        "window": PURPLE,
        "pace": "dark-purple",
        "turn": "light-purple",
        "opening": "light-green",
        "slower": YELLOW,
        "retry": AMBER,
        "daily_limit": "dark-orange",
        "hold": RED,
        "connect_failed": DARK_RED,
        "max_window": LIGHT_BLUE,
        "max_sessions": BLUE,
        "suspended": GREY,
        "spool": "dark-yellow",
    },
    "version": {"TLSv1.3": GREEN, "TLSv1.2": BLUE, "none": AMBER},
    "result": {
        "found": GREEN,
        "temporary": RED,
        "no_domain": GREY,
        "null_mx": LIGHT_BLUE,
        "no_address": YELLOW,
        "ok": GREEN,
        "refused": RED,
        "failed": DARK_RED,
    },
}
# The reasons of a family share a colour, in shades.
FAMILIES = {
    PURPLE: "connection_limit|connection_rate|session_message_limit|recipient_limit|message_rate|identity_rate"
    "|mailbox_rate|daily_limit",
    AMBER: "greylisted|overloaded|receiver_error|too_many_errors",
    RED: "reputation|content|authentication|tls_required|policy|relay_denied|sender_rejected",
    BLUE: "mailbox_unknown|mailbox_disabled|mailbox_full|domain_unknown|too_large|malformed",
    YELLOW: "dns_failure|connect_failed|connection_lost|timeout|tls_failure|protocol_error",
    GREY: "expired|suspended|removed|unclassified",
}


class Kind(StrEnum):
    """How a panel shows what it found."""

    LINES = "lines"
    AREAS = "areas"  # stacked
    BARS = "bars"  # stacked, one for each interval
    FIGURE = "figure"
    TABLE = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query. `legend` names its series; in a table it is the name of the column of its values."""

    expr: str
    legend: str
    unit: str = ""  # another than its panel's
    exemplars: bool = False
    # In a panel of lines: `step`, `dashed`, `stacked` or `right`
    # (bars on an axis of their own); in a table: `coloured`, by its panel's steps
    shape: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a click leads: in a table from the column `of`, else from a line."""

    title: str
    url: str
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel; `width` is in columns. `steps` are thresholds: from which value on it has which colour."""

    title: str
    description: str
    kind: Kind
    queries: tuple[Query, ...]
    width: int
    unit: str = NUMBER
    steps: tuple[tuple[float, str], ...] = ()
    colour: str = ""
    nothing: str = ""  # what stands there when there is no data
    sort_by: str = ""  # a table's column, largest first
    hidden: tuple[str, ...] = ()  # a table's columns
    links: tuple[Link, ...] = ()
    families: bool = False  # its series are reasons
    most: float | None = None  # the upper end of the axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels side by side, under a heading."""

    heading: str
    height: int
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """What the reader chooses from: the values of a label."""

    name: str
    label: str
    query: str
    default: str = ""  # empty: All


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard; its title makes its slug, which is its uid."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    marks: bool = False  # changes of windows as annotations
    since: str = "now-1h"


NODES = Variable(name="node", label="Node", query="label_values(sender_build_info, instance)")
PROVIDERS = Variable(name="provider", label="Provider", query="label_values(sender_lane_window{NODE}, provider)")
SOURCES = Variable(
    name="source", label="Source", query='label_values(sender_lane_window{NODE,provider=~"$provider"}, source)'
)
STREAMS = Variable(name="stream", label="Stream", query="label_values(sender_stream_recipients_total{NODE}, stream)")
URGENT = Variable(
    name="urgent",
    label="Urgent stream",
    query="label_values(sender_stream_recipients_total{NODE}, stream)",
    default="transactional",
)

_MATCHERS = {
    "NODE": 'instance=~"$node"',
    "LANE": 'instance=~"$node",provider=~"$provider",source=~"$source"',
    "STREAM": 'instance=~"$node",stream=~"$stream"',
}


def written(expr: str) -> str:
    """Write an expression as Grafana takes it."""
    for word, matchers in _MATCHERS.items():
        expr = expr.replace(f"{{{word}", f"{{{matchers}")
    return expr.replace("RATE", "[$__rate_interval]")


def quantile(share: float, buckets: str, *by: str, over: str = "RATE") -> str:
    """Estimate a quantile of a histogram over a range; nothing where nothing was observed."""
    return f"histogram_quantile({share}, sum by ({', '.join([*by, 'le'])}) (rate({buckets}{over}))) >= 0"


def quantiles(buckets: str, *names: str, by: tuple[str, ...] = ()) -> tuple[Query, ...]:
    """Ask for quantiles by their names, such as `p95`; a line for each, and for each value of `by`."""
    return tuple(
        Query(
            expr=quantile(int(name[1:]) / 100, buckets, *by),
            legend=" ".join([name, *(f"{{{{{label}}}}}" for label in by)]),
        )
        for name in names
    )


def grown(counter: str) -> str:
    """Say by how much a counter has grown within an interval: also one that was born in it, which increase() misses."""
    return f"(({counter} - ({counter} offset $__interval or {counter} * 0)) > 0)"


def board_url(uid: str, **variables: str) -> str:
    """Lead to a dashboard: same time and node; `variables` as Grafana fills them in."""
    given = "".join(f"&var-{name}={value}" for name, value in variables.items())
    return f"/d/{uid}/{uid}?${{__url_time_range}}&${{datasource:queryparam}}&${{node:queryparam}}{given}"
