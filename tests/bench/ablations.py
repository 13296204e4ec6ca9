"""The rules of the controller, each with a change that switches it off and the scenarios that tell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sender.core import pace, window_rules
from sender.core.pace import Pace
from sender.core.window import Window
from sender.simulation.controllers import Controller, Ours, Place

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """One rule less."""

    rule: str
    scenarios: tuple[str, ...]
    window: Mapping[str, Any] = field(default_factory=dict)
    pace: Mapping[str, Any] = field(default_factory=dict)

    def make(self, place: Place) -> Controller:
        """Give a controller without the rule."""
        return Ours(
            place,
            window=partial(Window, rules=replace(window_rules.USUAL, **self.window)),
            pace=partial(Pace, rules=replace(pace.USUAL, **self.pace)),
        )


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
        rule="sessions that end are replaced at once", window={"refill_span_s": 0.0}, scenarios=("turnover", "lag2s")
    ),
    Ablation(rule="sessions that died are reckoned with", window={"died_s": 0.0}, scenarios=("ghosts", "glitch600")),
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
    Ablation(rule="a refused step is paid for by deliveries", pace={"price": 0}, scenarios=("rate_rise", "rate_cap")),
)
