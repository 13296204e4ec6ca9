"""One file of the drop folder: a line of JSON, the envelope, and behind it the content as it is.

A file says nothing about who left it: its owner did. Anybody may have put anything there, so nothing in it is believed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pwd
import re
import secrets
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

import orjson

from sender.core.address import split_mailbox
from sender.core.errors import AddressError, ConfigError
from sender.core.notify import DsnError, checked_envelope_id, checked_notify
from sender.core.notify import parameters as dsn_parameters
from sender.core.options import Options
from sender.intake.acceptance import Envelope
from sender.tables import Table, checked

if TYPE_CHECKING:
    from pathlib import Path

    from sender.intake.letter import Letter

_MODE = 0o640
_HEAD_LIMIT = 8 * 2**20  # bytes of the line about the envelope
_PIECE = 64 * 1024
_NEVER_READABLE = {errno.ELOOP, errno.ENXIO, errno.EACCES, errno.EPERM}


class BadFileError(Exception):
    """A file that will never be a message."""


class _Head(Table):
    """The first line of a file."""

    mail_from: str
    rcpt_tos: tuple[str, ...]
    notify: str = ""
    returns: str = ""
    envelope_id: str = ""


def leave(folder: Path, letter: Letter) -> None:
    """Leave a message for the next daemon, durably. Raises OSError: then none is there."""
    options = letter.options
    head = _Head(
        mail_from=letter.mail_from,
        rcpt_tos=letter.rcpt_tos,
        notify=letter.notify,
        returns=options.returns,
        envelope_id=options.envelope_id,
    )
    line = orjson.dumps(head.model_dump()) + b"\n"
    if len(line) > _HEAD_LIMIT:
        raise OSError(errno.EFBIG, "too many recipients for one message", str(folder))
    name = secrets.token_hex(16)
    draft, final = folder / f"{name}.tmp", folder / f"{name}.mail"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no name
            os.fchmod(descriptor, _MODE)  # whatever the umask is, the daemon's group can read it
            file.write(line)
            file.write(letter.content)
            file.flush()
            os.fsync(descriptor)
        draft.rename(final)
        sync_folder(folder)
    except BaseException:
        for path in (draft, final):
            with contextlib.suppress(OSError):
                path.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Make names durable. Who may not list a folder may not open it either, so everything is synced then."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        os.sync()
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Dropped:
    """A file of the folder, opened and looked at. Raises OSError, BadFileError."""

    def __init__(self, path: Path, max_size: int) -> None:
        self.file, status = _opened(path, max_size)
        try:
            self.user = _user_name(status.st_uid)
            self.digest = hashlib.sha256(f"{status.st_uid}\n".encode())
            line = self.file.readline(_HEAD_LIMIT + 1)
            self.digest.update(line)
            self.envelope = self._envelope(line)
        except BaseException:
            self.file.close()
            raise

    def read(self) -> bytes:
        """Give the next piece of the content; empty at its end."""
        piece = self.file.read(_PIECE)
        self.digest.update(piece)
        return piece

    def _envelope(self, line: bytes) -> Envelope:
        try:
            tables = orjson.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            tables = None
        if not isinstance(tables, dict):
            raise BadFileError("does not begin with a line about its envelope")
        try:
            return _checked(checked(_Head, tables, "envelope"), Options(submitter=self.user))
        except (AddressError, ConfigError, DsnError) as error:
            raise BadFileError(str(error)) from error


def _checked(head: _Head, options: Options) -> Envelope:
    """Give the envelope that a line asks for. Raises BadFileError, AddressError, DsnError."""
    if not head.rcpt_tos:
        raise BadFileError("has no recipients")
    for mailbox in head.rcpt_tos if not head.mail_from else (head.mail_from, *head.rcpt_tos):
        split_mailbox(mailbox)
    if head.returns:
        if head.returns not in {"FULL", "HDRS"}:
            raise BadFileError("wants neither FULL nor HDRS back")
        options = replace(options, returns=head.returns)
    if head.envelope_id:
        options = replace(options, envelope_id=checked_envelope_id(head.envelope_id))
    dsn = dsn_parameters(notify=checked_notify(head.notify)) if head.notify else ""
    return Envelope(
        mail_from=head.mail_from,
        rcpt_tos=head.rcpt_tos,
        dsn=(dsn,) * len(head.rcpt_tos) if dsn else (),
        smtputf8=not all(map(str.isascii, (head.mail_from, *head.rcpt_tos))),
        options=options,
    )


def _opened(path: Path, max_size: int) -> tuple[BinaryIO, os.stat_result]:
    """Open a file that anybody may have put there: what is no plain file of its owner is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NEVER_READABLE:
            raise BadFileError(f"cannot be read: {error.strerror}") from error
        raise
    status, why = os.fstat(descriptor), ""
    if not stat.S_ISREG(status.st_mode):
        why = "is no plain file"
    elif status.st_nlink != 1:
        why = "has another name elsewhere"
    elif status.st_size > _HEAD_LIMIT + max_size:
        why = f"is larger than {max_size} bytes"
    if why:
        os.close(descriptor)
        raise BadFileError(why)
    return open(descriptor, "rb"), status  # noqa: PTH123 - a descriptor has no name; whoever asked closes it


def _user_name(uid: int) -> str:
    """Give the name of a user, as it can stand in a field."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid{uid}"
    return re.sub(r"[^A-Za-z0-9._-]", "?", name)
