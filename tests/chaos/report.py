"""What was found, a row for each identifier of the plan: collected while the tests run, written by `make chaos`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


FILE = "SENDER_CHAOS_ROWS"  # the variable that names the file of rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One identifier. `verdict` is `held`, or `not held` with the reason in `figures`."""

    identifier: str
    runs: int
    figures: str
    test: str
    verdict: str = "held"


class Report:
    """Writes rows of one test to a file, if there is one."""

    def __init__(self, test: str, file: Path | None) -> None:
        self._test = test
        self._file = file

    def held(self, identifier: str, *, runs: int, figures: str) -> None:
        """Say that a promise held, how often it was tried, and with which figures."""
        self._write(Row(identifier=identifier, runs=runs, figures=figures, test=self._test))

    def not_held(self, identifier: str, *, reason: str) -> None:
        """Say that a promise, or a part of it, does not hold, and why."""
        self._write(Row(identifier=identifier, runs=0, figures=reason, test=self._test, verdict="not held"))

    def _write(self, row: Row) -> None:
        print(f"{row.identifier}: {row.verdict}, {row.runs} runs, {row.figures}")
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(row)) + "\n")
