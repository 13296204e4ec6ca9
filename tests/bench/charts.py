"""Pictures of what was measured, beside this file: they are those of the README."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

Curve = list[tuple[float, int]]  # seconds, and messages until then
_FOLDER = Path(__file__).parent
_SIZE_INCHES = (8.0, 3.6)


def over_time(curves: Mapping[str, Curve]) -> Path:
    """Draw how many messages each had delivered at each instant."""
    figure, axes = _canvas("seconds", "messages delivered")
    for name, curve in curves.items():
        axes.plot([at for at, _ in curve], [count for _, count in curve], label=name)
    axes.legend(frameon=False)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    return _save(figure, "drain.png")


def by_length(lengths: Sequence[int], microseconds: Sequence[float]) -> Path:
    """Draw what a message costs in queues of these lengths."""
    figure, axes = _canvas("messages queued", "microseconds for each message")
    axes.plot(lengths, microseconds, marker="o")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_ylim(bottom=0)
    return _save(figure, "depth.png")


def _canvas(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot(xlabel=across, ylabel=up)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return figure, axes


def _save(figure: Figure, name: str) -> Path:
    file = _FOLDER / name
    figure.savefig(file, dpi=100, metadata={"Software": None})
    return file
