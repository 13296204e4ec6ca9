"""Lines that are too long."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sender.intake.content import LINE_LIMIT, Folding

_lines = st.lists(st.sampled_from([0, 1, 10, 995, 996, 997, 998, 999, 1000, 1996, 1997, 3000]), max_size=8)
_cuts = st.lists(st.integers(1, 1500), max_size=12)


def _folded(content: bytes, cuts: list[int]) -> bytes:
    folding, pieces = Folding(), []
    for length in cuts:
        piece, content = content[:length], content[length:]
        if piece.endswith(b"\r") or not piece:  # canonical content is not cut within a line end
            content = piece + content
            continue
        pieces.append(folding.feed(piece))
    return b"".join([*pieces, folding.feed(content)])


@given(lengths=_lines, cuts=_cuts, end=st.booleans())
@example(lengths=[998, 999], cuts=[998], end=False)
@example(lengths=[1000], cuts=[998, 1], end=True)
def test_x4_no_line_is_too_long_and_nothing_is_lost(lengths: list[int], cuts: list[int], *, end: bool) -> None:
    """Wherever content is cut, every line has at most 998 bytes, and without the breaks it is what came in."""
    content = b"\r\n".join(b"x" * length for length in lengths) + (b"\r\n" if end else b"")
    folded = _folded(content, cuts)
    assert all(len(line) <= LINE_LIMIT for line in folded.split(b"\r\n"))
    assert folded.replace(b"\r\n ", b"") == content
    assert (folded == content) is all(length <= LINE_LIMIT for length in lengths)


@pytest.mark.parametrize("before", range(990, 1000))
def test_a_character_of_utf_8_is_not_broken(before: int) -> None:
    """A line is broken before or behind a character."""
    folded = _folded(b"x" * before + "ü€𝄞".encode() * 4, [])
    assert folded.replace(b"\r\n ", b"").decode() == "x" * before + "ü€𝄞" * 4
    for line in folded.split(b"\r\n "):
        line.decode()


def test_lines_that_are_short_enough_are_not_copied() -> None:
    """The usual content is given back as it is."""
    content = b"Subject: x\r\n" + (b"x" * 998 + b"\r\n") * 3
    assert Folding().feed(content) is content
