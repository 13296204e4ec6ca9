"""JSON: what is read is what every reader would read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.writing.json_text import DEPTH, Lexis, NotJsonError, read_json

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)
BAD = [
    (b"", "Expecting value"),
    (b"{", "Expecting"),
    (b'{"a": 1}x', "Extra data"),
    (b'{"a": "\xff"}', "it is not UTF-8"),
    (b'\xff\xfe{\0"\0', "it is not UTF-8"),
    (b'{"a": NaN}', "NaN is no number"),
    (b'{"a": -Infinity}', "Infinity is no number"),
    (b'{"a": 1e999}', "a number is too large"),
    (b'{"a": 9223372036854775808}', r"not below 2\*\*63"),
    (b'{"a": ' + b"9" * 41 + b"}", "more than 40 digits"),
    (b'{"a": 0.' + b"9" * 10**6 + b"}", "more than 40 digits"),
    (b'{"a": 1, "a": 2}', 'the key "a" stands twice'),
    (b'{"b": [{"a": 1, "x": 0, "a": 1}]}', 'the key "a" stands twice'),
    (b'{"a": "\\ud800"}', "half a character"),
    (b'{"a": "\\ude00x"}', "half a character"),
    (b'{"a": "\\ud83dx\\ude00"}', "half a character"),
    (b'{"\\ud83d": 1}', "half a character"),
    (b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1), "nested deeper"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested deeper|outside of strings"),
    (b"[" + b"0," * 300_000 + b"0]", "outside of strings"),
]


@given(_JSON, st.booleans())
def test_what_json_can_say_is_read(value: Any, ascii_only: bool) -> None:  # noqa: ANN401, FBT001 - JSON
    """Any value with numbers that every program has is read as it was written, with or without escapes."""
    assert read_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(("data", "rule"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_i12_what_readers_disagree_about_is_refused(data: bytes, rule: str) -> None:
    """Repeated keys, NaN, numbers without end, halves of characters and nesting without end are no JSON here."""
    with pytest.raises(NotJsonError, match=rule):
        read_json(data)


@given(st.sampled_from([data for data, rule in BAD if "half" in rule or len(data) > 10**6]), st.integers(41, 200))
def test_a_text_is_looked_over_alike_wherever_it_is_cut(data: bytes, size: int) -> None:
    """Halves of characters and endless numbers are found in pieces too."""
    with pytest.raises(NotJsonError):
        _look_over(data, size)


@given(_JSON, st.booleans(), st.integers(1, 40))
def test_a_good_text_is_good_wherever_it_is_cut(value: Any, ascii_only: bool, size: int) -> None:  # noqa: ANN401, FBT001 - JSON
    """Cuts within strings, escapes and characters change nothing."""
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    _look_over(data, size)


def _look_over(data: bytes, size: int) -> None:
    lexis = Lexis(string_limit=10**6)
    for start in range(0, len(data), size):
        lexis.feed(data[start : start + size])
    lexis.end()


def test_a_string_is_not_longer_than_allowed() -> None:
    """A string that goes on over many pieces is refused when it has become too long."""
    lexis = Lexis(string_limit=1000)
    lexis.feed(b'{"a": "' + b"x" * 900)
    with pytest.raises(NotJsonError, match="longer than 1000 bytes"):
        lexis.feed(b"x" * 200)
