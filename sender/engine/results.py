"""What an attempt gave: the way it went, and what each recipient got."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sender.core.reply import sanitised

if TYPE_CHECKING:
    from sender.core.outcome import Verdict
    from sender.core.reply import Reply
    from sender.core.stage import Stage
    from sender.spool.contract import ClaimedRecipient


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How an attempt went: the same for all recipients of a transaction. Empty where it did not come that far."""

    site: str = ""
    source: str = "default"
    host: str = ""
    address: str = ""
    tls: str = ""
    session_s: float = 0.0
    tells: bool = False  # the receiver tells senders itself what becomes of their mail


class Result(NamedTuple):
    """What one recipient got."""

    recipient: ClaimedRecipient
    verdict: Verdict
    stage: Stage | None = None
    reply: Reply | None = None
    detail: str = ""  # our own words, where there is no reply
    status: str | None = None  # enhanced code for the bounce, where there is no reply
    ours: bool = False  # the receiver did not say it
    rest_until: float | None = None  # it pays no attempt, and comes back when its rest is over

    @property
    def text(self) -> str:
        """The reply, or our words, in one line."""
        return str(self.reply) if self.reply is not None else sanitised(self.detail)
