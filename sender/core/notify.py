"""When a sender wants to hear of a recipient (RFC 3461): the parameters of RCPT, kept as they were written."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

from sender.core.errors import SenderError

ENVELOPE_ID_LIMIT = 100  # characters of xtext (section 4.4)
ORIGINAL_LIMIT = 500  # of ORCPT (section 4.2)
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_ENCODED = re.compile(r"\+([0-9A-F]{2})")
_KIND = re.compile(r"[A-Za-z0-9-]+")
# RFC 6533 section 3: what an internationalised address is written with, as such or as ASCII.
_UTF8_KIND = "utf-8"
_UTF8_ADDRESS = re.compile(r"(?:[!-*,-<>-\[\]-~\u00a0-\ud7ff\ue000-\U0010ffff]|\\x\{[0-9A-F]{2,6}\}|\+[0-9A-F]{2})*")


class Occasion(StrEnum):
    """What NOTIFY may name (section 4.1)."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


class DsnError(SenderError, ValueError):
    """A parameter of RFC 3461 that is not well formed. `rule` says what it must be."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def checked_notify(value: str) -> str:
    """Give NOTIFY in its usual form. Raises DsnError."""
    words = value.upper().split(",")
    if words != ["NEVER"] and not set(words) <= set(Occasion):
        raise DsnError("must be NEVER, or some of SUCCESS, FAILURE and DELAY")
    return ",".join(dict.fromkeys(words))


def checked_original(value: str) -> str:
    """Give ORCPT as it was written. Raises DsnError."""
    kind, semicolon, address = value.partition(";")
    form = _UTF8_ADDRESS if kind.lower() == _UTF8_KIND else _XTEXT
    if not semicolon or not address or not _KIND.fullmatch(kind) or not form.fullmatch(address):
        raise DsnError("must be a kind of address, a semicolon and xtext, such as rfc822;you@example.org")
    if len(value) > ORIGINAL_LIMIT:
        raise DsnError(f"must be at most {ORIGINAL_LIMIT} characters")
    return value


def checked_envelope_id(value: str) -> str:
    """Give ENVID as it was written. Raises DsnError."""
    if not value or not _XTEXT.fullmatch(value):
        raise DsnError("must be xtext (RFC 3461 section 4)")
    if len(value) > ENVELOPE_ID_LIMIT:
        raise DsnError(f"must be at most {ENVELOPE_ID_LIMIT} characters")
    return value


def parameters(*, notify: str = "", original: str = "") -> str:
    """Write the parameters of RCPT, as they are kept and as they go to a receiver that takes them."""
    return " ".join(([f"NOTIFY={notify}"] if notify else []) + ([f"ORCPT={original}"] if original else []))


@lru_cache(maxsize=1024)
def occasions(dsn: str) -> frozenset[Occasion] | None:
    """Tell when the sender wants to hear, by the parameters of one recipient; None where it did not say."""
    for word in dsn.split():
        name, _, value = word.partition("=")
        if name == "NOTIFY":
            return frozenset(Occasion(one) for one in value.split(",") if one != "NEVER")
    return None


def original_recipient(dsn: str) -> str:
    """Give `Original-Recipient` as a notice has it (RFC 3464 section 2.3.1), decoded; empty where there is none."""
    for word in dsn.split():
        name, _, value = word.partition("=")
        if name == "ORCPT":
            kind, _, address = value.partition(";")
            return f"{kind}; {decoded(address)}"
    return ""


def in_ascii(dsn: str) -> str:
    """Write parameters for a receiver that takes no UTF-8 (RFC 6533 section 3)."""
    return "".join([character if character.isascii() else f"\\x{{{ord(character):02X}}}" for character in dsn])


def encoded(text: str) -> str:
    """Write a text as xtext. Raises DsnError for what xtext cannot tell a receiver."""
    if not text.isascii() or not text.isprintable():
        raise DsnError("must be printable ASCII")
    return "".join(one if _XTEXT.fullmatch(one) else f"+{ord(one):02X}" for one in text)


def decoded(xtext: str) -> str:
    """Read xtext; what it encodes that cannot stand in a line of a notice stays encoded."""
    return _ENCODED.sub(lambda match: chr(code) if 32 <= (code := int(match[1], 16)) < 127 else match[0], xtext)  # noqa: PLR2004
