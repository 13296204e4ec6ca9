"""What the live view asks, beside what the commands ask already, and how it waits for an answer without standing still.

An answer may take long: it is awaited in a thread that nobody waits for when the view ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sender.cli.common import ask
from sender.cli.lanes import lane_path, listing_path
from sender.engine.listing import Listing

if TYPE_CHECKING:
    from collections.abc import Callable

    from sender.engine.control import Control
    from sender.settings import Settings

Result = TypeVar("Result")
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An answer, whether the spool gave it, since no daemon runs, and which lanes were asked for."""

    answer: dict[str, Any]
    offline: bool
    listing: Listing


def look_at_lanes(settings: Settings, token: str, listing: Listing) -> Seen:
    """Look at lanes. Raises SenderError."""
    return _look(settings, token, listing_path(listing), lambda control: control.lanes(listing), listing)


def look_at_lane(settings: Settings, token: str, name: str) -> Seen:
    """Look at one lane with its history. Raises SenderError."""
    return _look(settings, token, lane_path(name), lambda control: control.lane(name), Listing(match=name))


def _look(settings: Settings, token: str, path: str, of: Callable[[Control], Any], listing: Listing) -> Seen:
    asked: list[Control] = []

    async def offline(control: Control) -> Any:  # noqa: ANN401 - JSON
        asked.append(control)
        return await of(control)

    answer = ask(settings, "GET", path, token=token, timeout_s=_PATIENCE_S, offline=offline)
    return Seen(answer=answer, offline=bool(asked), listing=listing)


async def apart(call: Callable[[], Result]) -> Result:
    """Have a call made in a thread of its own, and give what it gives. It is left alone where one stops waiting."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def tell(result: Result | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type] # None stands for it only beside an error

    def run() -> None:
        result, failed = None, None
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - it is raised where one waits
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, result, failed)

    threading.Thread(target=run, name="look", daemon=True).start()
    return await future
