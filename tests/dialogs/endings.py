"""What only looks like the end of a message, or is one to receivers that are wrong about it."""

from __future__ import annotations

LINE_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r.\n",
    b"\n.\r",
    b"\r\n.\r",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\t\r\n",
    b"\r\n. \r\n",
]
# Characters of the content as any other: whoever takes these for an end cannot be sent every message.
OTHERS = [
    b"\r\n..\r\n",
    b"\v.\v",
    b"\f.\f",
    b"\x85.\x85",
    b"\xe2\x80\xa8.\xe2\x80\xa8",
]
WITH_NUL = [b"\r\n\0.\r\n", b"\r\n.\0\r\n"]
