"""AUTH PLAIN and LOGIN (RFC 4954, RFC 4616), and who has failed too often.

A mechanism asks the connection for what the client sends, and gives the account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sender.intake.accounts import Account
    from sender.settings import SmtpSettings

_REMEMBERED = 10_000  # addresses


class Failures:
    """Failures of AUTH by address: who has had too many within a while may not try.

    Instants are seconds of a clock that never steps back.
    """

    def __init__(self, limits: SmtpSettings) -> None:
        self._limits = limits
        self._since: dict[str, tuple[float, int]] = {}

    def add(self, address: str, now: float) -> None:
        """Note one."""
        since, count = self._since.pop(address, (now, 0))
        if now - since > self._limits.auth_failure_window:
            since, count = now, 0
        self._since[address] = since, count + 1
        if len(self._since) > _REMEMBERED:
            del self._since[next(iter(self._since))]  # whoever has failed least recently

    def too_many(self, address: str, now: float) -> bool:
        """Tell whether an address may not try now."""
        since, count = self._since.get(address, (now, 0))
        return now - since <= self._limits.auth_failure_window and count >= self._limits.max_auth_failures_per_address


class Asked(Protocol):
    """What a mechanism needs of a connection."""

    async def credentials(self, args: list[str], challenge: str = "") -> bytes | None:
        """Take one answer; None where it was aborted or is unreadable, which has been answered."""

    async def refuse(self, reply: str) -> None:
        """Answer, and count a failure."""

    async def check(self, name: bytes, password: bytes) -> Account | None:
        """Check name and password; None where they are wrong."""


async def plain(connection: Asked, args: list[str]) -> Account | None:
    """RFC 4616. Raises AnsweredError."""
    blob = await connection.credentials(args)
    if blob is None:
        raise AnsweredError
    parts = blob.split(b"\0")
    if len(parts) != 3:  # noqa: PLR2004 - authorization id, authentication id, password
        await connection.refuse("501 5.5.2 Cannot be split into name and password")
        raise AnsweredError
    return await connection.check(parts[1], parts[2])


async def login(connection: Asked, args: list[str]) -> Account | None:
    """Ask the two questions of old clients. Raises AnsweredError."""
    name = await connection.credentials(args, challenge="Username:")
    password = await connection.credentials([], challenge="Password:") if name is not None else None
    if name is None or password is None:
        raise AnsweredError
    return await connection.check(name, password)


class AnsweredError(Exception):
    """The exchange has failed, and the client knows why."""


MECHANISMS = {"PLAIN": plain, "LOGIN": login}
