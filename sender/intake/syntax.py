"""The arguments of MAIL and RCPT: taken verbatim, or refused (RFC 5321 section 4.1.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sender.core.address import split_mailbox
from sender.core.errors import AddressError
from sender.core.reply import sanitised

_PATH = re.compile(r"<([^<>\s]*|\"[^\x00-\x1f]*\"@[^<>\s]*)>(?: +(.*))?")


class RefusedCommandError(Exception):
    """A command that is not taken. `reply` is the whole SMTP reply; `reason`, for metrics, may be empty."""

    def __init__(self, reply: str, reason: str = "") -> None:
        super().__init__(reply)
        self.reply = reply
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Mail:
    """What MAIL says. The null sender has an empty path."""

    path: str
    smtputf8: bool


def parse_mail(argument: str, *, max_size: int) -> Mail:
    """Read `FROM:<path> parameters`. Raises RefusedCommandError."""
    path, parameters = _split(argument, "MAIL", "FROM", "5.1.7")
    smtputf8 = False
    for parameter in parameters:
        keyword, _, value = parameter.partition("=")
        match keyword.upper():
            case "SIZE" if value.isascii() and value.isdigit():
                if int(value) > max_size:
                    raise RefusedCommandError(f"552 5.3.4 Message is larger than {max_size} bytes", "too_large")
            case "BODY" if value.upper() in {"7BIT", "8BITMIME"}:
                pass
            case "SMTPUTF8" if not value:
                smtputf8 = True
            case "AUTH":
                pass  # RFC 4954 section 5: it may be ignored
            case _:
                raise RefusedCommandError(f"555 5.5.4 Parameter {_shown(keyword)} is not known")
    return Mail(path, smtputf8)


def parse_rcpt(argument: str) -> str:
    """Read `TO:<path>`. Raises RefusedCommandError."""
    path, parameters = _split(argument, "RCPT", "TO", "5.1.3")
    if not path:
        raise RefusedCommandError("501 5.1.3 A recipient cannot be empty")
    if parameters:
        raise RefusedCommandError(f"555 5.5.4 Parameter {_shown(parameters[0].partition('=')[0])} is not known")
    return path


def _split(argument: str, command: str, keyword: str, status: str) -> tuple[str, list[str]]:
    match = None
    if argument.upper().startswith(f"{keyword}:"):
        match = _PATH.fullmatch(argument[len(keyword) + 1 :].strip(" "))
    if match is None:
        raise RefusedCommandError(f"501 {status} Syntax: {command} {keyword}:<address>")
    path = match[1]
    try:
        path.encode()
        if path:
            split_mailbox(path)
    except UnicodeEncodeError as error:
        raise RefusedCommandError(f"553 {status} Address must be UTF-8") from error
    except AddressError as error:
        raise RefusedCommandError(f"553 {status} Address {error.rule}") from error
    return path, (match[2] or "").split()


def _shown(keyword: str) -> str:
    return sanitised(keyword)[:64].encode("ascii", "replace").decode()
