"""The matrices of security: every row has tests of its own, named after it."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

_TESTS = Path(__file__).parents[1]
_ROW = re.compile(r"(?<=_)([ix]\d{1,2})(?=_)")
# I1 to I16: injection and abuse. X1 to X13: poisonous messages.
_ROWS = [*(f"i{number}" for number in range(1, 17)), *(f"x{number}" for number in range(1, 14))]


@functools.cache
def _rows_with_tests() -> set[str]:
    names = (
        node.name
        for path in _TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )
    return {row for name in names for row in _ROW.findall(name)}


@pytest.mark.parametrize("row", _ROWS)
def test_every_row_has_a_test(row: str) -> None:
    """Whoever looks for what shows a row searches the tests for its name."""
    assert row in _rows_with_tests()
