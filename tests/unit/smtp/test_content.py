"""Dots on the wire."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from sender.smtp.content import DotStuffer, stuffed

# Canonical content, as the spool keeps it: CRLF, and no other CR or LF.
_canonical = st.lists(st.sampled_from([b"\r\n", b".", b"..", b"\r\n.\r\n", b"x", b" ", b"\xff"]), max_size=30).map(
    b"".join
)
_cuts = st.lists(st.integers(0, 6), max_size=40)


def _in_pieces(content: bytes, cuts: list[int], *, dotted: bool = True) -> bytes:
    stuffer, sent, rest = DotStuffer(dotted=dotted), b"", memoryview(content)
    for length in cuts:
        sent += stuffer.stuff(rest[:length])
        rest = rest[length:]
    return sent + stuffer.stuff(rest) + stuffer.end()


def _received(sent: bytes) -> bytes:
    """Read content as RFC 5321 section 4.5.2 says; what follows the end would be somebody's commands."""
    lines = []
    rest = sent
    while True:
        line, end, rest = rest.partition(b"\r\n")
        assert end
        if line == b".":
            break
        lines.append((line[1:] if line.startswith(b".") else line) + b"\r\n")
    assert rest == b""
    return b"".join(lines)


@given(_canonical, _cuts)
@example(b".", [])
@example(b"\r\n.", [1, 1])
@example(b"x\r\n.\r\n", [2])
@example(b"", [])
def test_content_arrives_as_it_is_whatever_the_blocks_are(content: bytes, cuts: list[int]) -> None:
    """A receiver reads the content back byte for byte, with a line end where it had none; nothing ends it early."""
    whole = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert _received(_in_pieces(content, cuts)) == whole


@given(_canonical, _cuts)
@example(b"", [])
def test_whole_content_and_blocks_give_the_same_bytes(content: bytes, cuts: list[int]) -> None:
    """Content that is sent at once is the same on the wire as in blocks."""
    assert _in_pieces(content, cuts) == stuffed(content)


@given(_canonical.filter(lambda content: b"\r\n." not in b"\r\n" + content), _cuts)
def test_what_has_no_dots_to_be_doubled_goes_out_as_it_is(content: bytes, cuts: list[int]) -> None:
    """Whoever knows that no line begins with a dot need not look for one."""
    assert _in_pieces(content, cuts, dotted=False) == stuffed(content, dotted=False) == stuffed(content)


@given(_canonical)
def test_content_without_dots_at_line_starts_is_not_changed(content: bytes) -> None:
    """Only lines that begin with a dot grow."""
    without = content.replace(b".", b"x") + b"\r\n"
    assert stuffed(without) == without + b".\r\n"
