"""`sender classify`: what the sender would make of a reply."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from sender import rules, settings
from sender.cli.common import Commands, command, print_json, settings_of
from sender.core.errors import ConfigError, Problem
from sender.core.reply import Reply
from sender.core.stage import Stage

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from sender.core.classify import Classifier


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
    classifier = rules.classifier(_own_rules(arguments))
    if arguments.jsonl:
        for number, line in enumerate(sys.stdin, 1):
            print(json.dumps(_line(classifier, number, line)))
        return 0
    if arguments.reply is None:
        raise ConfigError([Problem("command line", "REPLY", "", "must be given, or --jsonl")])
    verdict = _verdict(classifier, "command line", arguments.reply, arguments.stage, arguments.mx)
    if arguments.json:
        print_json(verdict)
    else:
        wait = "" if verdict["retry_after_s"] is None else f", asks for {verdict['retry_after_s']:g} s"
        print(f"{verdict['outcome']} ({verdict['scope']}): {verdict['reason'] or 'taken'}{wait}; by: {verdict['rule']}")
    return 0


def _own_rules(arguments: argparse.Namespace) -> Path | None:
    """Find the operator's rules; a configuration that is nowhere has none."""
    given = arguments.config or os.environ.get("SENDER_CONFIG") or any(place.is_file() for place in settings.SEARCHED)
    return settings_of(arguments).rules_path if given else None


def _line(classifier: Classifier, number: int, line: str) -> dict[str, Any]:
    place = f"line {number}"
    try:
        given = json.loads(line)
        reply, stage, mx = given["reply"], given.get("stage", Stage.RCPT), given.get("mx")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError([Problem(place, "", None, 'must be an object with "reply"')]) from error
    return _verdict(classifier, place, reply, stage, mx)


def _verdict(classifier: Classifier, place: str, text: object, stage: object, mx: object) -> dict[str, Any]:
    if stage not in list(Stage):
        raise ConfigError([Problem(place, "stage", stage, f"must be one of {', '.join(Stage)}")])
    try:
        reply = Reply.parse(str(text).replace("\\n", "\n"))
    except ValueError as error:
        raise ConfigError([Problem(place, "reply", text, "must begin with a reply code from 200 to 599")]) from error
    verdict = classifier.classify(Stage(str(stage)), reply, str(mx or ""), time.time())
    return {
        "outcome": verdict.outcome,
        "scope": verdict.scope,
        "reason": verdict.reason,
        "retry_after_s": verdict.retry_after_s,
        "provider": verdict.provider,
        "rule": verdict.rule,
    }
