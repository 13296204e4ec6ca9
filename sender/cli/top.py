"""`sender top`: the lanes, live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from sender.cli.common import Commands, ask, command, query, settings_of
from sender.cli.tables import lanes_table
from sender.engine.listing import Listing, Order

if TYPE_CHECKING:
    import argparse

    from sender.engine.control import Control

_ROWS = 40
_LISTING = Listing(order=Order.BUSY, limit=_ROWS, brief=True)


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands, "top", _top, text="Show the lanes live, the busiest first.", example="sender top --every 2", asks=True
    )
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="refresh (default: 1)")
    parser.add_argument("--once", action="store_true", help="print once and exit")


def _top(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)

    async def offline(control: Control) -> dict[str, Any]:
        return await control.lanes(_LISTING)

    def look() -> Group:
        path = f"/v1/lanes{query(brief='1', order=_LISTING.order, limit=str(_LISTING.limit))}"
        return lanes_view(ask(settings, "GET", path, token=arguments.token, offline=offline))

    console = Console()
    if arguments.once or not console.is_terminal:
        console.print(look())
        return 0
    with Live(look(), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(arguments.every)
            live.update(look(), refresh=True)


def lanes_view(seen: dict[str, Any]) -> Group:
    """Show totals and lanes, the busiest first."""
    totals = seen["totals"]
    busiest = sorted(seen["lanes"], key=lambda lane: (-lane["sessions"], -lane["queued"], lane["name"]))[:_ROWS]
    summary = ", ".join(
        f"{totals.get(word, 0)} {word}" for word in ("accepted", "delivered", "bounced", "expired", "removed")
    )
    left_out = seen["all"] - len(busiest)
    more = [Text(f"and {left_out} lanes more")] if left_out else []
    return Group(Text(f"recipients: {summary}"), Text(""), lanes_table(busiest), *more)
