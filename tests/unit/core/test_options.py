"""What a client asks for, as it is stored and read again."""

from __future__ import annotations

from typing import Any

import pytest

from sender.core.options import NO_OPTIONS, Options

_ALL = Options(
    returns="FULL",
    envelope_id="QQ1",
    require_tls=True,
    send_at=1_790_000_000.5,
    warn_at=1_790_000_001.0,
    campaign="spring",
    submitter="shop",
    metadata={"order": 7},
)


@pytest.mark.parametrize("options", [_ALL, NO_OPTIONS, Options(campaign="spring")])
def test_what_is_stored_is_read_as_it_was(options: Options) -> None:
    """Options come back from what they state."""
    assert Options.of(options.stated()) == options


def test_what_a_later_version_has_added_is_passed_over() -> None:
    """Unknown names say nothing to this version."""
    assert Options.of({"campaign": "spring", "colour": "green"}) == Options(campaign="spring")


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
