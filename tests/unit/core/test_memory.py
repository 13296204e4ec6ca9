"""What is remembered of a limit, and how it fades."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sender.core.memory import FADE_S, Memory, problems
from sender.core.window import Remembered

_AT = 1_790_000_000.0


@pytest.mark.parametrize(
    ("age_s", "pace"),
    [(-50.0, 2.0), (0.0, 2.0), (FADE_S / 2, 4.0), (0.75 * FADE_S, 8.0), (FADE_S, None), (9 * FADE_S, None)],
)
def test_a_pace_grows_while_it_is_not_used_and_is_forgotten_after_a_day(age_s: float, pace: float | None) -> None:
    """A rate that was learned half a day ago is begun with at twice the speed; after a day there is none."""
    assert Memory(at=_AT, per_second=2.0).pace(_AT + age_s) == pace
    assert Memory(at=_AT).pace(_AT + age_s) is None


def test_a_window_is_remembered_with_its_age_by_the_steady_clock() -> None:
    """The window is told when the limit was known, in its own clock; of nothing it is told nothing."""
    memory = Memory(at=_AT, limit=40, clean=False)
    assert memory.window(wall=_AT + 100, steady=7000.0) == Remembered(40, 6900.0, clean=False)
    assert memory.window(wall=_AT - 100, steady=7000.0) == Remembered(40, 7000.0, clean=False)
    assert Memory(at=_AT).window(wall=_AT, steady=0.0) is None


def test_sizes_are_forgotten_a_day_after_they_were_learned() -> None:
    """The size of a session or an envelope counts from when it was learned, however often it was saved since."""
    memory = Memory(at=_AT, messages_per_session=5, max_recipients=20, sized_at=_AT - FADE_S / 2)
    assert memory.sizes(_AT) == (5, 20)
    assert memory.sizes(_AT + FADE_S / 2) == (None, None)


def test_a_row_is_read_whatever_else_it_has() -> None:
    """A row of JSON may lack all but its instant, and may have keys that others know."""
    assert Memory.of({"at": _AT}) == Memory(at=_AT)
    row = {"at": _AT, "limit": 3, "clean": False, "per_second": 1.5, "rests": {"a@b.test": 1}}
    memory = Memory.of(json.loads(json.dumps(row)))
    assert memory == Memory(at=_AT, limit=3, clean=False, per_second=1.5)


_CHANGE = {"at": 1, "from": 5, "to": 3, "cause": "refused"}


@pytest.mark.parametrize(
    "row",
    [
        {"at": _AT},
        {"at": 1, "limit": None, "per_second": None, "messages_per_session": 1, "max_recipients": None},
        {"at": 1, "limit": 1, "clean": True, "per_second": 0.01, "sized_at": 0.0, "history": [_CHANGE]},
    ],
)
def test_a_good_memory_has_no_problems(row: dict[str, Any]) -> None:
    """What an export prints is taken."""
    assert problems("import", "a/b", row) == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ([], "import: a/b = []: must be an object"),
        ({}, "import: a/b.at = None: must be seconds since 1970"),
        ({"at": 0}, "import: a/b.at = 0: must be seconds since 1970"),
        ({"at": True}, "import: a/b.at = true: must be seconds since 1970"),
        ({"at": 1, "limit": 0}, "import: a/b.limit = 0: must be a whole number, 1 or more, or null"),
        ({"at": 1, "limit": True}, "import: a/b.limit = true: must be a whole number, 1 or more, or null"),
        ({"at": 1, "limit": 2.5}, "import: a/b.limit = 2.5: must be a whole number, 1 or more, or null"),
        ({"at": 1, "clean": "yes"}, 'import: a/b.clean = "yes": must be true or false'),
        ({"at": 1, "per_second": 0}, "import: a/b.per_second = 0: must be more than 0, or null"),
        ({"at": 1, "per_second": "fast"}, 'import: a/b.per_second = "fast": must be more than 0, or null'),
        ({"at": 1, "messages_per_session": 0}, "import: a/b.messages_per_session = 0: must be a whole number, 1 or"),
        ({"at": 1, "max_recipients": -1}, "import: a/b.max_recipients = -1: must be a whole number, 1 or more"),
        ({"at": 1, "sized_at": "now"}, 'import: a/b.sized_at = "now": must be seconds since 1970'),
        ({"at": 1, "history": {}}, "import: a/b.history = {  }: must be an array of changes, each with at, from, to"),
        ({"at": 1, "history": [{**_CHANGE, "cause": "luck"}]}, "import: a/b.history = [{ "),
        ({"at": 1, "history": [{"at": 1}]}, "import: a/b.history = [{ at = 1 }]: must be an array of changes"),
    ],
)
def test_a_bad_memory_is_refused_by_place_name_value_and_rule(row: object, problem: str) -> None:
    """What a person has written wrongly is named with its rule."""
    (found,) = problems("import", "a/b", row)
    assert str(found).startswith(problem)
