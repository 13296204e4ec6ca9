"""Names of sites."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.site import site_name

_labels = st.sampled_from(["a", "b", "mx", "mx1", "mx2", "alt", "in", "example", "com", "org"])
_hosts = st.lists(_labels, min_size=1, max_size=4).map(".".join)
_sets = st.frozensets(_hosts, min_size=1, max_size=5)


@given(_sets, st.integers())
def test_a_name_ignores_order_case_and_final_dots(hosts: frozenset[str], seed: int) -> None:
    """The same hosts in another order, in capitals and with final dots, twice over, have the same name."""
    others = [f"{host.upper()}." for host in hosts] + list(hosts)
    Random(seed).shuffle(others)
    assert site_name(others) == site_name(sorted(hosts))


@given(_sets, _sets)
def test_different_sets_have_different_names(one: frozenset[str], other: frozenset[str]) -> None:
    """Two MX sets have one name exactly when they are the same set."""
    assert (site_name(one) == site_name(other)) is (one == other)


@pytest.mark.parametrize(
    ("hosts", "name"),
    [
        (["mx.example.com"], "mx.example.com"),
        (["alt1.mx.example.com", "mx.example.com", "alt2.mx.example.com"], "(alt1.mx|alt2.mx|mx).example.com"),
        (["mx1.example.com", "mx2.example.com"], "(mx1|mx2).example.com"),
        (["mx.example.com", "mx.example.org"], "(mx.example.com|mx.example.org)"),
        (["amx.example.com", "mx.example.com"], "(amx|mx).example.com"),
    ],
)
def test_a_name_shows_what_the_hosts_differ_in(hosts: list[str], name: str) -> None:
    """One host names itself; several share the labels that they have in common."""
    assert site_name(hosts) == name
