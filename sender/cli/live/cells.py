"""What the live view writes: a lane as the cells of a row, and the lines above the rows.

Names, reasons and replies come from others: `plain` takes out what could move the cursor, and no markup is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.style import Style

from sender.cli.sparks import sparkline
from sender.core.explain.words import BRIEFLY
from sender.core.quantity import duration_text
from sender.core.reply import sanitised
from sender.engine.listing import Order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Lane = dict[str, Any]

COLOURS = {"throttled": "yellow", "suspended": "bright_blue"}
_ENDED = ("delivered", "bounced", "expired", "removed")
_HOME, _WIDE_NAME = "default/", 30  # the source that goes without saying where there is little room
_UNITS = ((9_999_500, 1e6, "M"), (99_999.5, 1e3, "k"))  # six characters are enough
_WINDOW_WIDTH = 7
_NAME_SHARE = 0.55  # of the room that is left; what holds a lane back has the rest


def plain(text: str) -> str:
    """Write a text of others in one line."""
    return " ".join(sanitised(text).split())


def seconds_of(at: str) -> float:
    """Read an instant of an answer as seconds since 1970."""
    return datetime.fromisoformat(at).timestamp()


def time_of(at: float) -> str:
    """Write the time of day with its seconds."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"


def _number(value: float) -> str:
    for least, unit, letter in _UNITS:
        if value >= least:
            return f"{value / unit:,.0f}{letter}"
    return f"{value:,.0f}"


def _window(lane: Lane) -> str:
    both = f"{lane['window']}/{lane['max_window']}"
    return both if len(both) <= _WINDOW_WIDTH else f"{lane['window']}"


def _age(seconds: float) -> str:
    return duration_text(seconds).split()[0] if seconds >= 1 else ""


def held_by(lane: Lane) -> str:
    """Say in a few words what holds a lane back, and for how long by what is known now."""
    now = seconds_of(lane["trend"]["until"])
    suspension = lane["suspension"]
    if suspension is not None:
        why, until = plain(suspension["reason"]) or BRIEFLY["suspended"], suspension["until"]
    elif lane["blocked_by"]:
        why, until = BRIEFLY.get(lane["blocked_by"], plain(lane["blocked_by"])), lane["next_change_at"]
    else:
        return ""
    left_s = seconds_of(until) - now if until is not None else 0.0
    return f"{duration_text(left_s)}: {why}" if left_s >= 1 else why


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column; width 0: it shares what is left. `least`: it is shown where the screen has so many columns."""

    title: str
    of: Callable[[Lane], str]
    width: int = 0
    least: int = 0
    order: Order | None = None
    right: bool = False


_LANE = "lane"
_TREND, _STATE, _HELD = "trend", "state", "held back"
_COLUMNS = (
    Column(title=_LANE, of=lambda lane: plain(lane["name"]), order=Order.NAME),
    Column(title=_TREND, of=lambda _: "", width=8),
    Column(
        title="win/max",
        of=_window,
        width=_WINDOW_WIDTH,
        order=Order.WINDOW,
        right=True,
    ),
    Column(title="sess", of=lambda lane: _number(lane["sessions"]), width=4, order=Order.SESSIONS, right=True),
    Column(title="queued", of=lambda lane: _number(lane["queued"]), width=6, order=Order.QUEUED, right=True),
    Column(title="deferred", of=lambda lane: _number(lane["deferred"]), width=8, least=100, right=True),
    Column(
        title="sent/m",
        of=lambda lane: _number(lane["delivered_per_minute"]),
        width=6,
        order=Order.DELIVERED,
        right=True,
    ),
    Column(
        title="defer/m",
        of=lambda lane: _number(lane["deferrals_per_minute"]),
        width=8,
        least=90,
        order=Order.DEFERRALS,
        right=True,
    ),
    Column(title="old", of=lambda lane: _age(lane["oldest_age_s"]), width=4, order=Order.OLDEST, right=True),
    Column(title=_STATE, of=lambda lane: lane["state"], width=9, least=100, order=Order.STATE),
    Column(title=_HELD, of=held_by),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Where a column stands: its width without the space behind it."""

    column: Column
    width: int


def layout(screen: int) -> list[Cell]:
    """Share the columns of a screen out."""
    columns = [column for column in _COLUMNS if screen >= column.least]
    widths = {column.title: column.width for column in columns}
    widths[_TREND] += max(0, min(30, (screen - 100) // 4))
    left = max(20, screen - sum(width + 1 for width in widths.values()))
    widths[_LANE] = int(left * _NAME_SHARE)
    widths[columns[-1].title] = left - widths[_LANE]
    return [Cell(column=column, width=widths[column.title]) for column in columns]


def head(cells: Sequence[Cell], order: Order, *, blocks: bool) -> str:
    """Write the heads of the columns, with a mark where the rows are in its order."""
    titles = []
    for cell in cells:
        mark = ("▾" if blocks else "*") if cell.column.order is order else ""
        titles.append(_fitted(cell.column.title[: cell.width - len(mark)] + mark, cell))
    return " ".join(titles)


def row(lane: Lane, cells: Sequence[Cell], *, blocks: bool) -> str:
    """Write a lane as a row."""
    with_state = any(cell.column.title == _STATE for cell in cells)
    made = []
    for cell in cells:
        text = cell.column.of(lane)
        if cell.column.title == _TREND:
            text = sparkline(lane["trend"]["windows"], cell.width, blocks=blocks)
        elif cell.column.title == _LANE and cell.width < _WIDE_NAME:
            text = text.removeprefix(_HOME)
        elif cell.column.title == _HELD and not text and not with_state and lane["state"] != "open":
            text = lane["state"]
        made.append(_fitted(text, cell))
    return " ".join(made)


def style_of(lane: Lane, *, dim: bool) -> Style:
    """Choose how a lane is written; `dim`: it is of an earlier look."""
    return Style(color=COLOURS.get(lane["state"]), dim=dim)


def _fitted(text: str, cell: Cell) -> str:
    if cell.column.right:
        return text.rjust(cell.width)
    if cell_len(text) > cell.width:
        return set_cell_size(text, cell.width - 1) + "~"
    return set_cell_size(text, cell.width)


def totals(answer: dict[str, Any]) -> str:
    """Sum up what became of the mail; what has not ended is queued."""
    counts = {word: answer["totals"].get(word, 0) for word in ("accepted", *_ENDED)}
    queued = counts["accepted"] - sum(counts[word] for word in _ENDED)
    told = " ".join(f"{counts[word]:,} {word}" for word in ("accepted", *_ENDED[:3]))
    return f"{queued:,} queued  {answer['matching']:,} of {answer['all']:,} lanes  {told}"
