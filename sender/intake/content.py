"""Content as it comes in: made canonical, looked over, and cut into blocks, in bounded memory.

Every line ends in CRLF: a lone LF becomes one, carriage returns before an LF are one line end, a lone CR becomes a
space. A line is at most 998 bytes long (RFC 5321 section 4.5.3.1.6): a longer one is folded, or refused.
NUL is refused (RFC 5321 section 4.1.1.4 and its heirs: such content ends in damage somewhere).
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from sender.spool.contract import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE_END = re.compile(rb"\r*\n")
HEADERS_LIMIT = BLOCK - 4096  # headers are in the first block, with room for our own
LINE_LIMIT = 998  # bytes, without the line end
_LATER = range(0x80, 0xC0)  # bytes of a character of UTF-8 behind its first


class RefusedContentError(Exception):
    """Content that is not taken. `reply` is the whole SMTP reply; `reason` is for metrics."""

    def __init__(self, reply: str, reason: str) -> None:
        super().__init__(reply)
        self.reply = reply
        self.reason = reason


class Canonical:
    """Makes line ends canonical, whatever the cuts between blocks are."""

    def __init__(self) -> None:
        self._held = b""  # carriage returns whose meaning the next block tells

    def feed(self, data: bytes) -> bytes:
        """Take some content, give what is certain of it."""
        data = self._held + data
        self._held = b""
        if data.endswith(b"\r"):
            kept = data.rstrip(b"\r")
            self._held, data = data[len(kept) :], kept
        return _canonical(data)

    @property
    def held(self) -> int:
        """Bytes that are held back; whoever feeds bounds them."""
        return len(self._held)

    def end(self) -> bytes:
        """Give what was held back."""
        return b" " * len(self._held)


def _canonical(data: bytes) -> bytes:
    pairs = data.count(b"\r\n")
    if pairs == data.count(b"\n") == data.count(b"\r"):
        return data
    return _LINE_END.sub(b"\n", data).replace(b"\r", b" ").replace(b"\n", b"\r\n")


class Folding:
    """Breaks lines that are too long, as receivers would or refuse to do: a new line begins with a space."""

    def __init__(self) -> None:
        self._open = 0  # bytes of the line that has not ended yet
        self.folded = False

    def feed(self, data: bytes) -> bytes:
        """Take content with canonical line ends, cut between lines or within them; give it with lines short enough."""
        begin = -self._open  # of the line; before the data, where it began earlier
        pieces: list[bytes] = []
        done = 0
        while len(data) - begin > LINE_LIMIT:
            newline = data.rfind(b"\n", max(begin, 0), begin + LINE_LIMIT + 2)
            if newline >= 0:
                begin = newline + 1
                continue
            cut = begin + LINE_LIMIT
            while cut > max(begin + LINE_LIMIT - 4, done) and data[cut] in _LATER:
                cut -= 1
            pieces += (data[done:cut], b"\r\n ")
            done, begin, self.folded = cut, cut - 1, True
        last = data.rfind(b"\n", max(begin, 0))
        self._open = len(data) - (last + 1 if last >= 0 else begin)
        return b"".join((*pieces, data[done:])) if pieces else data


class Reader:
    """Collects one message. `blocks` gives those that are full; `finish` the rest.

    `on_headers` is given the header section once, and gives what shall stand in its place.
    """

    def __init__(
        self, *, trace: bytes, max_size: int, on_headers: Callable[[bytes], bytes], refuse_long_lines: bool = False
    ) -> None:
        self.size = 0  # of what came in, as it was made canonical
        self.stored = 0  # bytes of the blocks that were given
        self.checksum = 0  # of those blocks
        self.eight_bit = False
        self.dotted = False  # a line begins with a dot, or a piece does
        self._canonical = Canonical()
        self._folding = Folding()
        self._buffer = bytearray(trace)
        self._trace = len(trace)
        self._max_size = max_size
        self._on_headers = on_headers
        self._refuse_long_lines = refuse_long_lines
        self._headers_seen = False
        self._line_open = False

    def feed(self, data: bytes, *, dotted: bool = True) -> None:
        """Take some content. Raises RefusedContentError; what follows is then not taken either.

        Where it is not `dotted`, the caller has found no CRLF with a dot behind it: neither in it nor at its edges.
        """
        canonical = self._canonical.feed(data)
        self._take(canonical, dotted=dotted or canonical is not data)
        if self._canonical.held > HEADERS_LIMIT:
            raise RefusedContentError("554 5.6.0 Content of carriage returns is not accepted", "malformed")

    def _take(self, data: bytes, *, dotted: bool = True) -> None:
        if not data:
            return
        if b"\0" in data:
            raise RefusedContentError("554 5.6.0 Content with NUL is not accepted", "malformed")
        self.size += len(data)
        if self.size > self._max_size:
            raise RefusedContentError(f"552 5.3.4 Message is larger than {self._max_size} bytes", "too_large")
        self.eight_bit |= not data.isascii()
        self.dotted = self.dotted or data.startswith(b".") or (dotted and b"\r\n." in data)
        self._line_open = not data.endswith(b"\n")
        self._buffer += self._folding.feed(data)
        if self._folding.folded and self._refuse_long_lines:
            raise RefusedContentError(f"554 5.6.0 A line is longer than {LINE_LIMIT} bytes", "malformed")
        if not self._headers_seen:
            self._look_for_headers()

    def blocks(self) -> list[bytes]:
        """Take out the full blocks, in order."""
        full = []
        while len(self._buffer) > BLOCK:
            full.append(self._given(bytes(self._buffer[:BLOCK])))
            del self._buffer[:BLOCK]
        return full

    def finish(self) -> bytes:
        """Give the last block; content always ends in a line end."""
        self._take(self._canonical.end())
        if self._line_open:
            self._take(b"\r\n")
        if not self._headers_seen:
            self._replace_headers(len(self._buffer))
        return self._given(bytes(self._buffer))

    def _given(self, block: bytes) -> bytes:
        self.stored += len(block)
        self.checksum = zlib.crc32(block, self.checksum)
        return block

    def _look_for_headers(self) -> None:
        end = self._buffer.find(b"\r\n\r\n", self._trace - 2)
        if (end if end >= 0 else len(self._buffer)) > HEADERS_LIMIT:
            raise RefusedContentError(f"552 5.3.4 Headers are larger than {HEADERS_LIMIT} bytes", "too_large")
        if end >= 0:
            self._replace_headers(end + 2)

    def _replace_headers(self, end: int) -> None:
        self._headers_seen = True
        self._buffer[self._trace : end] = self._on_headers(bytes(self._buffer[self._trace : end]))
