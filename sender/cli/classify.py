"""`sender classify`: what the sender would make of a reply."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from sender.cli.common import Commands, command, print_json
from sender.core.classify import classify
from sender.core.errors import ConfigError, Problem
from sender.core.reply import Reply
from sender.core.stage import Stage

if TYPE_CHECKING:
    import argparse


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "classify",
        _classify,
        text="Tell outcome, scope, reason and wait for a reply.",
        example='sender classify --stage banner "421 4.7.0 too many connections"',
        reads=True,
    )
    parser.add_argument("--stage", choices=[*Stage], default=Stage.RCPT, help="what the reply answered (default: rcpt)")
    parser.add_argument("--mx", metavar="HOST", help="the host that said it")
    parser.add_argument(
        "--jsonl", action="store_true", help="read objects with reply, stage and mx from standard input, a line each"
    )
    parser.add_argument("reply", nargs="?", metavar="REPLY")


def _classify(arguments: argparse.Namespace) -> int:
    if arguments.jsonl:
        for number, line in enumerate(sys.stdin, 1):
            print(json.dumps(_line(number, line)))
        return 0
    if arguments.reply is None:
        raise ConfigError([Problem("command line", "REPLY", "", "must be given, or --jsonl")])
    verdict = _verdict("command line", arguments.reply, arguments.stage)
    if arguments.json:
        print_json(verdict)
    else:
        wait = "" if verdict["retry_after_s"] is None else f", asks for {verdict['retry_after_s']:g} s"
        print(f"{verdict['outcome']} ({verdict['scope']}): {verdict['reason'] or 'taken'}{wait}; by: {verdict['rule']}")
    return 0


def _line(number: int, line: str) -> dict[str, Any]:
    place = f"line {number}"
    try:
        given = json.loads(line)
        reply, stage = given["reply"], given.get("stage", Stage.RCPT)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError([Problem(place, "", None, 'must be an object with "reply"')]) from error
    return _verdict(place, reply, stage)


def _verdict(place: str, text: object, stage: object) -> dict[str, Any]:
    if stage not in list(Stage):
        raise ConfigError([Problem(place, "stage", stage, f"must be one of {', '.join(Stage)}")])
    try:
        reply = Reply.parse(str(text).replace("\\n", "\n"))
    except ValueError as error:
        raise ConfigError([Problem(place, "reply", text, "must begin with a reply code from 200 to 599")]) from error
    verdict = classify(Stage(str(stage)), reply)
    return {
        "outcome": verdict.outcome,
        "scope": verdict.scope,
        "reason": verdict.reason,
        "retry_after_s": verdict.retry_after_s,
        "provider": None,
        "rule": verdict.rule,
    }
