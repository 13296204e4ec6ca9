"""How much is borne of a client: its errors, commands that lead to no message, and content that comes too slowly.

No I/O is done here; instants are seconds of a clock that never steps back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sender.settings import SmtpSettings


@dataclass(slots=True)
class Patience:
    """With one connection, from one message to the next."""

    limits: SmtpSettings
    began_at: float
    errors: int = 0
    commands: int = 0
    failures: int = 0  # of AUTH, in the whole connection

    def message(self) -> None:
        """Note that a message was taken."""
        self.errors = self.commands = 0

    def over(self, now: float) -> str:
        """Say why the client is to be sent away, as the reply; empty: it is not, now, when no message is coming in."""
        limits = self.limits
        if self.failures >= limits.max_auth_failures:
            return "421 4.7.0 Too many failures"
        if self.errors >= limits.max_errors:
            return "421 4.7.0 Too many errors"
        if self.commands >= limits.max_commands:
            return "421 4.7.0 Too many commands without a message"
        if now - self.began_at >= limits.session_timeout:
            return "421 4.4.2 The connection has been open for too long"
        return ""


@dataclass(slots=True)
class Upload:
    """With the content of one message."""

    limits: SmtpSettings
    began_at: float
    size: int = 0

    def over(self, now: float, size: int) -> str:
        """Take note of so many bytes more; say why the client is to be sent away, as the reply; empty: it is not."""
        limits, elapsed_s = self.limits, now - self.began_at
        self.size += size
        if elapsed_s > limits.session_timeout:
            return "421 4.4.2 The message has been coming in for too long"
        if elapsed_s > limits.block_timeout and self.size < limits.min_data_rate * elapsed_s:
            return f"421 4.4.2 Content comes in at less than {limits.min_data_rate} bytes a second"
        return ""
