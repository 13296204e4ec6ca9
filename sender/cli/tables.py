"""Tables of what servers and senders said, made safe for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sender.cli.sparks import sparkline
from sender.core.reply import sanitised

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import ConsoleOptions, RenderResult

_WITH_TREND, _TREND = 100, 12  # characters: of the screen, of the trend
_COLUMNS = {
    "window": "window",
    "sessions": "sessions",
    "queued": "queued",
    "deferred": "deferred",
    "sent/min": "delivered_per_minute",
    "state": "state",
    "held by": "blocked_by",
}


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Make a table."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(sanitised(str(value))) for value in row))
    return made


def print_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table."""
    Console().print(table(columns, rows))


class LanesTable:
    """The table of lanes that `lanes`, `top` and `demo` show; on a wide screen with the trend of their windows."""

    def __init__(self, lanes: Iterable[dict[str, Any]]) -> None:
        self._lanes = list(lanes)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Give the table for this screen."""
        trend = options.max_width >= _WITH_TREND
        yield table(
            ["lane", *(["trend"] if trend else []), *_COLUMNS],
            (
                [
                    lane["name"],
                    *([sparkline(lane["trend"]["windows"], _TREND, blocks=not options.ascii_only)] if trend else []),
                    *(lane[key] for key in _COLUMNS.values()),
                ]
                for lane in self._lanes
            ),
        )
