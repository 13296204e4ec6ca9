"""What a PromQL expression can give: the labels of its result, from the metrics that the code has.

An expression is wrong when it names a metric or a label that does not exist, or joins vectors that can never match.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import promql_parser as syntax
from promql_parser import AggModifierType, LabelModifierType

from sender.observe.metrics import Metrics
from tests.monitoring.documents import Rule, alerts, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

Labels = frozenset[str]

_TARGET = frozenset({"instance", "job"})  # what a scrape adds
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
_KEEPS_LABELS = {"rate", "increase", "clamp_min", "clamp_max"}
_SETS = {"and", "or", "unless"}
_COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
_SCALARS = {"time"}
_UNLABELLED = {"vector"}


class Wrong(Exception):  # noqa: N818 - the expression is
    """An expression that asks for what is not there."""


def exported() -> dict[str, Labels]:
    """Give every series that a daemon exports, with its labels, from the registry itself."""
    known: dict[str, Labels] = {}
    for collector in Metrics().registry._collector_to_names:
        names = getattr(collector, "_labelnames", None)
        if names is not None:
            for suffix in _SUFFIXES[collector._type]:  # type: ignore[attr-defined]
                own = {"le"} if suffix == "_bucket" else set()
                known[f"{collector._name}{suffix}"] = frozenset({*names, *own})  # type: ignore[attr-defined]
        else:
            for family in collector.collect():
                for sample in family.samples:
                    known[sample.name] = known.get(sample.name, frozenset()) | set(sample.labels)
    return {name: labels | _TARGET for name, labels in known.items()}


class Reader:
    """Tells the labels of expressions, knowing the exported series and the rules."""

    def __init__(self) -> None:
        self.known: dict[str, Labels] = {**exported(), "up": _TARGET}
        rules = list(recorded())
        # A rule may stand on another that comes later.
        while rules:
            ready = [rule for rule in rules if not self._names(rule.expr) & {other.name for other in rules}]
            assert ready, "rules in a circle"
            for rule in ready:
                found = self._of_rule(rule)
                self.known[rule.name] = self.known.get(rule.name, found) | found
            rules = [rule for rule in rules if rule not in ready]
        of_alerts = frozenset().union(*(self._of_rule(alert) for alert in alerts()))
        self.known["ALERTS"] = of_alerts | {"alertname", "alertstate"}

    def labels(self, expr: str) -> Labels:
        """Give the labels that a result can have; or raise Wrong."""
        try:
            return self._labels(syntax.parse(expr)) or frozenset()
        except ValueError as error:
            raise Wrong(f"{error}: {expr}") from error

    def _of_rule(self, rule: Rule) -> Labels:
        try:
            return self.labels(rule.expr) | set(rule.labels)
        except Wrong:
            return frozenset(rule.labels)  # the test of the rules says what is wrong

    def _names(self, expr: str) -> set[str]:
        return {name for selector in selectors(expr) if (name := selector.name)}

    def _labels(self, expr: syntax.Expr) -> Labels | None:
        """Give the labels of a vector; None for a number or a text."""
        found: Labels | None = None
        match expr:
            case syntax.NumberLiteral() | syntax.StringLiteral():
                pass
            case syntax.VectorSelector():
                found = self._selected(expr)
            case syntax.MatrixSelector():
                found = self._selected(expr.vector_selector)
            case syntax.ParenExpr() | syntax.SubqueryExpr() | syntax.UnaryExpr():
                found = self._labels(expr.expr)
            case syntax.AggregateExpr():
                found = self._aggregated(expr)
            case syntax.Call():
                found = self._called(expr)
            case syntax.BinaryExpr():
                found = self._joined(expr)
            case _:
                raise Wrong(f"not understood: {expr.prettify()}")
        return found

    def _selected(self, selector: syntax.VectorSelector) -> Labels:
        name = selector.name or ""
        if name not in self.known:
            raise Wrong(f"no such metric: {name}")
        for matcher in selector.matchers.matchers:
            if matcher.name not in self.known[name]:
                raise Wrong(f"{name} has no label {matcher.name}")
        return self.known[name]

    def _aggregated(self, expr: syntax.AggregateExpr) -> Labels:
        inner = self._labels(expr.expr) or frozenset()
        if expr.modifier is None:
            return frozenset()
        named = frozenset(expr.modifier.labels)
        if not named <= inner:
            raise Wrong(f"no label {', '.join(sorted(named - inner))}: {expr.prettify()}")
        return named if expr.modifier.type == AggModifierType.By else inner - named

    def _called(self, expr: syntax.Call) -> Labels | None:
        name = expr.func.name
        found = [labels for labels in map(self._labels, expr.args) if labels is not None]
        if name in _SCALARS:
            return None
        if name in _UNLABELLED:
            return frozenset()
        if name == "histogram_quantile":
            if "le" not in found[0]:
                raise Wrong(f"no label le: {expr.prettify()}")
            return found[0] - {"le"}
        if name in _KEEPS_LABELS:
            return found[0]
        raise Wrong(f"not understood: {name}()")

    def _joined(self, expr: syntax.BinaryExpr) -> Labels | None:
        left, right = self._labels(expr.lhs), self._labels(expr.rhs)
        if left is None or right is None:
            return left if right is None else right
        modifier, operator = expr.modifier, str(expr.op)
        if modifier is None or modifier.matching is None:
            if left != right:
                raise Wrong(f"{sorted(left)} never match {sorted(right)}: {expr.prettify()}")
            return left
        named = frozenset(modifier.matching.labels)
        if modifier.matching.type != LabelModifierType.Include:
            named = (left | right) - named
        if not named <= left & right:
            raise Wrong(f"no label {', '.join(sorted(named - (left & right)))} on both sides: {expr.prettify()}")
        if operator in _SETS or modifier.group_labels is not None:
            return left | set(modifier.group_labels or ())
        return named


def selectors(expr: str) -> Iterator[syntax.VectorSelector]:
    """Give every selector in an expression."""
    found: list[syntax.VectorSelector] = []

    def visit(node: syntax.Expr) -> bool:
        if isinstance(node, syntax.VectorSelector):
            found.append(node)
        elif isinstance(node, syntax.MatrixSelector):
            found.append(node.vector_selector)
        return True

    syntax.walk(syntax.parse(expr), visit)
    yield from found


def operands(expr: str) -> Iterator[str]:
    """Give what an alert compares: it stays away while all is well, and what it looks at must be there all the same."""
    yield from _operands(syntax.parse(expr))


def _operands(expr: syntax.Expr) -> Iterator[str]:
    match expr:
        case syntax.ParenExpr():
            yield from _operands(expr.expr)
        case syntax.BinaryExpr() if str(expr.op) in _SETS | _COMPARISONS:
            for side in (expr.lhs, expr.rhs):
                yield from _operands(side)
        case syntax.NumberLiteral():
            pass
        case _:
            yield expr.prettify()
