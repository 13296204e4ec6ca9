"""The diary of a lane."""

from __future__ import annotations

import json

import pytest

from sender.clock import Clock
from sender.core.stage import Stage
from sender.core.window import Cause, Change
from sender.engine.diary import KEPT, Diary

_CLOCK = Clock(wall=lambda: 1_790_000_000.0, steady=lambda: 500.0)
_TAUGHT = {Cause.REFUSED, Cause.REFUSED_INSIDE, Cause.THROTTLED, Cause.OVERLOADED, Cause.BLOCKED}


@pytest.mark.parametrize("cause", Cause)
def test_a_change_has_the_reply_that_taught_it(cause: Cause) -> None:
    """A change that a receiver caused is written down with the last refusal; growth and operators had none."""
    diary = Diary()
    diary.heard(Stage.BANNER, "421 too many")
    entry = diary.note(Change(490.0, 9, 4, cause), _CLOCK)
    assert (entry["from"], entry["to"], entry["cause"]) == (9, 4, cause.value)
    assert (entry["stage"], entry["reply"]) == (("banner", "421 too many") if cause in _TAUGHT else ("", ""))


def test_a_change_is_dated_by_the_wall_clock() -> None:
    """The instant of a change, of the steady clock, is written down in seconds since 1970."""
    assert Diary().note(Change(490.0, 9, 4, Cause.REFUSED), _CLOCK)["at"] == 1_789_999_990.0


def test_a_diary_keeps_its_last_entries() -> None:
    """Old changes are forgotten, the last fifty stay in their order."""
    diary = Diary()
    for number in range(KEPT + 10):
        diary.note(Change(490.0, number, number + 1, Cause.TAKEN), _CLOCK)
    assert [entry["from"] for entry in diary.entries()] == list(range(10, KEPT + 10))


def test_a_limit_that_is_confirmed_again_and_again_is_one_entry() -> None:
    """Refusals that change nothing are counted in one entry, with the last instant and reply."""
    diary = Diary()
    diary.note(Change(400.0, 9, 4, Cause.REFUSED), _CLOCK)
    for number in range(3):
        diary.heard(Stage.BANNER, f"421 refusal {number}")
        diary.note(Change(450.0 + number, 4, 4, Cause.REFUSED), _CLOCK)
    entries = diary.entries()
    assert [(entry["from"], entry["to"], entry["times"]) for entry in entries] == [(9, 4, 1), (4, 4, 3)]
    assert (entries[1]["at"], entries[1]["reply"]) == (1_789_999_952.0, "421 refusal 2")


def test_a_diary_is_read_back_from_what_the_spool_kept() -> None:
    """A diary that went through JSON has the same entries; a lane without memory has an empty one."""
    diary = Diary()
    diary.note(Change(490.0, 9, 4, Cause.OPERATOR), _CLOCK)
    memory = json.loads(json.dumps({"history": diary.entries()}))
    assert Diary.restored(memory).entries() == diary.entries()
    assert Diary.restored(None).entries() == []
    assert Diary.restored({}).entries() == []
