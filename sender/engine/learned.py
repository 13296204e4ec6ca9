"""What lanes have learned: kept with the spool, handed to lanes that wake up, and changed by operators.

A row is what the spool keeps of one lane, or of one limit that lanes share (then with `shared_by`, their names). A lane
that shares has in its own row what is its own, and `shares`, the name of the limit. While a lane is awake its
allowance knows better than its row.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from sender.core.errors import LaneError, Problem
from sender.core.memory import KEEP_S, problems
from sender.core.window import Cause, Change
from sender.engine.allowance import Allowance
from sender.engine.diary import Diary
from sender.engine.limits import configured
from sender.providers import providers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sender.engine.lane import Lane
    from sender.engine.surroundings import Surroundings

Row = dict[str, Any]
VERSION = 1  # of what is exported
_NEAR = 3  # names that are offered for one that is wrong


class Learned:
    """Rows by the names of lanes and limits. `lanes` are those that are awake; the dispatcher makes them."""

    def __init__(self, around: Surroundings, lanes: Mapping[str, Lane]) -> None:
        self.allowances: dict[str, Allowance] = {}
        self._around = around
        self._lanes = lanes
        self._rows: dict[str, Row] = {}

    async def load(self) -> None:
        """Read what was learned."""
        self._rows = {name: row for name, (_, row) in (await self._around.spool.lanes()).items()}

    async def forget_old(self) -> None:
        """Forget lanes that nobody will ask for any more: they have had no mail for long. Raises SpoolError."""
        old_at = self._around.clock.wall() - KEEP_S
        in_use = {*self._lanes, *self.allowances}
        names = [name for name, row in self._rows.items() if row["at"] < old_at and name not in in_use]
        if names:
            await self._around.spool.forget_lanes(names)
        for name in names:
            del self._rows[name]

    # lanes

    def row(self, name: str) -> Row | None:
        """Give what was learned under a name before it woke up."""
        return self._rows.get(name)

    @property
    def asleep(self) -> dict[str, Row]:
        """What lanes have learned that no mail needs now; with the limit that they share."""
        return {
            name: self.whole(name)
            for name, row in self._rows.items()
            if name not in self._lanes and ("shared_by" not in row or "messages_per_session" in row)
        }

    def whole(self, name: str) -> Row:
        """Give the row of a sleeping lane or limit, with what it shares."""
        row = self._rows[name]
        shares = row.get("shares")
        if shares in self.allowances:
            return {**row, **self.allowances[shares].memory(clean=True), "at": row["at"]}
        return {**row, **self._rows[shares], "at": row["at"]} if shares in self._rows else row

    def allowance(self, name: str, *, ceiling: int) -> Allowance:
        """Give the limit of a name, as it was remembered; a lane joins it then."""
        allowance = self.allowances.get(name)
        if allowance is None:
            allowance = Allowance(name, self._around, self._rows.get(name), ceiling=ceiling)
            self.allowances[name] = allowance
        return allowance

    def fell_asleep(self, lane: Lane) -> dict[str, Row]:
        """Keep what a lane knows whose sessions have all said QUIT, and give it."""
        rows = {lane.name: lane.memory(clean=True)}
        allowance = lane.allowance
        allowance.leave(lane)
        if not allowance.lanes:
            if allowance.name != lane.name:
                rows |= self._shared_row(allowance, [lane.name], clean=True)
            del self.allowances[allowance.name]
        self._rows |= rows
        return rows

    def awake(self, *, clean: bool, everything: bool) -> dict[str, Row]:
        """Give what lanes have learned since it was last asked for, or all that they know."""
        rows: dict[str, Row] = {}
        for allowance in self.allowances.values():
            news = everything or allowance.changed
            for lane in allowance.lanes.values():
                if everything or lane.changed or (allowance.changed and lane.name == allowance.name):
                    rows[lane.name] = lane.memory(clean=clean)
                    lane.changed = False
            if news and allowance.name not in allowance.lanes:
                rows |= self._shared_row(allowance, allowance.lanes, clean=clean)
            allowance.changed = False
        return rows

    def _shared_row(self, allowance: Allowance, names: Iterable[str], *, clean: bool) -> dict[str, Row]:
        before = self._rows.get(allowance.name, {})
        shared_by = sorted({*before.get("shared_by", ()), *names})
        return {allowance.name: {**before, **allowance.memory(clean=clean), "shared_by": shared_by}}

    # operators

    def find(self, name: str) -> str:
        """Find a lane or limit by its name, or by its site where that goes out by the default source.

        Raises LaneError, with the names that are near.
        """
        known = {*self._lanes, *self.allowances, *self._rows}
        for candidate in (name, f"default/{name}"):
            if candidate in known:
                return candidate
        spoken = {key: full for full in sorted(known) for key in (full.partition("/")[2], full)}
        near = difflib.get_close_matches(name, spoken, n=_NEAR)
        raise LaneError(name, list(dict.fromkeys(spoken[key] for key in near)))

    def limit_of(self, name: str) -> str:
        """Give the name of the limit that a lane keeps to."""
        lane = self._lanes.get(name)
        if lane is not None:
            return lane.allowance.name
        return str(self._rows.get(name, {}).get("shares", name))

    async def set_window(self, name: str, limit: int, reason: str) -> None:
        """Set the window of a lane, and of those that share it. Raises Problem, SpoolError."""
        name = self.limit_of(name)
        most = self.ceiling(name)
        if not 1 <= limit <= most:
            raise Problem(f"lane {name}", "window", limit, f"must be from 1 to {most}, its configured maximum")
        allowance = self.allowances.get(name)
        if allowance is not None:
            allowance.set_limit(limit, reason)
        else:
            before = self._rows.get(name, {})
            row = {**before, "at": self._around.clock.wall(), "limit": limit, "clean": True}
            self._rows[name] = row | self._noted(name, before, Diary(before), limit, act="set", reason=reason)
        await self._save(name)

    async def forget(self, name: str, reason: str) -> None:
        """Have a lane, and those that share its limit, begin as if nothing was known. Raises SpoolError."""
        name = self.limit_of(name)
        allowance = self.allowances.get(name)
        if allowance is not None:
            allowance.begin_anew(None, act="forget", reason=reason)
            for lane in allowance.lanes.values():
                lane.reconfigure()
        else:
            before = self._rows.get(name, {})
            row = {key: value for key, value in before.items() if key == "shared_by"}
            start = self._around.settings.window.start
            noted = self._noted(name, before, Diary(), start, act="forget", reason=reason)
            self._rows[name] = {"at": self._around.clock.wall(), "limit": None, **row, **noted}
        await self._save(name)

    def exported(self, name: str | None = None) -> dict[str, Row]:
        """Give what was learned, or what one lane has: fit for another spool, where no session of ours is counted."""
        rows = {**self._rows}
        for allowance in self.allowances.values():
            rows |= {lane.name: lane.memory(clean=True) for lane in allowance.lanes.values()}
            if allowance.name not in allowance.lanes:
                rows |= self._shared_row(allowance, allowance.lanes, clean=True)
        names = sorted(rows) if name is None else sorted({name, self.limit_of(name)} & rows.keys())
        return {each: rows[each] for each in names}

    async def bring(self, rows: Mapping[str, object], reason: str) -> int:
        """Take in what was exported, for lanes that are awake at once: how many. Raises Problem, SpoolError."""
        good: dict[str, Row] = {}
        for name, row in rows.items():
            wrong = problems("import", name, row)
            if not all(name.partition("/")):
                wrong = [Problem("import", "lanes", name, "must be named source/site")]
            if wrong:
                raise wrong[0]
            good |= {name: row} if isinstance(row, dict) else {}
        for name, row in good.items():
            allowance = self.allowances.get(name)
            if allowance is not None:
                allowance.begin_anew(row, act="import", reason=reason)
            elif "shares" in row and name not in self._lanes:
                self._rows[name] = row
            elif name not in self._lanes:
                before = self._rows.get(name, {})
                limit = row.get("limit") or self._around.settings.window.start
                self._rows[name] = row | self._noted(name, before, Diary(row), limit, act="import", reason=reason)
        await self._save(*good)
        return len(good)

    def _noted(self, name: str, before: Row, diary: Diary, limit: int, *, act: str, reason: str) -> Row:
        """Write down in a sleeping lane's diary, and as an event, what an operator did."""
        clock = self._around.clock
        source, _, site = name.partition("/")
        was = before.get("limit") or self._around.settings.window.start
        entry = diary.note(Change(clock.steady(), was, limit, Cause.OPERATOR), clock, act=act, reason=reason)
        if limit != was:
            self._around.metrics.lane(site, source).window_changed(was, limit, Cause.OPERATOR)
        self._around.events.write([{"event": "window", "lane": name, "site": site, "source": source, **(entry or {})}])
        return diary.memory()

    def ceiling(self, name: str) -> int:
        """Give the most that the window of a lane or limit may be."""
        allowance = self.allowances.get(name)
        if allowance is not None:
            return allowance.window.ceiling
        row, settings = self._rows.get(name, {}), self._around.settings
        return max(
            configured(
                settings, lane.partition("/")[2], providers().named(self._rows.get(lane, {}).get("provider") or "")
            ).ceiling
            for lane in row.get("shared_by") or [name]
        )

    async def _save(self, *names: str) -> None:
        """Record at once what an operator did: it outlives a crash."""
        rows: dict[str, Row] = {}
        for name in names:
            allowance = self.allowances.get(name)
            if allowance is None and name not in self._lanes:
                rows[name] = self._rows[name]
            elif allowance is not None:
                rows |= {lane.name: lane.memory(clean=False) for lane in allowance.lanes.values()}
                if name not in allowance.lanes:
                    rows |= self._shared_row(allowance, allowance.lanes, clean=False)
        await self._around.spool.save_lanes(rows, self._around.clock.wall())
