"""Replies as values."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.reply import TEXT_LIMIT, Reply, sanitised

_codes = st.integers(200, 599)
_lines = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).map(str.strip), min_size=1)


@given(_codes, _lines)
def test_the_text_of_a_reply_round_trips(code: int, lines: list[str]) -> None:
    """A reply that is written with its code on each line reads back as the same reply."""
    written = "\r\n".join(
        f"{code}{' ' if number == len(lines) else '-'}{line}" for number, line in enumerate(lines, start=1)
    )
    assert Reply.parse(written) == Reply(code, "\n".join(lines))


@pytest.mark.parametrize(
    ("raw", "reply"),
    [
        ("250 ok", Reply(250, "ok")),
        ("250", Reply(250, "")),
        ("550-5.1.1 no\n550 5.1.1 such user", Reply(550, "5.1.1 no\n5.1.1 such user")),
        ("550 no such user,\nsee our page", Reply(550, "no such user,\nsee our page")),
    ],
)
def test_a_reply_is_read_as_people_write_it(raw: str, reply: Reply) -> None:
    """A reply may have its code on each line or on the first one only."""
    assert Reply.parse(raw) == reply


@pytest.mark.parametrize("raw", ["", "hello", "150 go", "600 no", "25 ok", "2500 ok", "250ok", "2\u0665\u0660 ok"])
def test_a_text_without_a_code_is_no_reply(raw: str) -> None:
    """Where no line begins with a code from 200 to 599 in ASCII digits, there is no reply."""
    with pytest.raises(ValueError, match="must begin with a reply code"):
        Reply.parse(raw)


@pytest.mark.parametrize(
    ("text", "enhanced", "words"),
    [
        ("4.7.0 try again later", "4.7.0", "try again later"),
        ("no code here", None, "no code here"),
        ("first line\n5.1.1 second line", "5.1.1", "first line second line"),
        ("4.7.1: too many", "4.7.1", ": too many"),
        ("4.7.1234 no code", None, "4.7.1234 no code"),
        ("3.7.1 no code", None, "3.7.1 no code"),
        ("192.0.2.1 is listed", None, "192.0.2.1 is listed"),
        ("5.7.1", "5.7.1", ""),
    ],
)
def test_the_enhanced_code_stands_at_the_beginning_of_a_line(text: str, enhanced: str | None, words: str) -> None:
    """An enhanced code is found at the head of a line, and is not among the words."""
    reply = Reply(450, text)
    assert reply.enhanced == enhanced
    assert reply.words == words


@given(_codes)
def test_the_first_digit_decides(code: int) -> None:
    """A reply is positive, transient or permanent by its first digit; 3yz is none of these."""
    reply = Reply(code, "")
    flags = {2: reply.positive, 4: reply.transient, 5: reply.permanent}
    assert {digit for digit, holds in flags.items() if holds} == {code // 100} - {3}


@given(_codes, st.text())
def test_a_printed_reply_is_one_safe_line(code: int, text: str) -> None:
    """What `str` gives has no control character, no line separator and at most 2,048 characters."""
    printed = str(Reply(code, text))
    assert printed.startswith(str(code))
    assert len(printed) <= TEXT_LIMIT
    assert not any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in printed)


def test_a_reply_of_any_length_prints_its_beginning() -> None:
    """Of a very long reply the first 2,048 characters are printed."""
    assert str(Reply(550, "x" * 10_000)) == f"550 {'x' * (TEXT_LIMIT - 4)}"


def test_control_characters_become_question_marks() -> None:
    """Escape sequences, NUL, DEL and C1 controls are replaced one by one; tabs and line feeds stay."""
    assert sanitised("a\x1b[31mb\0c\x7fd\x9be\tf\ng\u2028h") == "a?[31mb?c?d?e\tf\ng?h"
