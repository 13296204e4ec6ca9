"""A screen that looks at something again and again: one look at a time, and the last answer stays when one fails."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from textual.screen import Screen

from sender.cli.live.cells import plain, time_of
from sender.cli.live.looks import Seen, apart
from sender.core.errors import SenderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sender.cli.live.app import Live


class Watching(Screen[None]):
    """`seen` is the last answer; `trouble` why the last look had none. Changed by `_look_once` only."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Seen | None = None
        self.seen_at = 0.0
        self.trouble = ""
        self._due = asyncio.Event()

    @property
    def live(self) -> Live:
        """The view that this is a screen of."""
        return self.app  # type: ignore[return-value] # there is no other

    def question(self) -> Callable[[], Seen]:
        """Give what is to be asked now, as a call that may take its time and raise SenderError."""
        raise NotImplementedError

    def show_seen(self) -> None:
        """Show `seen`, and `trouble`."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Begin when it is known how large the screen is."""
        self.call_after_refresh(lambda: self.run_worker(self._watch(), name="watch"))

    def look_now(self) -> None:
        """Look again as soon as the present look is over."""
        self._due.set()

    async def _watch(self) -> None:
        while True:
            self._due.clear()
            if not self._covered:
                await self._look_once()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self.live.paused else self.live.every_s):
                    await self._due.wait()

    def on_screen_resume(self) -> None:
        """Look at once when what lay above is gone."""
        self.look_now()

    @property
    def _covered(self) -> bool:
        """Whether another one that looks lies above this."""
        stack = self.app.screen_stack
        return any(isinstance(screen, Watching) for screen in stack[stack.index(self) + 1 :])

    async def _look_once(self) -> None:
        try:
            self.seen = await apart(self.question())
        except (SenderError, OSError) as error:
            self.trouble = plain(str(error))
        else:
            self.seen_at, self.trouble = time.time(), ""
        self.show_seen()

    @property
    def earlier(self) -> bool:
        """Whether what is shown is not what a daemon says now."""
        return bool(self.trouble) or self.seen is None or self.seen.offline

    @property
    def status(self) -> str:
        """Say where the answer comes from, and how old it is."""
        listen = self.live.settings.http.listen
        if self.trouble:
            last = f"; last seen {time_of(self.seen_at)}" if self.seen is not None else ""
            return f"{self.trouble}{last}"
        if self.seen is None:
            return f"asking {listen} ..."
        source = f"no daemon runs at {listen}; this is the spool" if self.seen.offline else listen
        pause = "PAUSED  " if self.live.paused else ""
        return f"{pause}{source}  {time_of(self.seen_at)}"
