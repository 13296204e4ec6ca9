"""What is measured, beside what it is to reach; at the end, which targets are met."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """A row of the table of targets with the figure that was found."""

    row: str
    what: str
    found: float
    bound: float
    unit: str
    at_most: bool

    @property
    def met(self) -> bool:
        """Tell whether the figure is within its bound."""
        return self.found <= self.bound if self.at_most else self.found >= self.bound

    def __str__(self) -> str:
        sign = "<=" if self.at_most else ">="
        verdict = "met" if self.met else "NOT MET"
        figures = f"{_number(self.found)} {sign} {_number(self.bound)} {self.unit}".rstrip()
        return f"{self.row:>4}  {self.what:<70} {figures:<28} {verdict}"


@dataclass(slots=True)
class Report:
    """Prints as it goes."""

    targets: list[Target] = field(default_factory=list)

    def title(self, text: str) -> None:
        """Say what is measured now."""
        print(f"\n{text}:", flush=True)

    def figure(self, what: str, value: float, unit: str) -> None:
        """Give a figure that has no target of its own."""
        print(f"      {what:<70} {_number(value)} {unit}", flush=True)

    def picture(self, file: Path) -> None:
        """Tell of a picture."""
        print(f"      drawn in {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}", flush=True)

    def at_least(self, row: str, what: str, found: float, bound: float, unit: str = "") -> None:
        """Give a figure that should be as large as that."""
        self._target(Target(row, what, found, bound, unit, at_most=False))

    def at_most(self, row: str, what: str, found: float, bound: float, unit: str = "") -> None:
        """Give a figure that should be no larger than that."""
        self._target(Target(row, what, found, bound, unit, at_most=True))

    def _target(self, target: Target) -> None:
        self.targets.append(target)
        print(target, flush=True)

    def end(self) -> None:
        """Tell which targets are met."""
        if self.targets:
            met = sum(target.met for target in self.targets)
            print(f"\n{met} of {len(self.targets)} targets met" + (":" if met < len(self.targets) else ""))
            for target in self.targets:
                if not target.met:
                    print(target)


def _number(value: float) -> str:
    """Write a number with three figures that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
