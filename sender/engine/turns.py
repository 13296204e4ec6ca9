"""Whose turn it is in a lane: urgent mail first, then streams by weight, within a stream each domain in turn.

A stream that has had its share waits; one that was away gets no credit for it. Bulk mail weighs a tenth.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sender.spool.contract import Priority

if TYPE_CHECKING:
    from collections.abc import Callable

    from sender.engine.queue import Queue

_BULK_SHARE = 0.1


@dataclass(slots=True)
class _Ring:
    """The due queues of one stream, with what it has had."""

    share: float
    had: float
    queues: deque[Queue] = field(default_factory=deque)


class Turns:
    """Due queues of one lane in the order in which they are served. `weight` gives the weight of a stream."""

    def __init__(self, weight: Callable[[str], float]) -> None:
        self._weight = weight
        self._urgent: deque[Queue] = deque()
        self._rings: dict[tuple[str, int], _Ring] = {}

    def __bool__(self) -> bool:
        return bool(self._urgent) or any(ring.queues for ring in self._rings.values())

    @property
    def urgent(self) -> bool:
        """Tell whether urgent mail is due."""
        return bool(self._urgent)

    def queues(self) -> list[Queue]:
        """List the queues that are due."""
        return [*self._urgent, *(queue for ring in self._rings.values() for queue in ring.queues)]

    def add(self, queue: Queue) -> None:
        """Put a due queue at the end of its ring."""
        if queue.priority == Priority.URGENT:
            self._urgent.append(queue)
            return
        key = (queue.stream, queue.priority)
        ring = self._rings.get(key)
        if ring is None:
            share = self._weight(queue.stream) * (_BULK_SHARE if queue.priority == Priority.BULK else 1.0)
            ring = self._rings[key] = _Ring(share, min((other.had for other in self._rings.values()), default=0.0))
        ring.queues.append(queue)

    def take(self, most: int) -> list[Queue]:
        """Take up to `most` queues out: all of one stream, the one that has had least of its share."""
        if self._urgent:
            return [self._urgent.popleft() for _ in range(min(most, len(self._urgent)))]
        waiting = [ring for ring in self._rings.values() if ring.queues]
        if not waiting:
            return []
        ring = min(waiting, key=lambda ring: ring.had)
        return [ring.queues.popleft() for _ in range(min(most, len(ring.queues)))]

    def put_back(self, taken: list[Queue], still_due: list[Queue], recipients: int) -> None:
        """Put those queues of one `take` back that are still due, and charge their stream what it got."""
        for queue in still_due:
            self.add(queue)
        key = (taken[0].stream, taken[0].priority)
        ring = self._rings.get(key)
        if ring is None:
            return
        ring.had += recipients / ring.share
        if not ring.queues:
            del self._rings[key]  # whoever comes back starts where the others are

    def clear(self) -> list[Queue]:
        """Take every queue out."""
        queues = self.queues()
        self._urgent.clear()
        self._rings.clear()
        return queues
