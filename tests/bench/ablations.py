"""The rules of the controller, each with a change that switches it off and the scenarios that tell."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sender.core import pace, window
from sender.simulation.controllers import Controller, Ours, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Where the figures of the rules are constants of their modules, and no value that can be handed over. A rule that has
# neither cannot be switched off.
_CONSTANTS = {
    "price": "DEBT",
    "probe_wait_most_s": "PROBE_WAIT_MAX_S",
    "fade": "FADE",
    "explorers": "EXPLORERS",
    "refill_span_s": "REFILL_SPAN_S",
    "rest_s": "REST_S",
    "rest_most_s": "REST_MAX_S",
    "keep_s": "KEEP_S",
    "squeeze_wait_most_s": "SQUEEZE_WAIT_MAX_S",
    "soft_count": "SOFT_COUNT",
    "soft_share": "SOFT_SHARE",
    "unclean": "UNCLEAN_SHARE",
    "share": "SHARE",
    "step_most": "STEP_MAX",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """One rule less."""

    rule: str
    scenarios: tuple[str, ...]
    window: Mapping[str, float] = field(default_factory=dict)
    pace: Mapping[str, float] = field(default_factory=dict)

    @property
    def possible(self) -> bool:
        """Tell whether the rule can be switched off in this version."""
        return _known(window, "WindowRules", self.window) and _known(pace, "PaceRules", self.pace)

    @contextlib.contextmanager
    def applied(self) -> Iterator[Callable[[Place], Controller]]:
        """Give a controller without the rule, for as long as the block lasts."""
        with _changed(window, "WindowRules", self.window) as windows, _changed(pace, "PaceRules", self.pace) as paces:
            yield partial(_ours, window=partial(window.Window, **windows), pace=partial(pace.Pace, **paces))


def _ours(place: Place, **parts: Any) -> Controller:  # noqa: ANN401 - the parts are made by the call
    return Ours(place, **parts)


def _known(module: Any, rules: str, changes: Mapping[str, float]) -> bool:  # noqa: ANN401 - a module
    values = getattr(module, rules, None)
    if values is not None:
        return set(changes) <= {each.name for each in fields(values)}
    return all(hasattr(module, _CONSTANTS.get(name, "")) for name in changes)


@contextlib.contextmanager
def _changed(module: Any, rules: str, changes: Mapping[str, float]) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - a module
    """Give the argument that changes rules, where they are a value; else change the module for a while."""
    values = getattr(module, rules, None)
    if values is not None:
        yield {"rules": replace(values(), **changes)} if changes else {}
        return
    before = {_CONSTANTS[name]: getattr(module, _CONSTANTS[name]) for name in changes}
    for name, value in changes.items():
        setattr(module, _CONSTANTS[name], value)
    try:
        yield {}
    finally:
        for constant, value in before.items():
            setattr(module, constant, value)


ABLATIONS = (
    Ablation(rule="a refused try is paid for by deliveries", window={"price": 0}, scenarios=("steady2", "trickle")),
    Ablation(
        rule="the wait for the next try doubles",
        window={"probe_wait_most_s": 5.0},
        scenarios=("steady10", "restart_clean"),
    ),
    Ablation(
        rule="the way back to the old limit is easy", window={"fade": 0.0}, scenarios=("cap_walk", "restart_stale")
    ),
    Ablation(
        rule="a try on the way back costs less", window={"way_back": 1.0}, scenarios=("cap_walk", "restart_stale")
    ),
    Ablation(rule="a try after false alarms costs less", window={"doubtful": 1.0}, scenarios=("badnode25", "lag2s")),
    Ablation(
        rule="two at a time beyond the limit", window={"explorers": 10**9}, scenarios=("slow_banner", "restart_clean")
    ),
    Ablation(
        rule="sessions that end are replaced at once", window={"refill_span_s": 0.0}, scenarios=("lag2s", "hint300")
    ),
    Ablation(
        rule="places that were left rest", window={"rest_s": 0.0, "rest_most_s": 0.0}, scenarios=("lag2s", "sync5s")
    ),
    Ablation(
        rule="sessions that work are kept after a refusal", window={"keep_s": 0.0}, scenarios=("connrate", "badnode25")
    ),
    Ablation(rule="a session fits in when most have gone", window={"drain": 0.0}, scenarios=("drop_drain", "cap_walk")),
    Ablation(
        rule="a limit that falls again is probed less soon",
        window={"squeeze_wait_most_s": 5.0},
        scenarios=("cap_walk", "shared_wave"),
    ),
    Ablation(
        rule="no growth while messages take longer",
        window={"knee": 1e9, "knee_hesitate": 1e9},
        scenarios=("knee20_sq",),
    ),
    Ablation(
        rule="one throttle on a session that works is noise",
        window={"soft_count": 1, "soft_share": 0.0},
        scenarios=("grey30_mis",),
    ),
    Ablation(rule="80 % after an unclean stop", window={"unclean": 1.0}, scenarios=("restart_stale",)),
    Ablation(rule="a little less than what was taken per second", pace={"share": 1.0}, scenarios=("rate5", "rate_cap")),
    Ablation(rule="steps of the pace grow", pace={"step_most": 0.05}, scenarios=("rate_rise",)),
    Ablation(rule="a refused step is paid for by deliveries", pace={"price": 0}, scenarios=("rate5", "rate_cap")),
)
