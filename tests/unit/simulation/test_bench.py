"""What the measurement of the controller is made of."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from sender.core import pace, window_rules
from sender.simulation.report import figures
from sender.simulation.run import simulate
from sender.simulation.scenario import load, shipped
from tests.bench.ablations import ABLATIONS, Ablation
from tests.bench.targets import TARGETS, Target


def test_targets_and_ablations_name_shipped_scenarios() -> None:
    """None of them is about a scenario that is not there."""
    assert set(TARGETS) <= set(shipped())
    assert {name for ablation in ABLATIONS for name in ablation.scenarios} <= set(shipped())


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda each: each.rule)
def test_a_rule_less_makes_another_controller(ablation: Ablation) -> None:
    """Each ablation names figures that there are, and changes some; no two are of one rule."""
    assert simulate(load("steady2", {"duration": "2m"}), make=ablation.make).delivered > 0
    usual = {**asdict(window_rules.USUAL), **asdict(pace.USUAL)}
    assert all(usual[name] != value for name, value in {**ablation.window, **ablation.pace}.items())
    assert [each.rule for each in ABLATIONS].count(ablation.rule) == 1


def test_a_target_tells_which_of_its_bounds_are_missed() -> None:
    """Goodput, throttles and the time until the window is found, each by itself."""
    chosen = load("steady5", {"duration": "5m"})
    runs = [simulate(chosen)]
    found = figures(runs, runs)
    assert list(Target(goodput=1.0, goodput_late=1.0, per_thousand=1000.0, after_s={"start": 60.0}).missed(found)) == []
    strict = Target(goodput=1.1, goodput_late=1.1, per_thousand=0.001, after_s={"start": 0.0})
    assert [missed.split()[0] for missed in strict.missed(found)] == ["goodput", "late", "throttles", "found"]
