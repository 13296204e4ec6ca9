"""A strict parser of replies without I/O (RFC 5321 section 4.2).

Every line begins with the same code from 200 to 599, then a space, a hyphen or its end. Lines may end in a bare LF, for
some servers do. What is anything else is no reply, and the session with it is over.
"""

from __future__ import annotations

from functools import lru_cache

from sender.core.reply import Reply

LINE_LIMIT, REPLY_LIMIT = 8 * 1024, 64 * 1024
_CODES = {str(code).encode(): code for code in range(200, 600)}
_LAST, _MORE, _BARE = b" ", b"-", b""
_COMMON = 512  # bytes (RFC 5321 section 4.5.3.1.5); longer ones are not worth to be kept


class MalformedReplyError(ValueError):
    """What was received is no SMTP reply. `before` are the replies that had come with it, and are valid."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.before: list[Reply] = []


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
        replies: list[Reply] = []
        try:
            for line in lines:
                reply = self._line(line.removesuffix(b"\r"))
                if reply is not None:
                    replies.append(reply)
            self._check_rest()
        except MalformedReplyError as error:
            error.before = replies
            raise
        return replies

    def _check_rest(self) -> None:
        if len(self._rest) > LINE_LIMIT and len(self._rest.removesuffix(b"\r")) > LINE_LIMIT:
            raise MalformedReplyError(f"a line of more than {LINE_LIMIT} bytes")

    def _line(self, line: bytes) -> Reply | None:
        if not self._lines and len(line) <= _COMMON and (known := _known(line)) is not None:
            return known
        code, separator = _CODES.get(line[:3], 0), line[3:4]
        if not code or separator not in (_LAST, _MORE, _BARE) or len(line) > LINE_LIMIT:
            raise MalformedReplyError(f"no reply: {line[:200]!r}")
        text = line[4:].decode("utf-8", "replace")
        if not self._lines and separator != _MORE:
            return Reply(code, text)
        if self._lines and code != self._code:
            raise MalformedReplyError(f"a line of code {code} in a reply of code {self._code}")
        self._code = code
        self._lines.append(text)
        self._size += len(line)
        if self._size > REPLY_LIMIT:
            raise MalformedReplyError(f"a reply of more than {REPLY_LIMIT} bytes")
        if separator == _MORE:
            return None
        reply = Reply(code, "\n".join(self._lines))
        self._lines, self._size = [], 0
        return reply


@lru_cache(maxsize=1024)
def _known(line: bytes) -> Reply | None:
    """Give a reply of one line, of which most say the same; None for what is more, or none."""
    code = _CODES.get(line[:3], 0)
    if not code or line[3:4] not in (_LAST, _BARE):
        return None
    return Reply(code, line[4:].decode("utf-8", "replace"))
