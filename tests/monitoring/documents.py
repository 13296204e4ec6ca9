"""The queries of deploy/grafana and the rules of deploy/prometheus, from the files that are deployed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
DASHBOARDS = DEPLOY / "grafana/dashboards"
RUNBOOK = DEPLOY / "RUNBOOK.md"

_LABEL_VALUES = re.compile(r"label_values\((?P<expr>.+), (?P<label>\w+)\)")
_MACRO = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_IN_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_IN_ANNOTATION = re.compile(r"\$labels\.(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query: where it stands, as it stands there, and the labels that are shown of what it finds."""

    place: str
    expr: str
    shown: frozenset[str] = frozenset()

    def filled(self, values: Mapping[str, str]) -> str:
        """Give the query with what Grafana puts in place of variables; KeyError names one that has no value."""
        return _MACRO.sub(lambda found: values[found[1] or found[2]], self.expr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: a recording rule has a `record`, an alert its annotations."""

    name: str
    expr: str
    record: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> frozenset[str]:
        """The labels that its annotations name."""
        return frozenset(_IN_ANNOTATION.findall(" ".join(self.annotations.values())))


@cache
def boards() -> dict[str, Any]:
    """Give every dashboard by its uid."""
    files = sorted(DASHBOARDS.glob("*.json"))
    return {board["uid"]: board for board in map(json.loads, (file.read_text(encoding="utf-8") for file in files))}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the panels of a dashboard, without the headings."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


@cache
def queries() -> tuple[Query, ...]:
    """Give every query of every dashboard: of its panels, annotations and variables."""
    return tuple(query for uid, board in boards().items() for query in _queries(uid, board))


def _queries(uid: str, board: dict[str, Any]) -> Iterator[Query]:
    for panel in panels(board):
        for target in panel["targets"]:
            shown = frozenset(_IN_LEGEND.findall(target["legendFormat"]))
            place = f"{uid}: {panel['title']}: {target['legendFormat']}"
            yield Query(place=place, expr=target["expr"], shown=shown)
    for mark in board["annotations"]["list"]:
        shown = frozenset(_IN_LEGEND.findall(mark["titleFormat"] + mark["textFormat"]) + mark["tagKeys"].split(","))
        yield Query(place=f"{uid}: annotation: {mark['name']}", expr=mark["target"]["expr"], shown=shown)
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
            assert found, variable
            place = f"{uid}: variable: {variable['name']}"
            yield Query(place=place, expr=found["expr"], shown=frozenset({found["label"]}))


@cache
def rules() -> tuple[Rule, ...]:
    """Give every rule, in the order of the files' names, recording rules and alerts."""
    files = sorted((PROMETHEUS / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    return tuple(
        Rule(
            name=rule.get("record") or rule["alert"],
            expr=rule["expr"],
            record="record" in rule,
            labels=rule.get("labels", {}),
            annotations=rule.get("annotations", {}),
        )
        for group in groups
        for rule in group["rules"]
    )


def alerts() -> tuple[Rule, ...]:
    """Give every alert."""
    return tuple(rule for rule in rules() if not rule.record)


def recorded() -> tuple[Rule, ...]:
    """Give every recording rule."""
    return tuple(rule for rule in rules() if rule.record)
