"""The window of a lane: how many sessions it may have open, measured and not guessed.

When k sessions are open and the next is refused, the limit is k: it is held. Beyond it one session is tried from time
to time, as often as deliveries have earned it; a refused try doubles the wait, a taken one lets the window grow again.
A refusal inside the limit is tried once more after a short wait, since receivers let go of closed sessions late; where
sessions died without a word, the first one tells. When the limit has been lowered, the way back to the old one, its
plateau, costs little.

Each event is one synchronous call; `Ticket` stands for one session from its first packet to its end.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sender.core.knee import Knee
from sender.core.noise import Noise
from sender.core.purse import Purse
from sender.core.wait import honoured
from sender.core.window_rules import USUAL, WindowRules
from sender.core.window_words import Cause, Change, Obstacle, Remembered, Ticket

if TYPE_CHECKING:
    from random import Random

__all__ = ["Cause", "Change", "Obstacle", "Remembered", "Ticket", "Window", "WindowRules"]

_LONG_S = 1e12
_KEPT = 200  # of the sessions that have ended


class Window:
    """The measured limit of one lane. All its state is changed by the calls below and by nothing else."""

    def __init__(
        self,
        *,
        start: int,
        ceiling: int,
        now: float,
        rng: Random,
        remembered: Remembered | None = None,
        rules: WindowRules = USUAL,
    ) -> None:
        self._rng = rng
        self._start = start
        self.rules = rules
        self.ceiling = ceiling  # the lane may lower or raise it: configuration, published caps
        self.limit = max(1, min(start, ceiling))
        self.growing = True
        self.in_use = 0  # tickets from `opening` to `closed` or `refused`
        self.unproven = 0  # of these, not proven yet
        self.wait_s = rules.probe_wait_s
        self.gate_s = rules.gate_s
        self.keep_s = 0.0
        self.plateau = 0.0  # the limit that we were pushed off; it fades with each refusal on the way back
        self.probe_at = now
        self.retry_at = now
        self.hold_until = now
        self.changes: list[Change] = []  # the lane takes these out
        self.purse = Purse(rules, unpaid_at=now, debt=-rules.price)
        self.knee = Knee(rules)
        self._noise = Noise(rules)
        self._left: deque[float] = deque(maxlen=_KEPT)  # when sessions ended
        self._died: deque[float] = deque(maxlen=_KEPT)  # likewise, without a word: the receiver may not know it
        self._top = 0  # the highest level that was proven: below the first limit, which is a guess
        self._raised_at = -_LONG_S
        self._waited_s = rules.probe_wait_s  # the wait before the try that was taken last
        self._event_at = -_LONG_S  # the last refusal that was news
        self._edge = False  # whether it ended the growth: those that were under way then may be refused as well
        self._named_until = -_LONG_S  # the receiver named a wait: sessions that work are not ended before this
        self._doubt: int | None = None  # how many were open at a refusal inside the limit, while no more were taken
        self._doubted_at = -_LONG_S
        self._eased = False  # whether a session was taken since, be it fewer than then
        self._squeezed_at = -_LONG_S
        self._squeeze_wait_s = rules.probe_wait_s
        self._keep_until = -_LONG_S  # sessions that work are kept until then
        self._down_to: int | None = None  # sessions above this are closed after their message
        if remembered is not None:
            self._restore(remembered, now)

    def _restore(self, remembered: Remembered, now: float) -> None:
        faded = min(1.0, max(0.0, (now - remembered.at) / self.rules.fade_s))
        limit = round(remembered.limit + (self._start - remembered.limit) * faded)
        if not remembered.clean:
            limit = min(limit, int(remembered.limit * self.rules.unclean))
        self._set(max(1, min(limit, self.ceiling)), Cause.REMEMBERED, now)
        self.growing = faded >= 1.0 and remembered.clean
        self.probe_at = now + self._jittered(self.wait_s)
        if remembered.held_until is not None:
            self.hold_until = self.retry_at = remembered.held_until

    # questions

    @property
    def proven(self) -> int:
        """Sessions that the receiver has taken for certain."""
        return self.in_use - self.unproven

    def obstacle(self, now: float) -> tuple[Obstacle, float | None] | None:
        """Tell what forbids one more session and until when (None: until an event), or None where it is allowed."""
        if self.in_use >= self.ceiling:
            return Obstacle.MAX_WINDOW, None
        if now < self.hold_until:
            return Obstacle.HOLD, self.hold_until
        if self.in_use < self.limit:
            return self._obstacle_inside(now)
        if self.growing:
            explorers = self._explorers()
            full = self.in_use >= self.limit + explorers or self.unproven >= self._refill(now) + explorers
            return (Obstacle.OPENING, None) if full else (Obstacle.SLOWER, None) if self.knee.slower else None
        if now < self.next_try_at:
            return Obstacle.WINDOW, self.next_try_at
        return (Obstacle.OPENING, None) if self.in_use > self.limit else None

    def _obstacle_inside(self, now: float) -> tuple[Obstacle, float | None] | None:
        if now < self._inside_at:
            return Obstacle.RETRY, self._inside_at
        return (Obstacle.OPENING, None) if self.unproven >= self._refill(now) else None

    @property
    def _inside_at(self) -> float:
        """The instant from which a session inside the limit may be tried.

        Where so many have ended since the limit was lowered that one must fit in, that is soon.
        """
        drained = (
            self._doubt is not None
            and self._doubted_at == self._squeezed_at
            and 0 < self.in_use <= self.rules.drain * self._doubt
            and self.unproven == 0
        )
        soon = max(self._named_until, self._doubted_at + self.rules.drained_s)
        return min(self.retry_at, soon) if drained else self.retry_at

    def _explorers(self) -> int:
        explorers = 1 if self.knee.met else max(1, min(self.rules.explorers_most, self.limit // self.rules.explorers))
        return max(1, min(explorers, round(self.plateau) - self.limit)) if self._below else explorers

    @property
    def next_try_at(self) -> float:
        """The instant from which a session beyond the limit may be tried (deliveries may bring it forward)."""
        return max(self.probe_at, self.purse.unpaid_at) if self.owed else self.probe_at

    @property
    def owed(self) -> int:
        """The deliveries that are still to pay for a refused try."""
        return max(0, self.purse.debt - (self.rules.price if self._below else 0))

    @property
    def _below(self) -> bool:
        """Tell whether more was allowed not long ago: the way back there is cheap."""
        return self.limit < self.plateau - 0.5

    def _died_lately(self, now: float) -> int:
        """Count the sessions that died without a word so lately that the receiver may count them still."""
        return _since(self._died, now - self.rules.died_s)

    def _refill(self, now: float) -> int:
        """Sessions that may be unproven inside the limit: a share of what works, and one for each just closed."""
        doubted = self._doubt is not None and now - self._doubted_at < self.rules.calm_s
        if doubted and (not self._eased or self.in_use >= (self._doubt or 0)):
            return 1
        return max(1, self.proven // self.rules.refill) + _since(self._left, now - self.rules.refill_span_s)

    def surplus(self) -> bool:
        """Tell whether a session should be closed after its message: fewer are wanted than are open."""
        if self._down_to is not None and self.in_use <= self._down_to:
            self._down_to = None
        return self.in_use > self.ceiling or self._down_to is not None

    def may_retire(self, now: float) -> bool:
        """Tell whether an old session may be closed for its age: not while a new one could not be opened."""
        if now < self.hold_until or now < self._named_until:
            return False
        if now < max(self.retry_at, self._keep_until):
            return self.limit < self.rules.drop * self.plateau
        if now < max(self._keep_until + 2 * self.keep_s, self._named_until + self.rules.calm_s):
            return self.unproven == 0 and self.in_use >= self.limit  # one after another
        return True

    # events

    def opening(self, now: float) -> Ticket:
        """A session begins."""
        self._down_to = None
        self.in_use += 1
        self.unproven += 1
        return Ticket(self.in_use, began_at=now)

    def taken(self, ticket: Ticket) -> None:
        """The session is open: its banner and EHLO were answered. It is proven by its first MAIL or RCPT."""
        ticket.open = True

    def prove(self, ticket: Ticket, now: float) -> None:
        """The receiver took a message's envelope on this session: it counts among what it allows."""
        if ticket.proven:
            return
        ticket.proven = True
        self.unproven -= 1
        level = min(ticket.level, self.in_use, self.ceiling)
        self._top = max(self._top, level)
        if ticket.began_at >= self._event_at:
            self.gate_s, self._eased = self.rules.gate_s, True
            if self._doubt is not None and level > self._doubt:
                self._false_alarm(now)
        if level > self.limit and now >= self.hold_until:
            self._taken_beyond(level, now)

    def _false_alarm(self, now: float) -> None:
        """What was refused inside the limit is taken after all: where that happens, sessions that work are kept."""
        self._doubt = None
        if now > self._keep_until + 2 * self.keep_s:
            self.keep_s = self.rules.keep_s
        else:
            self.keep_s = min(self.rules.keep_most_s, 2 * self.keep_s)
        self._keep_until = now + self.keep_s

    def _taken_beyond(self, level: int, now: float) -> None:
        below = self._below
        self._set(level, Cause.TAKEN, now)
        self._raised_at = now
        if self.knee.met:
            self.knee.look_again()
        self.purse.taken(level)
        if not self.growing:
            self._waited_s = self.wait_s
            self.growing, self.wait_s = True, self.rules.probe_wait_s
        if below and not self._below:
            # The plateau is regained: what lies beyond it is a matter of tries again.
            self.growing, self.plateau = False, 0.0
            self.probe_at = now + self._jittered(self.wait_s)

    def refused(self, ticket: Ticket, now: float, retry_after_s: float | None = None) -> None:
        """The receiver refused this session for there are too many. The ticket ends."""
        self._end(ticket)
        news = ticket.began_at >= self._event_at  # others were under way when the last refusal was heard
        if self.in_use >= self.limit or (self.growing and self.in_use >= self._top):
            before = self.limit
            self._refused_at_limit(now, news=news)
            if self.limit == before and news:
                self.changes.append(Change(now, before, before, Cause.REFUSED))  # a limit that is confirmed is news too
        elif self._edge and not news:
            self._set(max(1, self.in_use), Cause.REFUSED, now)
        else:
            self._refused_inside(now, news=news)
        if news:
            self._event_at = now
        self.probe_at = now + self._jittered(max(self.wait_s, self.gate_s if self.in_use < self.limit else 0.0))
        if self.in_use == 0:
            self.retry_at = max(self.retry_at, now + self._jittered(self.gate_s))
            self.gate_s = min(self.gate_s * 2, self.rules.gate_most_s)
        if retry_after_s is not None:
            self._named_until = now + honoured(retry_after_s)
            # First the sessions that were kept take turns, then more are tried.
            self.probe_at = self._named_until + self._jittered(self.wait_s)
            self.retry_at = max(self.retry_at, self._named_until)

    def _refused_at_limit(self, now: float, *, news: bool) -> None:
        if self.growing:
            self.growing, self._edge = False, True
            self.wait_s = self.rules.probe_wait_s
            self._set(max(1, self.in_use), Cause.REFUSED, now)
        elif news:
            self._edge = False
            self.wait_s = min(self.wait_s * 2, self.rules.probe_wait_most_s)
        if news:
            self._pay(now)

    def _pay(self, now: float) -> None:
        share = 1.0
        if self._below:
            if not self._died_lately(now):
                self.plateau = self.limit + self.rules.fade * (self.plateau - self.limit)
            share = self.rules.way_back
        elif now < self._keep_until + 2 * self.keep_s:
            share = self.rules.doubtful
        self.purse.pay(now, self.limit, share)

    def _refused_inside(self, now: float, *, news: bool) -> None:
        self._edge = False
        doubted = self._doubt is not None and now - max(self._doubted_at, self._named_until) < self.rules.calm_s
        again = doubted or self.in_use + self._died_lately(now) >= self.limit
        if not news:
            if self._doubt is not None:
                self._doubt = min(self._doubt, self.in_use)
            if self._squeezed_at == self._event_at:
                self._set(max(1, self.in_use), Cause.REFUSED_INSIDE, now)
            return
        if not again:
            self.gate_s = self.rules.gate_s
        self._doubt, self._doubted_at, self._eased = self.in_use, now, False
        self.retry_at = now + self._jittered(self.gate_s)
        if again:
            self.gate_s = min(self.gate_s * 2, self.rules.gate_most_s)
        if again or self.in_use == 0:
            self._squeeze(now)

    def _squeeze(self, now: float) -> None:
        """Lower the limit to what is open; the way back to where it was is cheap."""
        self.plateau = max(self.plateau, self.limit)
        self._set(max(1, self.in_use), Cause.REFUSED_INSIDE, now)
        self.growing = False
        calm = now - self._squeezed_at > self.rules.calm_s
        self._squeeze_wait_s = (
            self.rules.probe_wait_s if calm else min(self._squeeze_wait_s * 2, self.rules.squeeze_wait_most_s)
        )
        self._squeezed_at = now
        self.wait_s = max(self.wait_s, self._squeeze_wait_s) if self._died_lately(now) else self._squeeze_wait_s

    def closed(self, ticket: Ticket, now: float, *, died: bool = False) -> None:
        """The session ended, for any cause but a refusal. `died`: without a word, and the receiver may not know it."""
        if ticket.open:
            self._left.append(now)
            if died:
                self._died.append(now)
        self._end(ticket)

    def answered(self, now: float, seconds: float | None = None) -> None:
        """A message was delivered, or answered for its own sake, on a session; that took `seconds`."""
        if seconds is not None:
            self.knee.answered(now, seconds, held=not self.growing or self.knee.slower)
            if self.growing and (share := self.knee.share()) is not None:
                self._set(max(1, min(self.limit, round(self.proven * share))), Cause.SLOWER, now)
                self._down_to = self.limit
                self.growing, self.wait_s = False, self.rules.probe_wait_most_s
                self.probe_at = now + self._jittered(self.wait_s)
        self.purse.delivered()
        self._noise.answered(now)

    def throttled(self, now: float) -> None:
        """A working session was told that there are too many, and was not closed: one is noise, a share is not."""
        if self._noise.throttled(now):
            self._lower(now)
            self._down_to = self.limit

    def cut(self, ticket: Ticket, now: float) -> None:
        """A working session was closed on us for there are too many. The ticket ends."""
        self._end(ticket)
        if self.growing or now - self._raised_at < self.rules.calm_s:
            # Some receivers take a session too many, and close another one for it: that is the answer to a try.
            waited_s = self.rules.probe_wait_s if self.growing else self.wait_s
            self.wait_s = min(2 * max(self._waited_s, waited_s), self.rules.probe_wait_most_s)
            self.growing = False
            self._set(max(1, min(self.limit, self.in_use)), Cause.THROTTLED, now)
            self._pay(now)
            self.probe_at = now + self._jittered(self.wait_s)
        else:
            self._lower(now)

    def _lower(self, now: float) -> None:
        """What is open now is the limit; the way back to where it was is cheap."""
        self.plateau = max(self.plateau, self.limit)
        self._set(max(1, min(self.limit, self.in_use)), Cause.THROTTLED, now)
        self.growing, self.wait_s = False, self.rules.probe_wait_s
        self.probe_at = now + self._jittered(self.wait_s)

    def overloaded(self, now: float) -> None:
        """The receiver says that it has too much to do: half, and no new sessions for a while."""
        if now < self.hold_until:
            return
        self.plateau = max(self.plateau, self.limit)
        self._set(max(1, min(self.limit, max(1, self.in_use)) // 2), Cause.OVERLOADED, now)
        self._down_to = self.limit
        self.growing = False
        self.hold_until = now + self._jittered(self.rules.overload_s)
        self.probe_at = max(self.probe_at, self.hold_until)

    def blocked(self, now: float, retry_after_s: float | None = None) -> None:
        """The receiver does not trust us: everything waits, then one session; when it delivers, growth is quick."""
        if now < self.hold_until:
            return
        wait_s = self._jittered(self.rules.block_s) if retry_after_s is None else honoured(retry_after_s)
        self.plateau = max(self.plateau, self.limit)
        self._set(1, Cause.BLOCKED, now)
        self._down_to = 1
        self.growing, self.wait_s = True, self.rules.probe_wait_s
        self.hold_until = self.probe_at = self.retry_at = now + wait_s

    def set_limit(self, limit: int, now: float) -> None:
        """An operator knows better: `limit` holds until the next probe or refusal."""
        self._set(max(1, min(limit, self.ceiling)), Cause.OPERATOR, now)
        self._down_to = self.limit
        self.growing = False
        self.hold_until = self.retry_at = now
        self.probe_at = now + self._jittered(self.wait_s)

    def remember(self, now: float, *, clean: bool) -> Remembered:
        """Give what is worth keeping."""
        return Remembered(self.limit, now, clean, self.hold_until if now < self.hold_until else None)

    def _end(self, ticket: Ticket) -> None:
        self.in_use -= 1
        if not ticket.proven:
            self.unproven -= 1

    def _set(self, limit: int, cause: Cause, now: float) -> None:
        if limit != self.limit:
            self.changes.append(Change(now, self.limit, limit, cause))
            self.limit = limit
            self._top = min(self._top, limit)

    def _jittered(self, seconds: float) -> float:
        return seconds * self._rng.uniform(0.8, 1.2)


def _since(instants: deque[float], start: float) -> int:
    """Count what came after `start`; what came before is forgotten."""
    while instants and instants[0] < start:
        instants.popleft()
    return len(instants)
