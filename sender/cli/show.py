"""`sender queue`, `lanes`, `lane`, `message`: look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sender.cli.common import Commands, ask, command, print_json, query, quoted, settings_of
from sender.core.errors import SenderError
from sender.core.quantity import duration_text
from sender.core.reply import sanitised

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from sender.engine.control import Control

_DOMAINS = 50


def register(commands: Commands) -> None:
    """Add the commands."""
    parser = command(
        commands,
        "queue",
        _queue,
        text="Show recipients by state, domain and age.",
        example="sender queue --domain example.org",
        reads=True,
    )
    for name in ("domain", "site", "stream"):
        parser.add_argument(f"--{name}", help=f"only this {name}")
    command(commands, "lanes", _lanes, text="Show every lane.", example="sender lanes --json", reads=True)
    parser = command(
        commands,
        "lane",
        _lane,
        text="Explain one lane: each change of its window, the reply that caused it, and what happens next.",
        example="sender lane default/mx.example.org",
        reads=True,
    )
    parser.add_argument("name", metavar="NAME", help="source/site, or a site of the default source")
    parser = command(
        commands,
        "message",
        _message,
        text="Show one message: every recipient, every attempt, why it is where it is and when it goes next.",
        example="sender message 06chyk9v4k000",
        reads=True,
    )
    parser.add_argument("id", metavar="ID")


def _queue(arguments: argparse.Namespace) -> int:
    wanted = {name: getattr(arguments, name) or "" for name in ("domain", "site", "stream")}
    wanted["domain"] = wanted["domain"].lower()
    queue = ask(
        settings_of(arguments), "GET", f"/v1/queue{query(**wanted)}", offline=lambda control: control.queue(**wanted)
    )
    if arguments.json:
        print_json(queue)
        return 0
    print(
        f"{queue['queued']} queued ({queue['due']} due, {queue['deferred']} deferred), {queue['suspended']} suspended, "
        f"{queue['in_flight']} in flight; the oldest is {duration_text(queue['oldest_age_s'])} old"
    )
    rows = (
        (
            d["domain"],
            d["site"] or "?",
            d["queued"] + d["in_flight"],
            d["deferred"],
            duration_text(d["oldest_age_s"]),
            d["last_reply"],
        )
        for d in queue["domains"][:_DOMAINS]
    )
    if queue["domains"]:
        _print_table(("domain", "site", "queued", "deferred", "oldest", "last reply"), rows)
    if len(queue["domains"]) > _DOMAINS:
        print(f"and {len(queue['domains']) - _DOMAINS} domains more (--json shows all)")
    return 0


def _lanes(arguments: argparse.Namespace) -> int:
    async def offline(control: Control) -> dict[str, Any]:
        return {"lanes": await control.lanes(), "totals": await control.totals()}

    answer = ask(settings_of(arguments), "GET", "/v1/lanes", offline=offline)
    if arguments.json:
        print_json(answer["lanes"])
    else:
        Console().print(lanes_table(answer["lanes"]))
    return 0


def lanes_table(lanes: Iterable[dict[str, Any]]) -> Table:
    """Make the table of lanes that `lanes`, `top` and `demo` show."""
    columns = ("lane", "window", "sessions", "queued", "deferred", "sent/min", "state", "held by")
    rows = (
        (
            lane["name"],
            lane["window"],
            lane["sessions"],
            lane["queued"],
            lane["deferred"],
            lane["delivered_per_minute"],
            lane["state"],
            lane["blocked_by"],
        )
        for lane in lanes
    )
    return _table(columns, rows)


def _lane(arguments: argparse.Namespace) -> int:
    name = arguments.name

    async def offline(control: Control) -> dict[str, Any] | None:
        return await control.lane(name)

    lane = ask(settings_of(arguments), "GET", f"/v1/lanes/{quoted(name)}", offline=offline)
    if lane is None:
        raise SenderError(f"there is no lane {name!r}")
    if arguments.json:
        print_json(lane)
        return 0
    for sentence in lane["explanation"]:
        print(sanitised(sentence))
    if lane["history"]:
        print()
        _print_table(
            ("at", "from", "to", "cause", "stage", "reply"),
            ((c["at"], c["from"], c["to"], c["cause"], c["stage"], c["reply"]) for c in lane["history"]),
        )
    return 0


def _message(arguments: argparse.Namespace) -> int:
    async def offline(control: Control) -> dict[str, Any] | None:
        return await control.message(arguments.id)

    message = ask(settings_of(arguments), "GET", f"/v1/messages/{quoted(arguments.id)}", offline=offline)
    if message is None:
        raise SenderError(f"there is no message {arguments.id!r}, or it ended and was forgotten")
    if arguments.json:
        print_json(message)
        return 0
    print(
        f"{message['id']} from <{message['mail_from']}>, {message['size']} bytes, stream {message['stream']}, "
        f"accepted {message['accepted_at']}"
    )
    for recipient in message["recipients"]:
        print(f"\n<{recipient['rcpt_to']}>: {recipient['state']} after {_attempts(recipient['attempts'])}")
        print(f"  {sanitised(recipient['waiting_for'])}")
        for record in recipient["history"]:
            place = " ".join(filter(None, (record.get("host", ""), record.get("stage", ""))))
            print(f"  {record['at']} {record['outcome']} {place}: {sanitised(record['reply'])}")
    return 0


def _attempts(count: int) -> str:
    return f"{count} attempt{'' if count == 1 else 's'}"


def _table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(sanitised(str(value))) for value in row))
    return table


def _print_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    Console().print(_table(columns, rows))
