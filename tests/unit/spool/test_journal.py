"""Deliveries beside the database: what is written is read, whatever a crash leaves of the last record."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sender.core.errors import SpoolError
from sender.spool.contract import Settlement, State
from sender.spool.journal import Journal


def _settlement(number: int, record: bytes = b'{"code":250}') -> Settlement:
    return Settlement(number, number * 10, State.DELIVERED, 5.5, 1, record)


def _read(path: Path) -> list[tuple[int, list[Settlement]]]:
    journal = Journal(path)
    try:
        return list(journal.read())
    finally:
        journal.close()


def _write(path: Path, *records: list[Settlement]) -> None:
    journal = Journal(path)
    for token, record in enumerate(records, 1):
        journal.write(token, record)
    journal.close()


def test_what_was_written_is_read_by_the_next(tmp_path: Path) -> None:
    """Each record comes back with its owner's token, in order."""
    path = tmp_path / "spool.db"
    assert _read(path) == []
    first, second = [_settlement(1), _settlement(2)], [_settlement(3)]
    _write(path, first, second)
    assert _read(path) == [(1, first), (2, second)]


def test_its_room_is_taken_beforehand(tmp_path: Path) -> None:
    """The file is as large when it is empty as when it is full."""
    path = tmp_path / "spool.db"
    _read(path)
    file = tmp_path / "spool.db-deliveries"
    before = (file.stat().st_size, file.stat().st_blocks)
    assert before[1] * 512 >= before[0] == 4 * 2**20
    _write(path, [_settlement(number) for number in range(1000)])
    assert (file.stat().st_size, file.stat().st_blocks) == before


def test_a_full_file_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    """What does not fit is refused with SpoolError; what was written before stays."""
    path = tmp_path / "spool.db"
    journal = Journal(path)
    large = [_settlement(1, b'"' + b"x" * 2**20 + b'"')]
    for _ in range(3):
        journal.write(7, large)
    with pytest.raises(SpoolError, match="is full"):
        journal.write(7, large)
    journal.write(8, [_settlement(2)])
    journal.close()
    assert [token for token, _ in _read(path)] == [7, 7, 7, 8]


def test_what_is_forgotten_is_not_read_also_behind_a_shorter_record(tmp_path: Path) -> None:
    """After it was emptied, what is written anew ends where it ends, whatever lies behind."""
    path = tmp_path / "spool.db"
    journal = Journal(path)
    for number in range(20):
        journal.write(1, [_settlement(number)])
    journal.forget()
    journal.write(2, [_settlement(99)])
    journal.close()
    assert _read(path) == [(2, [_settlement(99)])]


def _refuse(_file: int) -> None:
    raise OSError(5, "Input/output error")


def test_what_is_kept_after_a_failed_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk failed while records were forgotten, the next one does not stand behind an end."""
    path = tmp_path / "spool.db"
    journal = Journal(path)
    journal.write(1, [_settlement(1)])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", _refuse)
        with pytest.raises(SpoolError):
            journal.forget()
    journal.write(2, [_settlement(2)])
    journal.close()
    assert _read(path) == [(2, [_settlement(2)])]


def test_what_is_kept_after_a_failed_sync_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record whose sync failed is not believed to be there: the next stands in its place."""
    path = tmp_path / "spool.db"
    journal = Journal(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", _refuse)
        with pytest.raises(SpoolError):
            journal.write(1, [_settlement(1)])
    journal.write(1, [_settlement(1), _settlement(2)])
    journal.close()
    assert _read(path) == [(1, [_settlement(1), _settlement(2)])]


def test_it_is_closed_after_the_write_that_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing waits for a write that nobody waits for any more, and what comes later is refused."""
    path = tmp_path / "spool.db"
    journal = Journal(path)
    begun, may_end = threading.Event(), threading.Event()

    def wait(_file: int) -> None:
        begun.set()
        may_end.wait(10)

    monkeypatch.setattr(os, "fdatasync", wait)
    writing = threading.Thread(target=journal.write, args=(1, [_settlement(1)]))
    writing.start()
    begun.wait(10)
    closing = threading.Thread(target=journal.close)
    closing.start()
    assert writing.is_alive()
    assert closing.is_alive()
    may_end.set()
    writing.join(10)
    closing.join(10)
    with pytest.raises(SpoolError, match="closed"):
        journal.forget()
    assert _read(path) == [(1, [_settlement(1)])]


@given(cut=st.integers(0, 400), noise=st.binary(max_size=64))
@settings(deadline=None)  # it waits for the disk
def test_a_torn_record_is_not_read_and_those_before_it_are(
    tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes
) -> None:
    """Of a record that was being written when the power went nothing is believed, wherever it was cut."""
    path = tmp_path_factory.mktemp("journal") / "spool.db"
    _write(path, [_settlement(1)])
    whole = path.with_name("spool.db-deliveries").read_bytes()
    _write(path, [_settlement(1)], [_settlement(2), _settlement(3)])
    file = path.with_name("spool.db-deliveries")
    both = file.read_bytes()
    end_of_first = max(at for at in range(400) if whole[at]) + 1
    end_of_second = max(at for at in range(800) if both[at]) + 1
    at = end_of_first + cut % (end_of_second - end_of_first)
    torn = both[:at] + noise + bytes(len(both) - at - len(noise))
    file.write_bytes(torn)
    expected = [(1, [_settlement(1)])]
    if torn == both:
        expected.append((2, [_settlement(2), _settlement(3)]))
    assert _read(path) == expected


@pytest.mark.parametrize("content", [b"", b"something else\n" * 100, b"sender deliveries 1\n", b"\xff" * 5000], ids=len)
def test_a_file_that_is_none_is_made_one(tmp_path: Path, content: bytes) -> None:
    """What stands there and is no journal has no deliveries; the file can be written afterwards."""
    path = tmp_path / "spool.db"
    path.with_name("spool.db-deliveries").write_bytes(content)
    assert _read(path) == []
    _write(path, [_settlement(1)])
    assert _read(path) == [(1, [_settlement(1)])]
