"""Content as it comes after DATA."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from sender.intake.content import Reader
from sender.intake.dots import Unstuffer

_wires = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"..", b"a", b"\r\n.", b"\r\n.\r\n", b"\r\n..", b"\n.", b"\r."]),
    max_size=15,
).map(b"".join)
_cuts = st.lists(st.integers(1, 6), max_size=40)


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    pieces = []
    for length in cuts:
        pieces.append(data[:length])
        data = data[length:]
    return [piece for piece in (*pieces, data) if piece]


@given(_wires, _cuts)
@example(b"a\r\n.\r\nQUIT\r\n", [2, 1, 1, 1, 1])
@example(b".\r\nQUIT\r\n", [1])
def test_content_ends_with_its_first_dot_alone_wherever_it_is_cut(wire: bytes, cuts: list[int]) -> None:
    """What is given, and what is left for commands, is the same as if all had come at once."""
    whole, found, rest = (b"\r\n" + wire).partition(b"\r\n.\r\n")
    unstuffer, given_out, late = Unstuffer(), b"", b""
    for piece in _pieces(wire, cuts):
        if unstuffer.ended:
            late += piece
        else:
            given_out += unstuffer.feed(piece)
    assert unstuffer.ended is bool(found)
    if found:
        assert given_out == (whole + b"\r\n").replace(b"\r\n.", b"\r\n")[2:]
        assert unstuffer.rest + late == rest


@given(_wires, _cuts)
@example(b"a\n.b\r\n", [2])
@example(b"a\r\n.b\r\n", [1, 1, 1])
@example(b"a\r\r\n.b\r\n", [2, 1])
def test_what_is_said_to_have_no_dots_has_none(wire: bytes, cuts: list[int]) -> None:
    """A line that begins with a dot and is not known to would end the content where it is delivered."""
    unstuffer = Unstuffer()
    reader = Reader(trace=b"Received: x\r\n", max_size=10**6, on_headers=bytes)
    for piece in _pieces(wire + b"\r\n.\r\n", cuts):
        if not unstuffer.ended:
            reader.feed(unstuffer.feed(piece), dotted=unstuffer.dotted)
    assert reader.dotted or b"\r\n." not in reader.finish()
