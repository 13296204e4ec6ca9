"""Pictures as inline SVG. Colours are classes (`static/console.css`), since pages carry no styles of their own.

Whatever stands in a picture as text is escaped here. What is only shown when the pointer or the focus is on a mark
stands in its `title`, and in `data-told`, which the script shows beside the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from sender.console import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Json = Mapping[str, Any]

REFUSALS = frozenset({"refused", "refused_inside", "throttled", "overloaded", "blocked"})
_ACTS = {"set": "an operator set it", "forget": "an operator had it forget", "import": "an operator brought it"}
_CAUSES = {
    "taken": "one more was taken",
    "refused": "one more was refused",
    "refused_inside": "refused inside the limit, twice",
    "throttled": "sessions at work were throttled",
    "slower": "messages took longer",
    "overloaded": "the receiver is overloaded",
    "blocked": "the receiver blocks us",
    "remembered": "remembered from before",
    "operator": "an operator set it",
}
_TICKS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800, 2592000)
_DAY_S = 86400
LEVELS = 6  # of heat


@dataclass(frozen=True, slots=True)
class Frame:
    """The place of a picture's values: `left`, `top` and the size of what is drawn in, and what the axes span."""

    left: float
    top: float
    width: float
    height: float
    since: float
    until: float
    most: float

    def x(self, at: float) -> float:
        """Give the place of an instant."""
        share = (at - self.since) / max(1e-9, self.until - self.since)
        return round(self.left + self.width * min(1.0, max(0.0, share)), 1)

    def y(self, value: float) -> float:
        """Give the place of a value."""
        return round(self.top + self.height * (1 - min(1.0, value / self.most)), 1)


def sparkline(values: Sequence[int], *, width: int = 120, height: int = 24) -> str:
    """Draw how a window went, from nothing up to its largest value."""
    frame = Frame(1, 2, width - 5, height - 4, 0, max(1, len(values) - 1), max([1, *values]))
    path = _steps([(number, value) for number, value in enumerate(values)], frame)
    last = values[-1] if values else 0
    end = f'<circle class="end" cx="{frame.x(frame.until)}" cy="{frame.y(last)}" r="2"/>'
    bottom = frame.y(0)
    told = (
        f"window over time: from {values[0]} to {last}, at least {min(values)}, at most {max(values)}" if values else ""
    )
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-label="{escape(told)}"><path class="area" d="{path}V{bottom}H{frame.left}Z"/>'
        f'<path class="line" d="{path}"/>{end}</svg>'
    )


def _steps(points: Sequence[tuple[float, float]], frame: Frame) -> str:
    """Draw a line of steps through points; what stays is drawn once."""
    if not points:
        return f"M{frame.left} {frame.y(0)}"
    path = f"M{frame.x(points[0][0])} {frame.y(points[0][1])}"
    value = points[0][1]
    for at, other in points[1:]:
        if other != value:
            path += f"H{frame.x(at)}V{frame.y(other)}"
            value = other
    return f"{path}H{frame.x(frame.until)}"


def window_chart(lane: Json, *, now: float, span_s: float | None) -> str:
    """Draw the window of a lane over time, with the refusals that taught it. `span_s` None: all that is known."""
    history = lane["history"]
    changes = [(words.seconds(entry["at"]), entry) for entry in history]
    began = changes[0][0] if changes else now - 60
    since = now - span_s if span_s is not None else began - max(1.0, 0.02 * (now - began))
    before = [entry for at, entry in changes if at < since]
    shown = [(at, entry) for at, entry in changes if at >= since]
    start = before[-1]["to"] if before else shown[0][1]["from"] if shown else lane["window"]
    points = [(since, start), *((at, entry["to"]) for at, entry in shown)]
    most = max([1, lane["sessions"], lane["window"], *(value for _, value in points)])
    frame = Frame(44, 14, 880, 206, since, now, _ceiling(most))
    path = _steps(points, frame)
    now_at = frame.x(now)
    sessions = (
        f'<circle class="sessions" cx="{now_at}" cy="{frame.y(lane["sessions"])}" r="4">'
        f"<title>{lane['sessions']} sessions open now</title></circle>"
    )
    told = f"the window of {lane['name']} over time: {lane['window']} now, {len(shown)} changes"
    return (
        f'<svg class="chart" viewBox="0 0 940 252" role="group" aria-label="{escape(told)}">'
        f"{_grid(frame)}{_times(frame)}"
        f'<path class="area" d="{path}V{frame.y(0)}H{frame.left}Z"/><path class="line" d="{path}"/>'
        f"{''.join(_mark(at, entry, frame) for at, entry in shown if entry['cause'] in REFUSALS)}{sessions}</svg>"
    )


def _ceiling(most: float) -> int:
    """Give the end of an axis: a number that halves well."""
    step = 2
    while step < most:
        step += 2 if step < 10 else 10 if step < 100 else 100  # noqa: PLR2004
    return step


