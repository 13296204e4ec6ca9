"""Content as it comes after DATA, without its dots (RFC 5321 section 4.5.2). No I/O is done here.

Only CRLF.CRLF ends it (section 4.1.1.4): whoever takes anything else for the end takes content for commands.
"""

from __future__ import annotations

_DOT, _END = b"\r\n.", b"\r\n.\r\n"


class Unstuffer:
    """Takes what was received, cut anywhere; gives the content that is certain."""

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""  # what came behind the end: commands
        self.dotted = False  # so far a line began with a dot
        self._held = b"\r\n"  # the end of the DATA command: a dot may be the first thing
        self._first = True

    def feed(self, data: bytes) -> bytes:
        """Take some; nothing can be fed after the end."""
        data = self._held + data
        dot = data.find(_DOT)
        end = data.find(_END, dot) if dot >= 0 else -1
        if end >= 0:
            self.ended = True
            data, self.rest = data[: end + 2], data[end + len(_END) :]
            self.dotted |= dot < end
        else:
            self.dotted |= dot >= 0
            kept = next(length for length in range(len(_END) - 1, -1, -1) if data.endswith(_END[:length]))
            data, self._held = data[: len(data) - kept], data[len(data) - kept :]
        if dot >= 0:
            data = data.replace(_DOT, b"\r\n")
        if self._first and data:
            self._first, data = False, data[2:]
        return data
