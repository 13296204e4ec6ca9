"""What a receiver announces."""

from __future__ import annotations

import pytest

from sender.smtp.offer import Announced, Offer


@pytest.mark.parametrize(
    ("text", "announced"),
    [
        ("MAILMAX=20 RCPTMAX=100 RCPTDOMAINMAX=1", Announced(20, 100, 1)),
        ("rcptmax=5", Announced(recipients=5)),
        ("RCPTMAX=0 MAILMAX=-1 RCPTDOMAINMAX=x", Announced()),
        ("RCPTMAX=1000000 OTHER=3", Announced()),
        ("", Announced()),
    ],
)
def test_limits_are_read_as_rfc_9422_writes_them(text: str, announced: Announced) -> None:
    """One to six digits and no leading zero; what is anything else is as if it was not said."""
    assert Offer.read({"limits": text}).announced == announced


def test_who_announces_no_limits_has_none() -> None:
    """Most receivers say nothing."""
    assert Offer.read({"pipelining": ""}).announced == Announced()
