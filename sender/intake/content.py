"""Content as it comes in: made canonical, looked over, and cut into blocks, in bounded memory.

Every line ends in CRLF: a lone LF becomes one, carriage returns before an LF are one line end, a lone CR becomes a
space.
NUL is refused (RFC 5321 section 4.1.1.4 and its heirs: such content ends in damage somewhere).
"""

from __future__ import annotations

import re

from sender.spool.contract import BLOCK

_LINE_END = re.compile(rb"\r*\n")
_HOP = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)
HEADERS_LIMIT = BLOCK - 4096  # headers are in the first block, with room for our own


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


class Reader:
    """Collects one message. `blocks` gives those that are full; `finish` the rest."""

    def __init__(self, *, trace: bytes, max_size: int, max_hops: int) -> None:
        self.size = 0
        self.eight_bit = False
        self.dotted = False  # a line begins with a dot, or a piece does
        self._canonical = Canonical()
        self._buffer = bytearray(trace)
        self._trace = len(trace)
        self._max_size = max_size
        self._max_hops = max_hops
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
        self._buffer += data
        if not self._headers_seen:
            self._look_at_headers()

    def blocks(self) -> list[bytes]:
        """Take out the full blocks, in order."""
        full = []
        while len(self._buffer) > BLOCK:
            full.append(bytes(self._buffer[:BLOCK]))
            del self._buffer[:BLOCK]
        return full

    def finish(self) -> bytes:
        """Give the last block; content always ends in a line end."""
        self._take(self._canonical.end())
        if self._line_open:
            self._take(b"\r\n")
        if not self._headers_seen:
            self._count_hops(bytes(self._buffer))
        return bytes(self._buffer)

    def _look_at_headers(self) -> None:
        end = self._buffer.find(b"\r\n\r\n", self._trace - 2)
        if (end if end >= 0 else len(self._buffer)) > HEADERS_LIMIT:
            raise RefusedContentError(f"552 5.3.4 Headers are larger than {HEADERS_LIMIT} bytes", "too_large")
        if end >= 0:
            self._headers_seen = True
            self._count_hops(bytes(self._buffer[:end]))

    def _count_hops(self, headers: bytes) -> None:
        """Stop loops (RFC 5321 section 6.3): our own line is not counted."""
        hops = len(_HOP.findall(headers, self._trace))
        if hops > self._max_hops:
            raise RefusedContentError(f"554 5.4.6 Too many hops: {hops} Received lines", "loop")
