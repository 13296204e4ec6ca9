"""Content on the wire: lines that begin with a dot get another one (RFC 5321 section 4.5.2).

What is stored has CRLF line ends and nothing else that could end a line, so this changes nothing but dots.
"""

from __future__ import annotations

END = b".\r\n"


class DotStuffer:
    """Stuffs content that comes in blocks, cut anywhere."""

    def __init__(self) -> None:
        self._before = b"\r\n"  # the last two bytes that went out

    def stuff(self, block: bytes) -> bytes:
        """Give a block as it goes onto the wire."""
        joined = self._before + block
        self._before = joined[-2:]
        return joined.replace(b"\r\n.", b"\r\n..")[2:]

    def end(self) -> bytes:
        """Give the end of the content: the dot on its own line."""
        return END if self._before == b"\r\n" else b"\r\n" + END


def stuffed(content: bytes) -> bytes:
    """Give whole content as it goes onto the wire, its end included."""
    if content.startswith(b"."):
        content = b"." + content
    content = content.replace(b"\r\n.", b"\r\n..")
    return content + END if content.endswith(b"\r\n") or not content else content + b"\r\n" + END


def chunk(content: bytes) -> bytes:
    """Give whole content as BDAT takes it (RFC 3030): as it is, with a line end where the last line has none."""
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"
