"""The file of events: no line is lost or torn while it is renamed, whoever writes to it."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from sender.observe.event_file import EventFile

_ROOT = Path(__file__).parents[3]
_WRITER = """
import sys
from contextlib import ExitStack
from pathlib import Path
from sender.observe.event_file import EventFile
file = EventFile(Path(sys.argv[1]), max_size=5_000, keep=900)
print("ready", flush=True)
sys.stdin.readline()
for number in range(8000):
    file.append(b'{"writer": %s, "n": %d}\\n' % (sys.argv[2].encode(), number))
file.close()
"""


def _lines(number: int) -> bytes:
    return b'{"n": %d}\n' % number


def _numbers(*files: Path) -> list[int]:
    return [json.loads(line)["n"] for file in files for line in file.read_text().splitlines()]


def _oldest_first(path: Path) -> list[Path]:
    renamed = (file for file in path.parent.glob(f"{path.name}.*") if file.suffix != ".lock")
    return [*sorted(renamed, key=lambda file: -int(file.suffix[1:])), path]


def test_a_full_file_is_renamed_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    """No file grows beyond its size, the newest has no number, and so many are kept as were asked for."""
    path = tmp_path / "events.jsonl"
    file = EventFile(path, max_size=50, keep=3)
    for number in range(10, 60):
        assert file.append(_lines(number)) == 0
    file.close()
    files = _oldest_first(path)
    assert [each.name for each in files] == ["events.jsonl.3", "events.jsonl.2", "events.jsonl.1", "events.jsonl"]
    assert all(each.stat().st_size <= 50 for each in files)
    assert _numbers(*files) == list(range(40, 60))
    assert all(each.stat().st_mode & 0o777 == 0o640 for each in files)


def test_a_gap_in_the_numbers_costs_no_file(tmp_path: Path) -> None:
    """What a crash between two renames has left is filled before anything is dropped."""
    path = tmp_path / "events.jsonl"
    for number, name in ((1, ".3"), (2, ".2"), (4, "")):
        path.with_name(f"events.jsonl{name}").write_bytes(_lines(number))
    file = EventFile(path, max_size=12, keep=3)
    file.append(_lines(5))
    file.close()
    assert _numbers(*_oldest_first(path)) == [1, 2, 4, 5]


def test_processes_lose_and_tear_nothing(tmp_path: Path) -> None:
    """Each line of three processes that write at once is there once, and in a file those of one are in their order."""
    path, names = tmp_path / "events.jsonl", ("1", "2", "3")
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _WRITER, str(path), name],
                    cwd=_ROOT,
                    env={"PYTHONPATH": str(_ROOT)},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            for name in names
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write(b"go\n")
            writer.stdin.flush()
        assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    files = _oldest_first(path)
    assert len(files) > 8
    assert min(file.stat().st_size for file in files[:-1]) > 4_900  # none was renamed twice for being full once
    by_file = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    for name in map(int, names):
        numbers = [[line["n"] for line in lines if line["writer"] == name] for lines in by_file]
        assert all(each == sorted(each) for each in numbers)
        assert sorted(itertools.chain(*numbers)) == list(range(8000))


def test_a_folder_that_forbids_to_rename_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file cannot be renamed it grows on, and that is told once, until it is opened anew."""
    path = tmp_path / "events.jsonl"
    path.with_name("events.jsonl.lock").mkdir()  # that cannot be opened, as in a folder that is read-only
    file = EventFile(path, max_size=20)
    with caplog.at_level(logging.ERROR):
        for number in range(20):
            assert file.append(_lines(number)) == 0
    assert _numbers(path) == list(range(20))
    assert len(caplog.records) == 1
    path.with_name("events.jsonl.lock").rmdir()
    file.reopen()
    file.append(_lines(20))
    file.close()
    assert _numbers(path) == [20]


class _Full:
    """A file on a disk that takes so many bytes more."""

    def __init__(self, file: EventFile, room: int) -> None:
        self._file = file._file
        self.room = room
        self.fileno = self._file.fileno
        self.close = self._file.close

    def write(self, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._file.write(data[: self.room])
        self.room -= written
        return written


def test_a_line_that_did_not_fit_is_ended_when_there_is_room_again(tmp_path: Path) -> None:
    """A disk that fills up in the middle of a line tears none: whole lines are dropped, and counted."""
    path = tmp_path / "events.jsonl"
    file = EventFile(path)
    disk = _Full(file, 13)
    file._file = disk  # type: ignore[assignment]
    assert file.append(_lines(1) + _lines(2) + _lines(3)) == 1
    assert file.append(_lines(4)) == 1
    disk.room = 1000
    assert file.append(_lines(5)) == 0
    file.close()
    assert _numbers(path) == [1, 2, 5]
