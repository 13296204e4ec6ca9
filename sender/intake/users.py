"""Who may submit over SMTP by name and password: a TOML file of users.

ann = "scrypt$..."                     # sender config hash-password; any sender, as fast as she likes

[shop]
password = "scrypt$..."
senders = ["@example.com"]
rate = "1000/min"                      # recipients
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
from typing import TYPE_CHECKING

from sender.core.errors import ConfigError, Problem
from sender.intake.accounts import Account, AccountTable, sender_problems
from sender.tables import checked, problems_in, read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_N, _R, _P, _LENGTH = 2**14, 8, 1, 32
_MEMORY = 64 * 2**20
_AT_ONCE = 4  # hashes that are computed at the same time
_WAITING = 200  # those that may wait for them: a flood of guesses is turned away


class UserTable(AccountTable):
    """A user who is described by more than a password."""

    password: str


class TooManyChecksError(Exception):
    """More passwords are being checked than can be soon."""


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Give what stands in the users file for a password."""
    salt = salt or os.urandom(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY, dklen=_LENGTH)
    return "$".join(("scrypt", str(_N), str(_R), str(_P), _b64(salt), _b64(digest)))


class Users:
    """The users of one file."""

    def __init__(self, tables: Mapping[str, UserTable]) -> None:
        self._hashes = {name: table.password for name, table in tables.items()}
        self._accounts = {name: Account(name, table) for name, table in tables.items()}
        self._nobody = hash_password("")
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    @classmethod
    def load(cls, path: Path) -> Users:
        """Read a file. Raises ConfigError."""
        place = str(path)
        users: dict[str, UserTable] = {}
        problems: list[Problem] = []
        for name, value in read(path).items():
            try:
                users[name] = _user(place, name, value)
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)
        return cls(users)

    async def check(self, name: str, password: str) -> Account | None:
        """Give the account where a password is right; it takes as long for a name that does not exist.

        Raises TooManyChecksError.
        """
        if self._waiting >= _WAITING:
            raise TooManyChecksError
        self._waiting += 1
        try:
            async with self._turn:
                right = await asyncio.to_thread(_matches, self._hashes.get(name, self._nobody), password)
        finally:
            self._waiting -= 1
        return self._accounts.get(name) if right else None


def _user(place: str, name: str, value: object) -> UserTable:
    """Read one user. Raises ConfigError, which does not show what stands where a secret should."""
    rule = "must be a hash from `sender config hash-password`"
    if not isinstance(value, dict):
        if not isinstance(value, str) or _parsed(value) is None:
            raise ConfigError([Problem(place, name, "...", rule)])
        return UserTable(password=value)
    problems = [
        Problem(place, f"{name}.{one.name}", "..." if one.name == "password" else one.value, one.rule)
        for one in problems_in(UserTable, value, place)
    ]
    if problems:
        raise ConfigError(problems)
    user = checked(UserTable, value, place)
    problems = list(sender_problems(place, name, user))
    if _parsed(user.password) is None:
        problems.append(Problem(place, f"{name}.password", "...", rule))
    if problems:
        raise ConfigError(problems)
    return user


def _matches(text: str, password: str) -> bool:
    parsed = _parsed(text)
    if parsed is None:
        return False
    n, r, p, salt, digest = parsed
    found = hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=len(digest))
    return hmac.compare_digest(found, digest)


def _parsed(text: str) -> tuple[int, int, int, bytes, bytes] | None:
    try:
        name, cost_text, r_text, p_text, salt, digest = text.split("$")
        cost, r, p = int(cost_text), int(r_text), int(p_text)
        parsed = cost, r, p, base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True)
    except (ValueError, binascii.Error):
        return None
    power_of_two = cost > 1 and cost & (cost - 1) == 0
    computable = power_of_two and r > 0 and p > 0 and 128 * r * (cost + p + 2) <= _MEMORY  # RFC 7914
    return parsed if name == "scrypt" and parsed[4] and computable else None


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
