"""Events: lines of JSON in a file."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.observe.event_file import EventFile
from sender.observe.events import Events, instant


def _event(**facts: Any) -> dict[str, Any]:  # noqa: ANN401 - any fact
    return {"at": 1_800_000_000.5, "event": "delivered", **facts}


@given(st.integers(0, 4_000_000_000_000))
def test_an_instant_is_written_in_utc_with_milliseconds(milliseconds: int) -> None:
    """An instant is RFC 3339 with a Z, and reads back to the millisecond."""
    text = instant(milliseconds / 1000)
    assert text.endswith("Z")
    assert abs(dt.datetime.fromisoformat(text).timestamp() * 1000 - milliseconds) <= 1


def test_events_are_appended_as_lines(tmp_path: Path) -> None:
    """Each event is one line of JSON, behind what the file had; its folder is made where it is missing."""
    path = tmp_path / "log" / "events.jsonl"
    path.parent.mkdir()
    path.write_text("before\n")
    events = Events(EventFile(path))
    assert events.wanted
    events.write([_event(rcpt_to="a@example.org"), _event(reply='550 "no"\nthe end')])
    events.close()
    before, one, other = path.read_text().splitlines()
    assert before == "before"
    assert json.loads(one) == {"at": "2027-01-15T08:00:00.500Z", "event": "delivered", "rcpt_to": "a@example.org"}
    assert json.loads(other)["reply"] == '550 "no"\nthe end'


def test_the_folder_of_the_file_is_made(tmp_path: Path) -> None:
    """An events file may stand in a folder that does not exist yet."""
    events = Events(EventFile(tmp_path / "a" / "b" / "events.jsonl"))
    events.close()
    assert (tmp_path / "a" / "b" / "events.jsonl").is_file()


def test_without_a_file_nobody_wants_events() -> None:
    """Without a file events are dropped, and whoever makes them knows it beforehand."""
    events = Events()
    events.write([_event()])
    events.reopen()
    events.close()
    assert not events.wanted


def test_after_the_file_was_moved_away_events_go_to_a_new_one(tmp_path: Path) -> None:
    """Reopening serves the rotation of logs: what came before is in the moved file, what follows in a new one."""
    path = tmp_path / "events.jsonl"
    events = Events(EventFile(path))
    events.write([_event(n=1)])
    path.rename(tmp_path / "events.1")
    events.write([_event(n=2)])
    events.reopen()
    events.write([_event(n=3)])
    events.close()
    assert [json.loads(line)["n"] for line in (tmp_path / "events.1").read_text().splitlines()] == [1, 2]
    assert [json.loads(line)["n"] for line in path.read_text().splitlines()] == [3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_file_that_cannot_be_written_stops_nothing_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """On a full disk events are dropped, with one line in the log."""
    events = Events(EventFile(Path("/dev/full")))
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            events.write([_event()])
    events.close()
    assert [record.message for record in caplog.records if "cannot be written" in record.message] == [
        "/dev/full: events cannot be written and are dropped: [Errno 28] No space left on device"
    ]


def test_nobody_but_owner_and_group_reads_events(tmp_path: Path) -> None:
    """They tell who got mail from whom, in a file that was moved away and made anew too."""
    path = tmp_path / "events.jsonl"
    before = os.umask(0)
    try:
        events = Events(EventFile(path))
        assert path.stat().st_mode & 0o777 == 0o640
        path.unlink()
        events.reopen()
        assert path.stat().st_mode & 0o777 == 0o640
        events.close()
    finally:
        os.umask(before)
