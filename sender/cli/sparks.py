"""Figures drawn in text: a line of small bars, and a chart of several lines; from 0, with blocks or with ASCII."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII = " .:-=+*#@"  # as many steps, for terminals without blocks


def can_show(encoding: str | None, text: str = BLOCKS) -> bool:
    """Tell whether an encoding has these characters."""
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def sparkline(values: Sequence[int], width: int, *, blocks: bool = True) -> str:
    """Draw values in `width` characters or fewer, the largest one full, and the last one last.

    Where all are the same, a level line says so more quietly.
    """
    shown = spread(values, width)
    if len(set(shown)) == 1:
        steps = BLOCKS if blocks else ASCII
        return steps[len(steps) // 2] * len(shown)
    return chart(shown, 1, blocks=blocks)[0]


def chart(values: Sequence[int], height: int, *, blocks: bool = True) -> list[str]:
    """Draw values as bars, a character each, in `height` lines, the upper one first; the largest fills them."""
    steps = BLOCKS if blocks else ASCII
    full = len(steps) - 1
    most = max([*values, 1])
    heights = [max(1, round(value * height * full / most)) if value > 0 else 0 for value in values]
    return ["".join(steps[min(full, max(0, bar - line * full))] for bar in heights) for line in reversed(range(height))]


def spread(values: Sequence[int], width: int) -> list[int]:
    """Choose `width` of the values at even distances, the last among them; all where there are no more."""
    if len(values) <= width:
        return list(values)
    return [values[(place + 1) * len(values) // width - 1] for place in range(width)]
