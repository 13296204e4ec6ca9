"""What receivers took: what they have answered for, and nothing that a crash could lose."""

from __future__ import annotations

from collections import Counter


class Arrivals:
    """A store for receivers: counts by identity and recipient."""

    def __init__(self) -> None:
        self.count: Counter[tuple[str, str]] = Counter()

    def record(self, arrival_header: bytes) -> None:
        """Count the recipients of one message."""
        for line in arrival_header.decode().splitlines():
            _, rcpt_to, identity = line.split("\t")
            self.count[identity, rcpt_to] += 1

    @property
    def repeats(self) -> int:
        """Count what came more than once."""
        return self.count.total() - len(self.count)
