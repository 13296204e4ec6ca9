"""What the runbook and the dashboards tell an operator to type, to set or to look at exists."""

from __future__ import annotations

import re
import shlex

import pytest

from sender import cli
from sender.settings import Settings
from tests.monitoring.documents import RUNBOOK, boards, panels

_COMMAND = re.compile(r"`sender ([^`]+)`")
_KEY = re.compile(r"\[(\w+)\](?: (\w+))?")
_PLACEHOLDERS = {"N": "8"}
_TEXTS = [
    re.sub(r"\s+", " ", RUNBOOK.read_text(encoding="utf-8")),
    *(panel["description"] for board in boards().values() for panel in panels(board)),
]
_PANELS = sorted(set(re.findall(r'"([A-Z][a-z][^"]*)"', _TEXTS[0])))
_COMMANDS = sorted({command for text in _TEXTS for command in _COMMAND.findall(text)})
_KEYS = sorted({key for text in _TEXTS for quoted in re.findall(r"`([^`]+)`", text) for key in _KEY.findall(quoted)})


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_command_is_one_that_the_program_takes(command: str) -> None:
    """Each command has the form that `sender` takes."""
    words = [_PLACEHOLDERS.get(word, word) for word in shlex.split(command)]
    try:
        cli.parser().parse_args(words)
    except SystemExit as left:
        pytest.fail(f"sender {command}: exit code {left.code}")


@pytest.mark.parametrize(("table", "key"), _KEYS)
def test_a_setting_is_one_that_the_configuration_has(table: str, key: str) -> None:
    """Each table and key that is named in brackets is one of the configuration's."""
    assert table in Settings.model_fields
    if key:
        assert key in type(getattr(Settings(), table)).model_fields


@pytest.mark.parametrize("title", _PANELS)
def test_a_panel_that_the_runbook_names_is_there(title: str) -> None:
    """What stands in quotes begins the title of one panel."""
    titles = [panel["title"] for board in boards().values() for panel in panels(board)]
    assert len([each for each in titles if each.startswith(title)]) == 1
