"""`sender lanes`, `sender lane`: what lanes do and why; what they have learned is set, forgotten, exported."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from sender.cli.common import Commands, ask, command, print_json, query, quoted, settings_of
from sender.cli.tables import LanesTable, print_table
from sender.core.errors import ConfigError, Problem
from sender.core.reply import sanitised
from sender.engine.listing import Listing, Order

if TYPE_CHECKING:
    import argparse

    from sender.engine.control import Control
    from sender.settings import Settings


def register(commands: Commands) -> None:
    """Add the commands."""
    parser = command(
        commands,
        "lanes",
        _lanes,
        text="Show every lane; or carry what they have learned from one spool to another.",
        example="sender lanes --export > learned.json; sender lanes --import learned.json",
        reads=True,
        asks=True,
    )
    parser.add_argument("--match", default="", metavar="TEXT", help="only lanes with this in their name")
    parser.add_argument("--state", default="", choices=["open", "throttled", "suspended"], help="only those")
    parser.add_argument("--order", default=Order.NAME, choices=[*Order], help="default: name")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--export", action="store_true", help="print what every lane has learned, as JSON")
    what.add_argument("--import", dest="file", metavar="FILE", help='take in what was exported; "-" is standard input')
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; stands in the history")
    parser = command(
        commands,
        "lane",
        _lane,
        text="Explain one lane: what its window is, which reply taught it, what holds it back, and what happens next.",
        example="sender lane default/mx.example.org --set-window 8 --reason 'they raised it'",
        reads=True,
        asks=True,
    )
    parser.add_argument("name", metavar="NAME", help="source/site, or a site of the default source")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--set-window", type=int, metavar="N", help="N sessions from now on, until a try or a refusal")
    what.add_argument("--forget", action="store_true", help="begin as if nothing had been learned")
    what.add_argument("--export", action="store_true", help="print what it has learned, as JSON")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; stands in the history")


def _lanes(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    if arguments.export:
        return _export(settings, "", arguments.token)
    if arguments.file is not None:
        return _import(settings, arguments)

    listing = Listing(
        match=arguments.match,
        state=arguments.state,
        order=Order(arguments.order),
        limit=arguments.limit,
        brief=not arguments.json,
    )

    async def offline(control: Control) -> dict[str, Any]:
        return await control.lanes(listing)

    answer = ask(settings, "GET", listing_path(listing), token=arguments.token, offline=offline)
    if arguments.json:
        print_json(answer["lanes"])
    else:
        Console().print(LanesTable(answer["lanes"]))
    return 0


def listing_path(listing: Listing) -> str:
    """Write the call that asks for a listing."""
    wanted = query(
        match=listing.match,
        state=listing.state,
        order=listing.order,
        start=str(listing.start) if listing.start else None,
        limit=None if listing.limit is None else str(listing.limit),
        brief="1" if listing.brief else None,
    )
    return f"/v1/lanes{wanted}"


def lane_path(name: str) -> str:
    """Write the call that is about a lane."""
    return f"/v1/lanes/{quoted(name)}"


def set_window(settings: Settings, name: str, window: int, *, token: str, reason: str = "") -> Any:  # noqa: ANN401 - JSON
    """Set the window of a lane, and show it. Raises SenderError."""

    async def offline(control: Control) -> dict[str, Any]:
        return await control.set_window(name, window, reason)

    body = {"window": window, "reason": reason}
    return ask(settings, "POST", lane_path(name), token=token, body=body, offline=offline)


def _lane(arguments: argparse.Namespace) -> int:
    settings, name, reason = settings_of(arguments), arguments.name, arguments.reason
    if arguments.export:
        return _export(settings, name, arguments.token)

    async def look(control: Control) -> dict[str, Any]:
        return await control.lane(name)

    async def forget(control: Control) -> dict[str, Any]:
        return await control.forget(name, reason)

    if arguments.forget:
        body = {"forget": True, "reason": reason}
        lane = ask(settings, "POST", lane_path(name), token=arguments.token, body=body, offline=forget)
    elif arguments.set_window is not None:
        lane = set_window(settings, name, arguments.set_window, token=arguments.token, reason=reason)
    else:
        lane = ask(settings, "GET", lane_path(name), token=arguments.token, offline=look)
    if arguments.json:
        print_json(lane)
        return 0
    for sentence in lane["explanation"]:
        print(sanitised(sentence))
    if lane["history"]:
        print()
        columns = ("at", "from", "to", "cause", "stage", "host", "reply or reason")
        changes = [{**change, columns[-1]: change["reply"] or change["reason"]} for change in lane["history"]]
        print_table(columns, ([change[column] for column in columns] for change in changes))
    return 0


def _export(settings: Settings, name: str, token: str) -> int:
    async def offline(control: Control) -> dict[str, Any]:
        return await control.memory(name)

    print_json(ask(settings, "GET", f"/v1/memory{query(lane=name)}", token=token, offline=offline))
    return 0


def _import(settings: Settings, arguments: argparse.Namespace) -> int:
    file, reason = arguments.file, arguments.reason
    try:
        memory = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([Problem(file, "", None, f"cannot be read: {error.strerror}")]) from error
    except ValueError as error:
        raise ConfigError([Problem(file, "", None, f"is not JSON: {error}")]) from error
    if not isinstance(memory, dict):
        raise ConfigError([Problem(file, "", None, "must be an object, as --export prints it")])

    async def offline(control: Control) -> dict[str, Any]:
        return await control.bring(memory, reason)

    body = {**memory, "reason": reason}
    count = ask(settings, "POST", "/v1/memory", token=arguments.token, body=body, offline=offline)["lanes"]
    print(f"{count} lane{'' if count == 1 else 's'}")
    return 0
