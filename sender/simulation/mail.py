"""The mail of a lane: what waits, what comes, and what has been deferred and comes back.

What was throttled goes back to the head; what was deferred waits as the retry schedule says, until it expires.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from sender.core.schedule import RetryPolicy
    from sender.simulation.clockwork import Clockwork
    from sender.simulation.scenario import MailTable

_WITHOUT_END = 10**9


class Message:
    """One message to one recipient."""

    __slots__ = ("accepted_at", "attempts", "domain", "known_at", "number")

    def __init__(self, domain: int, accepted_at: float, number: int = 0) -> None:
        self.domain = domain
        self.number = number
        self.accepted_at = accepted_at
        self.attempts = 0
        self.known_at: float | None = None  # since when the receiver's greylist knows it


class Mail:
    """`on_news` is called when mail has come or come back, and when the last message has ended."""

    def __init__(
        self, table: MailTable, *, clockwork: Clockwork, policy: RetryPolicy, rng: Random, on_news: Callable[[], None]
    ) -> None:
        self.deferred = 0  # messages that wait for their next attempt
        self.delivered = 0
        self.expired = 0
        self._table = table
        self._clockwork = clockwork
        self._policy = policy
        self._rng = rng
        self._on_news = on_news
        self._first: deque[Message] = deque()  # tried before, and due
        self._fresh = [0] * table.domains
        self._turn = 0
        self._taken = 0  # for the first time
        self._endless = table.messages is None and table.rate is None
        self._fresh_count = _WITHOUT_END if self._endless else 0
        for number in range(table.messages or 0):
            self._add(number % table.domains)
        if table.rate is not None:
            self._fastest = max(table.rate, table.wave_rate or 0.0)
            clockwork.after(rng.expovariate(self._fastest), self._arrive)

    @property
    def waiting(self) -> int:
        """Count the messages that are due."""
        return self._fresh_count + len(self._first)

    @property
    def ended(self) -> bool:
        """Tell whether every message of a campaign has been delivered or has expired."""
        return self._table.messages is not None and self.delivered + self.expired >= self._table.messages

    def take(self, allowed: Callable[[int, float], bool] | None = None) -> Message | None:
        """Take the next message that is due, each domain in turn; of `allowed` domains only, where that is given."""
        now = self._clockwork.now
        for index, message in enumerate(self._first):
            if allowed is None or allowed(message.domain, now):
                del self._first[index]
                return message
        domains = self._table.domains
        for _ in range(domains if self._fresh_count else 0):
            domain, self._turn = self._turn, (self._turn + 1) % domains
            if (self._endless or self._fresh[domain]) and (allowed is None or allowed(domain, now)):
                if not self._endless:
                    self._fresh[domain] -= 1
                    self._fresh_count -= 1
                self._taken += 1
                return Message(domain, now, self._taken)
        return None

    def put_first(self, message: Message) -> None:
        """Put a message back to the head: it lost nothing."""
        self._first.appendleft(message)

    def delivered_one(self) -> None:
        """Hear that a message was delivered."""
        self.delivered += 1
        if self.ended:
            self._on_news()

    def defer(self, message: Message, retry_after_s: float | None = None, policy: RetryPolicy | None = None) -> None:
        """Let a message wait for its next attempt; one that is too old for it expires."""
        now, policy = self._clockwork.now, policy or self._policy
        message.attempts += 1
        if now >= policy.expires_at(message.accepted_at):
            self._expire()
            return
        self.deferred += 1
        self._clockwork.at(
            policy.next_attempt_at(attempts=message.attempts, now=now, rng=self._rng, retry_after_s=retry_after_s),
            self._come_back,
            message,
        )

    def rest(self, message: Message, until: float) -> None:
        """Let a message wait that was throttled: that is no attempt, but after twice its age it expires as well."""
        if self._clockwork.now >= 2 * self._policy.expires_at(message.accepted_at) - message.accepted_at:
            self._expire()
            return
        self.deferred += 1
        self._clockwork.at(until, self._come_back, message)

    def _expire(self) -> None:
        self.expired += 1
        if self.ended:
            self._on_news()

    def _come_back(self, message: Message) -> None:
        self.deferred -= 1
        self._first.append(message)
        self._on_news()

    def _add(self, domain: int) -> None:
        self._fresh[domain] += 1
        self._fresh_count += 1

    def _arrive(self) -> None:
        """Let mail come: a stream of the highest rate, of which at other times only a share is there."""
        table, now = self._table, self._clockwork.now
        self._clockwork.after(self._rng.expovariate(self._fastest), self._arrive)
        wave = table.wave_rate is not None and now % table.wave_every < table.wave_for
        rate = table.wave_rate if wave else table.rate
        if self._rng.random() * self._fastest < (rate or 0.0):
            self._add(self._rng.randrange(table.domains))
            self._on_news()
