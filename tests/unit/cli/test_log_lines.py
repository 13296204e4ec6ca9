"""What the daemon writes into its log."""

from __future__ import annotations

import logging

import pytest

from sender.cli.serve import LineFormatter


def _record(text: str, *, error: BaseException | None = None) -> logging.LogRecord:
    caught = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("sender", logging.INFO, __file__, 1, "reply %s", (text,), caught)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("421 too many", "421 too many"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("one\r\n2026-01-01 ERROR two", "one\\r\\n2026-01-01 ERROR two"),
        ("\0\t\x7f\x85\x9b31m", "\\x00\\t\\x7f\\x85\\x9b31m"),
        ("a\u2028b\u2029c\u202ed", "a\\u2028b\\u2029c\\u202ed"),
        ("grüße, 你好", "grüße, 你好"),
    ],
)
def test_i15_a_message_is_one_line_without_controls(text: str, written: str) -> None:
    """What a client or a receiver has put into it cannot move a cursor or forge a line."""
    assert LineFormatter("%(levelname)s %(message)s").format(_record(text)) == f"INFO reply {written}"


def test_i15_a_traceback_keeps_its_lines() -> None:
    """It is ours; only other controls in it are escaped."""
    with pytest.raises(ValueError) as caught:
        raise ValueError("\x1b[31mred")
    record = _record("a\nb", error=caught.value)
    first, second, *_, last = LineFormatter("%(message)s").format(record).split("\n")
    assert (first, second) == ("reply a\\nb", "Traceback (most recent call last):")
    assert last == "ValueError: \\x1b[31mred"
