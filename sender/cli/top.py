"""`sender top`: the lanes, live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from sender.cli.common import Commands, ask, command, settings_of
from sender.cli.tables import lanes_table

if TYPE_CHECKING:
    import argparse

    from sender.engine.control import Control

_ROWS = 40


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
        return {"lanes": await control.lanes(brief=True), "totals": await control.totals()}

    def look() -> Group:
        return lanes_view(**ask(settings, "GET", "/v1/lanes?brief=1", token=arguments.token, offline=offline))

    console = Console()
    if arguments.once or not console.is_terminal:
        console.print(look())
        return 0
    with Live(look(), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(arguments.every)
            live.update(look(), refresh=True)


def lanes_view(lanes: list[dict[str, Any]], totals: dict[str, int]) -> Group:
    """Show totals and lanes, the busiest first."""
    busiest = sorted(lanes, key=lambda lane: (-lane["sessions"], -lane["queued"], lane["name"]))
    summary = ", ".join(
        f"{totals.get(word, 0)} {word}" for word in ("accepted", "delivered", "bounced", "expired", "removed")
    )
    more = [Text(f"and {len(busiest) - _ROWS} lanes more")] if len(busiest) > _ROWS else []
    return Group(Text(f"recipients: {summary}"), Text(""), lanes_table(busiest[:_ROWS]), *more)
