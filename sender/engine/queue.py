"""A queue in memory: mail of one domain, stream and priority. The recipients themselves stay in the spool."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Queue:
    """Changed by the dispatcher only, but for `turning`, which is the lane's."""

    id: int
    domain: str
    stream: str
    priority: int
    due_at: float  # of the first unclaimed recipient (wall clock); infinity where nothing is left
    queued: int  # recipients queued and claimed, as far as this process knows
    arrivals: int = 0  # grows when recipients come or come back: a claim that ran meanwhile may not have seen them
    lane: str = ""  # the name of the lane that served it last
    turning: bool = False  # the lane serves it, or is claiming from it
    routing: bool = False  # its way is being looked up
