"""The rows of lanes on the screen: no more than fit are held, and the cursor moves over all that there are.

`start` counts the lanes before the first row. A move beyond the rows is noted in `target` until rows that have it come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from sender.cli.live.cells import head, layout, row, style_of
from sender.engine.listing import Order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType
    from textual.events import Click, MouseScrollDown, MouseScrollUp, Resize

    Lane = dict[str, Any]

_WHEEL = 3
_ALL = 10**9


class Rows(Widget, can_focus=True):
    """See the module. `cursor` is a row of those on the screen."""

    DEFAULT_CSS = "Rows { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", f"move({-_ALL})", show=False),
        Binding("end,G", f"move({_ALL})", show=False),
    ]

    class Beyond(Message):
        """Other rows are wanted than there are."""

    class Chosen(Message):
        """The lane under the cursor was clicked."""

    @dataclass
    class Ordered(Message):
        """The head of a column was clicked."""

        order: Order

    def __init__(self, *, blocks: bool) -> None:
        super().__init__()
        self.start = 0
        self.cursor = 0
        self.target: int | None = None
        self._blocks = blocks
        self._order = Order.NAME
        self._lanes: Sequence[Lane] = ()
        self._matching = 0
        self._dim = False
        self._strips: list[Strip] = []

    @property
    def fitting(self) -> int:
        """How many rows fit on the screen."""
        return max(1, self.size.height - 1)

    @property
    def lane(self) -> Lane | None:
        """The lane under the cursor."""
        return self._lanes[self.cursor] if self.cursor < len(self._lanes) else None

    def show(self, lanes: Sequence[Lane], *, start: int, matching: int, order: Order, dim: bool) -> None:
        """Show lanes, of which `start` stand before the first. The cursor stays on its lane, wherever that is now."""
        lane, names = self.lane, [each["name"] for each in lanes]
        if self.target is not None and start == self.start:
            self.cursor, self.target = self.target - start, None
        elif lane is not None and lane["name"] in names:
            self.cursor = names.index(lane["name"])
        self.cursor = max(0, min(self.cursor, len(lanes) - 1))
        self._lanes, self._matching, self._order, self._dim = lanes, matching, order, dim
        if start and start >= matching:  # they have become fewer
            self._want(matching - 1)
        self._draw()

    def first(self) -> None:
        """Have the first rows come next."""
        self.start = self.target = 0
        self.post_message(self.Beyond())

    def _draw(self) -> None:
        cells, width = layout(self.size.width), self.size.width
        lines = [(head(cells, self._order, blocks=self._blocks), Style(bold=True))]
        lines += [(row(lane, cells, blocks=self._blocks), style_of(lane, dim=self._dim)) for lane in self._lanes]
        self._strips = [Strip([Segment(line, style)]).adjust_cell_length(width) for line, style in lines]
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Give the head or a row."""
        if y >= len(self._strips):
            return Strip.blank(self.size.width)
        strip = self._strips[y]
        return strip.apply_style(Style(reverse=True)) if y == self.cursor + 1 else strip

    def action_move(self, by: int) -> None:
        """Move the cursor by lanes, over what there is."""
        place = self.target if self.target is not None else self.start + self.cursor
        to = max(0, min(place + by, self._matching - 1))
        if self.target is None and 0 <= to - self.start < len(self._lanes):
            before, self.cursor = self.cursor, to - self.start
            self.refresh(*(Region(0, place + 1, self.size.width, 1) for place in (before, self.cursor)))
        else:
            self._want(to)

    def action_page(self, by: int) -> None:
        """Move the cursor by screens."""
        self.action_move(by * self.fitting)

    def _want(self, place: int) -> None:
        """Have the rows come that a place is among, with the cursor on it."""
        self.target = max(0, place)
        self.start = max(min(self.start, self.target), self.target - self.fitting + 1)
        self.post_message(self.Beyond())

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Move on."""
        event.stop()
        self.action_move(_WHEEL)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Move back."""
        event.stop()
        self.action_move(-_WHEEL)

    def on_click(self, event: Click) -> None:
        """Order by a column, or go to a lane; choose the one that the cursor is on."""
        if event.y == 0:
            left = 0
            for cell in layout(self.size.width):
                left += cell.width + 1
                if event.x < left:
                    if cell.column.order is not None:
                        self.post_message(self.Ordered(cell.column.order))
                    break
        elif event.y == self.cursor + 1:
            self.post_message(self.Chosen())
        elif event.y <= len(self._lanes):
            self.action_move(event.y - 1 - self.cursor)

    def on_resize(self, _: Resize) -> None:
        """Share the columns out anew, and have as many rows as fit."""
        self._draw()
        self._want(self.start + self.cursor)
