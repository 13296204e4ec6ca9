"""The rows that are shown elsewhere are shown there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.chaos.elsewhere import ELSEWHERE
from tests.chaos.plan import ABSENT, PLAN

_CHECKOUT = Path(__file__).parents[2]


def test_a_row_that_is_shown_elsewhere_has_its_tests() -> None:
    """Each test that is named for a row can be run."""
    tests = sorted({test for tests in ELSEWHERE.values() for test in tests})
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--collect-only", *tests]
    collected = subprocess.run(command, cwd=_CHECKOUT, capture_output=True, text=True, check=False)
    assert collected.returncode == 0, collected.stderr


def test_each_row_of_the_plan_is_shown_or_says_why_not() -> None:
    """Every identifier is reported by a test of this folder, shown by tests elsewhere, or said to be absent and why."""
    tests = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    reported = set(re.findall(r"\.(?:not_)?held\(\s*\"([^\"]+)\"", tests))
    assert PLAN.keys() - reported - ELSEWHERE.keys() == ABSENT.keys()
