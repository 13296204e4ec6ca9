"""What a receiver allows one source: a window, a pace, and how they were learned; of one lane or of several.

Lanes have one allowance together where their sites share a limit (`share` in the configuration), and where they go to
one site in different ways. Their sessions count together; `core/sharing.py` says whose turn it is. Whatever changes
the window changes it here or in a lane, without an await, and whoever waits first in line is pumped after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sender.core.governor import Governor
from sender.core.memory import Memory
from sender.core.outcome import Reason
from sender.core.pace import Pace
from sender.core.sharing import Sharing
from sender.core.window import Cause, Change, Window
from sender.engine.diary import Diary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sender.core.outcome import Verdict
    from sender.core.window import Obstacle, Ticket
    from sender.engine.lane import Lane
    from sender.engine.surroundings import Surroundings

_READY = 8  # lanes in line that have claimed mail: a claim takes its time, and one after another too much of it
_COURTESY_S, _COURTESY_SHARE = 0.02, 0.2  # whoever started the last message of a pace lets others go first so long


class Allowance:
    """See the module. `changed`: there is something new to remember."""

    def __init__(self, name: str, around: Surroundings, row: Mapping[str, Any] | None, *, ceiling: int) -> None:
        self.name = name
        self.around = around
        self.lanes: dict[str, Lane] = {}
        self.changed = False
        self.began_at = around.clock.wall()
        self._sharing: Sharing[Lane] = Sharing()
        self._passing = False
        self._starter: Lane | None = None  # of the last message under a pace, at:
        self._started_at = 0.0
        self.window: Window
        self.pace: Pace
        self.governor: Governor  # of the two
        self.diary: Diary
        self.remembered_s: float | None = None  # how old what it began with was
        self._learn_from(row, ceiling)

    def _learn_from(self, row: Mapping[str, Any] | None, ceiling: int) -> None:
        """Begin with what is remembered, or with nothing."""
        clock = self.around.clock
        wall, steady = clock.wall(), clock.steady()
        memory = Memory.of(row) if row else None
        remembered = memory.window(wall=wall, steady=steady) if memory else None
        self.window = Window(
            start=self.around.settings.window.start,
            ceiling=ceiling,
            now=steady,
            rng=self.around.rng,
            remembered=remembered,
        )
        self.pace = Pace(steady, memory.pace(wall) if memory else None)
        self.diary = Diary(row)
        self.governor = Governor(self.window, self.pace)
        self.remembered_s = memory.age_s(wall) if memory and remembered else None

    # its lanes

    @property
    def shared(self) -> bool:
        """Tell whether several lanes have it."""
        return len(self.lanes) > 1

    def join(self, lane: Lane) -> None:
        """A lane is made."""
        self.lanes[lane.name] = lane
        self.fit()
        self.note_changes(lane)

    def leave(self, lane: Lane) -> None:
        """A lane that has no sessions goes to sleep."""
        self._sharing.content(lane)
        del self.lanes[lane.name]
        self.fit()

    def fit(self) -> None:
        """Let the window be as wide as the widest lane may be; each keeps to its own maximum besides."""
        self.window.ceiling = max((lane.ceiling for lane in self.lanes.values()), default=self.window.ceiling)

    def memory(self, *, clean: bool) -> dict[str, Any]:
        """Give what is kept with the spool. `clean`: no receiver counts a session any more."""
        clock = self.around.clock
        remembered = self.window.remember(clock.steady(), clean=clean)
        return {
            "at": clock.wall(),
            "limit": remembered.limit,
            "clean": remembered.clean,
            "held_until": None if remembered.held_until is None else clock.wall_at(remembered.held_until),
            "per_second": self.pace.per_second,
            **self.diary.memory(),
        }

    # sessions

    def opening(self, lane: Lane, now: float) -> Ticket:
        """A session of a lane begins."""
        ticket = self.window.opening(now)
        lane.tickets.add(ticket)
        self._sharing.opened(lane, now)
        return ticket

    def ended(self, lane: Lane, ticket: Ticket, now: float) -> None:
        """A session of a lane has ended or was refused, which the window knows."""
        lane.tickets.discard(ticket)
        self._sharing.closed(lane, now)

    def not_connected(self, lane: Lane, ticket: Ticket, verdict: Verdict, now: float) -> bool:
        """A session of a lane was not opened; tell whether it was refused, and did not fail."""
        refused = self.governor.not_connected(ticket, verdict, now, others=lane.unproven < lane.sessions)
        if refused:
            self.ended(lane, ticket, now)
        return refused

    def throttled(self, lane: Lane, ticket: Ticket, verdict: Verdict, now: float, *, usable: bool) -> bool:
        """A message of a lane met a throttle; tell whether that ended its session's ticket. `usable`: it is open."""
        refused = self.governor.throttled(ticket, verdict, now, usable=usable)
        if refused:
            self.ended(lane, ticket, now)
        elif verdict.reason is Reason.MESSAGE_RATE:
            self.diary.note_pace(self.around.clock.wall_at(now), self.pace.per_second)
            self.changed = True
        return refused

    def obstacle(self, lane: Lane, now: float) -> tuple[Obstacle | str, float | None] | None:
        """Tell what forbids a lane one more session, and until when: whoever is not first is called when it is."""
        obstacle = self.window.obstacle(now)
        first = self._sharing.first if self.shared else None
        if first is None or first is lane:
            return obstacle
        return ("turn", None) if obstacle is None else (obstacle[0], None)

    def is_next(self, lane: Lane, now: float) -> bool:
        """Tell whether a lane is so far ahead in line that it shall have its mail ready."""
        return now >= self.window.hold_until and lane in self._sharing.next_few(_READY)

    def waits(self, lane: Lane, now: float, *, wants: bool) -> None:
        """Hear whether a lane wants another session; idle ones of others are ended for it."""
        if not wants or not self.shared:
            self._sharing.content(lane)
            return
        self._sharing.waits(lane, now)
        if self.window.obstacle(now) is not None:
            for other in self._sharing.holders:
                while other.has_spare_session and self._sharing.gives(other, now, idle=True):
                    other.crew.send_home()

    def gives(self, lane: Lane, now: float, *, idle: bool = False) -> bool:
        """Tell whether a lane shall end a session for another lane that waits."""
        if not self._sharing or not (idle or self.window.may_retire(now)):
            return False
        return self._sharing.gives(lane, now, idle=idle)

    def pass_on(self, done: Lane | None = None) -> None:
        """Let whoever is first in line do what can be done now, then who is first after that, as far as `done`."""
        if self._passing or not self._sharing:
            return
        self._passing = True
        try:
            while (first := self._sharing.first) is not None and first is not done:
                before = first.sessions
                first.pump()
                done = first if first.sessions == before else None
            for lane in self._sharing.next_few(_READY):
                lane.prepare()
        finally:
            self._passing = False

    # messages

    def next_start_at(self, lane: Lane, now: float) -> float:
        """Give the instant from which a lane may start a message."""
        at = self.pace.next_start_at(now)
        if self._starter is lane and self.shared and self.pace.per_second:
            step_s = 1 / self.pace.per_second
            at = max(at, self._started_at + step_s + min(_COURTESY_S, _COURTESY_SHARE * step_s))
        return at

    def started(self, lane: Lane, now: float) -> None:
        """A lane started a message."""
        self.pace.started(now)
        self._starter, self._started_at = lane, now

    # what is told

    def note_changes(self, lane: Lane) -> None:
        """Write changes of the window, which came through a lane, into the diary, the events and the metrics."""
        changes, self.window.changes = self.window.changes, []
        for change in changes:
            self._note(change, lane)

    def _note(self, change: Change, lane: Lane, *, act: str = "", reason: str = "") -> None:
        entry = self.diary.note(change, self.around.clock, act=act, reason=reason)
        if entry is None:
            return
        self.changed = True
        if entry["from"] != entry["to"]:
            lane.metrics.window_changed(entry["from"], entry["to"], change.cause)
        if entry["from"] != entry["to"] or act:
            about = {"event": "window", "lane": self.name, "site": lane.site, "source": lane.source}
            self.around.events.write([{**about, **entry}])

    # operators

    def set_limit(self, limit: int, reason: str) -> None:
        """Do as an operator says: so many sessions, until the next try or refusal."""
        now, before, lane = self.around.clock.steady(), self.window.limit, self._any_lane()
        self.note_changes(lane)
        self.window.set_limit(limit, now)
        self.window.changes = []  # it is told here, with its reason, and where it changes nothing too
        self._note(Change(now, before, self.window.limit, Cause.OPERATOR), lane, act="set", reason=reason)
        self._go_on()

    def begin_anew(self, row: Mapping[str, Any] | None, *, act: str, reason: str) -> None:
        """Forget what was learned, and begin with what an operator brings, or with nothing; sessions go on."""
        now, before, lane = self.around.clock.steady(), self.window.limit, self._any_lane()
        self.note_changes(lane)
        self._learn_from(row, self.window.ceiling)
        for each in self.lanes.values():
            for ticket in each.tickets:
                again = self.window.opening(now)
                if ticket.open:
                    self.window.taken(again)
                if ticket.proven:
                    self.window.prove(again, now)
                ticket.level = again.level
        self.window.changes = []
        self._note(Change(now, before, self.window.limit, Cause.OPERATOR), lane, act=act, reason=reason)
        self._go_on()

    def _any_lane(self) -> Lane:
        return next(iter(self.lanes.values()))

    def _go_on(self) -> None:
        for lane in list(self.lanes.values()):
            lane.pump()
