"""The window of a lane: how many sessions it may have open, measured and not guessed.

When k sessions are open and the next is refused, the limit is k: it is held. Beyond it one session is tried from time
to time, as often as deliveries have earned it; a refused try doubles the wait, a taken one lets the window grow again.
A refusal inside the limit is tried once more after a short wait, since receivers let go of closed sessions late; when
the limit has been lowered, the way back to the old one, its plateau, is free.

Each event is one synchronous call; `Ticket` stands for one session from its first packet to its end.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

from sender.core.wait import honoured

# Beyond the limit
PROBE_WAIT_S, PROBE_WAIT_MAX_S = 5.0, 180.0
DEBT = 1200  # deliveries that pay for a refused try
UNPAID_S = 1800.0  # a try that is not paid for may be made after this
EXPLORERS = 8  # proven sessions for each one that is tried beyond the limit while it grows, two at the most
FADE = 0.7  # what is left of the distance to the plateau after a refusal below it
# Inside the limit
GATE_S, GATE_MAX_S = 2.0, 60.0
CALM_S, SQUEEZE_WAIT_MAX_S = 60.0, 40.0  # a limit that is lowered again within that time is probed less soon
KEEP_S = 30.0  # after a refusal inside the limit a working session is worth more than a new one, for so long
REFILL_SPAN_S = 5.0  # a session that was closed so lately may be replaced at once
# Slots that the receiver lets go late
REST_S, REST_MAX_S = 0.5, 5.0
SOON_S = 1.0  # a session that begins so shortly after another was closed takes its place
LATE, TAKEN_SOON = 3.0, 0.25  # evidence: a refusal in such a place counts 1, a session that is taken there this much
CLEAN_OPENS = 60
# Other answers
ONE_EVENT_S = 1.0  # refusals this close together are one event
OVERLOAD_S, BLOCK_S = 30.0, 900.0
SOFT_SPAN_S, SOFT_COUNT, SOFT_SHARE = 60.0, 3, 0.05
# Memory
UNCLEAN_SHARE = 0.8
FADE_S = 86400.0


class Cause(StrEnum):
    """What changed a window."""

    TAKEN = "taken"  # a session beyond the limit was taken
    REFUSED = "refused"  # a session at the limit was refused
    REFUSED_INSIDE = "refused_inside"  # refused below the limit, twice
    THROTTLED = "throttled"  # working sessions were told that they are too many
    OVERLOADED = "overloaded"
    BLOCKED = "blocked"
    REMEMBERED = "remembered"
    OPERATOR = "operator"


class Obstacle(StrEnum):
    """What stands between a lane and one more session."""

    MAX_WINDOW = "max_window"  # the configured ceiling
    HOLD = "hold"  # blocked or overloaded
    RETRY = "retry"  # refused inside the limit a moment ago
    OPENING = "opening"  # others are being opened; they have not been taken yet
    REST = "rest"  # we closed a session a moment ago, the receiver may still count it
    WINDOW = "window"  # the limit is reached, the next try has its time


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the limit, or, where it stays, a refusal that confirmed it."""

    at: float
    before: int
    after: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is kept of a window over a restart."""

    limit: int
    rest_s: float
    at: float
    clean: bool


@dataclass(slots=True, eq=False)
class Ticket:
    """One session in the eyes of its window."""

    level: int  # how many were in use when it began, itself included
    soon: bool = False  # it took the place of one that had just been closed
    open: bool = False
    proven: bool = False


class Window:
    """The measured limit of one lane. All its state is changed by the calls below and by nothing else."""

    def __init__(
        self, *, start: int, ceiling: int, now: float, rng: Random, remembered: Remembered | None = None
    ) -> None:
        self._rng = rng
        self._start = start
        self.ceiling = ceiling  # the lane may lower or raise it: configuration, published caps
        self.limit = max(1, min(start, ceiling))
        self.growing = True
        self.in_use = 0  # tickets from `opening` to `closed` or `refused`
        self.unproven = 0  # of these, not proven yet
        self.wait_s = PROBE_WAIT_S
        self.gate_s = GATE_S
        self.rest_s = 0.0
        self.debt = 0
        self.plateau = 0.0  # the limit that we were pushed off; it fades with each refusal on the way back
        self.probe_at = now
        self.retry_at = now
        self.hold_until = now
        self.unpaid_at = now
        self.changes: list[Change] = []  # the lane takes these out
        self._event_at = -1e12
        self._keep_until = -1e12  # working sessions are not ended for their age before this
        self._edge = False  # whether the last refusal was at the limit
        self._doubted = False  # refused inside the limit, and not taken since
        self._inside_at = -1e12
        self._squeezed_at = -1e12
        self._squeeze_wait_s = PROBE_WAIT_S
        self._late = 0.0  # whether places that were just left are refused: from never to always
        self._clean_opens = 0
        self._keep: int | None = None
        self._closes: deque[float] = deque(maxlen=200)
        self._soft: deque[float] = deque()
        self._answers: deque[float] = deque()
        if remembered is not None:
            self._restore(remembered, now)

    def _restore(self, remembered: Remembered, now: float) -> None:
        faded = min(1.0, max(0.0, (now - remembered.at) / FADE_S))
        limit = round(remembered.limit + (self._start - remembered.limit) * faded)
        if not remembered.clean:
            limit = min(limit, int(remembered.limit * UNCLEAN_SHARE))
        self._set(max(1, min(limit, self.ceiling)), Cause.REMEMBERED, now)
        self.rest_s = remembered.rest_s * (1 - faded)
        self.growing = faded >= 1.0 and remembered.clean
        self.probe_at = now + self._jittered(self.wait_s)

    # questions

    @property
    def proven(self) -> int:
        """Sessions that the receiver has taken for certain."""
        return self.in_use - self.unproven

    def obstacle(self, now: float) -> tuple[Obstacle, float | None] | None:  # noqa: PLR0911 - one for each obstacle
        """Tell what forbids one more session and until when (None: until an event), or None where it is allowed."""
        if self.in_use >= self.ceiling:
            return Obstacle.MAX_WINDOW, None
        if now < self.hold_until:
            return Obstacle.HOLD, self.hold_until
        cooling = self._cooling(now)
        if self.in_use < self.limit:
            if now < self.retry_at:
                return Obstacle.RETRY, self.retry_at
            if self.in_use + cooling >= self.limit:
                return Obstacle.REST, self._closes[-cooling] + self.rest_s
            return (Obstacle.OPENING, None) if self.unproven >= self._refill(now) else None
        if self.growing:
            explorers = max(1, min(2, self.limit // EXPLORERS))
            full = self.in_use >= self.limit + explorers or self.unproven >= self._refill(now) + explorers
            return (Obstacle.OPENING, None) if full else None
        next_try_at = self.next_try_at
        if now < next_try_at:
            return Obstacle.WINDOW, next_try_at
        return (Obstacle.OPENING, None) if self.unproven else None

    @property
    def next_try_at(self) -> float:
        """The instant from which a session beyond the limit may be tried (deliveries may bring it forward)."""
        return max(self.probe_at, self.unpaid_at) if self.owed else self.probe_at

    @property
    def owed(self) -> int:
        """The deliveries that are still to pay for a refused try."""
        return 0 if self._below else max(0, self.debt)

    @property
    def _below(self) -> bool:
        """Tell whether more was allowed not long ago: the way back there is not paid for."""
        return self.limit < self.plateau - 0.5

    def _cooling(self, now: float) -> int:
        """Count the sessions that we closed so shortly ago that the receiver may count them still."""
        count = 0
        for closed_at in reversed(self._closes):
            if closed_at + self.rest_s <= now:
                break
            count += 1
        return count

    def _refill(self, now: float) -> int:
        """Sessions that may be unproven inside the limit: a quarter of what works, and one for each just closed."""
        while self._closes and self._closes[0] < now - REFILL_SPAN_S:
            self._closes.popleft()
        return max(1, self.proven // 4) + len(self._closes)

    def surplus(self) -> bool:
        """Tell whether a session should be closed after its message: fewer are wanted than are open."""
        if self._keep is not None and self.in_use <= self._keep:
            self._keep = None
        return self.in_use > self.ceiling or self._keep is not None

    def may_retire(self, now: float) -> bool:
        """Tell whether an old session may be closed for its age: not while a new one could not be opened."""
        return now >= self.hold_until and now >= min(self.retry_at, self._keep_until)

    # events

    def opening(self, now: float) -> Ticket:
        """A session begins."""
        self._keep = None
        self.in_use += 1
        self.unproven += 1
        return Ticket(self.in_use, soon=bool(self._closes) and now - self._closes[-1] < self.rest_s + SOON_S)

    def taken(self, ticket: Ticket) -> None:
        """The session is open: its banner and EHLO were answered. It is proven by its first MAIL or RCPT."""
        ticket.open = True

    def prove(self, ticket: Ticket, now: float) -> None:
        """The receiver took a message's envelope on this session: it counts among what it allows."""
        if ticket.proven:
            return
        ticket.proven = True
        self.unproven -= 1
        if self._doubted:
            self._doubted, self.gate_s = False, GATE_S
        if ticket.soon:
            self._late = max(self._late - TAKEN_SOON, -LATE)
            self._clean_opens += 1
            if self._clean_opens >= CLEAN_OPENS:
                self._clean_opens = 0
                self.rest_s = self.rest_s * 0.9 if self.rest_s > REST_S / 2 else 0.0
        level = min(ticket.level, self.in_use, self.ceiling)
        if level > self.limit and now >= self.hold_until:
            self._set(level, Cause.TAKEN, now)
            if not self.growing:
                self.growing, self.wait_s = True, PROBE_WAIT_S

    def refused(self, ticket: Ticket, now: float, retry_after_s: float | None = None) -> None:
        """The receiver refused this session for there are too many. The ticket ends."""
        self._end(ticket)
        same_event = now - self._event_at <= ONE_EVENT_S
        if self.growing or self.in_use >= self.limit:
            before = self.limit
            self._refused_at_limit(now, same_event=same_event)
            if self.limit == before and not same_event:
                self.changes.append(Change(now, before, before, Cause.REFUSED))  # a limit that is confirmed is news too
        elif same_event and self._edge:
            self._set(max(1, self.in_use), Cause.REFUSED, now)
        else:
            self._refused_inside(ticket, now, same_event=same_event)
        self._event_at = now
        if self.in_use < self.limit:
            self._keep_until = max(self._keep_until, now + KEEP_S)
        self.probe_at = now + self._jittered(max(self.wait_s, self.gate_s if self.in_use < self.limit else 0.0))
        if self.in_use == 0:
            self.retry_at = max(self.retry_at, now + self._jittered(self.gate_s))
            self.gate_s = min(self.gate_s * 2, GATE_MAX_S)
        if retry_after_s is not None:
            until = now + honoured(retry_after_s)
            self.probe_at = max(self.probe_at, until)
            self.retry_at = max(self.retry_at, until)
            self._keep_until = until

    def _refused_at_limit(self, now: float, *, same_event: bool) -> None:
        self._edge = True
        if self.growing:
            self.growing = False
            self.wait_s = PROBE_WAIT_S
            self._set(max(1, self.in_use), Cause.REFUSED, now)
        elif not same_event:
            self.wait_s = min(self.wait_s * 2, PROBE_WAIT_MAX_S)
            if self._below:
                self.plateau = self.limit + FADE * (self.plateau - self.limit)
            else:
                self.debt = min(self.debt + DEBT, 4 * DEBT)
                self.unpaid_at = now + UNPAID_S

    def _refused_inside(self, ticket: Ticket, now: float, *, same_event: bool) -> None:
        self._edge = False
        if ticket.soon and not self._doubted:
            self._clean_opens = 0
            self._late = min(self._late + 1, LATE)
            if self._late > 1 or self.rest_s:  # once is chance
                self.rest_s = min(REST_MAX_S, max(REST_S, self.rest_s * 1.5))
        if same_event:
            return
        again, self._doubted = self._doubted, True
        if not again:
            self.gate_s = GATE_S if now - self._inside_at > CALM_S else self.gate_s
        self._inside_at = now
        self.retry_at = now + self._jittered(self.gate_s)
        if again:
            self.gate_s = min(self.gate_s * 2, GATE_MAX_S)
        if again or self.in_use == 0:
            self.plateau = max(self.plateau, self.limit)
            self._set(max(1, self.in_use), Cause.REFUSED_INSIDE, now)
            calm = now - self._squeezed_at > CALM_S
            self._squeeze_wait_s = PROBE_WAIT_S if calm else min(self._squeeze_wait_s * 2, SQUEEZE_WAIT_MAX_S)
            self._squeezed_at = now
            self.wait_s = self._squeeze_wait_s
            self.debt = min(self.debt, 0)

    def closed(self, ticket: Ticket, now: float) -> None:
        """The session ended, for any cause but a refusal."""
        if ticket.open:
            self._closes.append(now)
        self._end(ticket)

    def answered(self, now: float) -> None:
        """A message was delivered, or answered for its own sake, on a session."""
        self.debt = max(self.debt - 1, -2 * DEBT)
        if self._soft:
            self._answers.append(now)

    def throttled(self, now: float) -> None:
        """A working session was told that there are too many, and was not closed: one is noise, a share is not."""
        self._soft.append(now)
        for times in (self._soft, self._answers):
            while times and times[0] < now - SOFT_SPAN_S:
                times.popleft()
        if len(self._soft) >= SOFT_COUNT and len(self._soft) > SOFT_SHARE * (len(self._soft) + len(self._answers)):
            self._soft.clear()
            self.cut(now)
            self._keep = self.limit

    def cut(self, now: float) -> None:
        """A working session was closed on us for there are too many: what is open now is the limit."""
        self.plateau = max(self.plateau, self.limit)
        self._set(max(1, min(self.limit, self.in_use)), Cause.THROTTLED, now)
        self.growing, self.wait_s = False, PROBE_WAIT_S
        self.debt = min(self.debt, 0)
        self.probe_at = now + self._jittered(self.wait_s)

    def overloaded(self, now: float) -> None:
        """The receiver says that it has too much to do: half, and no new sessions for a while."""
        if now < self.hold_until:
            return
        self._set(max(1, min(self.limit, max(1, self.in_use)) // 2), Cause.OVERLOADED, now)
        self._keep = self.limit
        self.growing = False
        self.hold_until = now + self._jittered(OVERLOAD_S)
        self.probe_at = max(self.probe_at, self.hold_until)

    def blocked(self, now: float, retry_after_s: float | None = None) -> None:
        """The receiver does not trust us: everything waits, then one session; when it delivers, growth is quick."""
        if now < self.hold_until:
            return
        wait_s = self._jittered(BLOCK_S) if retry_after_s is None else honoured(retry_after_s)
        self.plateau = max(self.plateau, self.limit)
        self._set(1, Cause.BLOCKED, now)
        self._keep = 1
        self.growing, self.wait_s = True, PROBE_WAIT_S
        self.hold_until = self.probe_at = self.retry_at = now + wait_s

    def set_limit(self, limit: int, now: float) -> None:
        """An operator knows better: `limit` holds until the next probe or refusal."""
        self._set(max(1, min(limit, self.ceiling)), Cause.OPERATOR, now)
        self._keep = self.limit
        self.growing = False
        self.hold_until = self.retry_at = now
        self.probe_at = now + self._jittered(self.wait_s)

    def remember(self, now: float, *, clean: bool) -> Remembered:
        """Give what is worth keeping."""
        return Remembered(self.limit, self.rest_s, now, clean)

    def _end(self, ticket: Ticket) -> None:
        self.in_use -= 1
        if not ticket.proven:
            self.unproven -= 1

    def _set(self, limit: int, cause: Cause, now: float) -> None:
        if limit != self.limit:
            self.changes.append(Change(now, self.limit, limit, cause))
            self.limit = limit

    def _jittered(self, seconds: float) -> float:
        return seconds * self._rng.uniform(0.8, 1.2)
