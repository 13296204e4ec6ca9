"""Content as it comes in."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sender.intake.content import HEADERS_LIMIT, Canonical, Reader, RefusedContentError
from sender.intake.dots import Unstuffer
from sender.spool.contract import BLOCK

_TRACE = b"Received: from a\r\n\tby b; today\r\n"
_ROOM = BLOCK - len(_TRACE + b"S: x\r\n\r\n" + b"\r\n")  # for a body that fills the first block
_contents = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b"\r\r", b"\r\r\n", b"\n\r", b"a", b".", b"received:", b" ", b"\xff"]),
    max_size=25,
).map(b"".join)
_cuts = st.lists(st.integers(1, 9), max_size=40)


def _pieces(content: bytes, cuts: list[int]) -> list[bytes]:
    pieces = []
    for length in cuts:
        pieces.append(content[:length])
        content = content[length:]
    return [*pieces, content]


def _reader(*, max_size: int = 10**7, on_headers: Callable[[bytes], bytes] = bytes, **options: bool) -> Reader:
    return Reader(trace=_TRACE, max_size=max_size, on_headers=on_headers, **options)


def _body(length: int) -> bytes:
    """Give so many bytes in lines that are short enough."""
    lines = (b"y" * 98 + b"\r\n") * (length // 100 + 1)
    return lines[: length - 1] + b"z"


def _read(reader: Reader, pieces: list[bytes]) -> list[bytes]:
    """Give the blocks of a message."""
    blocks = []
    for piece in pieces:
        reader.feed(piece)
        blocks += reader.blocks()
    return [*blocks, reader.finish()]


def _by_the_rules(content: bytes) -> bytes:
    """Do the same as `Canonical`, in two obvious steps."""
    return b"\r\n".join(line.replace(b"\r", b" ") for line in re.split(rb"\r*\n", content))


@given(_contents, _cuts)
@example(b"a\r\r\nb", [2, 1])
@example(b"a\r", [])
def test_line_ends_become_crlf_whatever_the_cuts_are(content: bytes, cuts: list[int]) -> None:
    """LF and CRs before an LF are one line end, a lone CR is a space, wherever content is cut."""
    canonical = Canonical()
    done = b"".join(canonical.feed(piece) for piece in _pieces(content, cuts)) + canonical.end()
    assert done == _by_the_rules(content)


@given(_contents, _cuts)
def test_what_is_stored_has_no_bare_cr_or_lf(content: bytes, cuts: list[int]) -> None:
    """Whatever a client sends, the spool's content has CRLF line ends and no other CR or LF, and ends in one."""
    stored = b"".join(_read(_reader(), _pieces(content, cuts)))
    assert stored.startswith(_TRACE)
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", stored)
    assert stored.endswith(b"\r\n")


@given(_contents, _cuts)
@example(b"a\r\n.b", [3])
@example(b"a\n.b", [2])
def test_a_dot_at_the_beginning_of_a_line_is_noticed(content: bytes, cuts: list[int]) -> None:
    """What is not said to have one needs no other look before it is sent."""
    reader = _reader()
    stored = b"".join(_read(reader, _pieces(content, cuts)))
    assert reader.dotted or b"\r\n." not in stored


def test_content_without_such_dots_is_said_to_have_none() -> None:
    """Other dots do not count."""
    reader = _reader()
    _read(reader, [b"A: b.c\r\n\r\nd.\r\n"])
    assert not reader.dotted


@given(_contents, _cuts)
def test_canonical_content_is_stored_as_it_is(content: bytes, cuts: list[int]) -> None:
    """Content with CRLF line ends is not changed, so that signatures hold."""
    content = _by_the_rules(content) + b"\r\n"
    reader = _reader()
    assert b"".join(_read(reader, _pieces(content, cuts))) == _TRACE + content
    assert reader.size == len(content)


def test_content_without_a_final_line_end_gets_one() -> None:
    """The last line ends in CRLF too."""
    assert _read(_reader(), [b"Subject: x\r\n\r\nhello"])[-1].endswith(b"hello\r\n")


@pytest.mark.parametrize("length", [_ROOM, _ROOM - 1, _ROOM + 1, _ROOM + BLOCK, _ROOM + 2 * BLOCK + 1])
@pytest.mark.parametrize("step", [4096, BLOCK, 10 * BLOCK])
def test_content_is_cut_into_blocks(length: int, step: int) -> None:
    """All blocks but the last have exactly the block size, the last has at least one byte, and nothing is lost."""
    content = b"S: x\r\n\r\n" + _body(length) + b"\r\n"
    blocks = _read(_reader(), [content[start : start + step] for start in range(0, len(content), step)])
    assert b"".join(blocks) == _TRACE + content
    assert all(len(block) == BLOCK for block in blocks[:-1])
    assert 0 < len(blocks[-1]) <= BLOCK


