"""Failures of AUTH by address: who has had too many within a while may not try."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sender.settings import SmtpSettings

_REMEMBERED = 10_000  # addresses


class Failures:
    """Of the clients of a listener. Instants are seconds of a clock that never steps back."""

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
