"""The dashboards: as described, well formed, and with an answer to each of the operator's questions."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from deploy.grafana.boards.catalogue import texts
from deploy.grafana.boards.parts import BOARDS, COLOURS, FAMILIES
from sender.core.explain.words import BLOCKS
from sender.core.outcome import Reason
from tests.monitoring.documents import DASHBOARDS, DEPLOY, boards, panels

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUESTIONS = (
    "Why is mail to this provider slow?",
    "What is the limit now?",
    "Who feels it?",
    "When is it through?",
)
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_BUILT_IN = {"__url_time_range", "__data", "__field"}
_WIDTH = 24
_EACH = pytest.mark.parametrize("uid", BOARDS)


def _objects(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def test_the_files_are_what_their_description_gives() -> None:
    """deploy/grafana/dashboards has exactly what `python -m deploy.grafana.boards` writes."""
    assert {file.name: file.read_text(encoding="utf-8") for file in DASHBOARDS.iterdir()} == texts()


@_EACH
def test_a_dashboard_has_a_place_that_stays(uid: str) -> None:
    """Its title makes the slug that is its uid, the schema is a current one, and no two panels share an id."""
    board = boards()[uid]
    assert re.sub(r"\W+", "-", board["title"].lower()) == uid
    assert board["schemaVersion"] >= 39
    identities = [panel["id"] for panel in board["panels"]]
    assert len(set(identities)) == len(identities)
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(titles)) == len(titles)


@_EACH
def test_panels_stand_side_by_side(uid: str) -> None:
    """No panel covers another or leaves the 24 columns, and each row of panels is filled."""
    places = [panel["gridPos"] for panel in boards()[uid]["panels"]]
    for place in places:
        assert place["x"] + place["w"] <= _WIDTH
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
    for y in {place["y"] for place in places}:
        assert sum(place["w"] for place in places if place["y"] == y) == _WIDTH


@_EACH
def test_a_dashboard_asks_the_chosen_data_source(uid: str) -> None:
    """Every data source that is named is the variable, and every variable that is used is there to choose."""
    board = boards()[uid]
    assert {str(found["datasource"]) for found in _objects(board) if "datasource" in found} == {str(_SOURCE)}
    known = {variable["name"] for variable in board["templating"]["list"]}
    texts_ = [text for found in _objects(board) for text in found.values() if isinstance(text, str)]
    used = {name for text in texts_ for name in re.findall(r"\$\{?(\w+)", text)}
    assert {name for name in used if name not in _BUILT_IN and not name.startswith("__")} <= known


@_EACH
def test_each_panel_says_what_to_look_for_and_what_it_counts_in(uid: str) -> None:
    """Every panel has a description of a few words, a legend for each query, and a unit that fits its metrics."""
    for panel in panels(boards()[uid]):
        assert len(panel["description"].split()) >= 6, panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]
        for key in ("refId", "legendFormat"):
            assert len({target[key] for target in panel["targets"]}) == len(panel["targets"]), panel["title"]
        for target in panel["targets"]:
            unit = _unit(panel, target)
            assert unit, panel["title"]
            for word, units in (("_bytes", {"bytes"}), ("histogram_quantile", {"s"}), ("oldest_seconds", {"s"})):
                if word in target["expr"]:
                    assert unit in units, (panel["title"], target["expr"], unit)


def _unit(panel: dict[str, Any], target: dict[str, Any]) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"]["options"] in {target["refId"], target["legendFormat"]}:
            unit = next((item["value"] for item in override["properties"] if item["id"] == "unit"), unit)
    return str(unit)


@_EACH
def test_dashboards_lead_to_each_other(uid: str) -> None:
    """A click leads to each of the others and to the console; every link to a dashboard has its uid and variables."""
    board = boards()[uid]
    targets = [link["url"] for link in board["links"]]
    assert targets == [*(f"/d/{other}/{other}" for other in BOARDS if other != uid), "${console}/"]
    for found in _objects(board):
        if str(found.get("url", "")).startswith("/d/"):
            other = found["url"].removeprefix("/d/").partition("/")[0]
            assert other in boards()
            variables = {variable["name"] for variable in boards()[other]["templating"]["list"]}
            assert set(re.findall(r"var-(\w+)=", found["url"])) <= variables


def test_a_slow_provider_is_reached_from_the_overview() -> None:
    """A lane that needs attention leads to its provider, a stream to its progress."""
    urls = [str(found.get("url")) for found in _objects(boards()["sender-overview"])]
    assert any(
        "/d/sender-provider/" in url and "var-provider=${__data.fields.provider:percentencode}" in url for url in urls
    )
    assert any(
        "/d/sender-streams/" in url and "var-stream=${__data.fields.stream:percentencode}" in url for url in urls
    )


def test_each_of_the_four_questions_is_the_title_of_one_panel() -> None:
    """Each question is the title of one panel, first on Provider; the first answer explains all that holds a lane."""
    titles = [panel["title"] for board in boards().values() for panel in panels(board)]
    assert [titles.count(question) for question in _QUESTIONS] == [1, 1, 1, 1]
    first, *others = panels(boards()["sender-provider"])
    assert [first["title"], *(panel["title"] for panel in others[:3])] == list(_QUESTIONS)
    assert set(re.findall(r"\*\*(\w+)\*\*", first["description"])) == BLOCKS.keys()


def test_every_word_has_its_colour() -> None:
    """Each reason belongs to a family of one colour, each thing that holds a lane back has a colour of its own."""
    words = [word for words in FAMILIES.values() for word in words.split("|")]
    assert sorted(words) == sorted(Reason)
    assert COLOURS["by"].keys() == BLOCKS.keys()
    assert len(set(COLOURS["by"].values())) == len(BLOCKS)


def test_a_word_means_the_same_everywhere() -> None:
    """A value of a label and a word of a legend never have two colours."""
    colours: dict[str, set[str]] = {}
    for words in COLOURS.values():
        for word, colour in words.items():
            colours.setdefault(word, set()).add(colour)
    # A window that holds a lane back is purple too; a pace is darker there, to be told from it.
    assert {word for word, found in colours.items() if len(found) > 1} == {"pace"}


def test_grafana_finds_what_it_is_provisioned_with() -> None:
    """The provisioning files are YAML with one Prometheus data source and one folder of dashboards, read only."""
    folder = DEPLOY / "grafana/provisioning"
    ((source,), (provider,)) = (
        yaml.safe_load((folder / name).read_text())[key]
        for name, key in (("datasources/prometheus.yml", "datasources"), ("dashboards/sender.yml", "providers"))
    )
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    assert source["jsonData"]["exemplarTraceIdDestinations"][0]["name"] == "message_id"
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
