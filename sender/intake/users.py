"""Who may submit by name and password: `name = "scrypt hash"` in a TOML file."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import tomllib
from typing import TYPE_CHECKING

from sender.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from pathlib import Path

_N, _R, _P, _LENGTH = 2**14, 8, 1, 32
_MEMORY = 64 * 2**20
_AT_ONCE = 4  # hashes that are computed at the same time


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Give what stands in the users file for a password."""
    salt = salt or os.urandom(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY, dklen=_LENGTH)
    return "$".join(("scrypt", str(_N), str(_R), str(_P), _b64(salt), _b64(digest)))


class Users:
    """The users of one file."""

    def __init__(self, hashes: dict[str, str]) -> None:
        self._hashes = hashes
        self._nobody = hash_password("")
        self._turn = asyncio.Semaphore(_AT_ONCE)

    @classmethod
    def load(cls, path: Path) -> Users:
        """Read a file. Raises ConfigError."""
        try:
            hashes = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError([Problem(str(path), "", None, f"cannot be read: {error}")]) from error
        problems = [
            Problem(str(path), name, "...", "must be a hash from `sender config hash-password`")
            for name, text in hashes.items()
            if not isinstance(text, str) or _parsed(text) is None
        ]
        if problems:
            raise ConfigError(problems)
        return cls(hashes)

    async def check(self, name: str, password: str) -> bool:
        """Tell whether a password is right; it takes as long for a name that does not exist."""
        async with self._turn:
            right = await asyncio.to_thread(_matches, self._hashes.get(name, self._nobody), password)
        return right and name in self._hashes


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
