"""Instants as clients write them."""

from __future__ import annotations

import pytest

from sender.core.options import OptionError
from sender.intake.instants import parse_instant


@pytest.mark.parametrize(
    "value",
    [
        "2026-12-01T08:00:00Z",
        "2026-12-01T09:00:00+01:00",
        "2026-12-01 08:00:00+00:00",
        "2026-12-01T08:00:00.000Z",
        "Tue, 01 Dec 2026 08:00:00 +0000",
        "Tue, 1 Dec 2026 03:00:00 -0500",
    ],
)
def test_the_forms_of_rfc_3339_and_rfc_5322_are_read(value: str) -> None:
    """The same instant in any of them is the same."""
    assert parse_instant(value) == 1_796_112_000.0


@pytest.mark.parametrize(
    "value",
    ["", "tomorrow", "2026-12-01", "2026-12-01T08:00:00", "1796112000",
     "2026-13-01T08:00:00Z", "0000-01-01T00:00:00Z",
     "Tue, 99 Dec 2026 08:00:00 +0000", "2026-12-01T08:00:00Z\r\nX: y"],
)  # fmt: skip
def test_what_is_no_instant_is_refused(value: str) -> None:
    """An instant has a day, a time and an offset."""
    with pytest.raises(OptionError, match="must be an instant"):
        parse_instant(value)
