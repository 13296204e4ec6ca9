"""The limits of a site, as they are configured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sender.core.provider import Provider
from sender.engine.limits import Limits, configured
from sender.settings import from_tables
from sender.smtp.habits import Way


@pytest.mark.parametrize(
    ("destination", "limits"),
    [
        ({}, Limits(100, 1000, 100)),
        ({"max_window": 7}, Limits(7, 1000, 100)),
        ({"cap": 20}, Limits(16, 1000, 100)),
        ({"cap": 1}, Limits(1, 1000, 100)),
        ({"cap": 500}, Limits(100, 1000, 100)),
        ({"cap": 20, "max_window": 10}, Limits(10, 1000, 100)),
        ({"messages_per_session": 5, "max_recipients": 2}, Limits(100, 5, 2)),
    ],
)
def test_a_site_has_its_own_limits_or_the_general_ones(destination: dict[str, Any], limits: Limits) -> None:
    """Of a known cap 80 % are used, at least one session; a smaller maximum goes before it."""
    settings = from_tables({"destinations": {"mx.example": destination}}, Path("sender.toml"))
    assert configured(settings, "mx.example") == limits
    assert configured(settings, "other.example") == Limits(100, 1000, 100)


def test_what_a_provider_publishes_holds_where_the_operator_says_nothing() -> None:
    """A published cap, session length and envelope are kept; the operator's own figures go before them."""
    provider = Provider(name="big", title="Big", mx=("big.test",), cap=25, messages_per_session=20, max_recipients=500)
    assert configured(from_tables({}, Path("sender.toml")), "mx.big.test", provider) == Limits(20, 20, 100)
    own = {"destinations": {"big": {"max_window": 40, "messages_per_session": 50}}}
    assert configured(from_tables(own, Path("sender.toml")), "mx.big.test", provider) == Limits(40, 50, 100)


@pytest.mark.parametrize(
    ("general", "here", "forbidden"),
    [
        ({}, {}, ()),
        ({"pipelining": False}, {}, (Way.PIPELINING,)),
        ({"pipelining": False, "chunking": False}, {"pipelining": True}, (Way.CHUNKING,)),
        ({}, {"pipelining": False, "chunking": False}, (Way.PIPELINING, Way.CHUNKING)),
        ({"chunking": False}, {"chunking": True}, ()),
    ],
)
def test_a_site_may_be_denied_an_extension_or_given_it_back(
    general: dict[str, bool], here: dict[str, bool], forbidden: tuple[Way, ...]
) -> None:
    """What the operator says of a site goes before what he says of all; where nothing is said, all is used."""
    settings = from_tables({"delivery": general, "destinations": {"mx.example": here}}, Path("sender.toml"))
    assert configured(settings, "mx.example").forbidden == forbidden
    assert configured(settings, "other.example").forbidden == tuple(
        Way(name) for name in ("pipelining", "chunking") if not general.get(name, True)
    )
