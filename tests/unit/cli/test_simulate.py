"""`sender simulate`, as a person types it."""

from __future__ import annotations

import builtins
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sender.cli import main
from sender.simulation.scenario import shipped

_FIGURES = {
    *("controller", "seeds", "delivered", "throttles", "sessions_refused", "per_thousand", "per_thousand_late"),
    *("goodput", "goodput_late", "burst", "takes_s", "expired", "fairness", "reasons", "convergences", "way"),
}


def _simulate(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command; give its exit code, output and errors."""
    code = main(["simulate", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_shipped_scenario_is_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    """The table names goodput, throttles and how soon the cap was found; then comes the window's way."""
    code, output, errors = _simulate(capsys, "steady10", "--duration", "5m")
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0] == "steady10: 10 sessions, always"
    assert lines[1].split() == ["ours", "oracle"]
    assert [line for line in lines if line.startswith("messages in 5m")]
    assert [line for line in lines if line.startswith("throttles for 1,000 messages")]
    [found] = [line for line in lines if "at the start, 10 allowed" in line]
    assert float(found.split()[-2].removesuffix("s")) <= 20
    assert "The window of ours:" in lines
    assert "5 → 10" in output


def test_a_receiver_may_be_described_in_a_few_words(capsys: pytest.CaptureFixture[str]) -> None:
    """How long a campaign takes is the first thing that is said."""
    words = ("--connections", "30", "--per-connection", "20", "--rate", "10/s", "--messages", "3000")
    code, output, _ = _simulate(capsys, *words)
    assert code == 0
    assert output.startswith("receiver: 30 connections, 20 messages on each, messages at 10/s\n")
    assert output.splitlines()[2].startswith("3,000 messages take")
    _, output, _ = _simulate(capsys, *words, "--json")
    ours, oracle = json.loads(output)["controllers"]
    assert 295 < oracle["takes_s"] <= 305
    assert oracle["takes_s"] <= ours["takes_s"] < 1.2 * oracle["takes_s"]


def test_a_campaign_that_takes_longer_than_it_may_is_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    """The time of the simulation is what is known."""
    code, output, _ = _simulate(capsys, "--connections", "1", "--messages", "1000", "--duration", "1m")
    assert code == 0
    assert "more than 1m" in output


def test_controllers_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """Each that is named has its column and its way; the oracle is always the last."""
    words = ("steady2", "--duration", "3m", "--controller", "ours", "--controller", "postfix", "--controller", "oracle")
    code, output, _ = _simulate(capsys, *words)
    assert code == 0
    assert output.splitlines()[1].split() == ["ours", "postfix", "oracle"]
    assert "The window of postfix:" in output
    assert "more (--json tells all)" in output


@pytest.mark.parametrize(
    "words", [("steady10",), ("--connections", "5", "--messages", "200"), ("random:3",), ("pair",)]
)
def test_json_has_its_keys(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    """They are those of the module's docstring, whatever is simulated."""
    code, output, _ = _simulate(capsys, *words, "--duration", "3m", "--seeds", "2", "--json", "--controller", "aimd")
    shown = json.loads(output)
    assert code == 0
    assert set(shown) == {"scenario", "description", "duration_s", "campaign", "messages", "seeds", "controllers"}
    assert [each["controller"] for each in shown["controllers"]] == ["aimd", "oracle"]
    assert all(set(each) == _FIGURES for each in shown["controllers"])
    documentation = str(sys.modules["sender.cli.simulate"].__doc__)
    assert all(f"`{key}`" in documentation for key in {*shown, *_FIGURES})


def test_the_shipped_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its line, and where the files are; as JSON too."""
    code, output, _ = _simulate(capsys, "--list")
    assert code == 0
    assert set(shipped()) <= {line.split()[0] for line in output.splitlines() if line}
    code, output, _ = _simulate(capsys, "--list", "--json")
    assert [each["scenario"] for each in json.loads(output)] == shipped()


def test_a_configuration_says_how_the_sender_is_set(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Its largest window is the simulated sender's."""
    config = tmp_path / "sender.toml"
    config.write_text('hostname = "sender.test"\n[window]\nstart = 1\nmax = 4\n')
    _, output, _ = _simulate(capsys, "steady10", "--duration", "2m", "--json", "--config", str(config))
    way = json.loads(output)["controllers"][0]["way"]
    assert max(step["after"] for step in way) == 4


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_a_picture_is_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str) -> None:
    """The file is what its name says, and the same for the same run."""
    beginning = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix]
    contents = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}{suffix}"
        words = ("steady10", "--duration", "2m", "--controller", "ours", "--controller", "aimd", "--plot", str(path))
        assert _simulate(capsys, *words)[0] == 0
        contents.append(path.read_bytes())
    assert contents[0].startswith(beginning)
    assert contents[0] == contents[1]


def test_a_picture_of_many_senders_without_a_cap_is_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What is not there is left out."""
    path = tmp_path / "picture.svg"
    own = tmp_path / "two.toml"
    own.write_text('duration = "4h"\n[receiver]\nrate = "1/s"\n[sender]\nsenders = 2\n')
    assert _simulate(capsys, str(own), "--plot", str(path))[0] == 0
    drawn = path.read_text(encoding="utf-8")
    assert "ours: window" in drawn
    assert "allowed" not in drawn


def test_without_matplotlib_a_picture_is_refused_with_the_command_that_helps(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Everything else works without it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    really = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:  # noqa: ANN401 - as the function that it stands for
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError(name)
        return really(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    code, _, errors = _simulate(capsys, "steady2", "--duration", "1m", "--plot", str(tmp_path / "picture.svg"))
    assert (code, errors) == (1, "sender: a picture needs matplotlib: pip install 'mx-sender[plot]'\n")
    assert _simulate(capsys, "steady2", "--duration", "1m")[0] == 0


def test_a_picture_that_cannot_be_written_is_an_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The file and the cause are named."""
    path = tmp_path / "nowhere" / "picture.png"
    code, _, errors = _simulate(capsys, "steady2", "--duration", "1m", "--plot", str(path))
    assert (code, errors) == (1, f"sender: {path}: cannot be written: No such file or directory\n")


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ((), 'command line: SCENARIO = "": must be given, or a receiver such as --connections 30, or --list'),
        (("steady10", "--seeds", "0"), "command line: --seeds = 0: must be 1 or more"),
        (("steady10", "--plot", "x.gif"), 'command line: --plot = "x.gif": must end with .svg, .png, .pdf'),
        (("--connections", "0"), "command line: receiver.connections = 0: must be 1 or more"),
        (("steady10", "--duration", "5"), 'command line: duration = "5": must be a duration such as "250ms", "90s"'),
        (("random:x",), 'command line: SCENARIO = "random:x": must be random: and a whole number'),
    ],
)
def test_wrong_usage_is_refused(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], refusal: str) -> None:
    """Place, name, value and rule are named; the exit code is 2."""
    code, output, errors = _simulate(capsys, *words)
    assert (code, output) == (2, "")
    assert errors.startswith(refusal)


def test_an_unknown_controller_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that there are are named."""
    with pytest.raises(SystemExit, match="2"):
        main(["simulate", "steady10", "--controller", "nobody"])
    assert "'postfix-tuned'" in capsys.readouterr().err
