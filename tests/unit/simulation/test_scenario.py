"""Scenarios: what is taken, what is shipped, and every rule with the words of its refusal (`tests/bad_scenarios`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from sender.core.errors import ConfigError
from sender.settings import Settings
from sender.simulation.scenario import SHIPPED, Scenario, from_tables, load, sender_keys, shipped

_BAD = sorted(path.parent for path in (Path(__file__).parents[2] / "bad_scenarios").glob("*/scenario.toml"))
_LISTED = (  # at the least
    *("steady2", "steady10", "steady50", "steady10_mail", "uncapped", "slow_banner", "drop_drain", "drop_kill"),
    *("rise10x", "rise10x_late", "cap_walk", "grey30", "grey30_mis", "badnode25", "jitter_svc", "lag2s", "sync5s"),
    *("ghosts", "glitch600", "restart_clean", "restart_stale", "rate5", "rate_win", "rate_rise", "rate_cap"),
    *("connrate", "knee20", "knee20_sq", "shared_wave", "pair", "penalty", "hint300", "block", "scope", "trickle"),
    "bursty",
)


@pytest.mark.parametrize("folder", _BAD, ids=lambda folder: folder.name)
def test_a_bad_scenario_is_refused_with_every_problem_by_file_key_value_and_rule(folder: Path) -> None:
    """Each folder in `tests/bad_scenarios` is refused with exactly the lines that it expects."""
    path = folder / "scenario.toml"
    with pytest.raises(ConfigError) as refusal:
        load(str(path))
    lines = str(refusal.value).replace(str(path), "scenario.toml")
    assert lines == (folder / "expected").read_text(encoding="utf-8").rstrip("\n")


def test_the_folders_of_bad_scenarios_are_found() -> None:
    """There are bad scenarios to refuse."""
    assert len(_BAD) >= 6


def test_the_listed_scenarios_are_shipped() -> None:
    """Each is a file of the package."""
    assert set(_LISTED) <= set(shipped())
    assert all((SHIPPED / f"{name}.toml").is_file() for name in shipped())


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_scenario_tells_in_a_line_what_it_is(name: str) -> None:
    """Its name is that of its file, and its description fits into a line."""
    scenario = load(name)
    assert scenario.name == name
    assert 10 < len(scenario.description) <= 100
    assert "\n" not in scenario.description


def test_an_empty_scenario_is_a_receiver_without_limits_and_a_sender_with_the_defaults() -> None:
    """What is left out is as the product has it."""
    scenario = from_tables({}, place="x.toml", name="x")
    settings = Settings()
    assert (scenario.receiver.connections, scenario.receiver.rate) == (None, None)
    assert scenario.sender.start_window == settings.window.start
    assert scenario.sender.max_window == settings.window.max
    assert scenario.sender.messages_per_session == settings.delivery.messages_per_session
    assert (scenario.is_campaign, scenario.duration_s) == (False, 3600.0)


def test_a_configuration_gives_the_senders_keys() -> None:
    """They mean in a scenario what they mean in the configuration."""
    settings = Settings.model_validate(
        {"window": {"start": 2, "max": 7}, "delivery": {"messages_per_session": 9, "idle_timeout": "1500ms"}}
    )
    table = from_tables({"sender": sender_keys(settings)}, place="x.toml", name="x").sender
    assert (table.start_window, table.max_window, table.messages_per_session) == (2, 7, 9)
    assert (table.idle_timeout, table.connect_backoff) == (1.5, settings.delivery.connect_backoff)


def test_a_file_of_ones_own_is_a_scenario(tmp_path: Path) -> None:
    """Any TOML file may be one; its name is the scenario's."""
    path = tmp_path / "mine.toml"
    path.write_text('description = "mine"\n[receiver]\nconnections = 30\nrate = "10/s"\n[mail]\nmessages = 5\n')
    scenario = load(str(path))
    assert (scenario.name, scenario.receiver.connections, scenario.receiver.rate) == ("mine", 30, 10.0)
    assert scenario.is_campaign


def test_keys_of_a_scenario_may_be_changed(tmp_path: Path) -> None:
    """Other keys of the same table stay."""
    scenario = load("lag2s", {"receiver": {"connections": 3}, "duration": "5m"})
    assert (scenario.receiver.connections, scenario.receiver.release_delay, scenario.duration_s) == (3, 2.0, 300.0)


def test_a_value_from_the_command_line_is_refused_as_such() -> None:
    """The place that is named is where it stands: the command line, and not the file."""
    with pytest.raises(ConfigError) as refusal:
        load("steady10", {"receiver": {"connections": 0}})
    assert str(refusal.value) == "command line: receiver.connections = 0: must be 1 or more"


@pytest.mark.parametrize("name", ["nowhere.toml", "folder/nowhere.toml"])
def test_a_file_that_is_missing_is_named(name: str) -> None:
    """A scenario that cannot be read says which file, and why."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file"):
        load(name)


def test_a_name_that_is_neither_is_refused() -> None:
    """What is no shipped scenario must be a TOML file."""
    with pytest.raises(ConfigError, match='SCENARIO = "steady11": must be a TOML file or a shipped scenario'):
        load("steady11")


def test_a_scenario_is_a_value() -> None:
    """Two readings of a file are equal, and neither can be changed."""
    assert load("steady10") == load("steady10")
    with pytest.raises(ValueError, match="frozen"):
        load("steady10").description = "another"
    assert isinstance(load("steady10"), Scenario)
