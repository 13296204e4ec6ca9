"""The content of a message as it streams in: counted always, kept only as far as there is room for it.

Nothing here looks at a single line: blocks are searched for the terminator, and dots are unstuffed by replacement.
"""

from __future__ import annotations

import re

TERMINATOR = b"\r\n.\r\n"
_LINE_END = b"\r\n"
_STUFFED = b"\r\n."
_DOT = re.compile(re.escape(_STUFFED))
_NOT_ENDED = -1


class Content:
    """What has arrived of one message; `size` is in octets without dot-stuffing."""

    __slots__ = ("_pieces", "_room", "size")

    def __init__(self, room: int) -> None:
        """Keep the first `room` octets (of a block that crosses it, all)."""
        self.size = 0
        self._room = room
        self._pieces: list[bytes] = []

    def add(self, block: bytes, start: int, stop: int) -> None:
        """Take `block[start:stop]` as it is (RFC 3030)."""
        if self.size < self._room:
            self._pieces.append(block[start:stop])
        self.size += stop - start

    def add_stuffed(self, block: bytes, start: int, stop: int) -> None:
        """Take `block[start:stop]` with its dots unstuffed; every dot in it that follows a line end is one."""
        if self.size < self._room:
            self._pieces.append(block[start:stop].replace(_STUFFED, _LINE_END))
        self.size += stop - start - block.count(_STUFFED, start, stop)

    def kept(self) -> bytes:
        """Join what was kept."""
        return b"".join(self._pieces)


class DotReader:
    """Finds the end of the content after DATA (RFC 5321 4.5.2), in whatever pieces it comes.

    The line end before the first line is imagined, so that a dot is special there too; it does not count.
    """

    __slots__ = ("_content", "_held", "_imagined")

    def __init__(self, content: Content) -> None:
        """Begin before the first line."""
        self._content = content
        self._held = _LINE_END
        self._imagined = True

    def feed(self, data: bytes, at: int) -> int:
        """Take content from `data[at:]`; return where the commands go on, or -1 when the end has not come."""
        block = self._held + (data[at:] if at else data)
        found = _DOT.search(block)  # an ordinary message has no dot but the last, and needs no other scan
        dot = found.start() if found else len(block)
        end = block.find(TERMINATOR, dot)
        if end >= 0:
            self._take(block, end + len(_LINE_END), stuffed=dot < end)
            return len(data) - len(block) + end + len(TERMINATOR)
        stop = len(block) - _unclear(block)
        self._held = block[stop:]
        if stop:
            self._take(block, stop, stuffed=dot < stop)
        return _NOT_ENDED

    def _take(self, block: bytes, stop: int, *, stuffed: bool) -> None:
        start = 0
        if self._imagined:
            self._imagined = False
            start = len(_LINE_END)
            if block.startswith(_STUFFED) and stop > start:
                start = len(_STUFFED)
        if stuffed:
            self._content.add_stuffed(block, start, stop)
        else:
            self._content.add(block, start, stop)


def _unclear(block: bytes) -> int:
    """Count the last octets that may be the beginning of the terminator or of a stuffed dot."""
    for length in range(len(TERMINATOR) - 1, 0, -1):
        if block.endswith(TERMINATOR[:length]):
            return length
    return 0
