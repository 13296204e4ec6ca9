"""The controller in simulation: goodput and throttles beside those of others, targets, random receivers, ablations.

It takes a few minutes; `python -m tests.bench controller --seeds 1 --scenario steady10` takes seconds.
"""

from __future__ import annotations

import statistics
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sender.simulation.generator import drawn
from sender.simulation.report import Figures, figures
from sender.simulation.run import simulate
from sender.simulation.scenario import load, shipped
from tests.bench.ablations import ABLATIONS, Ablation
from tests.bench.targets import DRAWN, TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sender.simulation.scenario import Scenario

_CONTROLLERS = ("ours", "postfix", "aimd")
_WORST = 5
_FALLS = 0.01  # of the goodput, or this factor in throttles or in seconds, and a rule has earned its place
_FACTOR = 1.25


def controller(*, seeds: int, receivers: int, scenarios: Sequence[str]) -> None:
    """Print the tables. With `scenarios`, of these only, and nothing else."""
    with ProcessPoolExecutor() as pool:
        _table(pool, seeds, scenarios or [*dict.fromkeys([*TARGETS, *shipped()])])
        if not scenarios:
            _random(pool, receivers)
            _ablations(pool, seeds)


def _table(pool: ProcessPoolExecutor, seeds: int, names: Sequence[str]) -> None:
    print(f"Goodput in percent of the oracle, throttles for 1,000 messages, means of {seeds} seeds:")
    print(f"  {'':<14}" + "".join(f"{name:>17}" for name in _CONTROLLERS) + "   target of ours")
    met = bounded = 0
    for name, found in zip(names, pool.map(partial(_scenario, seeds=seeds), names), strict=True):
        target = TARGETS.get(name)
        missed = list(target.missed(found[0])) if target else []
        bounded += target is not None
        met += target is not None and not missed
        wanted = f"   {target}{': missed ' + ', '.join(missed) if missed else ''}" if target else ""
        print(f"  {name:<14}" + "".join(f"{_pair(each):>17}" for each in found) + wanted, flush=True)
    print(f"  {met} of {bounded} targets are met\n")


def _scenario(name: str, *, seeds: int) -> list[Figures]:
    chosen = load(name)
    oracle = [simulate(chosen, "oracle", seed) for seed in range(seeds)]
    return [figures([simulate(chosen, each, seed) for seed in range(seeds)], oracle) for each in _CONTROLLERS]


def _pair(found: Figures) -> str:
    return f"{100 * found.goodput:.1f} / {found.per_thousand:.2f}"


# receivers drawn at random


def _random(pool: ProcessPoolExecutor, count: int) -> None:
    found = list(pool.map(_drawn, range(count)))
    print(f"{count} receivers drawn at random (`sender simulate random:N`), an hour each:")
    print(f"  {'':<14}{'goodput: median':>17}{'tenth':>9}{'throttles: median':>20}{'ninetieth':>11}")
    for index, name in enumerate(("ours", "postfix")):
        goodput = sorted(each[index].goodput for each in found)
        throttles = sorted(each[index].per_thousand for each in found)
        figures_ = (statistics.median(goodput), _at(goodput, 0.1), statistics.median(throttles), _at(throttles, 0.9))
        print(f"  {name:<14}{figures_[0]:>17.1%}{figures_[1]:>9.1%}{figures_[2]:>20.2f}{figures_[3]:>11.2f}")
    print(
        f"  {'target':<14}{DRAWN.goodput_median:>17.1%}{DRAWN.goodput_tenth:>9.1%}"
        f"{f'< {DRAWN.per_thousand_median:g}':>20}{f'< {DRAWN.per_thousand_ninetieth:g}':>11}"
    )
    worst = sorted(range(count), key=lambda seed: found[seed][0].goodput)[:_WORST]
    loudest = sorted(range(count), key=lambda seed: -found[seed][0].per_thousand)[:_WORST]
    print("  least goodput: " + ", ".join(f"random:{seed} {found[seed][0].goodput:.0%}" for seed in worst))
    print("  most throttles: " + ", ".join(f"random:{seed} {found[seed][0].per_thousand:.1f}" for seed in loudest))
    print()


def _drawn(seed: int) -> tuple[Figures, Figures]:
    chosen = drawn(seed)
    oracle = [simulate(chosen, "oracle")]
    return figures([simulate(chosen)], oracle), figures([simulate(chosen, "postfix")], oracle)


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# one rule less


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fall:
    """What a scenario is with a rule and without it."""

    scenario: str
    with_it: Figures
    without: Figures

    @property
    def tells(self) -> bool:
        """Tell whether the scenario falls."""
        return (
            self.without.goodput < self.with_it.goodput - _FALLS
            or self.without.per_thousand > max(_FACTOR * self.with_it.per_thousand, self.with_it.per_thousand + 0.1)
            or _found_s(self.without) > _FACTOR * _found_s(self.with_it)
        )

    def __str__(self) -> str:
        found = "".join(
            f", found {_found_s(one):.0f}s -> {_found_s(other):.0f}s"
            for one, other in [(self.with_it, self.without)]
            if _found_s(one) != _found_s(other)
        )
        return f"{self.scenario} {_pair(self.with_it)} -> {_pair(self.without)}{found}"


def _found_s(found: Figures) -> float:
    """Give the longest search for the window; one that did not end counts for an hour."""
    return max((3600.0 if one.after_s is None else one.after_s for one in found.convergences), default=0.0)


def _ablations(pool: ProcessPoolExecutor, seeds: int) -> None:
    print("One rule less, and the scenario that falls (goodput / throttles with the rule -> without it):")
    for ablation, falls in zip(ABLATIONS, pool.map(partial(_ablated, seeds=seeds), ABLATIONS), strict=True):
        telling = [str(fall) for fall in falls if fall.tells]
        quiet = f"no scenario tells: {'; '.join(map(str, falls))}"
        print(f"  {ablation.rule:<48} {'; '.join(telling) or quiet}", flush=True)


def _ablated(ablation: Ablation, *, seeds: int) -> list[_Fall]:
    return [_fall(ablation, load(name), seeds) for name in ablation.scenarios]


def _fall(ablation: Ablation, chosen: Scenario, seeds: int) -> _Fall:
    oracle = [simulate(chosen, "oracle", seed) for seed in range(seeds)]
    with_it = [simulate(chosen, seed=seed) for seed in range(seeds)]
    without = [simulate(chosen, seed=seed, make=ablation.make) for seed in range(seeds)]
    return _Fall(scenario=chosen.name, with_it=figures(with_it, oracle), without=figures(without, oracle))
