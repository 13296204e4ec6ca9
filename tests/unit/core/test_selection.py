"""Selections of an operator's command."""

from __future__ import annotations

import pytest

from sender.core.selection import Fault, Kind, Selection

_MAIL = {"domain": "example.org", "site": "mx.example.net", "source": "default", "stream": "news"}


@pytest.mark.parametrize("kind", [Kind.DOMAIN, Kind.SITE, Kind.SOURCE, Kind.STREAM])
def test_a_selection_covers_exactly_what_has_its_value(kind: Kind) -> None:
    """A domain, site, source or stream is selected by its own value and by nothing else."""
    covered = {value for value in _MAIL.values() if Selection(kind, value).covers(**_MAIL)}
    assert covered == {_MAIL[kind]}


def test_all_covers_everything_and_a_message_is_looked_up_by_its_id() -> None:
    """Everything is selected by `all`; a message is never selected by the way that its mail goes."""
    assert Selection(Kind.ALL).covers(**_MAIL)
    assert not Selection(Kind.MESSAGE, "example.org").covers(**_MAIL)


def test_mail_without_a_way_is_covered_by_no_site_and_no_source() -> None:
    """Mail whose site and source are not known yet is selected by domain and stream only."""
    lost: dict[str, str | None] = {"site": None, "source": None}
    for kind in (Kind.SITE, Kind.SOURCE):
        assert not Selection(kind, "x").covers(domain="x", stream="x", site=lost["site"], source=lost["source"])
    assert Selection(Kind.DOMAIN, "x").covers(domain="x", stream="y", site=lost["site"], source=lost["source"])


@pytest.mark.parametrize(
    ("selection", "words"),
    [(Selection(Kind.ALL), "all mail"), (Selection(Kind.DOMAIN, "example.org"), "domain example.org")],
)
def test_a_selection_says_what_it_selects(selection: Selection, words: str) -> None:
    """A selection prints as its kind and value, and is read back from that."""
    assert str(selection) == words
    assert Selection.named(words) == selection


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_is_read_out_of_the_reason_that_it_gives(fault: Fault) -> None:
    """A message that is held for a fault of its own is told from one that an operator holds by its reason."""
    assert Fault.of(fault.reason("whatever: it is")) is fault


@pytest.mark.parametrize("reason", ["", "damaged", "too loud: damaged", "Poison: ivy"])
def test_an_operators_reason_is_no_fault(reason: str) -> None:
    """What an operator writes is taken as it is."""
    assert Fault.of(reason) is None
