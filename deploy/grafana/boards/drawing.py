"""A dashboard as Grafana's JSON (schema 39, Grafana 11 and later read it)."""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, Any

from deploy.grafana.boards.parts import (
    BOARDS,
    COLOURS,
    CONSOLE,
    FAMILIES,
    GREEN,
    NUMBER,
    PER_SECOND,
    RED,
    SHARE,
    WIDTH,
    Kind,
    grown,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.grafana.boards.parts import Board, Link, Panel, Query, Variable

Json = dict[str, Any]

_SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
_PLUGINS = {
    Kind.LINES: "timeseries",
    Kind.AREAS: "timeseries",
    Kind.BARS: "timeseries",
    Kind.FIGURE: "stat",
    Kind.TABLE: "table",
}
_CHANGES = (("down", "Window shrank", RED), ("up", "Window grew", GREEN))


def draw(board: Board) -> Json:
    """Give a dashboard as JSON."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": ["sender"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one cross-hair for all panels
        "refresh": "10s",
        "time": {"from": board.since, "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "weekStart": "",
        "annotations": {"list": [*_annotations(board)]},
        "links": [*_board_links(board)],
        "templating": {"list": [*_variables(board)]},
        "panels": [*_panels(board)],
    }


def _annotations(board: Board) -> Iterator[Json]:
    """Mark changes of windows: a change is seen by what its counter has grown by."""
    if board.marks:
        for direction, name, colour in _CHANGES:
            changes = grown(f'sender_lane_window_changes_total{{LANE,direction="{direction}"}}')
            yield {
                "name": name,
                "datasource": _SOURCE,
                "enable": True,
                "hide": False,
                "iconColor": colour,
                "target": {
                    "refId": "Anno",
                    "expr": written(f"sum by (provider, source, cause) {changes}"),
                    "interval": "5s",  # the least
                },
                "titleFormat": f"{name}: {{{{cause}}}}",
                "textFormat": "{{source}} to {{provider}}",
                "tagKeys": "cause",
                "useValueForTime": False,
            }


def _board_links(board: Board) -> Iterator[Json]:
    for uid in BOARDS:
        if uid != board.uid:
            yield _board_link(uid.removeprefix("sender-").capitalize(), f"/d/{uid}/{uid}", keep=True)
    yield _board_link("Console", "${console}/", keep=False)


def _board_link(title: str, url: str, *, keep: bool) -> Json:
    """Link from a dashboard; `keep`: with the variables and the time."""
    return {
        "title": title,
        "type": "link",
        "url": url,
        "icon": "dashboard" if keep else "external link",
        "tooltip": "",
        "tags": [],
        "asDropdown": False,
        "includeVars": keep,
        "keepTime": keep,
        "targetBlank": not keep,
    }


def _variables(board: Board) -> Iterator[Json]:
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "refresh": 1,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "current": {"text": "default", "value": "default"},
        "options": [],
    }
    for variable in board.variables:
        yield _variable(variable)
    yield {
        "name": "console",
        "label": "Console",
        "type": "textbox",
        "query": CONSOLE,
        "hide": 0,
        "current": {"text": CONSOLE, "value": CONSOLE},
        "options": [{"text": CONSOLE, "value": CONSOLE, "selected": True}],
    }


def _variable(variable: Variable) -> Json:
    query = written(variable.query)
    choice: Json = {"multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    if variable.default:
        choice = {"multi": False, "includeAll": False, "current": {"text": variable.default, "value": variable.default}}
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"qryType": 1, "query": query, "refId": f"variable-{variable.name}"},
        "regex": "",
        "refresh": 2,  # also when the time range changes
        "sort": 1,
        "hide": 0,
        "skipUrlSync": False,
        "options": [],
        **choice,
    }


def _panels(board: Board) -> Iterator[Json]:
    """Lay the panels out as one writes: from left to right, row under row."""
    numbers = count(1)
    y = 0
    for row in board.rows:
        place = {"h": 1, "w": WIDTH, "x": 0, "y": y}
        yield {
            "id": next(numbers),
            "type": "row",
            "title": row.heading,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        y += 1
        x = 0
        for panel in row.panels:
            yield {
                "id": next(numbers),
                "gridPos": {"h": row.height, "w": panel.width, "x": x, "y": y},
                **_panel(panel),
            }
            x += panel.width
        y += row.height


def _panel(panel: Panel) -> Json:
    return {
        "title": panel.title,
        "description": panel.description,
        "type": _PLUGINS[panel.kind],
        "datasource": _SOURCE,
        "targets": [_target(panel, query, chr(ord("A") + place)) for place, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": [*_overrides(panel)]},
        "options": _options(panel),
        "transformations": _transformations(panel),
    }


def _target(panel: Panel, query: Query, letter: str) -> Json:
    table = panel.kind is Kind.TABLE
    # The last value of a range may be an old one: a figure that may have none now is asked for now.
    now = table or (panel.kind is Kind.FIGURE and not _has_curve(panel))
    return {
        "refId": letter,
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": written(query.expr),
        "legendFormat": query.legend,
        "instant": now,
        "range": not now,
        "format": "table" if table else "time_series",
        "exemplar": query.exemplars,
    }


def _has_curve(panel: Panel) -> bool:
    return panel.unit in {NUMBER, PER_SECOND, SHARE}


def _defaults(panel: Panel) -> Json:
    base = panel.colour or ("transparent" if panel.kind is Kind.TABLE else "text")
    steps = [{"value": value, "color": colour} for value, colour in panel.steps]
    defaults: Json = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": base}, *steps]},
        "custom": _custom(panel),
    }
    if panel.kind is Kind.FIGURE:
        defaults["color"] = {"mode": "thresholds"}
    if links := [_link(link) for link in panel.links if not link.of]:
        defaults["links"] = links
    if panel.nothing:
        defaults["noValue"] = panel.nothing
    if panel.kind not in {Kind.FIGURE, Kind.TABLE}:
        defaults["min"] = 0
    if panel.most is not None:
        defaults["max"] = panel.most
    return defaults


def _custom(panel: Panel) -> Json:
    if panel.kind is Kind.FIGURE:
        return {}
    if panel.kind is Kind.TABLE:
        return {"align": "auto", "filterable": False, "cellOptions": {"type": "auto"}}
    stacked = panel.kind is not Kind.LINES
    return {
        "drawStyle": "bars" if panel.kind is Kind.BARS else "line",
        "lineInterpolation": "linear",
        "lineWidth": 1 if stacked else 2,
        "fillOpacity": {Kind.LINES: 8, Kind.AREAS: 45, Kind.BARS: 80}[panel.kind],
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "axisPlacement": "auto",
        "thresholdsStyle": {"mode": "dashed" if panel.steps else "off"},
    }


def _overrides(panel: Panel) -> Iterator[Json]:
    if panel.kind is Kind.TABLE:
        yield from _columns(panel)
        return
    if panel.families:
        for colour, words in FAMILIES.items():
            yield _override("byRegexp", f"/^({words})$/", {"color": {"mode": "shades", "fixedColor": colour}})
    if panel.kind is not Kind.FIGURE:
        for word, mode, colour in _words(panel):
            yield _override("byRegexp", f"/\\b{word}\\b/", {"color": {"mode": mode, "fixedColor": colour}})
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        properties = _shape(query)
        if query.unit:
            properties["unit"] = query.unit
        if properties:
            yield _override("byFrameRefID", letter, properties)


def _words(panel: Panel) -> Iterator[tuple[str, str, str]]:
    """Choose the colours of a panel: of the labels that are its legends, and of the words in them.

    Beside a label a word may stand in several legends: they share its colour, in shades.
    """
    legends = " ".join(query.legend for query in panel.queries)
    for label, colours in COLOURS.items():
        for word, colour in colours.items():
            if f"{{{{{label}}}}}" in legends:
                yield word, "fixed", colour
            elif not label and re.search(rf"\b{word}\b", legends):
                yield word, "shades" if "{{" in legends else "fixed", colour


def _shape(query: Query) -> Json:
    match query.shape:
        case "step":
            return {"custom.lineInterpolation": "stepAfter", "custom.fillOpacity": 0, "custom.lineWidth": 3}
        case "dashed":
            return {"custom.lineStyle": {"fill": "dash", "dash": [8, 6]}, "custom.fillOpacity": 0}
        case "stacked":
            return {"custom.stacking": {"mode": "normal", "group": "A"}, "custom.fillOpacity": 45}
        case "right":
            bars = {"custom.drawStyle": "bars", "custom.fillOpacity": 70, "custom.axisPlacement": "right"}
            return {**bars, "custom.axisLabel": re.split(r"\W", query.legend)[0]}
        case _:
            return {}


def _columns(panel: Panel) -> Iterator[Json]:
    """Describe a table's columns: units, thresholds, links."""
    for query in panel.queries:
        properties: Json = {"unit": query.unit or panel.unit}
        if query.shape == "coloured":
            properties["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
            properties["color"] = {"mode": "thresholds"}
        yield _override("byName", query.legend, properties)
    for link in panel.links:
        if link.of:
            yield _override("byName", link.of, {"links": [_link(link)]})


def _override(matcher: str, options: str, properties: Json) -> Json:
    return {
        "matcher": {"id": matcher, "options": options},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def _options(panel: Panel) -> Json:
    if panel.kind is Kind.FIGURE:
        return {
            "colorMode": "value",
            "graphMode": "area" if _has_curve(panel) else "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
    if panel.kind is Kind.TABLE:
        order = [{"displayName": panel.sort_by, "desc": True}] if panel.sort_by else []
        return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}, "sortBy": order}
    return {
        "legend": {
            "displayMode": "table" if 2 * panel.width >= WIDTH else "list",
            "placement": "bottom",
            "calcs": ["lastNotNull", "max"] if 2 * panel.width >= WIDTH else [],
            "showLegend": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _transformations(panel: Panel) -> list[Json]:
    """Join a table's queries by their labels into rows, and name the columns of the values."""
    if panel.kind is not Kind.TABLE:
        return []
    letters = [chr(ord("A") + place) for place in range(len(panel.queries))]
    legends = [query.legend for query in panel.queries]
    # Where one query alone has found something, its column has no letter: mostly the first.
    names = {
        "Value": legends[0],
        **{f"Value #{letter}": legend for letter, legend in zip(letters, legends, strict=True)},
    }
    hidden = dict.fromkeys(("Time", *panel.hidden), True)
    organize: Json = {"id": "organize", "options": {"renameByName": names, "excludeByName": hidden, "indexByName": {}}}
    return [{"id": "merge", "options": {}}, organize]


def _link(link: Link) -> Json:
    return {"title": link.title, "url": link.url, "targetBlank": False}
