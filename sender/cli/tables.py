"""Tables of what servers and senders said, made safe for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sender.core.reply import sanitised

if TYPE_CHECKING:
    from collections.abc import Iterable


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


def lanes_table(lanes: Iterable[dict[str, Any]]) -> Table:
    """Make the table of lanes that `lanes`, `top` and `demo` show."""
    columns = ("lane", "window", "sessions", "queued", "deferred", "sent/min", "state", "held by")
    rows = (
        (
            lane["name"],
            lane["window"],
            lane["sessions"],
            lane["queued"],
            lane["deferred"],
            lane["delivered_per_minute"],
            lane["state"],
            lane["blocked_by"],
        )
        for lane in lanes
    )
    return table(columns, rows)
