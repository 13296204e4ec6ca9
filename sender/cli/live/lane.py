"""One lane explained: sentences, its window drawn, and every change with the reply that caused it."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import Group
from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Static

from sender.cli.live.cells import plain, seconds_of, style_of
from sender.cli.live.looks import Seen, look_at_lane
from sender.cli.live.watching import Watching
from sender.cli.sparks import chart
from sender.cli.tables import table
from sender.core.quantity import duration_text
from sender.core.window_words import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textual.app import ComposeResult
    from textual.binding import BindingType

_HEIGHT = 6
_KEYS = "? keys  q back  p suspend  r resume  t retry  w window  space pause"
_NO_REFUSAL = {Cause.TAKEN, Cause.SLOWER, Cause.REMEMBERED, Cause.OPERATOR}


class LaneScreen(Watching):
    """See the module."""

    DEFAULT_CSS = """
    LaneScreen .line { height: 1; text-wrap: nowrap; text-overflow: clip; }
    LaneScreen #status.trouble { text-style: bold reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape,enter,e", "app.pop_screen", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, name: str, *, blocks: bool) -> None:
        super().__init__()
        self.lane_name = name
        self._blocks = blocks
        self._status = Static(id="status", classes="line", markup=False)
        self._explained = Static(markup=False)

    def compose(self) -> ComposeResult:
        """Put the lines and the text on the screen."""
        yield self._status
        with VerticalScroll():
            yield self._explained
        yield Static(_KEYS, classes="line", markup=False)

    @property
    def lane(self) -> dict[str, Any] | None:
        """What was seen last."""
        return self.seen.answer if self.seen is not None else None

    def question(self) -> Callable[[], Seen]:
        """Ask for the lane."""
        return functools.partial(look_at_lane, self.live.settings, self.live.token, self.lane_name)

    def show_seen(self) -> None:
        """Show the lane; dimmed, if it was seen earlier."""
        self._status.update(Text(f"{plain(self.lane_name)}  {self.status}"))
        self._status.set_class(bool(self.trouble), "trouble")
        if self.lane is not None:
            self._explained.update(Group(*self._parts(self.lane, dim=self.earlier)))

    def _parts(self, lane: dict[str, Any], *, dim: bool) -> Iterator[Any]:
        style = Style(dim=dim)
        for sentence in lane["explanation"]:
            yield Text(plain(sentence), style=style)
        yield Text("")
        yield Text("\n".join(self._drawn(lane)), style=style_of(lane, dim=dim), no_wrap=True)
        yield Text("")
        changes = (
            (
                f"{datetime.fromisoformat(change['at']):%m-%d %H:%M:%S}",
                f"{change['from']} {'→' if self._blocks else '>'} {change['to']}",
                change["act"] or str(change["cause"]).replace("_", " "),
                " ".join(filter(None, (change["stage"], change["host"]))),
                plain(change["reply"] or change["reason"]),
            )
            for change in reversed(lane["history"])
        )
        if lane["history"]:
            shown = table(("at (UTC)", "window", "cause", "stage, host", "reply or reason"), changes)
            shown.style = style
            yield shown

    def _drawn(self, lane: dict[str, Any]) -> Iterator[str]:
        """Draw the window as far as the trend goes, and a line with a mark for each refusal."""
        windows = lane["trend"]["windows"]
        since, until = seconds_of(lane["trend"]["since"]), seconds_of(lane["trend"]["until"])
        most = max([*windows, 1])
        each = max(1, (self.size.width - len(f"{most} ") - 2) // len(windows))
        drawn = [value for value in windows for _ in range(each)]
        labels = [str(most), *([""] * (_HEIGHT - 2)), "0"]
        width = len(labels[0])
        for label, line in zip(labels, chart(drawn, _HEIGHT, blocks=self._blocks), strict=True):
            yield f"{label:>{width}} {line}"
        marks = [" "] * len(drawn)
        for change in lane["history"]:
            at = seconds_of(change["at"])
            if since <= at <= until and change["cause"] not in _NO_REFUSAL and not change["act"]:
                marks[min(len(marks) - 1, int((at - since) / max(until - since, 1e-9) * len(marks)))] = "x"
        yield f"{'':>{width}} {''.join(marks)}"
        yield f"{'':>{width}} window over the last {duration_text(until - since)}; x: refused"

    def action_scroll(self, by: int) -> None:
        """Scroll by a line."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)
