"""`replies.toml` as rules of a classifier: the shipped file, and before it a file of the operator's own.

Every problem is told at once, with file, rule, value and what is wrong: a rule whose examples do not match, or that an
earlier rule takes all of them from, is a problem too, because it would lie there and do nothing.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from sender.core.classify import Classifier, Rule
from sender.core.errors import ConfigError, Problem
from sender.core.outcome import Outcome, Reason, Scope
from sender.core.reply import Reply
from sender.core.stage import Stage
from sender.providers import providers
from sender.shipped import shipped
from sender.tables import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sender.core.outcome import Verdict
    from sender.core.provider import Providers

_REQUIRED = ("name", "reason", "scope", "examples", "counterexamples")
_KEYS = {*_REQUIRED, "text", "unless", "codes", "enhanced", "stages", "mx", "provider", "outcome"}
_ARRAYS = ("text", "unless", "codes", "enhanced", "stages", "mx")
_CONDITIONS = ("text", "enhanced", "mx", "provider", "stages", "codes")
# A reply never means that we lost the way, nor what we do ourselves.
_REASONS = tuple(
    reason
    for reason in Reason
    if reason
    not in {
        Reason.CONNECT_FAILED,
        Reason.CONNECTION_LOST,
        Reason.EXPIRED,
        Reason.SUSPENDED,
        Reason.REMOVED,
    }
)
_REPLYING = tuple(stage for stage in Stage if stage is not Stage.CONNECT)
_CODE = re.compile(r"[45](?:[0-9]{1,2})?")
_ENHANCED = re.compile(r"[45]\.\d{1,3}\.\d{1,3}")


class _Example:
    """A reply that a rule must or must not match, at a stage, from a host."""

    __slots__ = ("mx", "reply", "stage", "text")

    def __init__(self, text: str, reply: Reply, stage: Stage, mx: str) -> None:
        self.text, self.reply, self.stage, self.mx = text, reply, stage, mx

    def matches(self, rule: Rule) -> bool:
        return rule.matches(self.stage, self.reply, self.reply.words, self.mx)


@cache
def shipped_classifier() -> Classifier:
    """Give the classifier of the shipped files. Raises ConfigError."""
    return classifier()


def classifier(path: Path | None = None) -> Classifier:
    """Give a classifier: the rules of a file, then the shipped ones. Raises ConfigError with every problem."""
    own = load(path) if path is not None else ()
    file = shipped("replies.toml")
    return Classifier((*own, *(load(file) if file is not None else ())), providers())


def classify(stage: Stage, reply: Reply, mx: str = "", now_s: float | None = None) -> Verdict:
    """Tell what a reply of a host at a stage means, by the shipped rules."""
    return shipped_classifier().classify(stage, reply, mx, now_s)


def load(path: Path, known: Providers | None = None) -> tuple[Rule, ...]:
    """Read a file, and try its examples. Raises ConfigError with every problem in it."""
    tables = read(path)
    place = str(path)
    problems = [Problem(place, key, "", "unknown key; known here: rule") for key in tables if key != "rule"]
    entries = tables.get("rule", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError([*problems, Problem(place, "rule", str(entries), 'must be tables "[[rule]]"')])
    rules: list[Rule] = []
    for number, entry in enumerate(entries, 1):
        name = _place_of(entry, number)
        wrong = list(_wrong(place, name, entry, {rule.name for rule in rules}, known or providers()))
        problems += wrong
        if wrong:
            continue
        rule = _rule(entry, known or providers())
        problems += _tried(place, name, entry, rule, rules)
        rules.append(rule)
    if problems:
        raise ConfigError(problems)
    return tuple(rules)


def _place_of(entry: dict[str, Any], number: int) -> str:
    name = entry.get("name")
    return f'rule."{name}"' if isinstance(name, str) and name else f"rule.{number}"


def _wrong(place: str, name: str, entry: dict[str, Any], names: set[str], known: Providers) -> Iterator[Problem]:
    """Find what is wrong with the keys of one rule."""
    for key, value in entry.items():
        if key not in _KEYS:
            yield Problem(place, f"{name}.{key}", value, f"unknown key; known here: {', '.join(sorted(_KEYS))}")
    for key in _REQUIRED:
        if not entry.get(key):
            rule = "must have at least one reply" if key.endswith("examples") else "must be set"
            yield Problem(place, f"{name}.{key}", entry.get(key, ""), rule)
    if entry.get("name") in names:
        yield Problem(place, f"{name}.name", entry["name"], "must be unique: an earlier rule has this name")
    if not any(entry.get(key) for key in _CONDITIONS):
        yield Problem(place, name, "", f"must have a condition: one of {', '.join(_CONDITIONS)}")
    for key in (*_ARRAYS, "examples", "counterexamples"):
        value = entry.get(key, [])
        kinds = (str, dict) if key.endswith("examples") else (str,)
        if not isinstance(value, list) or not all(isinstance(item, kinds) for item in value):
            yield Problem(place, f"{name}.{key}", str(value), "must be an array of strings")
            return
    yield from _wrong_values(place, name, entry, known)


def _wrong_values(place: str, name: str, entry: dict[str, Any], known: Providers) -> Iterator[Problem]:
    choices = {"reason": _REASONS, "scope": tuple(Scope), "outcome": (Outcome.DEFERRED, Outcome.BOUNCED)}
    for key, allowed in choices.items():
        if entry.get(key) and entry[key] not in list(allowed):
            yield Problem(place, f"{name}.{key}", entry[key], f"must be one of {', '.join(allowed)}")
    for stage in entry.get("stages", ()):
        if stage not in list(_REPLYING):
            rule = f"can never occur: a reply comes at one of {', '.join(_REPLYING)}"
            yield Problem(place, f"{name}.stages", stage, rule)
    codes = entry.get("codes", ("4", "5"))
    if entry.get("outcome") == Outcome.BOUNCED and not all(code.startswith("5") for code in codes):
        yield Problem(place, f"{name}.outcome", entry["outcome"], 'must be "deferred", or codes must begin with 5')
    if "provider" in entry and known.named(str(entry["provider"])) is None:
        yield Problem(place, f"{name}.provider", entry["provider"], f"must be one of {', '.join(known.names)}")
    yield from _wrong_codes(place, name, entry)
    yield from _wrong_expressions(place, name, entry)


def _wrong_codes(place: str, name: str, entry: dict[str, Any]) -> Iterator[Problem]:
    codes = entry.get("codes", ("4", "5"))
    for code in codes:
        if _CODE.fullmatch(code) is None:
            yield Problem(place, f"{name}.codes", code, "can never occur: must begin with 4 or 5, at most three digits")
    for code in entry.get("enhanced", ()):
        if _ENHANCED.fullmatch(code) is None:
            yield Problem(place, f"{name}.enhanced", code, 'must be a whole enhanced code of 4 or 5, such as "4.7.0"')
        elif not any(first.startswith(code[0]) for first in codes):
            yield Problem(place, f"{name}.enhanced", code, "can never occur with these codes")


def _wrong_expressions(place: str, name: str, entry: dict[str, Any]) -> Iterator[Problem]:
    for key in ("text", "unless"):
        for source in entry.get(key, ()):
            try:
                empty = re.compile(source, re.IGNORECASE).search("")
            except re.error as error:
                yield Problem(place, f"{name}.{key}", source, f"is not a regular expression: {error}")
                continue
            if empty:
                yield Problem(place, f"{name}.{key}", source, "must not match an empty text")


def _rule(entry: dict[str, Any], known: Providers) -> Rule:
    provider = known.named(entry["provider"]) if "provider" in entry else None
    return Rule(
        name=entry["name"],
        reason=Reason(entry["reason"]),
        scope=Scope(entry["scope"]),
        text=tuple(re.compile(source, re.IGNORECASE) for source in entry.get("text", ())),
        unless=tuple(re.compile(source, re.IGNORECASE) for source in entry.get("unless", ())),
        codes=tuple(entry.get("codes", ("4", "5"))),
        enhanced=tuple(entry.get("enhanced", ())),
        stages=frozenset(map(Stage, entry.get("stages", _REPLYING))),
        mx=(*entry.get("mx", ()), *(provider.mx if provider is not None else ())),
        outcome=Outcome(entry["outcome"]) if entry.get("outcome") else None,
    )


def _tried(place: str, name: str, entry: dict[str, Any], rule: Rule, earlier: Sequence[Rule]) -> Iterator[Problem]:
    """Try what a rule must match and what it must not."""
    for key, must in (("examples", True), ("counterexamples", False)):
        for given in entry[key]:
            example = _example(given, rule, with_host=must)
            if isinstance(example, str):
                yield Problem(place, f"{name}.{key}", str(given), example)
                continue
            if example.matches(rule) is not must:
                wrong = "must be matched by its rule" if must else "must not be matched by its rule"
                yield Problem(place, f"{name}.{key}", example.text, wrong)
            elif must:
                first = next((other for other in earlier if example.matches(other)), None)
                if first is not None:
                    shadow = f'never reaches its rule: the earlier rule "{first.name}" decides'
                    yield Problem(place, f"{name}.{key}", example.text, shadow)


def _example(given: str | dict[str, Any], rule: Rule, *, with_host: bool) -> _Example | str:
    """Read an example, or say what is wrong with it. What is not said is as the rule would have it."""
    stage = Stage.RCPT if Stage.RCPT in rule.stages else min(rule.stages, key=list(Stage).index)
    table: dict[str, Any] = {"reply": given} if isinstance(given, str) else given
    if set(table) - {"reply", "stage", "mx"} or not isinstance(table.get("reply"), str):
        return 'must be a reply, or a table with "reply" and perhaps "stage" and "mx"'
    if table.get("stage", stage) not in list(_REPLYING):
        return f"stage must be one of {', '.join(_REPLYING)}"
    host = f"mx.{rule.mx[0]}" if rule.mx and with_host else ""
    try:
        reply = Reply.parse(table["reply"])
    except ValueError:
        return "must begin with a reply code from 200 to 599"
    return _Example(table["reply"], reply, Stage(table.get("stage", stage)), str(table.get("mx", host)))
