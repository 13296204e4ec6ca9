"""Content on the wire: lines that begin with a dot get another one (RFC 5321 section 4.5.2).

What is stored has CRLF line ends and nothing else that could end a line, so this changes nothing but dots.
"""

from __future__ import annotations

END = b".\r\n"


class DotStuffer:
    """Stuffs content that comes in blocks, cut anywhere; where it is not `dotted`, no line of it begins with a dot."""

    def __init__(self, *, dotted: bool = True) -> None:
        self._dotted = dotted
        self._before = b"\r\n"  # the last two bytes that went out

    def stuff(self, block: memoryview) -> bytes | memoryview:
        """Give a block, which is not empty, as it goes onto the wire."""
        if not self._dotted:
            self._before = (self._before + block[-2:])[-2:]
            return block
        joined = self._before + block
        self._before = joined[-2:]
        return joined.replace(b"\r\n.", b"\r\n..")[2:]

    def end(self) -> bytes:
        """Give the end of the content: the dot on its own line."""
        return END if self._before == b"\r\n" else b"\r\n" + END


def stuffed(content: bytes, *, dotted: bool = True) -> bytes:
    """Give whole content as it goes onto the wire, its end included."""
    if dotted:
        if content.startswith(b"."):
            content = b"." + content
        content = content.replace(b"\r\n.", b"\r\n..")
    return content + END if content.endswith(b"\r\n") or not content else content + b"\r\n" + END


def chunk(content: bytes) -> bytes:
    """Give whole content as BDAT takes it (RFC 3030): as it is, with a line end where the last line has none."""
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"
