"""Receivers drawn at random: a controller that is only tried on a list is tuned to the list."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from sender.core.errors import ConfigError, Problem
from sender.simulation.scenario import Scenario, from_tables, merged

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "random:"
_DURATION, _CHANGES_AT = "1h", "20m"
_SHARES = {  # of receivers that are so
    "release_delay": 0.3,
    "greylisted": 0.25,
    "refuses_at": 0.2,
    "others": 0.2,
    "banner_delay": 0.2,
    "broken_nodes": 0.15,
    "changes": 0.3,
    "rate": 0.2,
    "knee": 0.1,
    "connection_quota": 0.1,
    "messages_per_connection": 0.15,
    "lost": 0.1,
}


def named(name: str, changed: Mapping[str, Any]) -> Scenario:
    """Draw the receiver that `random:N` names, with some keys changed. Raises ConfigError."""
    number = name.removeprefix(PREFIX)
    if not (number.isascii() and number.isdigit()):
        rule = f"must be {PREFIX} and a whole number, such as {PREFIX}7"
        raise ConfigError([Problem("command line", "SCENARIO", name, rule)])
    return from_tables(merged(_tables(int(number)), changed), place=name, name=name)


def drawn(seed: int) -> Scenario:
    """Draw the receiver of a seed."""
    return from_tables(_tables(seed), place=f"{PREFIX}{seed}", name=f"{PREFIX}{seed}")


def _tables(seed: int) -> dict[str, Any]:
    """Draw a receiver: its cap, its speed, how long sessions last, and a few of the ways in which receivers are odd."""
    rng = Random(f"receiver/{seed}")
    cap = round(_between(rng, 3, 80))
    service_s = _between(rng, 0.1, 4.0)
    session = rng.choice([20, 50, 100, 200])
    receiver: dict[str, Any] = {"connections": cap, "service_time": _seconds(service_s)}
    for way, share in _SHARES.items():
        if rng.random() < share:
            receiver.update(_odd(way, rng, cap=cap, service_s=service_s, session=session))
    return {
        "description": "a receiver drawn at random",
        "duration": _DURATION,
        "receiver": receiver,
        "sender": {"messages_per_session": session},
    }


def _odd(way: str, rng: Random, *, cap: int, service_s: float, session: int) -> dict[str, Any]:
    """Draw one way of being odd, as keys of `[receiver]`."""
    drawn_keys: dict[str, dict[str, Any]] = {
        "release_delay": {"release_delay": rng.choice(["500ms", "1s", "2s", "3s"])},
        "greylisted": {"greylisted": round(rng.uniform(0.05, 0.4), 3)},
        "refuses_at": {"refuses_at": "mail"},
        "others": {
            "others": {
                "sessions": round(cap * 0.3, 1),
                "amplitude": round(cap * 0.2, 1),
                "period": _seconds(rng.uniform(300, 1500)),
                "noise": 1.0,
            }
        },
        "banner_delay": {"banner_delay": _seconds(rng.uniform(0.5, 4))},
        "broken_nodes": {"broken_nodes": round(rng.uniform(0.02, 0.15), 3)},
        "changes": {
            "changes": [{"at": _CHANGES_AT, "connections": max(1, round(cap * rng.choice([0.2, 0.5, 2, 4])))}],
            "when_lowered": rng.choice(["drain", "kill"]),
        },
        "rate": {"rate": f"{cap / service_s * rng.uniform(0.2, 0.8):.3f}/s", "burst": 50},
        "knee": {"knee": max(2, round(cap * rng.uniform(0.3, 1))), "knee_exponent": rng.choice([1.0, 1.5, 2.0])},
        # Room for the sessions that end by themselves, and for some more.
        "connection_quota": {"connection_quota": round(60 * cap / service_s / session * rng.uniform(1.2, 3)) + 10},
        "messages_per_connection": {"messages_per_connection": rng.choice([10, 20, 50, 100])},
        "lost": {"lost": round(rng.uniform(0.00002, 0.0002), 6)},
    }
    return drawn_keys[way]


def _between(rng: Random, least: float, most: float) -> float:
    """Draw so that each doubling is as likely as the next."""
    return float(least * (most / least) ** rng.random())


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}s"
