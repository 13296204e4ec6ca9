"""What operators ask of a running daemon, and have it do. The commands and the HTTP calls both come here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from sender.core.errors import Problem, SenderError
from sender.core.identity import id_number
from sender.core.outcome import Outcome, Reason, Scope, Verdict
from sender.core.selection import Fault, Kind, Selection
from sender.engine import views
from sender.engine.gauges import Survey
from sender.engine.learned import VERSION
from sender.engine.listing import Candidate, Listing, chosen
from sender.engine.overview import troubles
from sender.engine.placement import place
from sender.engine.results import Result, Way
from sender.observe.events import instant
from sender.observe.names import OTHER
from sender.route.router import Unroutable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sender.engine.dispatcher import Dispatcher
    from sender.engine.lane import Lane
    from sender.engine.surroundings import Surroundings
    from sender.observe.traces import Follower
    from sender.spool.contract import ClaimedMessage, Suspension

Row = dict[str, Any]
_Key = TypeVar("_Key", str, tuple[str, str])
_SLICE = 1000  # queues that are counted in one go
LARGEST = 20  # domains that are shown
FOUND = 100  # recipients that are shown of those that were looked for
_KEPT_FOR = 10.0  # times what it took to count them, figures of the queues will do for an overview
_COUNTED = 50  # queues of one message in which it is counted who is ahead


class Control:
    """See the module."""

    def __init__(self, dispatcher: Dispatcher, around: Surroundings) -> None:
        self._dispatcher = dispatcher
        self._around = around
        self._spool = around.spool
        self._clock = around.clock
        self._report: tuple[float, list[Row]] | None = None  # until when (steady clock) these rows will do
        self._acts = 0  # that have changed the queues

    # reading

    async def queue(self, *, domain: str = "", site: str = "", stream: str = "") -> Row:
        """Show recipients by state and domain."""
        rows = await self._spool.queue_report(self._clock.wall())
        wanted = [
            row
            for row in rows
            if domain in ("", row["domain"]) and site in ("", row["site"]) and stream in ("", row["stream"])
        ]
        return views.queue_view(wanted, self._held())

    async def ages(self, *, domain: str = "", site: str = "", stream: str = "", limit: int = LARGEST) -> Row:
        """Count recipients by age, in all and of the largest domains."""
        now = self._clock.wall()
        return await self._spool.age_report(now, domain=domain, site=site, stream=stream, limit=limit)

    async def find(self, *, rcpt_to: str = "", domain: str = "", limit: int = FOUND) -> Row:
        """Find recipients of an address, or of a domain, the newest first."""
        found = await self._spool.find_recipients(rcpt_to=rcpt_to, domain=domain, limit=limit)
        return views.found_view(found, self._dispatcher.suspensions, self._clock.wall())

    async def lanes(self, listing: Listing | None = None) -> Row:
        """Show lanes, how many there are of those that were asked for, and in all; and the recipients since ever."""
        listing, now = listing or Listing(), self._clock.wall()
        return await self._listed(self._candidates(await self._spool.queue_report(now)), listing, now)

    async def overview(self, listing: Listing) -> Row:
        """Show lanes, and beside them what is queued in all, and what needs attention."""
        now = self._clock.wall()
        # What is asked for every two seconds need not be counted each time, where that takes long.
        report = self._report
        rows = report[1] if report and self._clock.steady() < report[0] else await self._counted()
        candidates = self._candidates(rows)
        await asyncio.sleep(0)  # of ten thousand lanes each step takes a while: others go between
        queue = views.queue_view(rows, self._held())
        await asyncio.sleep(0)
        faults = [Fault.of(suspension.reason) for suspension in self._dispatcher.suspensions]
        return {
            **await self._listed(candidates, listing, now),
            "queue": {name: value for name, value in queue.items() if name != "domains"},
            "troubles": [
                {"trouble": trouble, "count": count, "lanes": [views.brief_lane(self._of(one), now) for one in few]}
                for trouble, (count, few) in troubles(candidates, self._clock.steady()).items()
            ],
            "held": sum(fault is not None for fault in faults),  # messages, for a fault of their own
            "suspensions": sum(fault is None for fault in faults),
            "failing": self._around.committer.failing,
        }

    async def _counted(self) -> list[Row]:
        """Count what is queued, and keep that for as long as ten times what it took."""
        began, acts = self._clock.steady(), self._acts
        rows = await self._spool.queue_report(self._clock.wall())
        ended = self._clock.steady()
        if acts == self._acts:
            self._report = ended + _KEPT_FOR * (ended - began), rows
        return rows

    def _changed(self) -> None:
        """Count anew the next time: an operator has changed the queues."""
        self._report = None
        self._acts += 1

    def _candidates(self, rows: list[Row]) -> list[Candidate]:
        """Put the lanes, awake or not, beside their queues."""
        served: dict[str, list[Row]] = {}
        others: dict[str, list[Row]] = {}
        for row in rows:
            lane = self._lane_of(row)
            if lane is not None:
                served.setdefault(lane.name, []).append(row)
            others.setdefault(row["site"], []).append(row)
        candidates = [
            Candidate(name, lane, None, served.get(name, [])) for name, lane in self._dispatcher.lanes.items()
        ]
        return candidates + [
            Candidate(name, None, memory, others.get(name.partition("/")[2], []))
            for name, memory in self._dispatcher.learned.asleep.items()
        ]

    async def _listed(self, candidates: list[Candidate], listing: Listing, now: float) -> Row:
        shown, matching = chosen(candidates, listing, self._clock.steady())
        show = views.brief_lane if listing.brief else views.shown_lane
        return {
            "lanes": [show(self._of(candidate), now) for candidate in shown],
            "matching": matching,
            "all": len(candidates),
            "totals": await self._spool.totals(),
        }

    def _of(self, candidate: Candidate) -> Row:
        if candidate.lane is not None:
            return self._figures(candidate.lane, candidate.rows)
        return self._remembered(candidate.name, candidate.memory or {}, candidate.rows)

    async def lane(self, name: str) -> Row:
        """Show one lane, by its name or its site, or one of those that share a limit. Raises LaneError."""
        rows = await self._spool.queue_report(self._clock.wall())
        learned, lanes = self._dispatcher.learned, self._dispatcher.lanes
        name = learned.find(name)
        if name in learned.allowances and name not in lanes:
            sharing = learned.allowances[name].lanes.values()
            name = max(sharing, key=lambda lane: (lane.sessions, lane.stock.waiting)).name
        lane = lanes.get(name)
        if lane is not None:
            mine = [row for row in rows if self._lane_of(row) is lane]
            figures = self._figures(lane, mine)
        else:
            site = name.partition("/")[2]
            mine = [row for row in rows if row["site"] == site]
            figures = self._remembered(name, learned.whole(name), mine)
        largest = views.queue_view(mine, self._held())["domains"][:LARGEST]
        return {**views.shown_lane(figures, self._clock.wall()), "domains": largest}

    async def message(self, message_id: str) -> Row | None:
        """Show one message with what each recipient waits for."""
        report = await self._spool.message_report(id_number(message_id))
        if report is None:
            return None
        now = self._clock.wall()
        rows = await self._spool.queue_report(now)
        lanes: dict[str, Row] = {}
        ahead: dict[int, int] = {}  # by queue
        shown: list[tuple[Row, Row | None]] = []
        for recipient in report["recipients"]:
            figures = self._recipient_figures(recipient, report, now)
            lane, queue_id = self._lane_of(recipient), recipient["queue_id"]
            if lane is not None and lane.name not in lanes:
                lanes[lane.name] = self._figures(lane, [row for row in rows if self._lane_of(row) is lane])
            if lane is not None and figures["state"] == "in_flight":
                figures["ahead"] = lane.stock.before(id_number(message_id), recipient["rcpt_to"])
            elif lane is not None and figures["state"] in {"queued", "deferred"}:
                if queue_id in ahead:
                    ahead[queue_id] += 1  # the message's recipients before this one
                elif len(ahead) < _COUNTED:
                    ahead[queue_id] = await self._ahead(lane, recipient["due_at"], report["priority"], rows)
                figures["ahead"] = ahead.get(queue_id)
            shown.append((figures, lanes[lane.name] if lane else None))
        return views.message_view(report, shown, now)

    async def _ahead(self, lane: Lane, due_at: float, priority: int, rows: list[Row]) -> int:
        """Count who goes before a recipient of a priority that is due at an instant, as far as that is known."""
        queues = [row["id"] for row in rows if row["priority"] <= priority and self._lane_of(row) is lane]
        return await self._spool.ahead(queues, due_before=due_at)

    def _recipient_figures(self, recipient: Row, report: Row, now: float) -> Row:
        suspension = views.holding(
            self._dispatcher.suspensions, {**recipient, "stream": report["stream"]}, message_id=report["id"]
        )
        return {
            **recipient,
            "mail_from": report["mail_from"],
            "send_at": report.get("send_at"),
            "ahead": None,
            "state": views.recipient_state(recipient, now, held=suspension is not None),
            "suspension": None if suspension is None else views.suspension_figures(suspension),
            "expires_at": self._around.settler.expires_at(
                report.get("send_at") or report["accepted_at"],
                report["expires_at"],
                recipient["domain"],
                recipient["site"] or "",
            ),
        }

    async def survey(self) -> Survey:
        """Count the spool for the gauges; in slices, since there may be very many queues."""
        survey = Survey()
        held = self._held()
        for number, row in enumerate(await self._counted()):
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            suspended = row["held"] + (row["queued"] if held(row) else 0)
            scheduled, deferred = (0, 0) if held(row) else (row["scheduled"], row["deferred"])
            for state, count in (
                ("queued", 0 if held(row) else row["queued"] - scheduled - deferred),
                ("scheduled", scheduled),
                ("deferred", deferred),
                ("suspended", suspended),
                ("in_flight", row["in_flight"]),
            ):
                survey.recipients[state] = survey.recipients.get(state, 0) + count
                if count and state != "scheduled":  # what is not to go yet has no age
                    survey.oldest_s[state] = max(survey.oldest_s.get(state, 0.0), row["oldest_age_s"])
            lane, waiting = self._lane_of(row), row["queued"] + row["in_flight"]
            if lane is not None:
                _add(survey.lanes, lane.name, waiting, row["oldest_age_s"])
                if waiting:
                    labels = lane.metrics.provider, self._around.metrics.streams.label(row["stream"])
                    _add(survey.waits, labels, waiting, row["oldest_age_s"])
            _add(survey.streams, row["stream"], waiting + row["held"], row["oldest_age_s"])
        return survey

    def suspensions(self) -> list[Suspension]:
        """Show what operators hold."""
        return list(self._dispatcher.suspensions)

    async def follow(self, *, name: str = "", site: str = "", domain: str = "") -> Follower:
        """Follow the dialogues of a lane, of all lanes to a site, or of the lane that carries a domain.

        Raises SenderError where the domain has no way now, TooManyFollowersError.
        """
        if domain:
            route = await self._around.router.route(domain)
            if isinstance(route, Unroutable):
                raise SenderError(f"no lane carries {domain} now: {route.detail}")
            name = place(self._around.settings, domain, route).lane
        elif name and "/" not in name:
            name = f"default/{name}"
        return self._around.traces.follow(name=name, site=site)

    def _held(self) -> Callable[[Row], bool]:
        return views.held_by(self._dispatcher.suspensions)

    def _figures(self, lane: Lane, rows: list[Row]) -> Row:
        suspension = self._dispatcher.suspension_of(lane)
        held = None if suspension is None else views.suspension_figures(suspension)
        return views.lane_figures(lane, rows, self._clock, held)

    def _remembered(self, name: str, memory: Row, rows: list[Row]) -> Row:
        start, ceiling = self._around.settings.window.start, self._dispatcher.learned.ceiling(name)
        return views.remembered_figures(name, memory, rows, self._clock.wall(), start=start, ceiling=ceiling)

    def _lane_of(self, row: Row) -> Lane | None:
        """Find the lane that serves a queue: the one that served it last, or the one of its site."""
        queue = self._dispatcher.queues.get(row.get("id") or row.get("queue_id") or 0)
        if queue is not None and queue.lane:
            return self._dispatcher.lanes.get(queue.lane)  # it may have gone to sleep
        return self._dispatcher.lanes.get(f"default/{row['site']}")

    # acting

    async def suspend(self, selection: Selection, *, for_s: float | None, reason: str) -> tuple[int, int]:
        """Hold a selection, for a time or until it is resumed: the suspension's id, and the recipients it touches."""
        now = self._clock.wall()
        until = None if for_s is None else now + for_s
        async with self._dispatcher.moving(selection):
            suspension_id, touched = await self._spool.suspend(selection, now=now, until=until, reason=reason)
            await self._dispatcher.reload_suspensions()
        self._changed()
        if selection.kind is Kind.SOURCE:
            touched = self._queued_for_source(selection.value)
        held_until = None if until is None else instant(until)
        self._tell("suspended", selection, recipients=touched, until=held_until, reason=reason)
        return suspension_id, touched

    async def resume(self, selection: Selection, reason: str = "") -> int:
        """Let a selection go again."""
        touched = await self._spool.resume(selection, now=self._clock.wall())
        await self._resumed(selection, reason)
        return self._queued_for_source(selection.value) if selection.kind is Kind.SOURCE else touched

    async def resume_id(self, suspension_id: int, reason: str = "") -> int | None:
        """End one suspension."""
        ended = [suspension for suspension in self._dispatcher.suspensions if suspension.id == suspension_id]
        touched = await self._spool.resume_id(suspension_id, now=self._clock.wall())
        if touched is not None and ended:
            await self._resumed(ended[0].selection, reason)
        return touched

    async def _resumed(self, selection: Selection, reason: str) -> None:
        await self._dispatcher.reload_suspensions()
        await self._dispatcher.refresh()
        self._changed()
        self._tell("resumed", selection, reason=reason)

    async def retry(self, selection: Selection) -> int:
        """Make deferred recipients due now, and try failed connections again."""
        if selection.kind is Kind.SOURCE:
            touched = 0
            for queue in list(self._dispatcher.queues.values()):
                if queue.lane.partition("/")[0] == selection.value:
                    by_domain = Selection(Kind.DOMAIN, queue.domain)
                    touched += await self._spool.retry(by_domain, now=self._clock.wall())
        else:
            touched = await self._spool.retry(selection, now=self._clock.wall())
        self._changed()
        for lane in self._dispatcher.lanes.values():
            lane.try_now()
        await self._dispatcher.refresh()
        for lane in self._dispatcher.lanes.values():
            lane.pump()
        return touched

    async def bounce(self, selection: Selection, reason: str) -> int:
        """End a selection with a notice to the senders."""
        metrics = self._around.metrics.lane(OTHER, "default")
        verdict = Verdict(outcome=Outcome.BOUNCED, scope=Scope.MESSAGE, reason=Reason.REMOVED, rule="operator")
        text = reason or "removed from the queue by an operator"

        def bounced(message: ClaimedMessage) -> None:
            results = [Result(recipient=recipient, verdict=verdict, detail=text) for recipient in message.recipients]
            self._around.settler.settle(message, results, Way(), metrics)

        touched = await self._dispatcher.remove(selection, text, bounced=bounced)
        self._changed()
        return touched

    async def delete(self, selection: Selection, reason: str) -> int:
        """End a selection silently."""
        touched = await self._dispatcher.remove(selection, reason or "deleted by an operator", bounced=None)
        self._changed()
        return touched

    async def set_window(self, name: str, limit: int, reason: str) -> Row:
        """Set the window of a lane until the next try or refusal, and show it. Raises LaneError, Problem."""
        learned = self._dispatcher.learned
        await learned.set_window(learned.find(name), limit, reason)
        return await self.lane(name)

    async def forget(self, name: str, reason: str) -> Row:
        """Have a lane begin as if nothing was known, and show it. Raises LaneError."""
        learned = self._dispatcher.learned
        await learned.forget(learned.find(name), reason)
        return await self.lane(name)

    async def memory(self, name: str = "") -> Row:
        """Give what was learned, or what one lane has, for another spool. Raises LaneError."""
        learned = self._dispatcher.learned
        rows = learned.exported(learned.find(name) if name else None)
        return {"version": VERSION, "at": self._clock.wall(), "lanes": rows}

    async def bring(self, memory: Row, reason: str) -> Row:
        """Take in what `memory` gave: how many lanes. Raises Problem."""
        if memory.get("version") != VERSION:
            raise Problem("import", "version", memory.get("version"), f"must be {VERSION}")
        rows = memory.get("lanes")
        if not isinstance(rows, dict):
            raise Problem("import", "lanes", rows, "must be an object with a memory for each lane")
        return {"lanes": await self._dispatcher.learned.bring(rows, reason)}

    def _queued_for_source(self, source: str) -> int:
        queues = self._dispatcher.queues.values()
        return sum(queue.queued for queue in queues if queue.lane.partition("/")[0] == source)

    def _tell(self, event: str, selection: Selection, **facts: object) -> None:
        self._around.events.write([{"at": self._clock.wall(), "event": event, **selection.told, **facts}])


def _add(to: dict[_Key, tuple[int, float]], name: _Key, recipients: int, oldest_s: float) -> None:
    """Add recipients and their age to what is known of a lane, of a stream, or of both."""
    count, before_s = to.get(name, (0, 0.0))
    to[name] = count + recipients, max(before_s, oldest_s)
