"""The pages: JSON values in, HTML out. What is shown is what the calls of `/v1` answer with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sender.console import drawing, words
from sender.console.rendering import Rendering
from sender.core.selection import Fault, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Json = Mapping[str, Any]

ROWS = 100  # lanes on a page
RECIPIENTS = 50  # of a message on a page
SPANS = {"15m": 900.0, "1h": 3600.0, "6h": 21600.0, "1d": 86400.0, "all": None}
REFRESH_S, SELDOM_S = 2.0, 10.0
_SHARE = 10  # of the time between two looks, one part may be spent on an answer
_COLUMNS = (  # a column's heading, the order that sorts by it, and what it means
    ("Lane", "name", "a local address to the domains that share an MX"),
    ("Window over time", "", "sessions that may be open, over the last quarter of an hour"),
    ("Window", "window", "sessions that may be open now, of those that the configuration allows"),
    ("Sessions", "sessions", "sessions that are open now"),
    ("Queued", "queued", "recipients that wait or are being tried"),
    ("Deferred", "", "of them, for a later attempt"),
    ("Sent/min", "delivered", "recipients delivered within the last minute"),
    ("Defer/min", "deferrals", "attempts that were deferred within the last minute"),
    ("Oldest", "oldest", "how long the oldest recipient has waited"),
    ("State", "state", "what holds it back, and when that ends"),
)
_CALM = frozenset({"window", "pace", "turn", "opening", "slower", "max_window", "max_sessions", "asleep", ""})
_TROUBLES = {  # of one, and of several
    "hold": ("1 receiver blocks us, or asked for a rest", "{} receivers block us, or asked for a rest"),
    "connect_failed": ("1 receiver cannot be reached", "{} receivers cannot be reached"),
    "daily_limit": ("1 receiver takes no more for now", "{} receivers take no more for now"),
    "narrow": ("1 lane has come down to one session", "{} lanes have come down to one session"),
    "old": ("1 lane has mail that waits for more than an hour", "{} lanes have mail that waits for more than an hour"),
}
_DONE = {
    "suspend": "Suspended: it touches {count}.",
    "resume": "Resumed: it touches {count}.",
    "retry": "Due now: {count}.",
    "bounce": "Returned to the senders: {count}.",
    "delete": "Removed: {count}.",
    "window": "The window is set to {number}.",
    "forget": "What was learned is forgotten.",
}
ACTIONS = frozenset(_DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who looks at a page, where and when. `done` is what they did just before: an action and a number."""

    now: float
    path: str  # with the query: where to come back to
    name: str = ""  # of the token that somebody logged in with
    logged_in: bool = False
    may_act: bool = False
    fragment: bool = False  # the script asks for what has changed
    took_s: float = 0.0
    done: tuple[str, int] | None = None


