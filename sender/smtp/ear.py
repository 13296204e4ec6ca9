"""Who listens to a session. It is asked first whether anybody does: what nobody hears is not put into words."""

from __future__ import annotations

import re
from typing import Protocol

from sender.core.reply import escaped

# Whatever else is sent, such as what answers a challenge of AUTH, is nobody's business.
_COMMAND = re.compile(rb"(?i:EHLO|HELO|STARTTLS|MAIL|RCPT|DATA|BDAT|RSET|QUIT|NOOP)(?: |$)|\.$")
_AUTH = re.compile(rb"(?i:AUTH) [A-Za-z0-9_-]+")
_RAW_MAX = 500  # bytes that are shown of what is no reply


class Ear(Protocol):
    """Listens to the sessions of one lane."""

    followed: bool

    def session(self) -> int:
        """Give a session a number."""

    def hear(self, session: int, host: str, address: str, direction: str, text: str) -> None:
        """Hear one line: `sent`, `received`, or a `note` of ours."""


class Nobody:
    """Nobody listens."""

    followed = False

    def session(self) -> int:
        """Give no number."""
        return 0

    def hear(self, session: int, host: str, address: str, direction: str, text: str) -> None:
        """Hear nothing."""


NOBODY = Nobody()


def shown(command: bytes) -> str:
    """Show a command that was sent, without secrets."""
    if _COMMAND.match(command):
        return escaped(command.decode("utf-8", "replace"))
    auth = _AUTH.match(command)
    return f"{auth[0].decode()} [hidden]" if auth is not None else f"[{len(command):,} bytes, hidden]"


def raw(data: bytes) -> str:
    """Show what was received and is no reply."""
    text = escaped(data[:_RAW_MAX].decode("utf-8", "backslashreplace"))
    return text if len(data) <= _RAW_MAX else f"{text} [{len(data) - _RAW_MAX:,} bytes more]"
