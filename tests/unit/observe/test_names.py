"""Which names have series of their own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sender.observe.names import KEPT, OTHER, Name, Names

TENURE_S = 600.0


def _busy(name: Name, times: int) -> None:
    for _ in range(times):
        name.note()


def test_who_comes_first_gets_a_place_and_all_others_are_other() -> None:
    """While places are free, a name has its label at once."""
    names = Names(1)
    first, second = names.find("a"), names.find("b")
    assert (first.label, second.label, names.find("a")) == ("a", OTHER, first)


def test_what_is_configured_needs_no_place() -> None:
    """A configured name has its label in any case, also when it is configured later."""
    names = Names(1, ["large"])
    kept = [names.find(text) for text in ("a", "large", "b")]
    names.fix(["b"])
    assert [name.label for name in kept] == ["a", "large", "b"]


def test_a_clearly_busier_name_takes_the_place_of_the_least_busy() -> None:
    """The ranking gives places to the busiest; who loses one is `other` from then on."""
    names = Names(2)
    quiet, busy, late = (names.find(text) for text in ("quiet", "busy", "late"))
    _busy(quiet, 5)
    _busy(busy, 100)
    _busy(late, 50)
    assert names.rank(0.0) == []
    assert (quiet.label, busy.label, late.label) == (OTHER, "busy", "late")


def test_a_name_that_is_a_little_busier_has_to_wait() -> None:
    """Without a clear difference nothing changes: series do not flap."""
    names = Names(1)
    first, second = names.find("first"), names.find("second")
    for minute in range(50):
        _busy(first, 100)
        _busy(second, 150)
        names.rank(minute * 60.0)
    assert (first.label, second.label) == ("first", OTHER)


def test_a_place_that_was_won_is_kept_for_a_while() -> None:
    """A name that has won its place is not replaced within ten minutes, however busy another is."""
    names = Names(1)
    first, second, third = (names.find(text) for text in ("first", "second", "third"))
    _busy(second, 100)
    names.rank(0.0)
    _busy(third, 10_000)
    names.rank(TENURE_S - 1)
    assert (first.label, second.label, third.label) == (OTHER, "second", OTHER)
    names.rank(TENURE_S)
    assert (second.label, third.label) == (OTHER, "third")


def test_a_name_that_is_busy_for_long_beats_one_that_was_busy_once() -> None:
    """What happened fades: a place goes to who is busy now."""
    names = Names(1)
    once, steady = names.find("once"), names.find("steady")
    _busy(once, 1000)
    for minute in range(60):
        _busy(steady, 50)
        names.rank(minute * 60.0)
    assert (once.label, steady.label) == (OTHER, "steady")


def test_who_lost_a_place_gets_it_back() -> None:
    """A name that comes back has the label that it had."""
    names = Names(1)
    first, second = names.find("first"), names.find("second")
    _busy(second, 100)
    names.rank(0.0)
    _busy(first, 1000)
    names.rank(TENURE_S)
    assert (first.label, second.label) == ("first", OTHER)


def test_only_of_very_many_that_lost_their_place_some_are_forgotten() -> None:
    """The series of those who lost their place first are given up when there are too many of them."""
    names = Names(1)
    names.find("n0")
    forgotten: list[str] = []
    kept = []
    for number in range(1, KEPT + 3):
        kept.append(names.find(f"n{number}"))
        _busy(kept[-1], 10**number if number < 4 else 1000)
        forgotten += names.rank(number * 1e6)
        for _ in range(100):
            names.rank(number * 1e6 + 1)  # until what was counted has faded
    assert forgotten == ["n0", "n1"]


def test_who_is_not_kept_is_forgotten() -> None:
    """Names without a place cost nothing once nobody counts under them."""
    names = Names(1)
    names.find("first")
    for number in range(1000):
        names.find(f"n{number}")
    assert len(names._names) == 1


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=40), max_size=20), st.integers(1, 4))
def test_there_are_never_more_labels_than_places(minutes: list[list[str]], places: int) -> None:
    """However mail comes, each name is itself or `other`, and no more have labels than there are places."""
    names = Names(places)
    kept: dict[str, Name] = {}
    for minute, busy in enumerate(minutes):
        for text in busy:
            kept.setdefault(text, names.find(text)).note()
        names.rank(minute * 60.0)
        labels = [name.label for name in kept.values() if name.label != OTHER]
        assert len(labels) == len(set(labels)) <= places
        assert all(name.label in {name.text, OTHER} for name in kept.values())
