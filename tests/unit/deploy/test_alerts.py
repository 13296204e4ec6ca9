"""The rules: checked by promtool, each alert both ways, each with its section in the runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.monitoring.documents import PROMETHEUS, RUNBOOK, alerts
from tests.servers import Promtool, require

_TESTS = Path(__file__).parent / "alerts"
_NAMES = [alert.name for alert in alerts()]
_HEADING = re.compile(r"^## (\w+)$", re.MULTILINE)
_PARTS = ("**Means**", "**Look**", "**Do**", "**Ends**")


def _promtool(*arguments: str | Path) -> str:
    require(Promtool)
    ended = subprocess.run(
        [Promtool.find(), *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_promtool_takes_the_configuration_and_the_rules() -> None:
    """`promtool check config` finds nothing wrong, with every rule file that the configuration names."""
    said = _promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    assert said.count("rules found") == len(list((PROMETHEUS / "rules").glob("*.yml"))) == 2


def test_every_alert_fires_and_stays_away_as_it_says() -> None:
    """`promtool test rules`: each alert fires with its labels and texts, and does not where all is well."""
    said = _promtool("test", "rules", *sorted(_TESTS.glob("*.yml")))
    assert said.count("SUCCESS") == len(_NAMES)


@pytest.mark.parametrize("name", _NAMES)
def test_an_alert_is_tested_both_ways(name: str) -> None:
    """Each alert has a file of tests in which it fires, with its texts, and one or more in which it does not."""
    groups = yaml.safe_load((_TESTS / f"{name}.yml").read_text())["tests"]
    tests = [test for group in groups for test in group["alert_rule_test"]]
    assert {test["alertname"] for test in tests} == {name}
    fired = [alert for test in tests for alert in test["exp_alerts"]]
    assert fired
    assert all(alert["exp_annotations"].keys() == {"summary", "description", "runbook_url"} for alert in fired)
    assert [] in [test["exp_alerts"] for test in tests]
    assert all(group["input_series"] for group in groups)


def test_no_test_is_left_of_an_alert_that_is_gone() -> None:
    """Every file of tests belongs to an alert."""
    assert sorted(file.stem for file in _TESTS.iterdir()) == sorted(_NAMES)


@pytest.mark.parametrize("name", _NAMES)
def test_an_alert_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    """Each alert has a severity, texts, and a section in the runbook: what it means, where to look, what to do."""
    (alert,) = (alert for alert in alerts() if alert.name == name)
    assert alert.labels["severity"] in {"critical", "warning"}
    assert "{{" in alert.annotations["summary"]
    assert "{{" in alert.annotations["description"]
    assert alert.annotations["runbook_url"] == f"deploy/RUNBOOK.md#{name.lower()}"
    section = RUNBOOK.read_text(encoding="utf-8").partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert [part for part in _PARTS if part not in section] == []


def test_the_runbook_has_no_section_for_an_alert_that_is_gone() -> None:
    """Its sections are the alerts, in the order of the rules."""
    assert _HEADING.findall(RUNBOOK.read_text(encoding="utf-8")) == _NAMES