@given(at=st.integers(0, 60), lone=st.booleans())
def test_x1_nul_is_refused(at: int, *, lone: bool) -> None:
    """Content with NUL is refused for good, wherever the NUL stands."""
    content = b"Subject: x\r\n\r\nsome text of a message, and some more of it.\r\n"
    pieces = [content[:at], b"\0", content[at:]] if lone else [content[:at] + b"\0" + content[at:]]
    with pytest.raises(RefusedContentError, match=r"^554 5\.6\.0 ") as refusal:
        _read(_reader(), pieces)
    assert refusal.value.reason == "malformed"


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_the_size_limit_is_exact(step: int) -> None:
    """A message of the greatest size is taken; one byte more is refused, our own trace not counted."""
    content = b"S: x\r\n\r\n" + b"y" * 90 + b"\r\n"
    pieces = [content[start : start + step] for start in range(0, len(content), step)]
    assert b"".join(_read(_reader(max_size=100), pieces)) == _TRACE + content
    with pytest.raises(RefusedContentError, match=r"^552 5\.3\.4 Message is larger than 99 bytes$") as refusal:
        _read(_reader(max_size=99), pieces)
    assert refusal.value.reason == "too_large"


def test_a_flood_of_carriage_returns_is_refused() -> None:
    """Carriage returns that wait for what follows them fill no memory without end."""
    reader = _reader()
    for _ in range(HEADERS_LIMIT // 65536):
        reader.feed(b"\r" * 65536)
    with pytest.raises(RefusedContentError, match=r"^554 5\.6\.0 "):
        reader.feed(b"\r" * 65536)


@given(_contents, _cuts)
@example(b"a: b\r\n\r\nc", [6])
@example(b"\r\nbody", [1])
def test_the_header_section_is_shown_once_and_whole_whatever_the_cuts_are(content: bytes, cuts: list[int]) -> None:
    """What stands before the first empty line is given to be looked at, and what is given back stands in its place."""
    seen: list[bytes] = []

    def replaced(section: bytes) -> bytes:
        seen.append(section)
        return b"X: y\r\n"

    stored = b"".join(_read(_reader(on_headers=replaced), _pieces(content, cuts)))
    canonical = _by_the_rules(content)
    canonical += b"" if canonical.endswith(b"\r\n") or not canonical else b"\r\n"
    head, empty, body = (b"\r\n" + canonical).partition(b"\r\n\r\n")
    section = (head + b"\r\n" if empty else head)[2:]
    assert seen == [section]
    assert stored == _TRACE + b"X: y\r\n" + empty[2:] + body


@pytest.mark.parametrize("step", [1000, 4096, 65536, HEADERS_LIMIT, 4 * HEADERS_LIMIT])
def test_headers_fit_into_the_first_block(step: int) -> None:
    """Headers larger than the first block has room for are refused, however much comes at once."""
    for length, fits in ((HEADERS_LIMIT - 1000, True), (HEADERS_LIMIT + 1000, False)):
        content = b"X: " + _body(length) + b"\r\n\r\nbody\r\n"
        pieces = [content[start : start + step] for start in range(0, len(content), step)]
        if fits:
            assert b"".join(_read(_reader(), pieces)) == _TRACE + content
        else:
            with pytest.raises(RefusedContentError, match=r"^552 5\.3\.4 Headers are larger") as refusal:
                _read(_reader(), pieces)
            assert refusal.value.reason == "too_large"


@pytest.mark.parametrize(("text", "eight_bit"), [("plain", False), ("grüße", True)])
def test_eight_bit_content_is_noticed(text: str, *, eight_bit: bool) -> None:
    """A message knows whether it has octets above 127."""
    reader = _reader()
    _read(reader, [b"Subject: x\r\n\r\n", text.encode(), b"\r\n"])
    assert reader.eight_bit is eight_bit


def test_x6_fifty_megabytes_of_dots_fill_no_memory() -> None:
    """Blocks are given on while content comes in, however it is made up, and it comes out as it went in."""
    unstuffer, reader = Unstuffer(), _reader(max_size=2**30)
    piece = b"..\r\n" * 16_384
    reader.feed(unstuffer.feed(b"A: b\r\n\r\n"))
    reader.blocks()
    tracemalloc.start()
    blocks = size = 0
    for _ in range(50 * 2**20 // len(piece)):
        reader.feed(unstuffer.feed(piece), dotted=unstuffer.dotted)
        for block in reader.blocks():
            blocks += 1
            size += len(block)
            assert block.count(b".") >= (len(block) - len(_TRACE) - 8) // 3
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert blocks > 100
    assert size + len(reader.finish()) == 50 * 2**20 // len(piece) * len(piece) * 3 // 4 + len(_TRACE) + 8
    assert peak < 8 * BLOCK


def test_x10_the_largest_headers_are_taken_and_larger_ones_are_not() -> None:
    """Ten thousand Received fields are a loop; a header section that is too large is refused; bodies are not parsed."""
    for content, reply in ((b"X: y\r\n" * 50_000, "552 5.3.4"), (b"S: " + _body(8 * 2**20), "552 5.3.4")):
        with pytest.raises(RefusedContentError, match=rf"^{reply} Headers are larger"):
            _read(_reader(), [content, b"\r\n\r\n"])
    nested = b"".join(
        b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(9_000)
    )
    assert _read(_reader(), [b"A: b\r\n\r\n", nested])[-1].endswith(b"\r\n\r\n")
