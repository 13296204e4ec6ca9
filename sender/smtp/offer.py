"""What a receiver announces in reply to EHLO, and the commands that it gets accordingly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sender.core.address import needs_smtputf8, wire_form
from sender.core.notify import in_ascii
from sender.core.options import NO_OPTIONS, Options
from sender.core.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sender.smtp.outgoing import Outgoing


_LIMIT = re.compile(r"(MAILMAX|RCPTMAX|RCPTDOMAINMAX)=([1-9][0-9]{0,5})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Announced:
    """The most that a receiver says it takes (RFC 9422); None where it says nothing."""

    messages: int | None = None  # in a session
    recipients: int | None = None  # in an envelope
    domains: int | None = None  # of the recipients in an envelope

    @classmethod
    def read(cls, text: str) -> Announced:
        """Read what follows the keyword; what is not understood is passed over."""
        named = (_LIMIT.fullmatch(word) for word in text.split())
        found = {match[1].upper(): int(match[2]) for match in named if match is not None}
        return cls(found.get("MAILMAX"), found.get("RCPTMAX"), found.get("RCPTDOMAINMAX"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The extensions that matter to a transaction."""

    pipelining: bool = False
    chunking: bool = False
    eightbitmime: bool = False
    smtputf8: bool = False
    size: bool = False
    size_limit: int = 0  # none where 0
    dsn: bool = False  # it tells senders itself what becomes of their mail (RFC 3461)
    require_tls: bool = False  # it takes REQUIRETLS, and our TLS with it is verified (RFC 8689)
    announced: Announced = Announced()

    @classmethod
    def read(cls, extensions: Mapping[str, str], *, verified: bool = False) -> Offer:
        """Read the keywords of EHLO, which are in lower case, with what follows each.

        `verified`: they came over TLS, from the host that was meant.
        """
        size = extensions.get("size", "")
        return cls(
            pipelining="pipelining" in extensions,
            chunking="chunking" in extensions,
            eightbitmime="8bitmime" in extensions,
            smtputf8="smtputf8" in extensions,
            size="size" in extensions,
            size_limit=int(size) if size.isascii() and size.isdigit() else 0,
            dsn="dsn" in extensions,
            require_tls=verified and "requiretls" in extensions,
            announced=Announced.read(extensions.get("limits", "")),
        )

    def takes(self, message: Outgoing) -> bool:
        """Tell whether the receiver can take this message for all its recipients."""
        return (
            not 0 < self.size_limit < message.size
            and (self.eightbitmime or not message.eight_bit)
            and (self.smtputf8 or _is_plain(message))
            and (self.require_tls or not _needs_tls(message))
        )

    def refusal(self, message: Outgoing, rcpt_to: str, host: str) -> Reply | None:
        """Say as a reply what the receiver cannot take: it would be refused in any case, or be spoilt."""
        if 0 < self.size_limit < message.size:
            text = f"5.3.4 Message of {message.size} bytes is larger than {host} takes ({self.size_limit} bytes)"
            return Reply(552, text)
        if message.eight_bit and not self.eightbitmime:
            return Reply(554, f"5.6.3 {host} does not take 8-bit content")
        if not self.smtputf8 and (message.smtputf8 or needs_smtputf8(rcpt_to) or needs_smtputf8(message.mail_from)):
            return Reply(553, f"5.6.7 {host} does not take internationalised addresses")
        if not self.require_tls and _needs_tls(message):
            text = f"5.7.30 REQUIRETLS was asked for, and {host} does not take it under verified TLS"
            return Reply(550, text)
        return None

    def mail(self, message: Outgoing) -> bytes:
        """Give the MAIL command of a message."""
        parameters = f" SIZE={message.size}" if self.size else ""
        utf8 = self.smtputf8 and not _is_plain(message)
        if message.eight_bit:
            parameters += " BODY=8BITMIME"
        if utf8:
            parameters += " SMTPUTF8"
        if message.options is not NO_OPTIONS:
            parameters += self._asked(message.options)
        mail_from = message.mail_from if utf8 else wire_form(message.mail_from)
        return f"MAIL FROM:<{mail_from}>{parameters}\r\n".encode()

    def _asked(self, options: Options) -> str:
        parameters = " REQUIRETLS" if options.require_tls and self.require_tls else ""
        if self.dsn and options.returns:
            parameters += f" RET={options.returns}"
        if self.dsn and options.envelope_id:
            parameters += f" ENVID={options.envelope_id}"
        return parameters

    def rcpt(self, message: Outgoing, index: int) -> bytes:
        """Give the RCPT command of a recipient."""
        rcpt_to = message.rcpt_tos[index]
        if not self.smtputf8:
            rcpt_to = wire_form(rcpt_to)
        dsn = message.dsn[index] if message.dsn and self.dsn else ""
        if not dsn:
            return f"RCPT TO:<{rcpt_to}>\r\n".encode()
        if not (dsn.isascii() or (self.smtputf8 and not _is_plain(message))):
            dsn = in_ascii(dsn)
        return f"RCPT TO:<{rcpt_to}> {dsn}\r\n".encode()


def _needs_tls(message: Outgoing) -> bool:
    """Tell whether a message must not go without REQUIRETLS; a notice is not lost for it (RFC 8689 section 5)."""
    return message.options.require_tls and bool(message.mail_from)


def _is_plain(message: Outgoing) -> bool:
    """Tell whether nothing in an envelope, or in the header of its message, is beyond ASCII."""
    return not message.smtputf8 and message.mail_from.isascii() and all(map(str.isascii, message.rcpt_tos))
