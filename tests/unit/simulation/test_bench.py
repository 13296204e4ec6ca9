"""What the measurement of the controller is made of."""

from __future__ import annotations

import pytest

from sender.core import pace, window
from sender.simulation.report import figures
from sender.simulation.run import simulate
from sender.simulation.scenario import load, shipped
from tests.bench.ablations import ABLATIONS, Ablation
from tests.bench.targets import TARGETS, Target


def test_targets_and_ablations_name_shipped_scenarios() -> None:
    """None of them is about a scenario that is not there."""
    assert set(TARGETS) <= set(shipped())
    assert {name for ablation in ABLATIONS for name in ablation.scenarios} <= set(shipped())


def test_rules_can_be_switched_off_in_this_version() -> None:
    """At least some of them; no two ablations are of one rule."""
    assert sum(ablation.possible for ablation in ABLATIONS) >= 5
    assert len({ablation.rule for ablation in ABLATIONS}) == len(ABLATIONS)


@pytest.mark.parametrize("ablation", [each for each in ABLATIONS if each.possible], ids=lambda each: each.rule)
def test_a_rule_is_switched_off_for_a_while_only(ablation: Ablation) -> None:
    """Afterwards everything is as it was before: the same run gives the same."""
    chosen = load("steady2", {"duration": "2m"})
    before, constants = simulate(chosen), (dict(vars(window)), dict(vars(pace)))
    with ablation.applied() as make:
        assert simulate(chosen, make=make).delivered > 0
    assert (dict(vars(window)), dict(vars(pace))) == constants
    assert simulate(chosen).records[0].throttled_at == before.records[0].throttled_at


def test_a_target_tells_which_of_its_bounds_are_missed() -> None:
    """Goodput, throttles and the time until the window is found, each by itself."""
    chosen = load("steady5", {"duration": "5m"})
    runs = [simulate(chosen)]
    found = figures(runs, runs)
    assert list(Target(goodput=1.0, goodput_late=1.0, per_thousand=1000.0, after_s={"start": 60.0}).missed(found)) == []
    strict = Target(goodput=1.1, goodput_late=1.1, per_thousand=0.001, after_s={"start": 0.0})
    assert [missed.split()[0] for missed in strict.missed(found)] == ["goodput", "late", "throttles", "found"]
