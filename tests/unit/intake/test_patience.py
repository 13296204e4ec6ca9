"""How much is borne of a client."""

from __future__ import annotations

import pytest

from sender.intake.patience import Patience, Upload
from sender.settings import SmtpSettings

_LIMITS = SmtpSettings.model_validate(
    {"max_errors": 3, "max_commands": 5, "session_timeout": "100s", "block_timeout": "10s", "min_data_rate": "500B"}
)


@pytest.mark.parametrize(
    ("spent", "said"),
    [
        ({"errors": 3}, "421 4.7.0 Too many errors"),
        ({"commands": 5}, "421 4.7.0 Too many commands without a message"),
        ({"failures": 3}, "421 4.7.0 Too many failures"),
        ({"errors": 2, "commands": 4, "failures": 2}, ""),
    ],
)
def test_each_budget_ends_a_connection_by_itself(spent: dict[str, int], said: str) -> None:
    """The reply tells which one it was."""
    patience = Patience(_LIMITS, 0.0)
    for name, count in spent.items():
        setattr(patience, name, count)
    assert patience.over(1.0) == said


def test_a_message_renews_patience_with_errors_and_commands_only() -> None:
    """Failed logins, and the time, count for the whole connection."""
    patience = Patience(_LIMITS, 0.0, errors=2, commands=4, failures=2)
    patience.message()
    assert (patience.errors, patience.commands, patience.failures) == (0, 0, 2)
    assert patience.over(99.9) == ""
    assert patience.over(100.0).startswith("421 4.4.2 ")


def test_i8_content_has_to_come_at_a_least_rate_after_a_while() -> None:
    """What is slow at first may catch up; who drips for longer than a block may take is sent away."""
    upload = Upload(_LIMITS, 0.0)
    assert upload.over(9.9, 1) == ""
    assert upload.over(10.1, 5099) == ""
    assert upload.over(20.0, 1) == "421 4.4.2 Content comes in at less than 500 bytes a second"


def test_i8_a_message_comes_in_within_the_time_of_a_session() -> None:
    """However steadily it comes."""
    upload = Upload(_LIMITS, 0.0)
    assert upload.over(99.0, 10**6) == ""
    assert upload.over(101.0, 10**6).startswith("421 4.4.2 ")
