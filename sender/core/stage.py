"""The stages of a session (RFC 5321 sections 3 and 4.5.3.2), with the words that belong to each."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """Where a session is: what was sent last, or what is awaited."""

    CONNECT = "connect"
    BANNER = "banner"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    END_OF_DATA = "end_of_data"
    RSET = "rset"
    QUIT = "quit"

    @property
    def doing(self) -> str:
        """Say what was going on, for a sentence that begins with the host."""
        return _DOING[self]

    @property
    def opens_session(self) -> bool:
        """Tell whether a failure here concerns the session and not a message."""
        return self in _OPENING


_DOING = {
    Stage.CONNECT: "while connecting",
    Stage.BANNER: "waiting for the banner",
    Stage.EHLO: "in reply to EHLO",
    Stage.STARTTLS: "in reply to STARTTLS",
    Stage.AUTH: "in reply to AUTH",
    Stage.MAIL: "in reply to MAIL FROM",
    Stage.RCPT: "in reply to RCPT TO",
    Stage.DATA: "in reply to DATA",
    Stage.END_OF_DATA: "in reply to the end of data",
    Stage.RSET: "in reply to RSET",
    Stage.QUIT: "in reply to QUIT",
}
_OPENING = frozenset({Stage.CONNECT, Stage.BANNER, Stage.EHLO, Stage.STARTTLS, Stage.AUTH})