class Pages:
    """See the module."""

    def __init__(self, host: str) -> None:
        """Read the templates; `host` is the name by which the daemon is known."""
        self.rendering = Rendering()
        self._host = host

    def lanes(self, visit: Visit, seen: Json, asked: Mapping[str, str], *, closed: str) -> str:
        """Show many lanes. `asked` is match, state, order and start; `closed` says why no mail is taken."""
        start = int(asked.get("start") or 0)
        order = asked["order"]
        columns = [
            {
                "heading": heading,
                "means": means,
                "url": "/" + _query({**asked, "order": key, "start": ""}) if key else "",
                "sorted": key == order,
                "rises": key == "name",
            }
            for heading, key, means in _COLUMNS
        ]
        return self._page(
            "lanes.html",
            visit,
            title="Lanes",
            rows=[_lane_row(lane) for lane in seen["lanes"]],
            columns=columns,
            asked=asked,
            first=start + 1 if seen["lanes"] else 0,
            last=start + len(seen["lanes"]),
            matching=seen["matching"],
            every=seen["all"],
            before="/" + _query({**asked, "start": str(max(0, start - ROWS) or "")}) if start else "",
            after="/" + _query({**asked, "start": str(start + ROWS)}) if start + ROWS < seen["matching"] else "",
            totals=_totals(seen),
            attention=_attention(seen, closed),
        )

    def lane(self, visit: Visit, lane: Json, span: str) -> str:
        """Show one lane."""
        changes = [
            {**entry, "what": drawing.cause(entry), "bad": entry["cause"] in drawing.REFUSALS}
            for entry in reversed(lane["history"])
        ]
        return self._page(
            "lane.html",
            visit,
            title=lane["name"],
            lane=_lane_row(lane),
            chart=drawing.window_chart(lane, now=visit.now, span_s=SPANS[span]),
            spans=list(SPANS),
            span=span,
            changes=changes,
            held=lane["suspension"],
        )

    def queue(self, visit: Visit, ages: Json, asked: Mapping[str, str]) -> str:
        """Show recipients by domain and age."""
        minutes = ages["minutes"]
        columns = [*(f"{a}–{b}" for a, b in zip([0, *minutes], minutes, strict=False)), f"{minutes[-1]}+"]  # noqa: RUF001
        grids = [
            {
                "name": name,
                "title": title,
                "total": sum(ages[name]),
                "rows": _shape(ages, name),
            }
            for name, title in (
                ("due", "In line, being tried, or suspended"),
                ("deferred", "Deferred, for a later attempt"),
            )
        ]
        return self._page(
            "queue.html",
            visit,
            seldom=True,
            title="Queue",
            columns=columns,
            grids=grids,
            asked=asked,
            took=ages["took_s"],
        )

    def message(self, visit: Visit, message: Json, start: int) -> str:
        """Show one message."""
        recipients = message["recipients"]
        accepted = words.seconds(message["accepted_at"])
        shown = [
            {**recipient, "timeline": drawing.timeline(recipient, accepted=accepted, now=visit.now)}
            for recipient in recipients[start : start + RECIPIENTS]
        ]
        states: dict[str, int] = {}
        for recipient in recipients:
            states[recipient["state"]] = states.get(recipient["state"], 0) + 1
        url = f"/messages/{message['id']}"
        return self._page(
            "message.html",
            visit,
            title=f"Message {message['id']}",
            message=message,
            asked=[
                (name, message[name]) for name in ("campaign", "submitter", "envelope_id", "send_at") if name in message
            ],
            recipients=shown,
            states=states,
            waits=any(recipient["state"] in {"queued", "deferred", "suspended"} for recipient in recipients),
            many=len(recipients),
            first=start + 1,
            last=start + len(shown),
            before=url + _query({"start": str(max(0, start - RECIPIENTS) or "")}) if start else "",
            after=url + _query({"start": str(start + RECIPIENTS)}) if start + RECIPIENTS < len(recipients) else "",
        )

    def search(self, visit: Visit, sought: str, found: Json | None) -> str:
        """Show what was found; None: nothing was looked for."""
        return self._page("search.html", visit, seldom=True, title="Search", sought=sought, found=found)

    def suspensions(self, visit: Visit, rows: Iterable[Json], kind: str, value: str) -> str:
        """Show what is held; `kind` and `value` are filled in for another one."""
        held = [{**row, "fault": str(Fault.of(row["reason"]) or ""), "what": _what(row)} for row in rows]
        kinds = [kind for kind in Kind if kind is not Kind.ALL]
        return self._page(
            "suspensions.html", visit, title="Suspensions", rows=held, kinds=kinds, kind=kind or "domain", value=value
        )

    def login(self, visit: Visit, *, after: str, wrong: str = "") -> str:
        """Ask for a token."""
        return self._page("login.html", visit, title="Log in", after=after, wrong=wrong, live=False)

    def refusal(self, visit: Visit, title: str, text: str) -> str:
        """Say why there is no such page, or why nothing was done."""
        return self._page("refusal.html", visit, title=title, text=text, live=False)

    def _page(self, template: str, visit: Visit, *, seldom: bool = False, live: bool = True, **values: object) -> str:
        refresh_s = max(SELDOM_S if seldom else REFRESH_S, _SHARE * visit.took_s)
        done = ""
        if visit.done is not None:
            action, number = visit.done
            recipients = f"{words.count(number)} recipient{'' if number == 1 else 's'}"
            done = _DONE[action].format(count=recipients, number=number)
        return self.rendering.page(
            template,
            {
                "layout": "fragment.html" if visit.fragment else "layout.html",
                "visit": visit,
                "host": self._host,
                "now": words.instant(visit.now),
                "here": template.removesuffix(".html"),
                "refresh_ms": round(1000 * refresh_s) if live else 0,
                "done": done,
                **values,
            },
        )


