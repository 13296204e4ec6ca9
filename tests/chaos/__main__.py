"""`make chaos`: the suite in full, and a report of it in `REPORT.md` beside this file.

python -m tests.chaos [PYTEST ARGUMENT...]
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
from typing import TYPE_CHECKING

from sender import __version__
from tests.chaos.elsewhere import ELSEWHERE
from tests.chaos.plan import ABSENT, PLAN
from tests.chaos.report import FILE
from tests.chaos.scale import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_HERE = Path(__file__).parent
_CHECKOUT = _HERE.parents[1]
_PROCESSES = "2"


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    with tempfile.TemporaryDirectory(prefix="sender-chaos-") as scratch:
        rows, results = Path(scratch) / "rows", Path(scratch) / "results.xml"
        others = sorted({test for tests in ELSEWHERE.values() for test in tests})
        command = [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--numprocesses", _PROCESSES),
            *("--dist", "worksteal", f"--junitxml={results}", *(arguments or ("tests/chaos", *others))),
        ]
        began_at = time.monotonic()
        environment = {**os.environ, VARIABLE: "full", FILE: str(rows)}
        code = subprocess.run(command, cwd=_CHECKOUT, env=environment, check=False).returncode
        minutes = (time.monotonic() - began_at) / 60
        written = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
        failed = _failed(results) if results.exists() else set()
    if not arguments:
        (_HERE / "REPORT.md").write_text(_report(written, failed, minutes), encoding="utf-8")
    return code


def _failed(results: Path) -> set[str]:
    """Give the tests that did not pass, by their names without parameters."""
    cases = ET.parse(results).getroot().iter("testcase")  # noqa: S314 - pytest has written it
    return {
        _plain(f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}")
        for case in cases
        if any(case.find(what) is not None for what in ("failure", "error", "skipped"))
    }


def _plain(test: str) -> str:
    return re.sub(r"\[.*", "", test)


def _report(rows: Iterable[Mapping[str, str]], failed: set[str], minutes: float) -> str:
    of: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        of.setdefault(row["identifier"], []).append(row)
    others = dict.fromkeys((*ELSEWHERE, *of), "")
    head = (
        f"`make chaos`, {dt.datetime.now(dt.UTC):%Y-%m-%d}: {minutes:.0f} minutes on {os.cpu_count()} cores, sender"
        f" {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {ssl.OPENSSL_VERSION},"
        f" {platform.system()} {platform.release()}."
    )
    table = ["| | | runs | figures | shown by | |", "|---|---|---|---|---|---|"]
    for identifier, what in (others | PLAN).items():
        table += [
            f"| {identifier} | {what} | {cells} |" for cells in _cells(identifier, of.get(identifier, ()), failed)
        ]
    return "\n".join(["# What held", "", head, "", *table, ""])


def _cells(identifier: str, rows: Iterable[Mapping[str, str]], failed: set[str]) -> list[str]:
    cells: list[str] = []
    for row in rows:
        test = _plain(row["test"])
        verdict = "not held" if test in failed else row["verdict"]
        cells.append(f"{row['runs']} | {row['figures']} | `{test}` | {verdict}")
    for test in ELSEWHERE.get(identifier, ()):
        cells.append(f" | | `{test}` | {'not held' if test in failed else 'held'}")  # noqa: PERF401 - as above
    return cells or [f" | | | not run: {ABSENT.get(identifier, 'its test did not run')}"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
