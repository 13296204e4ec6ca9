"""Tables of TOML files as frozen values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sender.core.errors import ConfigError
from sender.tables import Count, Duration, PerSecond, Share, Table, checked, read


class _Inner(Table):
    """A table in a table."""

    often: PerSecond = 1.0
    must: Count


class _Outer(Table):
    """A table with a table and an array of tables in it."""

    long: Duration = 5.0
    share: Share = 0.0
    inner: _Inner | None = None
    many: tuple[_Inner, ...] = ()


def test_what_is_written_is_what_holds(tmp_path: Path) -> None:
    """Durations, rates, tables and arrays of tables are read with their meaning."""
    path = tmp_path / "a.toml"
    path.write_text('long = "2m"\ninner = { often = "30/min", must = 3 }\n[[many]]\nmust = 1\n[[many]]\nmust = 2\n')
    value = checked(_Outer, read(path), str(path))
    assert value.inner is not None
    assert (value.long, value.share, value.inner.often, value.inner.must) == (120.0, 0.0, 0.5, 3)
    assert [one.must for one in value.many] == [1, 2]


@pytest.mark.parametrize(
    ("tables", "refusal"),
    [
        ({"long": 5}, 'x.toml: long = 5: must be a duration with its unit, such as "90s"'),
        ({"inner": {"must": 1, "often": 5}}, 'x.toml: inner.often = 5: must be a rate with its unit, such as "10/s"'),
        ({"share": 1.5}, "x.toml: share = 1.5: must be 1 or less"),
        ({"inner": {}}, 'x.toml: inner.must = "": must be set'),
        ({"many": [{"must": 1}, {"must": 0}]}, "x.toml: many.1.must = 0: must be 1 or more"),
        ({"many": [{"must": 1, "odd": 2}]}, "x.toml: many.0.odd = 2: unknown key; known here: must, often"),
        ({"other": True}, "x.toml: other = true: unknown key; known here: inner, long, many, share"),
    ],
)
def test_what_is_wrong_is_told_with_place_key_value_and_rule(tables: dict[str, Any], refusal: str) -> None:
    """In the form that every problem of a configuration has."""
    with pytest.raises(ConfigError) as raised:
        checked(_Outer, tables, "x.toml")
    assert str(raised.value) == refusal


def test_all_that_is_wrong_is_told_at_once() -> None:
    """One problem hides no other."""
    with pytest.raises(ConfigError) as raised:
        checked(_Outer, {"long": "5", "share": -1.0, "inner": {"must": "x"}}, "x.toml")
    assert len(raised.value.problems) == 3
