"""The file of a batch."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.writing.batch import (
    METADATA_LIMIT,
    RECIPIENT_LIMIT,
    Survey,
    checked_metadata,
    read_recipient,
    recipients,
    survey,
)
from sender.writing.fields import Mailbox, RefusedFieldError
from sender.writing.json_text import NotJsonError
from sender.writing.mailing import Recipient

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")


def _ended(steps: Generator[None, None, T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found


def _surveyed(data: bytes) -> Survey:
    return _ended(survey(io.BytesIO(data), head_limit=100_000))


_ITEMS = st.lists(
    st.text(max_size=10).filter(str.isascii)
    | st.fixed_dictionaries(
        {"rcpt_to": st.just("a@b.example"), "substitutions": st.just({"recipients": [1, {"x": []}]})}
    ),
    max_size=5,
)


@given(st.permutations(["template", "recipients", "metadata", "mail_from"]), _ITEMS)
def test_head_and_recipients_are_found_in_any_order(keys: list[str], items: list[Any]) -> None:
    """Keys may stand in any order; recipients are counted, kept out of the head, and given one by one."""
    values = {"template": {"recipients": [1, 2]}, "recipients": items, "metadata": {"x": 1.5}, "mail_from": None}
    file = io.BytesIO(json.dumps({key: values[key] for key in keys}).encode())
    found = _ended(survey(file, head_limit=1000))
    assert found.head == {key: value for key, value in values.items() if key != "recipients"}
    assert (found.recipients, found.has_list) == (len(items), True)
    assert list(recipients(file)) == items


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "EOF"),
        (b"[]", "must be an object"),
        (b'{"recipients": [}', "parse error|lexical error"),
        (b'{"recipients": []} {}', "trailing garbage"),
        (b'{"recipients": [], "recipients": []}', 'the key "recipients" stands twice'),
        (b'{"a": 1, "recipients": [], "a": 2}', 'the key "a" stands twice'),
        (b'{"recipients": [{"a": 1, "a": 2}]}', 'the key "a" stands twice'),
        (b'{"recipients": [{"a": NaN}]}', "lexical error"),
        (b'{"recipients": [{"a": 1e999}]}', "too large"),
        (b'{"recipients": [{"a": 9223372036854775808}]}', r"not below 2\*\*63"),
        (b'{"recipients": [{"a": ' + b"9" * 10_000 + b"}]}", "more than 40 digits"),
        (b'{"recipients": ["\\ud800@example.net"]}', "half a character"),
        (b'{"recipients": ["\\udc00@example.net"]}', "half a character"),
        (b'{"a": "\xff"}', "UTF8"),
        (b'{"recipients": [' + b"[" * 40 + b"]" * 40 + b"]}", "nested deeper"),
        (b'{"recipients": ["' + b"x" * (RECIPIENT_LIMIT + 1) + b'"]}', "one of the recipients is longer"),
        (b'{"recipients": [[' + b"1," * 5000 + b"1]]}", "more than 5000 values"),
        (b'{"a": "' + b"x" * 100_001 + b'"}', "longer than 100000"),
        (b'{"a": [' + b'"' + b"x" * 60_000 + b'",' + b'"' + b"x" * 60_000 + b'"]}', "all outside of recipients"),
    ],
    ids=range(19),
)
def test_i12_a_batch_is_refused_for_what_a_message_is_and_for_its_size(data: bytes, rule: str) -> None:
    """The first pass finds what is no JSON, and what would take more memory than it may."""
    with pytest.raises(NotJsonError, match=rule):
        _surveyed(data)


def test_recipients_that_are_no_array_are_left_for_the_model() -> None:
    """What stands there instead is a part of the head."""
    found = _surveyed(b'{"recipients": {"a": 1}}')
    assert (found.head, found.has_list) == ({"recipients": {"a": 1}}, False)


def test_a_recipient_is_an_address_or_an_object() -> None:
    """Both forms are read."""
    assert read_recipient("Ann@EXAMPLE.net", "r") == Recipient(rcpt_to="Ann@EXAMPLE.net")
    item = {
        "rcpt_to": "ann@example.net",
        "to": "Ann <ann@example.net>",
        "substitutions": {"a": 1},
        "metadata": {"b": 2},
    }
    assert read_recipient(item, "r") == Recipient(
        rcpt_to="ann@example.net",
        to=Mailbox("ann@example.net", "Ann"),
        substitutions={"a": 1},
        metadata={"b": 2},
    )


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (5, "r"),
        ("nobody", "r"),
        ({}, "r.rcpt_to"),
        ({"rcpt_to": None}, "r.rcpt_to"),
        ({"rcpt_to": "a@b\r\nRCPT TO:<c@d>"}, "r.rcpt_to"),
        ({"rcpt_to": "a@b.net", "to": 5}, "r.to"),
        ({"rcpt_to": "a@b.net", "to": "A <a@b.net>\r\nX: y"}, "r.to"),
        ({"rcpt_to": "a@b.net", "substitutions": []}, "r.substitutions"),
        ({"rcpt_to": "a@b.net", "metadata": None}, "r.metadata"),
        ({"rcpt_to": "a@b.net", "name": "x"}, "r.name"),
    ],
)
def test_what_is_wrong_with_a_recipient_is_named(item: object, field: str) -> None:
    """The field at fault is told."""
    with pytest.raises(RefusedFieldError) as refusal:
        read_recipient(item, "r")
    assert refusal.value.field == field


def test_metadata_is_small() -> None:
    """What comes back in each event has at most so many bytes."""
    small = {"a": "x" * (METADATA_LIMIT - 8)}
    assert checked_metadata(small, "metadata") == small
    with pytest.raises(RefusedFieldError, match=r"^metadata: must be at most 4096 bytes"):
        checked_metadata({"a": "x" * (METADATA_LIMIT - 7)}, "metadata")
