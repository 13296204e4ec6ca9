"""The two clocks: one dates what is stored and shown, one measures lengths and never steps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Clock:
    """`wall` gives seconds since 1970, `steady` seconds since some instant."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic

    def wall_at(self, steady_at: float) -> float:
        """Turn an instant of the steady clock into a date."""
        return self.wall() + (steady_at - self.steady())
