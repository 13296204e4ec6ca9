"""Who may call over HTTP: a TOML file of tokens, of which only the digests stand there.

[shop]
token = "sha256$..."                   # sender config new-token
scopes = ["send"]                      # send, read, operate
senders = ["@example.com"]
rate = "1000/min"                      # recipients
expires = 2027-01-01                   # the first instant, or day (UTC), on which it is not good any more
"""

from __future__ import annotations

import hashlib
import re
import secrets
from enum import StrEnum
from typing import TYPE_CHECKING

from sender.core.errors import ConfigError, Problem
from sender.core.options import OptionError, checked_name
from sender.intake.accounts import Account, AccountTable, sender_problems
from sender.tables import Moment, checked, problems_in, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_PREFIX = "sender_"
_BYTES = 32
_DIGEST = re.compile(r"sha256\$([0-9a-f]{64})")


class Scope(StrEnum):
    """What a token is good for."""

    SEND = "send"
    READ = "read"
    OPERATE = "operate"  # and read


class TokenTable(AccountTable):
    """What stands in the file for one token."""

    token: str
    scopes: tuple[str, ...]
    expires: Moment | None = None


class Token(Account):
    """One token."""

    def __init__(self, name: str, table: TokenTable) -> None:
        super().__init__(name, table)
        self.digest = table.token
        self.scopes = frozenset(map(Scope, table.scopes))
        self._expires_at = None if table.expires is None else table.expires.timestamp()

    def may(self, scope: Scope) -> bool:
        """Tell whether it is good for something."""
        return scope in self.scopes or (scope is Scope.READ and Scope.OPERATE in self.scopes)

    def expired(self, now: float) -> bool:
        """Tell whether it is not good for anything any more."""
        return self._expires_at is not None and now >= self._expires_at


def new_token() -> str:
    """Make a token that nobody guesses."""
    return f"{_PREFIX}{secrets.token_urlsafe(_BYTES)}"


def digest(token: str) -> str:
    """Give what stands in the file for a token. It is long and random, so that a plain hash does."""
    return f"sha256${hashlib.sha256(token.encode()).hexdigest()}"


class Tokens:
    """The tokens of one file."""

    def __init__(self, tables: Mapping[str, TokenTable]) -> None:
        self._tokens = {table.token: Token(name, table) for name, table in tables.items()}

    @classmethod
    def load(cls, path: Path) -> Tokens:
        """Read a file. Raises ConfigError."""
        place = str(path)
        tables: dict[str, TokenTable] = {}
        problems: list[Problem] = []
        for name, value in read(path).items():
            try:
                tables[name] = _table(place, name, value)
            except ConfigError as error:
                problems += error.problems
        problems += _repeated(place, tables)
        if problems:
            raise ConfigError(problems)
        return cls(tables)

    def find(self, token: str, now: float) -> Token | None:
        """Give the token that somebody shows, if it is one, and still good."""
        found = self._tokens.get(digest(token))
        return None if found is None or found.expired(now) else found

    def named(self, name: str, now: float) -> Token | None:
        """Give a token by its name, if there is one, and still good."""
        found = next((token for token in self._tokens.values() if token.name == name), None)
        return None if found is None or found.expired(now) else found


def _table(place: str, name: str, value: object) -> TokenTable:
    """Read one token. Raises ConfigError, which does not show what stands where a secret should."""
    if not isinstance(value, dict):
        raise ConfigError([Problem(place, name, "...", "must be a table with token and scopes")])
    problems = [
        Problem(place, f"{name}.{one.name}", "..." if one.name == "token" else one.value, one.rule)
        for one in problems_in(TokenTable, value, place)
    ]
    if problems:
        raise ConfigError(problems)
    table = checked(TokenTable, value, place)
    problems = list(sender_problems(place, name, table))
    try:
        checked_name(name)
    except OptionError as error:
        problems.append(Problem(place, "name", name, error.rule))
    if not _DIGEST.fullmatch(table.token):
        problems.append(Problem(place, f"{name}.token", "...", "must be a digest from `sender config new-token`"))
    if not table.scopes or not set(table.scopes) <= set(Scope):
        problems.append(Problem(place, f"{name}.scopes", table.scopes, f"must be some of {', '.join(Scope)}"))
    if problems:
        raise ConfigError(problems)
    return table


def _repeated(place: str, tables: Mapping[str, TokenTable]) -> Iterable[Problem]:
    names: dict[str, str] = {}
    for name, table in tables.items():
        first = names.setdefault(table.token, name)
        if first != name:
            yield Problem(place, f"{name}.token", "...", f"must be another one than that of {first}")
