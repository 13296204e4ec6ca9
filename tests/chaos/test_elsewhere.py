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
    """Every identifier stands in the name of a test, in the table of tests elsewhere, or in that of what is absent."""
    names = re.findall(
        r"def (test_\w+)", "\n".join(path.read_text() for path in (_CHECKOUT / "tests").rglob("test_*.py"))
    )
    shown = {part.upper() for name in names for part in name.split("_") if re.fullmatch(r"[a-z]\d+", part)}
    missing = PLAN.keys() - shown - ELSEWHERE.keys() - ABSENT.keys()
    assert missing == set()
    assert not ABSENT.keys() & ELSEWHERE.keys()
