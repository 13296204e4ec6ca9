"""When a recipient goes: its first turn, and the next attempt after one that failed (RFC 5321 section 4.5.4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sender.core.wait import LONGEST_S, honoured

if TYPE_CHECKING:
    from random import Random

# New mail is placed this far before its acceptance, less a handicap for its size and its many recipients: what is
# placed earlier goes first, so a message with ten thousand recipients or ten megabytes lets later small ones pass.
HEAD_START_S = 60.0
RECIPIENTS_PER_HANDICAP_S = 50
BYTES_PER_HANDICAP_S = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The `[retry]` table: `schedule_s` gives the waits after the first, second, ... attempt; the last one repeats."""

    schedule_s: tuple[float, ...]
    jitter: float
    max_age_s: float
    delay_warning_s: float | None = None

    def next_attempt_at(self, *, attempts: int, now: float, rng: Random, retry_after_s: float | None = None) -> float:
        """Give the instant of the next attempt after `attempts` failed ones. A wait that the reply named decides."""
        if retry_after_s is not None:
            return now + honoured(retry_after_s) * rng.uniform(1.0, 1.0 + self.jitter)
        wait_s = self.schedule_s[min(attempts, len(self.schedule_s)) - 1]
        return now + wait_s * rng.uniform(1 - self.jitter, 1 + self.jitter)

    @property
    def longest_wait_s(self) -> float:
        """The longest wait that any attempt is followed by, one that a reply names included."""
        return max(*self.schedule_s, LONGEST_S) * (1 + self.jitter)

    def expires_at(self, accepted_at: float) -> float:
        """Give the instant from which a failed attempt is the last one."""
        return accepted_at + self.max_age_s


def first_turn_at(*, accepted_at: float, position: int, size: int) -> float:
    """Place new mail in its queue: always due at once, small and early recipients first.

    `position` counts the recipients of a message from 0, `size` is in bytes.
    """
    handicap_s = position // RECIPIENTS_PER_HANDICAP_S + size / BYTES_PER_HANDICAP_S
    return accepted_at - max(0.0, HEAD_START_S - handicap_s)
