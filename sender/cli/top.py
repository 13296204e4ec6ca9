"""`sender top`: the lanes, live in a terminal, or printed once."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.text import Text

from sender.cli.common import Commands, ask, command, settings_of
from sender.cli.lanes import listing_path
from sender.cli.tables import LanesTable
from sender.engine.listing import Listing, Order

if TYPE_CHECKING:
    from sender.engine.control import Control

_ROWS = 40
_LISTING = Listing(order=Order.BUSY, limit=_ROWS, brief=True)
_LEAST_S = 0.1


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "top",
        _top,
        text="Show the lanes live: order, filter, explain, suspend, resume; ? shows the keys.",
        example="sender top --every 2",
        asks=True,
    )
    parser.add_argument("--every", type=_seconds, default=1.0, metavar="SECONDS", help="refresh (default: 1)")
    parser.add_argument("--once", action="store_true", help="print once and exit, as where there is no terminal")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds >= _LEAST_S:  # and no "nan"
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number of seconds, {_LEAST_S:g} or more")
    return seconds


def _top(arguments: argparse.Namespace) -> int:
    settings, console = settings_of(arguments), Console()
    # Keys come from standard input; the view is drawn on standard error.
    on_terminal = (
        all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)) and not console.is_dumb_terminal
    )
    if on_terminal and not arguments.once:
        from sender.cli.live.app import run  # noqa: PLC0415 - textual takes long to import, and only this needs it

        return run(settings, token=arguments.token, every_s=arguments.every)

    async def offline(control: Control) -> dict[str, Any]:
        return await control.lanes(_LISTING)

    path = listing_path(_LISTING)
    console.print(lanes_view(ask(settings, "GET", path, token=arguments.token, offline=offline)))
    return 0


def lanes_view(seen: dict[str, Any]) -> Group:
    """Show totals and lanes, the busiest first."""
    totals = seen["totals"]
    busiest = sorted(seen["lanes"], key=lambda lane: (-lane["sessions"], -lane["queued"], lane["name"]))[:_ROWS]
    summary = ", ".join(
        f"{totals.get(word, 0)} {word}" for word in ("accepted", "delivered", "bounced", "expired", "removed")
    )
    left_out = seen["all"] - len(busiest)
    more = [Text(f"and {left_out} lanes more")] if left_out else []
    return Group(Text(f"recipients: {summary}"), Text(""), LanesTable(busiest), *more)