def _query(given: Mapping[str, str]) -> str:
    """Write those values that are given as a query."""
    query = urlencode({name: value for name, value in given.items() if value})
    return f"?{query}" if query else ""


def _lane_row(lane: Json) -> dict[str, Any]:
    """Give what a template shows of a lane."""
    by = lane["blocked_by"]
    if lane["state"] == "suspended":
        mood = "held"
    elif by not in _CALM:
        mood = "warn" if by == "retry" else "bad"
    elif lane["state"] == "throttled":
        mood = "limited"
    else:
        mood = "idle" if by == "asleep" or not (lane["queued"] or lane["sessions"]) else "calm"
    return {
        **lane,
        "spark": drawing.sparkline(lane["trend"]["windows"]),
        "mood": mood,
        "word": "asleep" if by == "asleep" else lane["state"],
    }


def _totals(seen: Json) -> list[dict[str, Any]]:
    """Give the figures above the lanes."""
    totals, queue = seen["totals"], seen["queue"]
    waiting = queue["queued"] + queue["in_flight"] + queue["suspended"]
    figures = [
        ("Accepted", totals.get("accepted", 0), "recipients since the spool was made"),
        ("Delivered", totals.get("delivered", 0), "recipients since the spool was made"),
        ("Bounced", totals.get("bounced", 0) + totals.get("expired", 0), "or expired: returned to their senders"),
        ("Queued", waiting, "recipients now, with those that are suspended or being tried"),
        ("Deferred", queue["deferred"], "of them, for a later attempt"),
    ]
    shown = [{"name": name, "value": words.count(value), "means": means} for name, value, means in figures]
    return [*shown, {"name": "Oldest", "value": words.age(queue["oldest_age_s"]), "means": "how long it has waited"}]


def _attention(seen: Json, closed: str) -> list[dict[str, Any]]:
    """Say what is wrong, the worst first."""
    wrong: list[dict[str, Any]] = []

    def tell(mood: str, text: str, url: str = "", lanes: Iterable[Json] = ()) -> None:
        wrong.append({"mood": mood, "text": text, "url": url, "lanes": list(lanes)})

    if seen["failing"]:
        tell("bad", "Outcomes cannot be recorded, so nothing is sent. The log says why.")
    if closed:
        tell("bad", f"No mail is taken: {closed}.")
    if seen["held"]:
        are = "message is" if seen["held"] == 1 else "messages are"
        tell(
            "bad",
            f"{words.count(seen['held'])} {are} held for a fault: damaged, or the daemon fails under it.",
            "/suspensions",
        )
    for trouble in seen["troubles"]:
        one, several = _TROUBLES[trouble["trouble"]]
        text = one if trouble["count"] == 1 else several.format(words.count(trouble["count"]))
        tell("warn" if trouble["trouble"] in {"narrow", "old"} else "bad", f"{text}.", "", trouble["lanes"])
    if seen["suspensions"]:
        are = "suspension holds" if seen["suspensions"] == 1 else "suspensions hold"
        tell("held", f"{words.count(seen['suspensions'])} {are} mail back.", "/suspensions")
    return wrong


def _shape(ages: Json, name: str) -> list[dict[str, Any]]:
    """Give the rows of a grid: all, then the largest domains that have any."""
    rows = [(domain, sum(domain[name])) for domain in ages["domains"]]
    most = max((max(domain[name]) for domain, total in rows if total), default=1)
    shown = [
        {
            "domain": domain["domain"],
            "site": domain["site"],
            "total": total,
            "cells": list(zip(domain[name], drawing.heat(domain[name], most), strict=True)),
        }
        for domain, total in rows
        if total
    ]
    every = ages[name]
    cells = list(zip(every, drawing.heat(every, max(every, default=1)), strict=True))
    return [{"domain": "", "site": None, "total": sum(every), "cells": cells}, *shown]


def _what(row: Json) -> str:
    return "all mail" if row["kind"] == Kind.ALL else f"{row['kind']} {row['value']}"
