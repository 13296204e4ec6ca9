"""The buffer of the webhook: what outlasts what, and what is dropped."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from sender.observe.buffer import Batch, Head, Tail, kind
from sender.observe.events import line

_AT = "2027-01-15T08:00:00.500Z"


class _House:
    """A folder with processes that write to it and send from it."""

    def __init__(self, folder: Path, most: int = 2**20) -> None:
        self.folder = folder / "webhook"
        self.dropped = 0
        self._most = most

    def _drop(self, count: int) -> None:
        self.dropped += count

    def tail(self) -> Tail:
        """Open it as a process that writes."""
        return Tail(self.folder, self._most, on_dropped=self._drop)

    def head(self) -> Head:
        """Open it as a process that sends."""
        head = Head(self.folder, on_dropped=self._drop)
        head._scanned_at = -1e9  # it has not looked for long
        return head

    @property
    def files(self) -> list[str]:
        """Name what is in the folder, but for the lock."""
        return sorted(path.suffix for path in self.folder.iterdir() if path.name != "lock")


@pytest.fixture
def house(tmp_path: Path) -> _House:
    """Give a folder."""
    return _House(tmp_path)


def _event(number: int, event: str = "delivered", **facts: Any) -> bytes:  # noqa: ANN401 - any fact
    return line({"at": _AT, "event": event, "n": number, **facts})


def _numbers(batch: Batch | None) -> list[int]:
    return [] if batch is None else [json.loads(line)["n"] for line in batch.lines]


def _drained(head: Head, most: int = 500) -> list[int]:
    numbers = []
    while (batch := head.next(most)) is not None:
        numbers += _numbers(batch)
        head.taken(batch)
        head._scanned_at = -1e9
    return numbers


def test_events_are_given_in_batches_in_their_order(house: _House) -> None:
    """A batch has at most so many events; what is taken does not come again, and leaves nothing but an open segment."""
    tail, head = house.tail(), house.head()
    tail.append(b"".join(map(_event, range(5))))
    tail.append(_event(5))
    batches = []
    while (batch := head.next(4)) is not None:
        batches.append(_numbers(batch))
        head.taken(batch)
    assert batches == [[0, 1, 2, 3], [4, 5]]
    assert house.files == [".jsonl", ".taken"]
    tail.close()
    assert house.head().next(4) is None
    assert house.files == []


@pytest.mark.parametrize("killed", ["before it was sent", "before it was recorded as taken"])
def test_a_batch_that_was_begun_is_the_same_in_the_next_process(house: _House, killed: str) -> None:
    """Its id and its events do not change, though others have been appended and other batches are asked for."""
    tail = house.tail()
    tail.append(_event(0) + _event(1))
    begun = house.head().next(500)
    tail.append(_event(2))
    again = house.head().next(1)
    assert begun == again is not None
    assert (_numbers(again), again.id) == ([0, 1], begun.id if begun else "")
    head = house.head()
    assert (_drained(head), house.dropped) == ([0, 1, 2], 0)
    tail.close()


def test_no_process_goes_on_in_the_segment_of_another(house: _House) -> None:
    """What a killed process has left is read first, and has other ids than what follows."""
    one, other = house.tail(), house.tail()
    one.append(_event(0))
    other.append(_event(1))
    one.append(_event(2))
    head = house.head()
    first, ids = head.next(500), set()
    assert _numbers(first) == [0, 2]
    while (batch := head.next(500)) is not None:
        ids.add(batch.id)
        head.taken(batch)
    assert len(ids) == 2
    for tail in (one, other):
        tail.close()


def test_what_was_begun_since_the_last_look_is_found(house: _House) -> None:
    """Where it says that nothing waits, nothing does: a daemon that stops relies on it."""
    one, other, head = house.tail(), house.tail(), Head(house.folder, on_dropped=house._drop)
    one.append(_event(0))
    first = head.next(500)
    assert first is not None
    head.taken(first)
    other.append(_event(1))
    assert _numbers(head.next(500)) == [1]
    for tail in (one, other):
        tail.close()


def test_one_process_sends(house: _House) -> None:
    """The second is told that another does, until that one has ended."""
    tail, first, second = house.tail(), house.head(), house.head()
    assert (first.take_over(), first.take_over(), second.take_over()) == (True, True, False)
    first.close()
    assert second.take_over()
    second.close()
    tail.close()


def test_a_full_buffer_drops_the_oldest_and_counts_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It never has more bytes than it may; what is missing was counted, and that it is full is told once."""
    house = _House(tmp_path, 2**16)
    tail = house.tail()
    for number in range(3000):
        tail.append(_event(number))
        if not number % 100:
            assert sum(path.stat().st_size for path in house.folder.glob("*.jsonl")) <= 2**16
    left = _drained(house.head())
    assert left == list(range(house.dropped, 3000))
    assert 500 < len(left) < 1200
    assert len([record for record in caplog.records if "buffer is full" in record.message]) == 1
    tail.close()


