"""What clients ask for beside addresses and content."""

from __future__ import annotations

from typing import Any

import pytest

from sender.core.options import NO_OPTIONS, OptionError, Options, checked_name, checked_priority, checked_times

NOW, DAY_S = 1_000_000.0, 86_400.0


def test_what_is_not_asked_for_is_not_stated() -> None:
    """Mail without wishes stores none."""
    assert NO_OPTIONS.stated() == {}
    assert Options(campaign="spring").stated() == {"campaign": "spring"}


def test_options_come_back_from_what_they_state() -> None:
    """Stating and reading give the same value; what another version has added is passed over."""
    options = Options(returns="FULL", envelope_id="x", require_tls=True, send_at=5.5, metadata={"a": [1]})
    assert Options.of({**options.stated(), "later": 1}) == options


def test_events_tell_what_is_the_clients_own() -> None:
    """Campaign and metadata come back in events, and nothing else of it."""
    assert Options(returns="FULL", campaign="c", metadata={"k": 1}).told == {"campaign": "c", "metadata": {"k": 1}}
    assert Options(returns="FULL").told == {}


@pytest.mark.parametrize("name", ["a", "Spring-2026", "tenant:7", "a.b_c@d+e", "x" * 64])
def test_a_name_of_plain_characters_is_taken(name: str) -> None:
    """Streams and campaigns have names that may stand anywhere."""
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", " a", "-a", "a b", "ü", "a\n", "a\r\nX: y", "a\0", "a/b", 'a"b', "x" * 65])
def test_a_name_that_could_break_something_is_refused(name: str) -> None:
    """Spaces, line ends, quotes and letters beyond ASCII stand in no name."""
    with pytest.raises(OptionError, match="must be 1 to 64"):
        checked_name(name)


def test_a_priority_is_one_of_three() -> None:
    """Case does not matter."""
    assert checked_priority("URGENT") == "urgent"
    with pytest.raises(OptionError, match="must be one of urgent, normal, bulk"):
        checked_priority("high")


@pytest.mark.parametrize(
    ("send_at", "expires_at"),
    [(None, None), (NOW + DAY_S, None), (NOW - 5, None), (None, NOW + 1), (NOW + 5, NOW + 6), (NOW - 5, NOW + 1)],
)
def test_times_that_can_be_kept_are_taken(send_at: float | None, expires_at: float | None) -> None:
    """A message may wait as long as is allowed, and may expire after it was to be sent."""
    checked_times(send_at=send_at, expires_at=expires_at, now=NOW, max_hold_s=DAY_S)


@pytest.mark.parametrize(
    ("send_at", "expires_at"),
    [(NOW + DAY_S + 1, None), (None, NOW), (NOW + 5, NOW + 5), (NOW + 5, NOW + 4), (NOW - 9, NOW - 5)],
)
def test_times_that_cannot_be_kept_are_refused(send_at: float | None, expires_at: float | None) -> None:
    """A message does not wait for too long, and does not expire before it was to be sent."""
    with pytest.raises(OptionError):
        checked_times(send_at=send_at, expires_at=expires_at, now=NOW, max_hold_s=DAY_S)


@pytest.mark.parametrize(
    "stated",
    [
        {"send_at": "tomorrow"},
        {"warn_at": None},
        {"require_tls": 1},
        {"campaign": 5},
        {"metadata": ["a"]},
        {"envelope_id": {}},
        ["campaign"],
        "campaign",
        7,
    ],
)
def test_what_nobody_has_asked_for_is_refused(stated: Any) -> None:  # noqa: ANN401 - JSON
    """A value of another kind than was stored, or no object at all, is not read as something."""
    with pytest.raises(TypeError, match="must be"):
        Options.of(stated)
