"""`sender sendmail`: a drop-in for /usr/sbin/sendmail, whether a daemon runs or not.

The message goes to the daemon over SMTP, or, where none takes it now, into the drop folder. Exit codes are those of
sysexits.h, for programs that know sendmail know them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import sys
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from sender import settings as configuration
from sender.cli.sendmail_options import UsageError, Wishes, parse
from sender.clock import Clock
from sender.core.errors import AddressError, ConfigError
from sender.core.mailboxes import qualified
from sender.core.options import Options
from sender.core.reply import sanitised
from sender.intake.content import RefusedContentError
from sender.intake.dropped import leave
from sender.intake.letter import (
    BadAddressesError,
    NoRecipientsError,
    Writer,
    addresses,
    compose,
    read_all,
)
from sender.intake.submitting import NotNowError, Refusal, Stage, submit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sender.cli.common import Commands
    from sender.intake.letter import Letter
    from sender.settings import Settings

_HELP = """\
usage: sender sendmail [-t] [-i] [-f A] [-F NAME] [-N DSN] [-R RET] [-V ID] [--config FILE] [--] [RCPT...]

Send a message from standard input, as /usr/sbin/sendmail does: to the daemon, or into the drop folder while none
listens. A link named sendmail to this program does the same.

  -t           recipients stand in To, Cc and Bcc, too
  -i, -oi      a line with a dot alone is a line, and not the end
  -f A, -r A   envelope sender (default: the user at [hostname]); "" or <> is the null sender
  -F NAME      full name, for a From that is missing (default: the user's)
  -N DSN       never, or some of success,failure,delay: when to send a notice
  -R RET       full or hdrs: what of the message comes back with a notice
  -V ID        an identification that comes back with a notice
  --config F   configuration (default: $SENDER_CONFIG, config/sender.toml, /etc/sender/sender.toml)

Other options of sendmail that choose no other program are taken and change nothing.

example: sender sendmail -t -i -f news@example.com < message.eml
"""
_CODES: dict[type[Exception], int] = {
    UsageError: os.EX_USAGE,
    NoRecipientsError: os.EX_USAGE,
    BadAddressesError: os.EX_DATAERR,
    RefusedContentError: os.EX_DATAERR,
    ConfigError: os.EX_CONFIG,
}
_OF_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM}  # a retry finds it the same
_OF_RECIPIENT = {550, 551, 553}
_OF_SENDER = {501, 553}


class _FailedError(Exception):
    """The message is not accepted. `code` is of sysexits.h."""

    def __init__(self, code: int, why: object) -> None:
        super().__init__(code, why)
        self.code = code
        self.why = why


class _User(NamedTuple):
    """Who runs this program."""

    login: str
    full_name: str


def register(commands: Commands) -> None:
    """List the command; `main` reads its arguments."""
    commands.add_parser("sendmail", help="Send a message as /usr/sbin/sendmail does.", add_help=False)


def main(words: Sequence[str]) -> int:
    """Send a message; give an exit code of sysexits.h."""
    given = sys.stdin.buffer if sys.stdin is not None else None
    try:
        wishes = parse(words)
        if wishes.help:
            print(_HELP, end="")
            return os.EX_OK
        _send(wishes, given)
    except _FailedError as failed:
        return _failed(failed.code, failed.why)
    except tuple(_CODES) as error:
        return _failed(next(code for kind, code in _CODES.items() if isinstance(error, kind)), error)
    except KeyboardInterrupt:
        return os.EX_TEMPFAIL
    return os.EX_OK


def _failed(code: int, why: object) -> int:
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            lines = (sanitised(line) for line in str(why).splitlines())
            print("\n".join(f"sendmail: {line}" for line in lines), file=sys.stderr)
    return code


def _send(wishes: Wishes, given: BinaryIO | None) -> None:
    """Read the message, and hand it over. Raises what `main` has codes for."""
    settings = configuration.load(configuration.find(wishes.config))
    writer = _writer(wishes, settings)
    if not writer.rcpt_tos and not writer.from_headers:
        raise NoRecipientsError
    if given is None:
        raise _FailedError(os.EX_NOINPUT, "standard input is closed")
    try:
        raw = read_all(given, dot_ends=wishes.dot_ends, limit=settings.smtp.max_message_size)
    except OSError as error:
        raise _FailedError(os.EX_IOERR, f"standard input cannot be read: {error.strerror}") from error
    _hand_over(compose(raw, writer, settings, now=Clock().wall()), settings)


def _writer(wishes: Wishes, settings: Settings) -> Writer:
    user, errors = _user(), list[AddressError]()
    own = qualified(user.login, settings.hostname)
    mail_from, rcpt_tos = "", tuple[str, ...]()
    try:
        mail_from = _one(own if wishes.mail_from is None else wishes.mail_from, settings)
    except BadAddressesError as bad:
        errors += bad.errors
    try:
        rcpt_tos = addresses(wishes.rcpt_tos, settings.hostname)
    except BadAddressesError as bad:
        errors += bad.errors
    if errors:
        raise BadAddressesError(errors)
    return Writer(
        mail_from=mail_from,
        header_from=mail_from or own,
        full_name=wishes.full_name or user.full_name,
        rcpt_tos=rcpt_tos,
        options=Options(returns=wishes.returns, envelope_id=wishes.envelope_id),
        notify=wishes.notify,
        from_headers=wishes.from_headers,
    )


def _one(text: str, settings: Settings) -> str:
    if text in {"", "<>"}:
        return ""  # the null sender
    found = addresses([text], settings.hostname)
    if len(found) != 1:
        raise BadAddressesError([AddressError(text, "must be one address")])
    return found[0]


def _user() -> _User:
    """Find out who runs this, by the system and not by what the environment says."""
    uid = os.getuid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return _User(f"uid{uid}", "")
    full_name = entry.pw_gecos.partition(",")[0].replace("&", entry.pw_name.capitalize())
    return _User(entry.pw_name, sanitised(full_name))


def _hand_over(letter: Letter, settings: Settings) -> None:
    try:
        listen = next(iter(settings.smtp.listen), "")
        refusal = submit(letter, listen, hostname=settings.hostname, timeouts=settings.sendmail)
    except NotNowError as not_now:
        _leave(letter, settings, not_now)
    else:
        if refusal is not None:
            raise _FailedError(_code(refusal), f"{refusal.about}: {refusal.reply}" if refusal.about else refusal.reply)


def _code(refusal: Refusal) -> int:
    if refusal.stage is Stage.RECIPIENT:
        return os.EX_NOUSER if refusal.code in _OF_RECIPIENT else os.EX_UNAVAILABLE
    if refusal.stage is Stage.SENDER:
        return os.EX_DATAERR if refusal.code in _OF_SENDER else os.EX_UNAVAILABLE
    return os.EX_DATAERR


def _leave(letter: Letter, settings: Settings, why: NotNowError) -> None:
    try:
        leave(settings.drop_path, letter)
    except OSError as error:
        code = os.EX_CANTCREAT if error.errno in _OF_FOLDER else os.EX_TEMPFAIL
        text = f"no daemon takes the message ({why}), and it cannot be left in {settings.drop_path}: {error.strerror}"
        raise _FailedError(code, text) from error
