"""The parser of replies."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.reply import Reply
from sender.smtp.replies import LINE_LIMIT, REPLY_LIMIT, MalformedReplyError, ReplyParser

_texts = st.text(max_size=40).map(lambda text: text.replace("\n", " ").rstrip("\r"))
_replies = st.builds(
    lambda code, lines: Reply(code, "\n".join(lines)), st.integers(200, 599), st.lists(_texts, min_size=1, max_size=4)
)
_cuts = st.lists(st.integers(1, 30), max_size=80)


def _written(reply: Reply, end: bytes = b"\r\n") -> bytes:
    lines = reply.text.split("\n")
    return b"".join(
        f"{reply.code}{'-' if number < len(lines) else ' '}{line}".encode() + end
        for number, line in enumerate(lines, start=1)
    )


def _fed(data: bytes, cuts: list[int]) -> list[Reply]:
    """Feed data in pieces of these lengths, the rest in one."""
    parser, replies = ReplyParser(), []
    for length in cuts:
        replies += parser.feed(data[:length])
        data = data[length:]
    replies += parser.feed(data)
    assert not parser.pending
    return replies


@given(st.lists(_replies, max_size=5), _cuts, st.sampled_from([b"\r\n", b"\n"]))
def test_replies_come_out_as_they_were_written_whatever_the_segments_are(
    replies: list[Reply], cuts: list[int], end: bytes
) -> None:
    """Any segmentation of a stream of replies gives the same replies; lines may end in CRLF or LF."""
    assert _fed(b"".join(_written(reply, end) for reply in replies), cuts) == replies


@given(st.binary(max_size=60), _cuts)
def test_no_bytes_make_the_parser_fail_in_another_way(data: bytes, cuts: list[int]) -> None:
    """Arbitrary bytes give replies with codes from 200 to 599, or a MalformedReplyError."""
    parser, codes = ReplyParser(), []
    with contextlib.suppress(MalformedReplyError):
        for length in [*cuts, len(data)]:
            codes += [reply.code for reply in parser.feed(data[:length])]
            data = data[length:]
    assert all(200 <= code < 600 for code in codes)


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"250\r\n", Reply(250, "")),
        (b"250 \r\n", Reply(250, "")),
        (b"250-\r\n250\r\n", Reply(250, "\n")),
        (b"250-ok\r\n250 \r\n", Reply(250, "ok\n")),
        (b"599 last\r\n", Reply(599, "last")),
        (b"550 caf\xe9\r\n", Reply(550, "caf\ufffd")),
        (b"550 a\0b\x1b[2Jc\r\n", Reply(550, "a\0b\x1b[2Jc")),
        (b"550 a\rb\r\n", Reply(550, "a\rb")),
        (b"250 " + 600 * b"x" + b"\r\n", Reply(250, 600 * "x")),
    ],
)
def test_what_is_unusual_but_a_reply_is_taken(data: bytes, reply: Reply) -> None:
    """A missing text, invalid UTF-8, control characters and long lines are the peer's business."""
    assert _fed(data, []) == [reply]
    assert _fed(data, [1] * len(data)) == [reply]


@pytest.mark.parametrize(
    "data",
    [
        b"550-no\r\n250 ok\r\n",
        b"250-ok\r\n550 no\r\n",
        b"250-ok\r\n251 ok\r\n",
        b"250X ok\r\n",
        b"250_ok\r\n",
        b"250\tok\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"2_5 ok\r\n",
        b"+25 ok\r\n",
        b" 25 ok\r\n",
        b" 250 ok\r\n",
        "٢٥٠ ok\r\n".encode(),
        b"150 go\r\n",
        b"600 no\r\n",
        b"000 no\r\n",
        b"\r\n",
        b"250-ok\r\n\r\n",
        b"250-ok\r\nok\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"-ERR\r\n",
        b"\0\0\0\r\n",
        b"\x16\x03\x01\x02\n",
    ],
)
def test_what_is_no_reply_is_refused(data: bytes) -> None:
    """Lines with other codes, other separators or no code are no reply, in one segment or in many."""
    for step in (1, len(data)):
        with pytest.raises(MalformedReplyError):
            _fed(data, [step] * len(data))


@pytest.mark.parametrize("step", [1, 1000, LINE_LIMIT - 1, LINE_LIMIT, LINE_LIMIT + 1, 10 * LINE_LIMIT])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_line_has_at_most_8_kib_whatever_the_segments_are(step: int, end: bytes) -> None:
    """A line of 8 KiB without its end is taken, one byte more is refused."""
    longest = b"250 " + b"x" * (LINE_LIMIT - 4)
    assert len(_fed(longest + end, [step] * (LINE_LIMIT // step + 1))) == 1
    with pytest.raises(MalformedReplyError):
        _fed(longest + b"x" + end, [step] * (LINE_LIMIT // step + 1))


def test_an_endless_line_is_refused_before_it_ends() -> None:
    """A peer that never ends its line fills no memory: it is refused beyond 8 KiB."""
    parser = ReplyParser()
    assert parser.feed(b"x" * LINE_LIMIT) == []
    with pytest.raises(MalformedReplyError, match=f"more than {LINE_LIMIT} bytes"):
        parser.feed(b"x")


def test_endless_continuation_lines_are_refused() -> None:
    """A reply has at most 64 KiB over all its lines."""
    parser, line = ReplyParser(), b"250-" + b"x" * 1020
    assert parser.feed((line + b"\r\n") * (REPLY_LIMIT // len(line))) == []
    with pytest.raises(MalformedReplyError, match=f"more than {REPLY_LIMIT} bytes"):
        parser.feed(line + b"\r\n")


def test_many_replies_in_one_session_never_reach_the_limit_of_one() -> None:
    """The limit of a reply counts for each reply anew."""
    parser = ReplyParser()
    data = b"250-" + b"x" * 1000 + b"\r\n250 ok\r\n"
    assert sum(len(parser.feed(data)) for _ in range(200)) == 200


@pytest.mark.parametrize(
    ("data", "pending"),
    [(b"", False), (b"250 ok\r\n", False), (b"2", True), (b"250 ok\r", True), (b"250-ok\r\n", True)],
)
def test_a_part_of_a_reply_is_pending(data: bytes, *, pending: bool) -> None:
    """The parser says when it holds more than whole replies: then the peer has said more than it was asked for."""
    parser = ReplyParser()
    parser.feed(data)
    assert parser.pending is pending
