"""What a delivering process holds beside the database: the lock, what is in hand, deliveries not recorded yet."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from sender.spool.hands import Hands
from sender.spool.journal import Journal
from sender.spool.lock import DeliveryLock

if TYPE_CHECKING:
    from pathlib import Path


class Beside:
    """Taken from construction to `close`. Raises SpoolBusyError where another process delivers, SpoolError."""

    def __init__(self, spool: Path) -> None:
        with ExitStack() as stack:
            lock = DeliveryLock(spool)
            stack.callback(lock.free)
            self.hands = Hands(spool)
            stack.callback(self.hands.close)
            self.journal = Journal(spool)
            stack.callback(self.journal.close)
            self._all = stack.pop_all()

    def close(self) -> None:
        """Let go of all of it."""
        self._all.close()
