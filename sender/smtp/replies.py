"""A strict parser of replies without I/O (RFC 5321 section 4.2).

Every line begins with the same code from 200 to 599, then a space, a hyphen or its end. Lines may end in a bare LF, for
some servers do. What is anything else is no reply, and the session with it is over.
"""

from __future__ import annotations

import re

from sender.core.reply import Reply

LINE_LIMIT, REPLY_LIMIT = 8 * 1024, 64 * 1024
_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)


class MalformedReplyError(ValueError):
    """What was received is no SMTP reply."""


class ReplyParser:
    """Takes bytes as they come, gives whole replies."""

    def __init__(self) -> None:
        self._rest = b""
        self._code = 0
        self._lines: list[str] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        """Tell whether a part of a reply is held: the peer has said more than its last whole reply."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> list[Reply]:
        """Take what was received. Raises MalformedReplyError; nothing can be fed after that."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        replies = []
        for line in lines:
            reply = self._line(line.removesuffix(b"\r"))
            if reply is not None:
                replies.append(reply)
        if len(self._rest.removesuffix(b"\r")) > LINE_LIMIT:
            raise MalformedReplyError(f"a line of more than {LINE_LIMIT} bytes")
        return replies

    def _line(self, line: bytes) -> Reply | None:
        match = _LINE.fullmatch(line)
        if match is None or len(line) > LINE_LIMIT:
            raise MalformedReplyError(f"no reply: {line[:200]!r}")
        code = int(match[1])
        text = (match[3] or b"").decode("utf-8", "replace")
        if not self._lines and match[2] != b"-":
            return Reply(code, text)
        if self._lines and code != self._code:
            raise MalformedReplyError(f"a line of code {code} in a reply of code {self._code}")
        self._code = code
        self._lines.append(text)
        self._size += len(line)
        if self._size > REPLY_LIMIT:
            raise MalformedReplyError(f"a reply of more than {REPLY_LIMIT} bytes")
        if match[2] == b"-":
            return None
        reply = Reply(code, "\n".join(self._lines))
        self._lines, self._size = [], 0
        return reply
