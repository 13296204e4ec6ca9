"""From records to figures: goodput beside one who sees everything, refusals, how soon a cap is found."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from sender.simulation.record import WITHOUT_CAP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sender.simulation.record import Record
    from sender.simulation.run import Run
    from sender.simulation.scenario import Scenario

BURST_S = 10.0
_NEAR, _ROUNDING = 0.2, 0.5  # a window is found when it is this near to what is allowed
_AVERAGED_S, _STAYS_S = 5, 20  # over so many seconds, for so many seconds
_TOGETHER_S = 60.0  # changes in one direction that follow each other so soon are one step


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """How long the sessions took to come near to what the receiver allows, after something that happened."""

    what: str  # "start", "connections", or what happened to the sender
    at: float
    allowed: int  # sessions, at the end of the search
    after_s: float | None  # None: they did not


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A change of the limit, or several in one direction."""

    at: float
    before: int
    after: int
    cause: str
    took_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a controller made of a scenario: means over the seeds, for convergences the worst, the way of the first."""

    controller: str
    seeds: int
    delivered: float
    throttles: float
    sessions_refused: float
    per_thousand: float  # throttles for 1,000 messages delivered
    per_thousand_late: float  # in the second half
    goodput: float  # share of what the oracle delivers; of a campaign, its time in parts of ours
    goodput_late: float
    burst: int  # most throttles in ten seconds
    takes_s: float | None  # until the campaign had ended; None: it did not, or is none
    expired: float
    fairness: float | None  # Jain's index of what several senders delivered: 1 is fair
    reasons: dict[str, float]
    convergences: tuple[Convergence, ...]
    way: tuple[Step, ...]


def figures(runs: Sequence[Run], oracle: Sequence[Run]) -> Figures:
    """Compare runs of one controller with those of the oracle on the same scenario and seeds."""
    delivered, throttles = _mean(runs, lambda run: run.delivered), _mean(runs, lambda run: run.throttles)
    late_delivered, late_throttles = _mean(runs, _late_delivered), _mean(runs, _late_throttles)
    records = [record for run in runs for record in run.records]
    complete = all(run.complete for run in runs)
    takes_s = _mean(runs, lambda run: run.ended_at) if complete else None
    best_takes_s = _mean(oracle, lambda run: run.ended_at) if all(run.complete for run in oracle) else None
    goodput = delivered / max(1, _mean(oracle, lambda run: run.delivered))
    if takes_s is not None and best_takes_s is not None:
        goodput = best_takes_s / takes_s
    return Figures(
        controller=runs[0].controller,
        seeds=len(runs),
        delivered=delivered,
        throttles=throttles,
        sessions_refused=_mean(runs, lambda run: sum(record.sessions_refused for record in run.records)),
        per_thousand=1000 * throttles / max(1, delivered),
        per_thousand_late=1000 * late_throttles / max(1, late_delivered),
        goodput=goodput,
        goodput_late=late_delivered / max(1, _mean(oracle, _late_delivered)),
        burst=max(map(_burst, records)),
        takes_s=takes_s,
        expired=_mean(runs, lambda run: run.expired),
        fairness=fmean(map(_fairness, runs)) if len(runs[0].records) > 1 else None,
        reasons=_reasons(records, len(runs)),
        convergences=_worst([convergences(run) for run in runs]),
        way=tuple(way(runs[0].records[0])),
    )


def as_json(scenario: Scenario, seeds: int, all_figures: Sequence[Figures]) -> dict[str, Any]:
    """Give what `sender simulate --json` prints; `cli/simulate.py` says what its keys mean."""
    return {
        "scenario": scenario.name,
        "description": scenario.description,
        "duration_s": scenario.duration_s,
        "campaign": scenario.is_campaign,
        "messages": scenario.mail.messages,
        "seeds": seeds,
        "controllers": [asdict(each) for each in all_figures],
    }


def convergences(run: Run) -> list[Convergence]:
    """Tell how soon the window was found: at the start, after each change of the cap, after what happened."""
    scenario, receiver = run.scenario, run.scenario.receiver
    fixed = receiver.connections is not None and receiver.others is None and scenario.sender.senders == 1
    if not fixed or receiver.rate is not None or receiver.quota is not None or scenario.mail.rate is not None:
        return []  # something else than a cap tells how many sessions there should be
    moments = [(0.0, "start")]
    moments += [(change.at, "connections") for change in receiver.changes if change.connections is not None]
    moments += [(event.at, event.what) for event in scenario.events]
    moments = sorted(moment for moment in moments if moment[0] < run.ended_at)
    ends = [at for at, _ in moments[1:]] + [run.ended_at]
    found = (_found(run, what, at, end) for (at, what), end in zip(moments, ends, strict=True))
    return [convergence for convergence in found if convergence is not None]


def _found(run: Run, what: str, began_at: float, ended_at: float) -> Convergence | None:
    record, scenario = run.records[0], run.scenario
    knee = scenario.receiver.knee if scenario.receiver.knee_exponent >= 1 else None
    bound = min(scenario.sender.max_window, knee or scenario.sender.max_window)
    recent: deque[int] = deque(maxlen=_AVERAGED_S)
    near_since: float | None = None
    allowed = 0
    for at, sessions, room in zip(record.at, record.open, record.room, strict=True):
        if at > ended_at:
            break
        if at < began_at - _AVERAGED_S:
            continue
        recent.append(sessions)
        if at < began_at:
            continue
        allowed = bound if room == WITHOUT_CAP else min(bound, room)
        if abs(fmean(recent) - allowed) > _NEAR * allowed + _ROUNDING:
            near_since = None
            continue
        near_since = at if near_since is None else near_since
        if at - near_since >= _STAYS_S:
            return Convergence(what=what, at=began_at, allowed=allowed, after_s=near_since - began_at)
    # A cap that was changed again before anybody could stay near it tells nothing.
    return (
        Convergence(what=what, at=began_at, allowed=allowed, after_s=None) if ended_at - began_at > _STAYS_S else None
    )


def _worst(found: Sequence[list[Convergence]]) -> tuple[Convergence, ...]:
    """Take, of each search, the seed in which it took longest."""
    same = zip(*found, strict=False)
    return tuple(max(seeds, key=lambda one: float("inf") if one.after_s is None else one.after_s) for seeds in same)


def way(record: Record) -> Iterator[Step]:
    """Tell how the limit moved, with changes in one direction that follow each other closely as one step."""
    step: Step | None = None
    for at, before, after, cause in _moves(record):
        together = step is not None and at - (step.at + step.took_s) <= _TOGETHER_S and cause == step.cause
        if step is not None and together and (after > before) == (step.after > step.before):
            step = Step(at=step.at, before=step.before, after=after, cause=cause, took_s=at - step.at)
            continue
        if step is not None:
            yield step
        step = Step(at=at, before=before, after=after, cause=cause)
    if step is not None:
        yield step


def _moves(record: Record) -> Iterator[tuple[float, int, int, str]]:
    """Give the changes as the controller told them, or, where it told none, as they were seen each second."""
    for change in record.changes:
        if change.before != change.after:
            yield change.at, change.before, change.after, str(change.cause)
    if not record.changes:
        for index in range(1, len(record.at)):
            if record.limit[index] != record.limit[index - 1]:
                yield record.at[index], record.limit[index - 1], record.limit[index], ""


def _burst(record: Record) -> int:
    most, first = 0, 0
    for last, at in enumerate(record.throttled_at):
        while record.throttled_at[first] < at - BURST_S:
            first += 1
        most = max(most, last - first + 1)
    return most


def _late_delivered(run: Run) -> float:
    return sum(_late(record.delivered_until) for record in run.records)


def _late_throttles(run: Run) -> float:
    return sum(_late(record.throttles_until) for record in run.records)


def _late(totals: Sequence[int]) -> int:
    """Give what came in the second half."""
    return totals[-1] - totals[len(totals) // 2] if totals else 0


def _fairness(run: Run) -> float:
    shares = [_late(record.delivered_until) for record in run.records]
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


def _reasons(records: Sequence[Record], seeds: int) -> dict[str, float]:
    names = sorted({reason for record in records for reason in record.reasons})
    return {str(name): sum(record.reasons[name] for record in records) / seeds for name in names}


def _mean(runs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    return fmean(map(figure, runs))