def test_what_is_taken_or_under_way_is_not_counted_as_dropped(tmp_path: Path) -> None:
    """A batch whose segment was removed is still sent, and can be taken."""
    house = _House(tmp_path, 2**16)
    tail, head = house.tail(), house.head()
    tail.append(b"".join(map(_event, range(40))))
    taken = head.next(10)
    assert taken is not None
    head.taken(taken)
    begun = head.next(10)
    assert begun is not None
    for number in range(40, 3000):
        tail.append(_event(number))
    head.taken(begun)
    left = _drained(house.head())
    assert left == list(range(house.dropped + 20, 3000))
    tail.close()


def test_the_segment_of_a_quiet_process_is_not_dropped(tmp_path: Path) -> None:
    """Somebody writes to it: what is appended there later must not be lost."""
    house = _House(tmp_path, 2**16)
    quiet, busy = house.tail(), house.tail()
    quiet.append(_event(-2))
    for number in range(3000):
        busy.append(_event(number))
    quiet.append(_event(-1))
    assert _drained(house.head())[:2] == [-2, -1]
    for tail in (quiet, busy):
        tail.close()


def test_what_a_power_cut_has_left_is_passed_over(house: _House) -> None:
    """A line without its end is not there; one that is no event any more is dropped and counted."""
    tail = house.tail()
    tail.append(_event(0))
    tail.close()
    (segment,) = house.folder.glob("*.jsonl")
    with segment.open("ab") as file:
        file.write(b"\0" * 50 + b"\n" + b'{"at":' + b"\0" * 50 + b"}\n" + _event(1) + _event(2)[:20])
    assert (_drained(house.head()), house.dropped) == ([0, 1], 2)
    assert house.files == []


def test_only_wanted_kinds_are_kept(house: _House) -> None:
    """What nobody wants takes no room."""
    tail = house.tail()
    tail.wanted = frozenset({b"bounced", b"window"})
    tail.append(_event(0) + _event(1, "bounced") + _event(2, "window", reply='"event":"delivered"') + _event(3))
    tail.append(_event(4))
    assert _drained(house.head()) == [1, 2]
    assert kind(_event(2, "window")) == b"window"
    tail.close()


def test_a_disk_that_is_full_tears_no_line(house: _House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written of a line is taken back; whole lines before it stay, those after it are dropped and counted."""
    tail, write, room = house.tail(), os.write, [10**6]

    def limited(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    tail.append(_event(0))
    monkeypatch.setattr(os, "write", limited)
    room[0] = len(_event(1)) + 5
    assert tail.append(_event(1) + _event(2) + _event(3)) == 2
    room[0] = 10**6
    assert tail.append(_event(4)) == 0
    assert _drained(house.head()) == [0, 1, 4]
    tail.close()


def test_a_folder_that_was_removed_is_made_anew(house: _House) -> None:
    """Who throws the buffer away loses what was in it, and nothing after the next sync."""
    tail = house.tail()
    tail.append(_event(0))
    for path in house.folder.iterdir():
        path.unlink()
    house.folder.rmdir()
    tail.sync()
    tail.append(_event(1))
    assert _drained(house.head()) == [1]
    tail.close()


def test_nobody_but_the_owner_reads_it(house: _House) -> None:
    """The events in it tell who got mail from whom."""
    tail = house.tail()
    tail.append(_event(0))
    batch = house.head().next(1)
    assert batch is not None
    assert not house.folder.stat().st_mode & 0o077
    assert [path.name for path in house.folder.iterdir() if path.stat().st_mode & 0o077] == []
    tail.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_writes_belongs_to_the_owner_of_the_spool(tmp_path: Path) -> None:
    """A command that root runs leaves nothing that the daemon cannot read, be it the first to write."""
    os.chown(tmp_path, 12345, 12346)
    house = _House(tmp_path)
    tail = house.tail()
    tail.append(_event(0))
    tail.close()
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (house.folder, *house.folder.iterdir())}
    assert owners == {(12345, 12346)}
