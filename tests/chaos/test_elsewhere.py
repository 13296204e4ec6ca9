"""The rows that are shown elsewhere are shown there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.chaos.elsewhere import ELSEWHERE
from tests.chaos.plan import ABSENT, PLAN

_CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("identifier", sorted(ELSEWHERE))
def test_a_row_that_is_shown_elsewhere_has_its_tests(identifier: str) -> None:
    """Each test that is named for a row is there."""
    for test in ELSEWHERE[identifier]:
        path, _, name = test.partition("::")
        module = ast.parse((_CHECKOUT / path).read_text(encoding="utf-8"))
        functions = [node.name for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        assert name in functions, test


def test_each_row_of_the_plan_is_shown_or_says_why_not() -> None:
    """Every identifier stands in the name of a test, in the table of tests elsewhere, or in that of what is absent."""
    names = re.findall(
        r"def (test_\w+)", "\n".join(path.read_text() for path in (_CHECKOUT / "tests").rglob("test_*.py"))
    )
    shown = {part.upper() for name in names for part in name.split("_") if re.fullmatch(r"[a-z]\d+", part)}
    missing = PLAN.keys() - shown - ELSEWHERE.keys() - ABSENT.keys()
    assert missing == set()
    assert not ABSENT.keys() & ELSEWHERE.keys()
