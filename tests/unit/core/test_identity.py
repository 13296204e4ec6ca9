"""Message ids."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.errors import SenderError
from sender.core.identity import MessageIds, id_at, id_number, id_text, id_time

_NOW = 1_790_000_000.0
_HIGHEST = 2**63 - 1


@given(st.lists(st.floats(min_value=0, max_value=4e9), min_size=2, max_size=200), st.integers(0, 5000))
def test_ids_rise_whatever_the_clock_does(instants: list[float], process: int) -> None:
    """Each id of a process is higher than the one before, over steps of the clock to any side."""
    ids = MessageIds(process)
    made = [ids.next(now) for now in instants]
    assert all(before < after for before, after in pairwise(made))


def test_ids_rise_when_one_millisecond_has_more_of_them_than_fit() -> None:
    """The 4,097th id of one millisecond is dated into the next one."""
    ids = MessageIds(1)
    made = [ids.next(_NOW) for _ in range(10_000)]
    assert made == sorted(set(made))
    assert id_time(made[4095]) == _NOW
    assert id_time(made[4096]) == _NOW + 0.001


@given(st.integers(1, _HIGHEST >> 1), st.integers(0, 1023), st.floats(min_value=0, max_value=4e9))
def test_a_process_never_repeats_an_id_that_the_spool_has(after: int, process: int, now: float) -> None:
    """The first id of a process is above the highest one that the spool holds, even after the clock was set back."""
    assert MessageIds(process, after).next(now) > after


@given(st.floats(min_value=_NOW, max_value=4e9), st.integers(0, 1023), st.integers(0, 1023))
def test_two_processes_make_different_ids_at_the_same_instant(now: float, one: int, other: int) -> None:
    """Ids of processes with different tokens differ."""
    assert (MessageIds(one).next(now) == MessageIds(other).next(now)) is (one == other)


@given(st.integers(0, _HIGHEST), st.integers(0, _HIGHEST))
def test_the_text_of_an_id_sorts_as_the_id_does(one: int, other: int) -> None:
    """Ids and their texts have the same order, and a text reads back as its id."""
    assert (id_text(one) < id_text(other)) is (one < other)
    assert id_number(id_text(one)) == one
    assert id_number(id_text(one).upper()) == one


@pytest.mark.parametrize("text", ["", "abc", "0" * 12, "0" * 14, "i" * 13, "0000000000_00", "zzzzzzzzzzzzz"])
def test_what_is_no_id_is_refused(text: str) -> None:
    """A text of another length, with other letters, or above 63 bits is no message id."""
    with pytest.raises(SenderError, match="is no message id"):
        id_number(text)


@given(st.integers(1_577_836_800_000, 4_000_000_000_000))
def test_an_id_tells_when_it_was_made(milliseconds: int) -> None:
    """An id gives its instant back to the millisecond, and what was made earlier is lower than `id_at`."""
    now = milliseconds / 1000
    made = MessageIds(7).next(now)
    assert abs(id_time(made) - now) <= 0.001
    assert id_at(now) <= made < id_at(now + 0.002)
