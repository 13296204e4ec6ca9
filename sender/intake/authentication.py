"""AUTH PLAIN and LOGIN (RFC 4954, RFC 4616) on a connection: under TLS only, and not for ever.

A mechanism asks the connection for what the client sends, and gives the account.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from typing import TYPE_CHECKING

from aiosmtpd.smtp import syntax

from sender.intake.connection import Connection
from sender.intake.syntax import RefusedCommandError
from sender.intake.users import TooManyChecksError

if TYPE_CHECKING:
    from sender.intake.accounts import Account
    from sender.intake.admission import Admission

log = logging.getLogger(__name__)


async def plain(connection: Authenticating, args: list[str]) -> Account | None:
    """RFC 4616. Raises AnsweredError."""
    blob = await connection.credentials(args)
    if blob is None:
        raise AnsweredError
    parts = blob.split(b"\0")
    if len(parts) != 3:  # noqa: PLR2004 - authorization id, authentication id, password
        await connection.refuse("501 5.5.2 Cannot be split into name and password")
        raise AnsweredError
    return await connection.check(parts[1], parts[2])


async def login(connection: Authenticating, args: list[str]) -> Account | None:
    """Ask the two questions of old clients. Raises AnsweredError."""
    name = await connection.credentials(args, challenge="Username:")
    password = await connection.credentials([], challenge="Password:") if name is not None else None
    if name is None or password is None:
        raise AnsweredError
    return await connection.check(name, password)


class AnsweredError(Exception):
    """The exchange has failed, and the client knows why."""


MECHANISMS = {"PLAIN": plain, "LOGIN": login}


class Authenticating(Connection):
    """A connection whose client may say who it is."""

    def __init__(self, admission: Admission, *, implicit_tls: bool) -> None:
        self._account: Account | None = None
        super().__init__(admission, implicit_tls=implicit_tls)

    @property
    def in_transaction(self) -> bool:
        """Tell whether MAIL was said."""
        raise NotImplementedError

    @syntax("AUTH <mechanism>")
    async def smtp_AUTH(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """RFC 4954: only under TLS, and not for ever."""
        self._patience.commands += 1
        try:
            self._may_authenticate(arg)
            args = (arg or "").split()
            account = await MECHANISMS[args[0].upper()](self, args)
        except RefusedCommandError as refusal:
            await self.push(refusal.reply)
        except TooManyChecksError:
            await self.push("454 4.7.0 Too many clients log in now, try again later")
        except AnsweredError:
            pass
        else:
            if account is None:
                await self.refuse("535 5.7.8 Authentication credentials invalid")
                return
            self._account = account
            await self.push("235 2.7.0 Authentication successful")

    def _may_authenticate(self, arg: str | None) -> None:
        if not self._admission.users:
            raise RefusedCommandError("503 5.5.1 AUTH is not available")
        if not self.session.extended_smtp:
            raise RefusedCommandError("503 5.5.1 EHLO comes first")
        if not self._tls_protocol:
            raise RefusedCommandError("538 5.7.11 AUTH needs TLS")
        if self._account is not None or self.in_transaction:
            raise RefusedCommandError("503 5.5.1 AUTH is once, and before MAIL")
        if self._admission.failures.too_many(self._address, self._clock.steady()):
            raise RefusedCommandError("454 4.7.0 Too many failures from your address, try again later")
        args = (arg or "").split()
        if not 1 <= len(args) <= 2:  # noqa: PLR2004 - the mechanism, and perhaps its first answer
            raise RefusedCommandError("501 5.5.4 Syntax: AUTH mechanism [initial-response]")
        if args[0].upper() not in MECHANISMS:
            raise RefusedCommandError("504 5.5.4 The mechanism is not known")

    async def credentials(self, args: list[str], challenge: str = "") -> bytes | None:
        """Take one answer of an AUTH exchange; None where it was aborted or is unreadable, which is answered here."""
        if len(args) > 1:
            answer = b"" if args[1] == "=" else args[1].encode(errors="replace")
        else:
            await self.push(f"334 {base64.b64encode(challenge.encode()).decode()}")
            self._reset_timeout()
            try:
                answer = (await self._reader.readuntil(b"\n")).rstrip(b"\r\n")
            except asyncio.LimitOverrunError:
                self._dismiss("500 5.5.6 The answer is too long")
                return None
        if answer == b"*":
            await self.refuse("501 5.7.0 Aborted")
            return None
        try:
            return base64.b64decode(answer, validate=True)
        except binascii.Error:
            await self.refuse("501 5.5.2 Not base64")
            return None

    async def refuse(self, reply: str) -> None:
        """Answer a failure of AUTH, and count it."""
        self._patience.failures += 1
        self._admission.failures.add(self._address, self._clock.steady())
        await self.push(reply)

    async def check(self, name: bytes, password: bytes) -> Account | None:
        """Check name and password."""
        users = self._admission.users
        try:
            account = None if users is None else await users.check(name.decode(), password.decode())
        except UnicodeDecodeError:
            account = None
        if account is None:
            log.warning("wrong name or password from %s", self._address)
        return account
