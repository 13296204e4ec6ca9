"""`sender queue`, `message`: look."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sender.cli.common import Commands, ask, command, print_json, query, quoted, settings_of
from sender.cli.tables import print_table
from sender.core.errors import ConfigError, Problem, SenderError
from sender.core.quantity import duration_text
from sender.core.reply import sanitised

if TYPE_CHECKING:
    import argparse

    from sender.engine.control import Control

_DOMAINS = 50
_STREAMS = 5
_ASKED = {
    "send_at": "to be sent at",
    "campaign": "campaign",
    "submitter": "submitted by",
    "envelope_id": "envelope id",
    "metadata": "metadata",
}


def register(commands: Commands) -> None:
    """Add the commands."""
    parser = command(
        commands,
        "queue",
        _queue,
        text="Show recipients by state, domain and age.",
        example="sender queue --domain example.org",
        reads=True,
        asks=True,
    )
    for name in ("domain", "site", "stream"):
        parser.add_argument(f"--{name}", help=f"only this {name}")
    parser.add_argument(
        "--ages", action="store_true", help="by domain and age, as qshape(1); --domain is part of a name"
    )
    parser = command(
        commands,
        "message",
        _message,
        text="Show one message: every recipient, every attempt, why it is where it is and when it goes next.",
        example="sender message 06chyk9v4k000",
        reads=True,
        asks=True,
    )
    parser.add_argument("id", metavar="ID", nargs="?", default="")
    parser.add_argument("--to", metavar="ADDRESS", default="", help="list the messages for a recipient instead")


def _queue(arguments: argparse.Namespace) -> int:
    wanted = {name: getattr(arguments, name) or "" for name in ("domain", "site", "stream")}
    wanted["domain"] = wanted["domain"].lower()
    if arguments.ages:
        return _ages(arguments, wanted)
    queue = ask(
        settings_of(arguments),
        "GET",
        f"/v1/queue{query(**wanted)}",
        token=arguments.token,
        offline=lambda control: control.queue(**wanted),
    )
    if arguments.json:
        print_json(queue)
        return 0
    print(
        f"{queue['queued']} queued ({queue['due']} due, {queue['deferred']} deferred{_scheduled(queue)}), "
        f"{queue['suspended']} suspended, "
        f"{queue['in_flight']} in flight; the oldest is {duration_text(queue['oldest_age_s'])} old"
    )
    streams = [f"{s['stream']} {s['waiting']} (oldest {duration_text(s['oldest_age_s'])})" for s in queue["streams"]]
    if streams:
        more = f" and {len(streams) - _STREAMS} more" if len(streams) > _STREAMS else ""
        print(f"by stream: {', '.join(streams[:_STREAMS])}{more}")
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
        print_table(("domain", "site", "queued", "deferred", "oldest", "last reply"), rows)
    if len(queue["domains"]) > _DOMAINS:
        print(f"and {len(queue['domains']) - _DOMAINS} domains more (--json shows all)")
    return 0


def _ages(arguments: argparse.Namespace, wanted: dict[str, str]) -> int:
    ages = ask(
        settings_of(arguments),
        "GET",
        f"/v1/queue/ages{query(**wanted)}",
        token=arguments.token,
        offline=lambda control: control.ages(domain=wanted["domain"], site=wanted["site"], stream=wanted["stream"]),
    )
    if arguments.json:
        print_json(ages)
        return 0
    minutes = ages["minutes"]
    columns = ("T", *map(str, minutes), f"{minutes[-1]}+")
    for word in ("due", "deferred"):
        print(f"{word}, by minutes since acceptance")
        rows = [("TOTAL", ages[word]), *((domain["domain"], domain[word]) for domain in ages["domains"])]
        print_table(("", *columns), ((name, sum(counts), *counts) for name, counts in rows if sum(counts)))
        print()
    return 0


def _found(arguments: argparse.Namespace) -> int:
    found = ask(
        settings_of(arguments),
        "GET",
        f"/v1/messages{query(rcpt_to=arguments.to)}",
        token=arguments.token,
        offline=lambda control: control.find(rcpt_to=arguments.to),
    )
    if arguments.json:
        print_json(found)
        return 0
    rows = (
        (r["id"], r["rcpt_to"], r["state"], r["attempts"], r["accepted_at"], r["next_attempt_at"] or "")
        for r in found["recipients"]
    )
    print_table(("message", "recipient", "state", "attempts", "accepted", "next attempt"), rows)
    if not found["complete"]:
        print("and others (only the newest are shown)")
    return 0 if found["recipients"] else 1


def _message(arguments: argparse.Namespace) -> int:
    if bool(arguments.id) == bool(arguments.to):
        raise ConfigError([Problem("command line", "ID", arguments.id, "give an id, or --to with an address")])
    if arguments.to:
        return _found(arguments)

    async def offline(control: Control) -> dict[str, Any] | None:
        return await control.message(arguments.id)

    path = f"/v1/messages/{quoted(arguments.id)}"
    message = ask(settings_of(arguments), "GET", path, token=arguments.token, offline=offline)
    if message is None:
        raise SenderError(f"there is no message {arguments.id!r}, or it ended and was forgotten")
    if arguments.json:
        print_json(message)
        return 0
    print(
        f"{message['id']} from <{message['mail_from']}>, {message['size']} bytes, stream {message['stream']}, "
        f"accepted {message['accepted_at']}"
    )
    for name, word in _ASKED.items():
        if name in message:
            value = message[name]
            print(f"  {word} {sanitised(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))}")
    for recipient in message["recipients"]:
        print(f"\n<{recipient['rcpt_to']}>: {recipient['state']} after {_attempts(recipient['attempts'])}")
        print(f"  {sanitised(recipient['waiting_for'])}")
        for record in recipient["history"]:
            place = " ".join(filter(None, (record.get("host", ""), record.get("stage", ""))))
            at, outcome, reply = (record.get(name, "") for name in ("at", "outcome", "reply"))
            print(f"  {at} {outcome} {place}: {sanitised(reply)}")
    return 0


def _scheduled(queue: dict[str, Any]) -> str:
    """Say how many are to be sent later, where there are such."""
    return f", {queue['scheduled']} scheduled" if queue["scheduled"] else ""


def _attempts(count: int) -> str:
    return f"{count} attempt{'' if count == 1 else 's'}"
