"""`sender trace`: SMTP dialogues, live."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from sender.cli.common import Commands, command, follow, query, settings_of
from sender.core.errors import ConfigError, Problem
from sender.core.quantity import parse_duration
from sender.core.reply import escaped

if TYPE_CHECKING:
    import argparse

_MARKS = {"sent": ">", "received": "<", "note": "*"}


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "trace",
        _trace,
        text="Follow the SMTP dialogues of a lane as they go on, without the content of messages.",
        example="sender trace --site mx.example.org --for 5m",
        reads=True,
        asks=True,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--site", metavar="S", help="all lanes to this site, also those that come later")
    what.add_argument("--lane", metavar="NAME", help="source/site, or a site of the default source")
    what.add_argument("--domain", metavar="D", help="the lane that carries this domain")
    parser.add_argument("--for", dest="length", metavar="LENGTH", help='such as "5m" (default: until it is ended)')


def _trace(arguments: argparse.Namespace) -> int:
    if arguments.length is not None:
        try:
            parse_duration(arguments.length)
        except ValueError as error:
            raise ConfigError([Problem("command line", "--for", arguments.length, str(error))]) from error
    wanted = {"site": arguments.site, "lane": arguments.lane, "domain": arguments.domain, "for": arguments.length}
    page = Page()
    for line in follow(settings_of(arguments), f"/v1/traces{query(**wanted)}", token=arguments.token):
        print(line.decode().rstrip("\n") if arguments.json else page.line(json.loads(line)), flush=True)
    print("the daemon tells no more", file=sys.stderr)
    return 0


class Page:
    """Lines for people, in columns that are as wide as they had to be until now."""

    def __init__(self) -> None:
        self._widths = [0, 0, 0]

    def line(self, told: dict[str, Any]) -> str:
        """Write one line."""
        if "left_out" in told:
            return f"... {told['left_out']:,} lines left out"
        columns = [str(told["lane"]), f"#{told['session']}", f"{told['host']}[{told['address']}]"]
        self._widths = [max(width, len(column)) for width, column in zip(self._widths, columns, strict=True)]
        aligned = "  ".join(column.ljust(width) for column, width in zip(columns, self._widths, strict=True))
        text = f"{told['at'][11:23]}  {aligned}  {_MARKS.get(told['direction'], '?')} {told['text']}"
        return escaped(text).rstrip()
