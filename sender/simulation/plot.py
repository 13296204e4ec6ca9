"""A picture of a run: the window and what the receiver allowed, the refusals, and the messages, over time.

matplotlib is imported here and nowhere else, and only when a picture is drawn: it comes with the extra `plot`.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sender.core.errors import ConfigError, Problem, SenderError
from sender.simulation.record import WITHOUT_CAP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sender.simulation.record import Record
    from sender.simulation.run import Run

# The same runs give the same file, byte for byte: no date goes into it.
_METADATA = {".svg": {"Date": None}, ".png": {}, ".pdf": {"CreationDate": None}}
FORMATS = tuple(_METADATA)
_POINTS = 1200  # of a line: more than that no eye tells apart
_BARS = 120
_HOUR_S, _MINUTE_S = 3600.0, 60.0
_SIZE_INCHES = (10.0, 7.0)


class PlotError(SenderError):
    """A picture cannot be drawn or written."""


def check_format(file: str) -> None:
    """Refuse a file whose name is not that of a picture. Raises ConfigError."""
    if Path(file).suffix.lower() not in FORMATS:
        raise ConfigError([Problem("command line", "--plot", file, f"must end with {', '.join(FORMATS)}")])


def draw(runs: Sequence[Run], file: str) -> None:
    """Draw runs of one scenario, one for each controller, into a file. Raises PlotError."""
    figure_class = _matplotlib()
    figure = figure_class(figsize=_SIZE_INCHES, layout="constrained")
    above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1, 1))
    unit_s, unit = _unit(max(run.ended_at for run in runs))
    for index, run in enumerate(runs):
        colour = f"C{index}"
        for record in run.records:
            at = [seconds / unit_s for seconds in _thinned(record.at)]
            above.step(at, _thinned(record.limit), where="post", color=colour, label=f"{run.controller}: window")
            above.plot(at, _thinned(record.open), color=colour, alpha=0.4, linewidth=0.8, label="sessions open")
        _bars(middle, [one for record in run.records for one in record.throttled_at], run, unit_s, colour)
        below.plot(*_rate(run.records[0], unit_s), color=colour, label=run.controller)
    room = runs[0].records[0]
    allowed = [None if sessions == WITHOUT_CAP else sessions for sessions in _thinned(room.room)]
    if any(sessions is not None for sessions in allowed):
        at = [seconds / unit_s for seconds in _thinned(room.at)]
        above.step(at, allowed, where="post", color="black", linestyle="--", linewidth=0.9, label="allowed")
    above.set_title(f"{runs[0].scenario.name}: {runs[0].scenario.description}", fontsize="medium")
    above.set_ylabel("sessions")
    middle.set_ylabel("throttles")
    middle.yaxis.get_major_locator().set_params(integer=True)
    below.set_ylabel("messages/s")
    below.set_xlabel(unit)
    for axes in (above, middle, below):
        axes.set_ylim(bottom=0)
        axes.margins(x=0)
    above.legend(*_once(above), fontsize="small", loc="upper right")
    try:
        figure.savefig(file, metadata=_METADATA[Path(file).suffix.lower()])
    except OSError as error:
        raise PlotError(f"{file}: cannot be written: {error.strerror}") from error


def _matplotlib() -> Any:  # noqa: ANN401 - the class of figures, of a library that need not be there
    try:
        import matplotlib as mpl  # noqa: PLC0415 - only who wants a picture needs it
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise PlotError("a picture needs matplotlib: pip install 'mx-sender[plot]'") from error
    mpl.rcParams["svg.hashsalt"] = "sender"
    return Figure


def _unit(seconds: float) -> tuple[float, str]:
    return (_HOUR_S, "hours") if seconds > 3 * _HOUR_S else (_MINUTE_S, "minutes")


def _thinned(column: Sequence[float]) -> Sequence[float]:
    return column[:: max(1, len(column) // _POINTS)]


def _bars(axes: Any, times: list[float], run: Run, unit_s: float, colour: str) -> None:  # noqa: ANN401 - of the library
    edges = [run.ended_at / unit_s * index / _BARS for index in range(_BARS + 1)]
    axes.hist([at / unit_s for at in times], bins=edges, color=colour, alpha=0.6)


def _rate(record: Record, unit_s: float) -> tuple[list[float], list[float]]:
    at, totals = _thinned(record.at), _thinned(record.delivered_until)
    points = list(pairwise(zip(at, totals, strict=True)))
    return (
        [end / unit_s for _, (end, _) in points],
        [(after - before) / max(end - start, 1e-9) for (start, before), (end, after) in points],
    )


def _once(axes: Any) -> tuple[list[Any], list[str]]:  # noqa: ANN401 - of the library
    """Name each line once, however many senders there are."""
    handles, labels = axes.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    return list(named.values()), list(named)
