"""`sender top` in a terminal: two screens, and what is done to a lane from either of them.

It does what the commands do, by the same calls, after a question that names the lane.
"""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import App
from textual.binding import Binding

from sender.cli.act import act
from sender.cli.lanes import set_window
from sender.cli.live.cells import plain
from sender.cli.live.dialogs import Field, Keys, Question
from sender.cli.live.lane import LaneScreen
from sender.cli.live.lanes import LanesScreen
from sender.cli.live.looks import apart
from sender.cli.live.watching import Watching
from sender.cli.sparks import can_show
from sender.core.errors import SenderError
from sender.core.explain.words import count
from sender.core.quantity import parse_duration
from sender.core.selection import Kind, Selection

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.binding import BindingType
    from textual.screen import Screen

    from sender.settings import Settings

    Lane = dict[str, Any]

_DONE = {"suspend": ("suspended", "held"), "resume": ("resumed", "let go"), "retry": ("retried", "made due")}
_LONG = 10  # digits of no window
_REASON = Field(name="reason", label="Why; others see this (may stay empty)")


class Live(App[None]):
    """See the module."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "Toast { width: auto; max-width: 100%; border: none; padding: 0 1; text-style: reverse; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "quit", show=False, priority=True),
        Binding("question_mark", "keys", show=False),
        Binding("space", "pause", show=False),
        Binding("p", "suspend", show=False),
        Binding("r", "resume", show=False),
        Binding("t", "retry", show=False),
        Binding("w", "set_window", show=False),
    ]

    def __init__(self, settings: Settings, *, token: str, every_s: float, blocks: bool = True) -> None:
        super().__init__(ansi_color=True)  # the colours are the terminal's own
        self.theme = "ansi-dark"
        self.settings = settings
        self.token = token
        self.every_s = every_s
        self.blocks = blocks
        self.paused = False

    def get_default_screen(self) -> Screen[None]:
        """Begin with all lanes."""
        return LanesScreen(blocks=self.blocks)

    @property
    def lane(self) -> Lane | None:
        """The lane that is looked at: the one explained, or the one under the cursor."""
        screen = self.screen
        if isinstance(screen, LaneScreen):
            return screen.lane
        return screen.rows.lane if isinstance(screen, LanesScreen) else None

    def action_keys(self) -> None:
        """Show the keys."""
        self.push_screen(Keys())

    def action_pause(self) -> None:
        """Look no more, or again."""
        self.paused = not self.paused
        self._look_now()

    def _look_now(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, Watching):
                screen.look_now()

    @work
    async def action_suspend(self) -> None:
        """Hold the mail of the lane's site."""
        if (lane := self.lane) is None:
            return
        site = Selection(Kind.SITE, lane["site"])
        until = Field(
            name="for", label='How long, such as "1h" (empty: until it is resumed)', value="1h", check=_no_time
        )
        given = await self._agreed(f"Suspend {site}?", lane, until, _REASON)
        if given is not None:
            await self._act("suspend", site, for_=given["for"] or None, reason=given["reason"])

    @work
    async def action_resume(self) -> None:
        """Let go what holds the lane."""
        if (lane := self.lane) is None:
            return
        held = lane["suspension"]
        what = Selection.named(held["what"]) if held is not None else Selection(Kind.SITE, lane["site"])
        if await self._agreed(f"Resume {what}?", lane) is not None:
            await self._act("resume", what)

    @work
    async def action_retry(self) -> None:
        """Make the deferred mail of the lane's site due now."""
        if (lane := self.lane) is None:
            return
        site = Selection(Kind.SITE, lane["site"])
        if await self._agreed(f"Retry {site} now?", lane) is not None:
            await self._act("retry", site)

    @work
    async def action_set_window(self) -> None:
        """Set the lane's window."""
        if (lane := self.lane) is None:
            return
        name = lane["name"]
        window = Field(name="window", label="Sessions", value=str(lane["window"]), check=_no_window)
        given = await self._agreed(f"Set the window of {name}?", lane, window, _REASON)
        if given is not None:
            wanted = int(given["window"])
            call = functools.partial(set_window, self.settings, name, wanted, token=self.token, reason=given["reason"])
            changed = await self._done(call)
            if changed is not None:
                self._tell(f"the window of {name} is {changed['window']}")

    async def _agreed(self, question: str, lane: Lane, *fields: Field) -> dict[str, str] | None:
        """Ask for a yes. None: it is left alone."""
        queued = count(lane["queued"], "recipient is", "recipients are")
        sentences = (
            plain(question),
            f"{queued} queued in {plain(lane['name'])}, {lane['deferred']:,} of them deferred.",
        )
        return await self.push_screen_wait(Question(sentences, fields))

    async def _act(self, command: str, selection: Selection, **options: str | None) -> None:
        call = functools.partial(act, self.settings, command, selection, token=self.token, **options)  # type: ignore[arg-type] # those of `act`
        touched = await self._done(call)
        if touched is not None:
            is_done, what_happened = _DONE[command]
            self._tell(f"{selection} is {is_done}: {count(touched, 'recipient')} {what_happened}")

    async def _done(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the call gives
        try:
            return await apart(call)
        except (SenderError, OSError) as error:
            self.notify(plain(str(error)), severity="error", markup=False, timeout=10)
            return None
        finally:
            self._look_now()

    def _tell(self, text: str) -> None:
        self.notify(plain(text), markup=False)


def _no_time(text: str) -> str:
    try:
        parse_duration(text or "1h")
    except ValueError as error:
        return f"how long: {error}"
    return ""


def _no_window(text: str) -> str:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < _LONG else 0
    return "" if number else "sessions: must be a number, 1 or more"


def run(settings: Settings, *, token: str, every_s: float) -> int:
    """Show the view until it is left, by a key or by SIGTERM; the terminal is as before then. Gives the exit code."""
    view = Live(settings, token=token, every_s=every_s, blocks=can_show(sys.stderr.encoding))
    asyncio.run(_run(view))
    return view.return_code or 0


async def _run(view: Live) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, view.exit)
    await view.run_async()
