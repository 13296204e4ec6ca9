"""`make chaos`: the suite in full, and a report of it in `REPORT.md` beside this file.

python -m tests.chaos [PYTEST ARGUMENT...]

With arguments only what they choose is run, and the report of the last run is amended by it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import re
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sender import __version__
from tests.chaos.elsewhere import ELSEWHERE
from tests.chaos.plan import ABSENT, PLAN
from tests.chaos.report import FILE
from tests.chaos.scale import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HERE = Path(__file__).parent
_CHECKOUT = _HERE.parents[1]
_PROCESSES = "2"
_LAST = _CHECKOUT / ".cache" / "chaos.json"  # what the report was written from


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    with tempfile.TemporaryDirectory(prefix="sender-chaos-") as scratch:
        rows, results = Path(scratch) / "rows", Path(scratch) / "results.xml"
        others = sorted({test for tests in ELSEWHERE.values() for test in tests})
        command = [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "--numprocesses", _PROCESSES),
            *("--dist", "worksteal", f"--junitxml={results}", *(arguments or ("tests/chaos", *others))),
        ]
        began_at = time.monotonic()
        environment = {**os.environ, VARIABLE: "full", FILE: str(rows)}
        code = subprocess.run(command, cwd=_CHECKOUT, env=environment, check=False).returncode
        minutes = (time.monotonic() - began_at) / 60
        written = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
        passed = _passed(results) if results.exists() else {}
    run = {"minutes": minutes, "rows": written, "passed": passed, "again": []}
    if arguments:
        if not _LAST.exists():
            return code
        run = _amended(json.loads(_LAST.read_text()), run)
    _LAST.parent.mkdir(exist_ok=True)
    _LAST.write_text(json.dumps(run))
    (_HERE / "REPORT.md").write_text(_report(run), encoding="utf-8")
    return code


def _amended(last: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Put what was run now in the place of what it was before."""
    now = run["passed"]
    rows = [row for row in last["rows"] if _plain(row["test"]) not in now] + run["rows"]
    again = sorted({*last["again"], *now})
    return {"minutes": last["minutes"], "rows": rows, "passed": last["passed"] | now, "again": again}


def _passed(results: Path) -> dict[str, list[bool]]:
    """Give for each test, by its name without parameters, which of its cases passed."""
    passed: dict[str, list[bool]] = {}
    for case in ET.parse(results).getroot().iter("testcase"):  # noqa: S314 - pytest has written it
        *folders, last = case.get("classname", "").split(".")
        # A class stands behind its module: tests/unit/spool/test_model.py::TestSpool::runTest.
        module = "/".join([*folders, last]) if last.startswith("test_") else "/".join(folders)
        name = case.get("name", "") if last.startswith("test_") else f"{last}::{case.get('name')}"
        well = all(case.find(what) is None for what in ("failure", "error", "skipped"))
        passed.setdefault(_plain(f"{module}.py::{name}"), []).append(well)
    return passed


def _plain(test: str) -> str:
    return re.sub(r"\[.*", "", test)


def _report(run: Mapping[str, Any]) -> str:
    of: dict[str, list[Mapping[str, str]]] = {}
    for row in run["rows"]:
        of.setdefault(row["identifier"], []).append(row)
    others = dict.fromkeys((*ELSEWHERE, *of), "")
    head = (
        f"`make chaos`, {dt.datetime.now(dt.UTC):%Y-%m-%d}: {run['minutes']:.0f} minutes on {os.cpu_count()} cores,"
        f" sender {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version},"
        f" {ssl.OPENSSL_VERSION}, {platform.system()} {platform.release()}."
    )
    if run["again"]:
        head += "\n\nRun again afterwards: " + ", ".join(f"`{test}`" for test in run["again"]) + "."
    table = ["| | | runs | figures | shown by | |", "|---|---|---|---|---|---|"]
    for identifier, what in (others | PLAN).items():
        found = _cells(identifier, of.get(identifier, ()), run["passed"])
        table += [f"| {identifier} | {what} | {cells} |" for cells in found]
    return "\n".join(["# What held", "", head, "", *table, ""])


def _cells(identifier: str, rows: Sequence[Mapping[str, str]], passed: Mapping[str, list[bool]]) -> list[str]:
    cells: list[str] = []
    for row in rows:
        test = _plain(row["test"])
        verdict = row["verdict"] if all(passed.get(test, [False])) else "not held"
        cells.append(f"{row['runs']} | {row['figures']} | `{test}` | {verdict}")
    silent = sorted(_failed(identifier, passed) - {_plain(row["test"]) for row in rows})
    cells += [f" | it failed before it could tell more | `{test}` | not held" for test in silent]
    tests = ELSEWHERE.get(identifier, ())
    if cases := [well for test in tests for well in passed.get(test, [False])]:
        failed = ", ".join(test for test in tests if not all(passed.get(test, [False])))
        files = ", ".join(f"`{file}`" for file in dict.fromkeys(test.partition("::")[0] for test in tests))
        cells.append(f"{len(cases)} | | {files} | {f'not held: {failed}' if failed else 'held'}")
    return cells or [f" | | | not run: {ABSENT.get(identifier, 'its test did not run')}"]


def _failed(identifier: str, passed: Mapping[str, list[bool]]) -> set[str]:
    """Give the tests of this folder that are named for a row and failed."""
    named = {test for test in passed if identifier.lower() in test.partition("::test_")[2].split("_")}
    return {test for test in named if test.startswith("tests/chaos/") and not all(passed[test])}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