def _grid(frame: Frame) -> str:
    right = frame.left + frame.width
    lines = ""
    for value in (0, frame.most / 2, frame.most):
        y = frame.y(value)
        lines += f'<path class="grid" d="M{frame.left} {y}H{right}"/>'
        lines += f'<text class="axis" x="{frame.left - 8}" y="{y + 4}" text-anchor="end">{value:.0f}</text>'
    return lines


def _times(frame: Frame) -> str:
    """Draw where instants are, in UTC."""
    span_s = frame.until - frame.since
    tick_s = next((tick_s for tick_s in _TICKS_S if span_s / tick_s <= 7), _TICKS_S[-1])  # noqa: PLR2004
    at = (frame.since // tick_s + 1) * tick_s
    bottom = frame.top + frame.height
    texts = ""
    while at <= frame.until:
        text = words.instant(at)
        shown = text[5:10] if tick_s >= _DAY_S else text[11:16] if tick_s >= 60 else text[11:19]  # noqa: PLR2004
        x = frame.x(at)
        texts += f'<path class="grid" d="M{x} {bottom}v4"/>'
        texts += f'<text class="axis" x="{x}" y="{bottom + 18}" text-anchor="middle">{shown}</text>'
        at += tick_s
    return texts


def _mark(at: float, entry: Json, frame: Frame) -> str:
    """Draw a refusal where it left the window."""
    x, y = frame.x(at), frame.y(entry["to"])
    times = f" ({entry['times']} times)" if entry["times"] > 1 else ""
    reply = f": {entry['reply']}" if entry["reply"] else ""
    told = escape(f"{entry['at'][11:19]} UTC, {entry['from']} → {entry['to']}, {cause(entry)}{times}{reply}")
    return (
        f'<g class="mark bad" tabindex="0" role="img" aria-label="{told}" data-told="{told}"><title>{told}</title>'
        f'<circle class="reach" cx="{x}" cy="{y}" r="11"/><path d="M{x} {y - 6}l6 6l-6 6l-6 -6z"/></g>'
    )


def cause(entry: Json) -> str:
    """Say what changed a window."""
    return _ACTS.get(entry["act"]) or _CAUSES.get(entry["cause"], str(entry["cause"]))


def timeline(recipient: Json, *, accepted: float, now: float) -> str:
    """Draw what a recipient has been through, and when it goes next."""
    next_at = words.seconds(recipient["next_attempt_at"]) if recipient["next_attempt_at"] else None
    history = [(words.seconds(record["at"]), record) for record in recipient["history"] if record.get("at")]
    last = max([accepted, *(at for at, _ in history)])
    waits = recipient["state"] in {"queued", "deferred", "suspended"}
    until = max(last, now, next_at or 0.0) if waits else last
    frame = Frame(10, 0, 580, 28, accepted, max(until, accepted + 1), 1)
    end, here = frame.x(until), frame.x(now if waits else last)
    marks = "".join(_attempt(at, record, frame) for at, record in history)
    if waits and next_at is not None and next_at > now:
        marks += (
            f'<circle class="next" cx="{frame.x(next_at)}" cy="14" r="5"><title>next attempt at '
            f"{words.instant(next_at)}</title></circle>"
        )
    if waits:
        marks += f'<path class="now" d="M{here} 4V24"><title>now</title></path>'
    told = f"{len(history)} attempts since it was accepted; it is {recipient['state']}"
    return (
        f'<svg class="timeline" viewBox="0 0 600 28" role="group" aria-label="{escape(told)}">'
        f'<path class="past" d="M10 14H{here}"/><path class="coming" d="M{here} 14H{end}"/>'
        f'<circle class="begin" cx="10" cy="14" r="3"><title>accepted</title></circle>{marks}</svg>'
    )


def _attempt(at: float, record: Json, frame: Frame) -> str:
    outcome = str(record.get("outcome", ""))
    kind = {"delivered": "good", "deferred": "warn"}.get(outcome, "bad")
    told = escape(f"{record['at'][11:19]} UTC, {outcome}: {record.get('reply', '')}")
    x = frame.x(at)
    shape = f'<circle cx="{x}" cy="14" r="6"/>' if kind == "good" else f'<path d="M{x} 7l7 7l-7 7l-7 -7z"/>'
    return (
        f'<g class="mark {kind}" tabindex="0" role="img" aria-label="{told}" data-told="{told}">'
        f"<title>{told}</title>{shape}</g>"
    )


def heat(counts: Iterable[int], most: int) -> list[int]:
    """Give a level for each count, from 0 for none to LEVELS for the most, in even steps of its logarithm."""
    span = max(1, most).bit_length()
    return [0 if number <= 0 else max(1, round(LEVELS * number.bit_length() / span)) for number in counts]
