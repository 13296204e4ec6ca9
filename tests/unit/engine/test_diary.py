"""The diary of a limit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sender.clock import Clock
from sender.core.stage import Stage
from sender.core.window import Cause, Change
from sender.engine.diary import KEPT, Diary

_CLOCK = Clock(wall=lambda: 1_790_000_000.0, steady=lambda: 500.0)
_TAUGHT = {Cause.REFUSED, Cause.REFUSED_INSIDE, Cause.THROTTLED, Cause.OVERLOADED, Cause.BLOCKED}


def _note(diary: Diary, before: int, after: int, cause: Cause, at: float = 490.0, **word: str) -> dict[str, Any]:
    entry = diary.note(Change(at, before, after, cause), _CLOCK, **word)
    assert entry is not None
    return entry


@pytest.mark.parametrize("cause", Cause)
def test_a_change_has_the_reply_that_taught_it(cause: Cause) -> None:
    """A change that a receiver caused is written down with the last refusal; growth and operators had none."""
    diary = Diary()
    diary.heard(Stage.BANNER, "421 too many", "mx1.example.org")
    entry = _note(diary, 9, 4, cause)
    assert (entry["from"], entry["to"], entry["cause"]) == (9, 4, cause.value)
    said = ("banner", "mx1.example.org", "421 too many") if cause in _TAUGHT else ("", "", "")
    assert (entry["stage"], entry["host"], entry["reply"]) == said


def test_a_change_is_dated_by_the_wall_clock() -> None:
    """The instant of a change, of the steady clock, is written down in seconds since 1970."""
    assert _note(Diary(), 9, 4, Cause.REFUSED)["at"] == 1_789_999_990.0


def test_a_diary_keeps_its_last_entries() -> None:
    """Old changes are forgotten, the last fifty stay in their order; what taught the limit stays beside them."""
    diary = Diary()
    taught = _note(diary, 99, 0, Cause.REFUSED)
    for number in range(KEPT + 10):
        _note(diary, number, number + 1, Cause.TAKEN)
    assert [entry["from"] for entry in diary.entries()] == list(range(10, KEPT + 10))
    assert diary.taught == taught
    assert diary.tried["taken"] == KEPT + 10


def test_a_limit_that_is_confirmed_again_and_again_is_one_entry() -> None:
    """Refusals that change nothing are counted in one entry, with the last instant and reply."""
    diary = Diary()
    _note(diary, 9, 4, Cause.REFUSED, 400.0)
    for number in range(3):
        diary.heard(Stage.BANNER, f"421 refusal {number}")
        _note(diary, 4, 4, Cause.REFUSED, 450.0 + number)
    entries = diary.entries()
    assert [(entry["from"], entry["to"], entry["times"]) for entry in entries] == [(9, 4, 1), (4, 4, 3)]
    assert (entries[1]["at"], entries[1]["reply"]) == (1_789_999_952.0, "421 refusal 2")
    assert (diary.tried["refused"], diary.tried["reply"]) == (3, "421 refusal 2")


def test_an_operators_word_is_an_entry_of_its_own() -> None:
    """What an operator did is written down with the reason each time, where it changed nothing too."""
    diary = Diary()
    for reason in ("once", "again"):
        _note(diary, 8, 8, Cause.OPERATOR, act="set", reason=reason)
    _note(diary, 8, 8, Cause.REFUSED)
    assert [(entry["cause"], entry["reason"], entry["times"]) for entry in diary.entries()] == [
        ("operator", "once", 1),
        ("operator", "again", 1),
        ("refused", "", 1),
    ]


def test_the_score_since_the_limit_was_learned_is_kept() -> None:
    """The fall that taught a limit, and the first refusal at one, begin a score; an operator's word ends it."""
    diary = Diary()
    _note(diary, 5, 6, Cause.TAKEN)
    found = _note(diary, 6, 6, Cause.REFUSED)
    assert (diary.taught, diary.tried["taken"], diary.tried["refused"]) == (found, 0, 0)
    _note(diary, 6, 7, Cause.TAKEN, 491.0)
    _note(diary, 7, 7, Cause.REFUSED, 492.0)
    assert diary.taught == found
    assert (diary.tried["taken"], diary.tried["taken_from"], diary.tried["refused"]) == (1, 6, 1)
    fell = _note(diary, 7, 2, Cause.THROTTLED, 493.0)
    assert (diary.taught, diary.tried["taken"], diary.tried["refused"]) == (fell, 0, 0)
    _note(diary, 2, 9, Cause.OPERATOR, act="set")
    assert diary.taught is None


def test_what_is_remembered_as_it_was_is_no_change() -> None:
    """A limit that comes back as it was known is not written down; one that comes back changed is, from what it was."""
    diary = Diary()
    _note(diary, 9, 4, Cause.REFUSED)
    assert diary.note(Change(495.0, 5, 4, Cause.REMEMBERED), _CLOCK) is None
    entry = _note(diary, 5, 3, Cause.REMEMBERED, 496.0)
    assert (entry["from"], entry["to"]) == (4, 3)
    assert len(diary.entries()) == 2


def test_a_diary_is_read_back_from_what_the_spool_kept() -> None:
    """A diary that went through JSON says the same; a lane without memory has an empty one."""
    diary = Diary()
    diary.heard(Stage.MAIL, "451 slow down", "mx1.example.org")
    _note(diary, 9, 4, Cause.REFUSED)
    _note(diary, 4, 5, Cause.TAKEN)
    diary.note_pace(1_790_000_001.0, 1.5)
    kept = json.loads(json.dumps(diary.memory()))
    assert Diary(kept).memory() == diary.memory()
    assert kept["paced"]["reply"] == "451 slow down"
    assert Diary(None).memory() == Diary({}).memory() == Diary().memory()


def test_an_entry_that_lacks_keys_is_given_them() -> None:
    """What was written down by hand, or before there were hosts and reasons, reads like any other."""
    (entry,) = Diary({"history": [{"at": 1.0, "from": 5, "to": 3, "cause": "refused"}]}).entries()
    assert (entry["host"], entry["reply"], entry["times"], entry["act"]) == ("", "", 1, "")
