"""The words of a receiver: reply texts in, the bytes of replies out.

The replies to an ordinary message are rendered once for each behaviour.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sender.sandbox.behaviour import Behaviour

_ENHANCED = re.compile(r"^([245]\d\d[ -])[245]\.\d{1,3}\.\d{1,3} ?", re.MULTILINE)


def raw(text: str) -> bytes:
    """Put a scripted text on the wire as it is, with the line end if it has none."""
    wire = text.encode("utf-8", "surrogateescape")
    return wire if not wire or wire.endswith(b"\r\n") else wire + b"\r\n"


class Voice:
    """The replies of one behaviour."""

    __slots__ = (
        "_behaviour",
        "bye",
        "data_go",
        "mail_taken",
        "message_taken",
        "ok",
        "rcpt_taken",
    )

    def __init__(self, behaviour: Behaviour) -> None:
        """Render the replies that every message needs."""
        self._behaviour = behaviour
        self.ok = self.say("250 2.0.0 Ok")
        self.mail_taken = self.say("250 2.1.0 Ok")
        self.rcpt_taken = self.say("250 2.1.5 Ok")
        self.data_go = self.say("354 End data with <CR><LF>.<CR><LF>")
        self.message_taken = self.say("250 2.0.0 Ok: taken")
        self.bye = self.say("221 2.0.0 Bye")

    def say(self, text: str, **words: object) -> bytes:
        """Render a reply text, with its words filled in."""
        if not self._behaviour.enhanced_codes:
            text = _ENHANCED.sub(r"\1", text)
        text = text.replace("{name}", self._behaviour.name)
        for word, value in words.items():
            text = text.replace(f"{{{word}}}", str(value))
        return raw(text)

    def banner(self) -> bytes:
        """Greet a new connection."""
        return self.say("220 {name} ESMTP sandbox")

    def ehlo(self, *, tls: bool) -> bytes:
        """Name what is offered; STARTTLS is not offered under TLS."""
        behaviour = self._behaviour
        offers = (
            ("PIPELINING", behaviour.pipelining),
            (f"SIZE {behaviour.max_size}", behaviour.max_size is not None),
            ("STARTTLS", behaviour.tls is not None and not tls),
            ("ENHANCEDSTATUSCODES", behaviour.enhanced_codes),
            ("8BITMIME", behaviour.eightbitmime),
            ("DSN", behaviour.dsn),
            ("REQUIRETLS", behaviour.requiretls and tls),
            ("SMTPUTF8", behaviour.smtputf8),
            ("CHUNKING", behaviour.chunking),
            (f"LIMITS {behaviour.limits}", bool(behaviour.limits)),
        )
        lines = [behaviour.name, *(word for word, offered in offers if offered)]
        return raw("".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}")
