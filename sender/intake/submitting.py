"""A letter on its way to the daemon of this machine, over SMTP."""

from __future__ import annotations

import contextlib
import re
import smtplib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sender.core.endpoint import split_endpoint
from sender.core.notify import parameters as dsn_parameters
from sender.core.reply import sanitised
from sender.settings import SendmailSettings

if TYPE_CHECKING:
    from sender.intake.letter import Letter

_TIMEOUTS = SendmailSettings()
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - who listens everywhere listens here
_POLICY = re.compile(r"5\.7\.\d+(?: |$)")
_SERVICE_READY, _OK, _AUTH_REQUIRED, _FAILED = 220, 250, 530, 554


class Stage(StrEnum):
    """What was refused."""

    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The daemon will not have the message, now or later. `reply` fits in a line."""

    stage: Stage
    code: int
    reply: str
    about: str = ""  # the address


class NotNowError(Exception):
    """No daemon takes it now: it may be given to one later."""


def submit(letter: Letter, endpoint: str, *, hostname: str, timeouts: SendmailSettings = _TIMEOUTS) -> Refusal | None:
    """Hand a message over, for all its recipients or for none. Raises NotNowError.

    There may be no endpoint (an empty one), or none that can be known: one with port 0.
    """
    host, port = split_endpoint(endpoint) if endpoint else ("", 0)
    if not port:
        raise NotNowError("no port is configured")
    # Addresses go out as they are: that is for docmd, for smtplib's own `mail` and `rcpt` change some.
    client = smtplib.SMTP(local_hostname=hostname, timeout=timeouts.connect_timeout)
    client.command_encoding = "utf-8"
    try:
        with contextlib.closing(client):
            return _Dialogue(client, letter, timeouts).run(_HERE.get(host, host), port)
    except (OSError, smtplib.SMTPException) as error:
        raise NotNowError(f"{endpoint}: {error}") from error


class _Dialogue:
    """One session with one message. Its steps raise OSError, SMTPException and NotNowError."""

    def __init__(self, client: smtplib.SMTP, letter: Letter, timeouts: SendmailSettings) -> None:
        self._client = client
        self._letter = letter
        self._timeouts = timeouts

    def run(self, host: str, port: int) -> Refusal | None:
        """Go through it."""
        client, letter = self._client, self._letter
        code, text = client.connect(host, port)
        if code != _SERVICE_READY:
            raise NotNowError(_words(code, text))
        self._wait_at_most(self._timeouts.reply_timeout)
        code, text = client.ehlo()
        if code != _OK:
            raise NotNowError(_words(code, text))
        refusal = self._command(Stage.SENDER, f"MAIL FROM:<{letter.mail_from}>{self._mail_parameters()}")
        notify = f" {dsn_parameters(notify=letter.notify)}" if letter.notify else ""
        for rcpt_to in letter.rcpt_tos:
            if refusal is None:
                refusal = self._command(Stage.RECIPIENT, f"RCPT TO:<{rcpt_to}>{notify}", rcpt_to)
        if refusal is None:
            refusal = self._content()
        self._wait_at_most(self._timeouts.quit_timeout)
        with contextlib.suppress(OSError, smtplib.SMTPException):
            client.quit()
        return refusal

    def _wait_at_most(self, seconds: float) -> None:
        if self._client.sock is not None:
            self._client.sock.settimeout(seconds)

    def _mail_parameters(self) -> str:
        letter = self._letter
        words = []
        if self._client.has_extn("size"):
            words.append(f"SIZE={len(letter.content)}")
        if not letter.content.isascii():
            words.append(self._wanted("8bitmime", "BODY=8BITMIME"))
        if not all(map(str.isascii, (letter.mail_from, *letter.rcpt_tos))):
            words.append(self._wanted("smtputf8", "SMTPUTF8"))
        if letter.options.returns:
            words.append(self._wanted("dsn", f"RET={letter.options.returns}"))
        if letter.options.envelope_id:
            words.append(self._wanted("dsn", f"ENVID={letter.options.envelope_id}"))
        if letter.notify:
            self._wanted("dsn", "")
        return "".join(f" {word}" for word in words)

    def _wanted(self, extension: str, parameter: str) -> str:
        if not self._client.has_extn(extension):
            raise NotNowError(f"it has no {extension.upper()}")
        return parameter

    def _command(self, stage: Stage, command: str, about: str = "") -> Refusal | None:
        return _answer(stage, *self._client.docmd(command), about=about)

    def _content(self) -> Refusal | None:
        self._wait_at_most(self._timeouts.end_of_data_timeout)
        try:
            code, text = self._client.data(self._letter.content)
        except smtplib.SMTPDataError as error:
            code, text = error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""
        return _answer(Stage.CONTENT, code, text)


def _answer(stage: Stage, code: int, text: bytes, *, about: str = "") -> Refusal | None:
    """Read a reply. Raises NotNowError."""
    words = _words(code, text)
    if 200 <= code < 300:  # noqa: PLR2004 - the first digit decides (RFC 5321 section 4.2.1)
        return None
    closed = code == _AUTH_REQUIRED or (code == _FAILED and _POLICY.match(words.partition(" ")[2]))
    if not 500 <= code < 600 or (closed and stage is Stage.SENDER):  # noqa: PLR2004 - as above
        raise NotNowError(words)
    return Refusal(stage=stage, code=code, reply=words, about=about)


def _words(code: int, text: bytes) -> str:
    return sanitised(f"{code} {' '.join(text.decode(errors='replace').split())}")
