"""How a window went: the changes of a diary as values at even distances, for a line that is drawn small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POINTS = 40
SPAN_S = 900.0


def trend(
    history: Sequence[Mapping[str, Any]], window: int, *, began_at: float | None, now: float
) -> tuple[float, list[int]]:
    """Give the window at POINTS instants, the last of them now, and the first instant.

    They span the last SPAN_S seconds, or the time since `began_at` where that is shorter. `history` is a diary's
    entries, the oldest first, with instants as seconds since 1970.
    """
    since = min(now, max(now - SPAN_S, began_at or 0.0))
    step_s = (now - since) / (POINTS - 1)
    values: list[int] = []
    number, value = 0, history[0]["from"] if history else window
    for point in range(POINTS - 1):
        at = since + point * step_s
        while number < len(history) and history[number]["at"] <= at:
            value = history[number]["to"]
            number += 1
        values.append(value)
    return since, [*values, window]
