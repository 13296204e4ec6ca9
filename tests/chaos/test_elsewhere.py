"""The rows that are shown elsewhere are shown there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.chaos.elsewhere import ELSEWHERE

_CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("identifier", sorted(ELSEWHERE))
def test_a_row_that_is_shown_elsewhere_has_its_tests(identifier: str) -> None:
    """Each test that is named for a row is there."""
    for test in ELSEWHERE[identifier]:
        path, _, name = test.partition("::")
        module = ast.parse((_CHECKOUT / path).read_text(encoding="utf-8"))
        functions = [node.name for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        assert name in functions, test
