"""The arguments of MAIL, RCPT and BDAT, read strictly (RFC 5321 4.1.2, RFC 3030).

A path is `<local@domain>`; source routes are refused. Every pattern is linear in the length of the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sender.sandbox.behaviour import Behaviour

NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})

_LOCAL = rb"""(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\xff-]++|"(?:[ !#-\[\]-~\x80-\xff]|\\[ -~])*+")"""
_DOMAIN = rb"(?:[A-Za-z0-9_\x80-\xff][A-Za-z0-9_.\x80-\xff-]*+|\[[!-Z^-~]++\])"
_TAIL = rb">(?: ++([!-~\x80-\xff ]*+))?\Z"
_MAIL = re.compile(rb"(?i:FROM:) ?<((?:" + _LOCAL + rb"@" + _DOMAIN + rb")?)" + _TAIL)
_RCPT = re.compile(rb"(?i:TO:) ?<(" + _LOCAL + rb"@" + _DOMAIN + rb"|(?i:postmaster))" + _TAIL)
_BDAT = re.compile(rb"(\d{1,15})(?: ((?i:LAST)))?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """The address of a MAIL or RCPT command, and its parameters by their upper-case names."""

    address: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """The argument of BDAT."""

    size: int
    last: bool


def read_mail(argument: bytes) -> Path | None:
    """Read what follows `MAIL `; None when it is not well formed."""
    return _path(_MAIL.match(argument))


def read_rcpt(argument: bytes) -> Path | None:
    """Read what follows `RCPT `; None when it is not well formed."""
    return _path(_RCPT.match(argument))


def read_bdat(argument: bytes) -> Chunk | None:
    """Read what follows `BDAT `; None when it is not well formed."""
    match = _BDAT.match(argument)
    return Chunk(size=int(match[1]), last=match[2] is not None) if match else None


def _path(match: re.Match[bytes] | None) -> Path | None:
    if match is None:
        return None
    address, words = match.groups()
    try:
        return Path(
            address=address.decode(),
            parameters=_parameters(words.decode()) if words else NO_PARAMETERS,
        )
    except UnicodeDecodeError:
        return None


def _parameters(words: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for word in words.split():
        key, _, value = word.partition("=")
        found[key.upper()] = value
    return found


def mail_objection(path: Path, behaviour: Behaviour, *, tls: bool) -> str:
    """Say what is wrong with a MAIL path for this behaviour, under TLS or not; empty when nothing is."""
    for key, value in path.parameters.items():
        if key == "SIZE" and behaviour.max_size is not None:
            if not (value.isascii() and value.isdigit()):
                return "501 5.5.4 SIZE must be a number"
            if int(value[:20]) > behaviour.max_size:
                return "552 5.3.4 Message size exceeds fixed limit"
        elif key == "BODY" and behaviour.eightbitmime:
            if value.upper() not in {"7BIT", "8BITMIME"}:
                return "501 5.5.4 BODY must be 7BIT or 8BITMIME"
        elif not _offered(key, value, behaviour, tls=tls):
            return "555 5.5.4 Unsupported option"
    if not path.address.isascii() and "SMTPUTF8" not in path.parameters:
        return "553 5.6.7 Must send SMTPUTF8 with this address"
    return ""


def _offered(key: str, value: str, behaviour: Behaviour, *, tls: bool) -> bool:
    if key in {"RET", "ENVID"}:
        return bool(value) and behaviour.dsn
    return not value and {"SMTPUTF8": behaviour.smtputf8, "REQUIRETLS": behaviour.requiretls and tls}.get(key, False)


def rcpt_objection(path: Path, behaviour: Behaviour, *, utf8: bool) -> str:
    """Say what is wrong with a RCPT path in a transaction that is `utf8` or not; empty when nothing is."""
    for key, value in path.parameters.items():
        if not (key in {"NOTIFY", "ORCPT"} and value and behaviour.dsn):
            return "555 5.5.4 Unsupported option"
    if not utf8 and not path.address.isascii():
        return "553 5.6.7 Must send SMTPUTF8 with this address"
    return ""
