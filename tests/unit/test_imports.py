"""The floors of the package: imports point down only, and each outside library has its place."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]

# From the top: a part may import what stands on a lower floor than its own, and itself.
_FLOORS = (
    {"__main__"},
    {"cli"},
    {"service"},
    {"daemon"},
    {"chores"},
    {"api"},
    {"intake", "engine"},
    {"spool", "route", "smtp", "observe", "sandbox", "writing", "console"},
    {"rules", "simulation"},
    {"providers"},
    {"settings", "clock", "shipped"},
    {"events_settings"},
    {"tables"},
    {"core"},
    {"__version__"},
)
_HEIGHT = {part: -number for number, parts in enumerate(_FLOORS) for part in parts}
_EDGES = _FLOORS[7]
_NOT_IN_CORE = {
    "asyncio",
    "time",
    "random",
    "logging",
    "socket",
    "os",
    "threading",
    "subprocess",
    "datetime",
    "secrets",
}
_PLACES = {
    "aiosmtpd": {"sender/intake/authentication.py", "sender/intake/connection.py", "sender/intake/smtp.py"},
    "aiosmtplib": {"sender/smtp", "sender/cli/demo.py"},
    "httpx": {"sender/observe/webhook.py"},
    "idna": {"sender/core/address.py"},
    "dns": {"sender/route/resolver.py", "sender/sandbox"},
    "ijson": {"sender/writing/batch.py"},
    "minijinja": {"sender/writing/template.py", "sender/console/rendering.py"},
    "prometheus_client": {"sender/observe"},
    "matplotlib": {"sender/simulation/plot.py"},
    "pydantic": {
        *("sender/settings.py", "sender/events_settings.py", "sender/tables.py", "sender/simulation/scenario.py"),
        *("sender/api/models.py", "sender/api/answers.py", "sender/api/openapi.py"),
    },
    "rich": {"sender/cli"},
    "sqlite3": {"sender/spool"},
    "starlette": {"sender/api"},
    "textual": {"sender/cli/live"},
    "uvicorn": {"sender/daemon.py"},
    "uvloop": {"sender/cli/serve.py"},
}
_EVERYWHERE = {"orjson"}  # a faster `json`, whose one exception is a ValueError


@dataclass(frozen=True)
class _Import:
    """One import of one module."""

    file: str
    module: str  # `sender.core.reply`, `os.path`
    typing_only: bool

    @property
    def importer(self) -> str:
        return self.file.split("/")[1].removesuffix(".py")

    @property
    def imported(self) -> str:
        return self.module.split(".")[1]


def _modules(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module == "sender":
        yield from (f"sender.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield str(node.module)


def _imports() -> list[_Import]:
    found = []
    for path in sorted((_ROOT / "sender").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        typing_only = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        file = path.relative_to(_ROOT).as_posix()
        found += [
            _Import(file, module, id(node) in typing_only) for node in ast.walk(tree) for module in _modules(node)
        ]
    return found


_ALL = _imports()
_OURS = [one for one in _ALL if one.module.split(".")[0] == "sender"]


def test_every_part_has_its_floor() -> None:
    """Each module and folder of the package stands on exactly one floor."""
    parts = {
        path.stem for path in (_ROOT / "sender").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - {"__init__"} == set(_HEIGHT) - {"__version__"}
    assert sum(map(len, _FLOORS)) == len(_HEIGHT)


def test_imports_point_down_only() -> None:
    """No part imports a part of its own floor or of a higher one, not even for its types."""
    wrong = [one for one in _OURS if one.importer != one.imported and _HEIGHT[one.imported] >= _HEIGHT[one.importer]]
    assert wrong == []


def test_the_edges_do_not_import_each_other() -> None:
    """Spool, route, smtp, observe, sandbox, writing and console know nothing of each other, not even for types."""
    wrong = [one for one in _OURS if {one.importer, one.imported} <= _EDGES and one.importer != one.imported]
    assert wrong == []


def test_the_sandbox_needs_nothing_of_the_rest() -> None:
    """The receivers of the sandbox share no line with the sender that is tried against them."""
    assert [one for one in _OURS if one.importer == "sandbox" and one.imported != "sandbox"] == []


def test_the_core_has_no_clock_no_chance_and_no_io() -> None:
    """The core imports neither asyncio nor time, random, logging or sockets but for types, and of `os` the paths."""
    wrong = [
        one
        for one in _ALL
        if one.importer == "core"
        and not one.typing_only
        and one.module.split(".")[0] in _NOT_IN_CORE
        and one.module != "os.path"
    ]
    assert wrong == []


def test_the_core_uses_the_standard_library_and_idna() -> None:
    """Decisions depend on no outside library but the one that knows the tables of IDNA."""
    outside = {one.module for one in _ALL if one.importer == "core"} - {one.module for one in _OURS}
    assert {module for module in outside if module.split(".")[0] not in sys.stdlib_module_names} == {"idna"}


@pytest.mark.parametrize("library", sorted(_PLACES))
def test_each_outside_library_is_imported_in_its_place_only(library: str) -> None:
    """A library stands behind one door; the table names it."""
    files = {one.file for one in _ALL if one.module.split(".")[0] == library}
    in_place = {
        place: {file for file in files if file == place or file.startswith(f"{place}/")} for place in _PLACES[library]
    }
    assert files == set().union(*in_place.values())
    assert all(in_place.values()), "a place that no longer imports the library"


def test_every_outside_library_has_a_place() -> None:
    """A library that comes in is given a place in the table first."""
    outside = {one.module.split(".")[0] for one in _ALL} - set(sys.stdlib_module_names) - {"sender"}
    assert outside == set(_PLACES) - {"sqlite3"} | _EVERYWHERE
