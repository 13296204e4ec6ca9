"""The first screen: all lanes, as many as fit, in an order and through a filter."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.widgets import Input, Static

from sender.cli.live.cells import plain, totals
from sender.cli.live.lane import LaneScreen
from sender.cli.live.looks import Seen, look_at_lanes
from sender.cli.live.rows import Rows
from sender.cli.live.watching import Watching
from sender.engine.listing import Listing, Order

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType

_STATES = ("", "throttled", "suspended", "open")
_KEYS = "? keys  q quit  s order  / filter  f state  e explain  p suspend  r resume  t retry  w window"


class LanesScreen(Watching):
    """See the module."""

    DEFAULT_CSS = """
    LanesScreen Static { height: 1; text-wrap: nowrap; text-overflow: clip; }
    LanesScreen #status.trouble { text-style: bold reverse; }
    LanesScreen #filter { height: 1; border: none; padding: 0; display: none; }
    LanesScreen #filter.shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "app.quit", show=False),
        Binding("s", "order", show=False),
        Binding("slash", "filter", show=False),
        Binding("f", "state", show=False),
        Binding("e,enter", "explain", show=False),
        Binding("escape", "clear", show=False),
    ]

    def __init__(self, *, blocks: bool) -> None:
        super().__init__()
        self.order = Order.BUSY
        self.state = ""
        self.match = ""
        self.rows = Rows(blocks=blocks)
        self._status = Static(id="status", markup=False)
        self._totals = Static(markup=False)
        self._filter = Input(id="filter", placeholder="part of a lane's name; Enter keeps it, Escape clears it")

    def compose(self) -> ComposeResult:
        """Put the lines and the rows on the screen."""
        yield self._status
        yield self._totals
        yield self.rows
        yield self._filter
        yield Static(_KEYS, markup=False)

    def question(self) -> Callable[[], Seen]:
        """Ask for the lanes that fit."""
        rows = self.rows
        listing = Listing(
            match=self.match, state=self.state, order=self.order, start=rows.start, limit=rows.fitting, brief=True
        )
        return functools.partial(look_at_lanes, self.live.settings, self.live.token, listing)

    def show_seen(self) -> None:
        """Show the lanes; those of an earlier look dimmed."""
        filters = "".join(f"  {word}" for word in (self.state, self.match and f'"{plain(self.match)}"') if word)
        self._status.update(Text(f"{self.status}  by {self.order}{filters}"))
        self._status.set_class(bool(self.trouble), "trouble")
        if self.seen is None:
            return
        answer, asked = self.seen.answer, self.seen.listing
        self._totals.update(Text(totals(answer)))
        self.rows.show(
            answer["lanes"],
            start=asked.start,
            matching=answer["matching"],
            order=asked.order,
            dim=self.earlier,
        )

    def on_rows_beyond(self) -> None:
        """Fetch the rows that are wanted."""
        self.look_now()

    def on_rows_chosen(self) -> None:
        """Explain the lane that was chosen."""
        self.action_explain()

    def on_rows_ordered(self, event: Rows.Ordered) -> None:
        """Order by the column that was clicked."""
        self._put_in(event.order)

    def action_order(self) -> None:
        """Take the next order."""
        orders = list(Order)
        self._put_in(orders[(orders.index(self.order) + 1) % len(orders)])

    def _put_in(self, order: Order) -> None:
        self.order = order
        self.rows.first()

    def action_state(self) -> None:
        """Take the next state."""
        self.state = _STATES[(_STATES.index(self.state) + 1) % len(_STATES)]
        self.rows.first()

    def action_filter(self) -> None:
        """Let a filter be typed."""
        self._filter.add_class("shown")
        self._filter.focus()

    def action_clear(self) -> None:
        """Show every lane again."""
        self._filter.value = ""
        self._leave_filter()
        if self.state:
            self.state = ""
            self.rows.first()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self.match = event.value
        self.rows.first()

    def on_input_submitted(self) -> None:
        """Keep the filter."""
        self._leave_filter()

    def _leave_filter(self) -> None:
        self._filter.remove_class("shown")
        self.rows.focus()

    def action_explain(self) -> None:
        """Explain the lane under the cursor."""
        lane = self.rows.lane
        if lane is not None:
            self.app.push_screen(LaneScreen(lane["name"], blocks=self.live.blocks))
