"""The header section of a message that comes in: looked over, and changed as little as can be.

Fields that are for us or for nobody else are taken out: `Bcc`, and `X-Sender-*`, which say how a message is to be sent.
What a message must have (RFC 6409 section 8) is added for those who submit it; for those who relay nothing is.
"""

from __future__ import annotations

import email.header
import email.utils
import re
from dataclasses import dataclass, field

_FIELD = re.compile(
    rb"^(received|bcc|resent-bcc|date|message-id|from|x-sender-(?:stream|campaign|priority|send-at|expires-at))"
    rb"[ \t]*:([^\r]*(?:\r\n[ \t][^\r]*)*)(?:\r\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)
_BEGINS_WITH_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_NEVER_SENT = {b"bcc", b"resent-bcc"}
_CONTROL = b"x-sender-"


@dataclass(slots=True)
class Headers:
    """What stands in a header section, which has CRLF line ends and no empty line."""

    section: bytes
    hops: list[bytes] = field(default_factory=list)  # what `Received` fields say
    senders: list[bytes] = field(default_factory=list)  # what `From` fields say
    controls: list[tuple[str, str]] = field(default_factory=list)  # name, in lower case, and value of each X-Sender-*
    _cuts: list[tuple[int, int]] = field(default_factory=list)
    _names: set[bytes] = field(default_factory=set)

    @classmethod
    def read(cls, section: bytes, *, controls: bool) -> Headers:
        """Look a section over. `controls`: X-Sender-* are for us; where not, they are left alone."""
        found = cls(section)
        for match in _FIELD.finditer(section):
            name = match[1].lower()
            found._names.add(name)
            if name == b"received":
                found.hops.append(match[2])
            elif name == b"from":
                found.senders.append(match[2])
            elif name in _NEVER_SENT:
                found._cuts.append(match.span())
            elif controls and name.startswith(_CONTROL):
                found._cuts.append(match.span())
                found.controls.append((name.decode(), unfolded(match[2]).decode(errors="replace")))
        return found

    def written(self, *, sender: str = "", date: str = "", message_id: str = "") -> bytes:
        """Give the section as it goes on; what is given here is added where it is missing."""
        added = b""
        if sender and b"from" not in self._names:
            added += f"From: {sender}\r\n".encode()
        if date and b"date" not in self._names:
            added += f"Date: {date}\r\n".encode()
        if message_id and b"message-id" not in self._names:
            added += f"Message-ID: <{message_id}>\r\n".encode()
        if not added and not self._cuts:
            return self.section
        pieces, end = [added], 0
        for start, stop in self._cuts:
            pieces.append(self.section[end:start])
            end = stop
        pieces.append(self.section[end:])
        if added and self.section and not _BEGINS_WITH_FIELD.match(self.section):
            pieces.insert(1, b"\r\n")  # it is no header section: the content is a body and nothing else
        return b"".join(pieces)

    @property
    def from_mailboxes(self) -> list[str]:
        """The mailboxes in `From`, as people who read the message see them."""
        values = [unfolded(value).decode(errors="replace") for value in self.senders]
        return [mailbox for _, mailbox in email.utils.getaddresses(values)]


def unfolded(value: bytes) -> bytes:
    """Give the value of a field in one line."""
    return value.replace(b"\r\n", b"").strip(b" \t")
