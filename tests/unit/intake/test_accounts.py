"""Who may send as whom, and how fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from sender.core.errors import ConfigError
from sender.intake.accounts import Account, AccountTable, Senders
from sender.intake.failures import Failures
from sender.intake.users import Users, hash_password
from sender.settings import SmtpSettings


@pytest.mark.parametrize(
    ("mailbox", "allowed"),
    [
        ("news@example.com", True),
        ("NEWS@Example.COM", True),
        ("any@shop.test", True),
        ("any@SHOP.test", True),
        ("any@grün.test", True),
        ("any@xn--grn-ioa.test", True),
        ("", True),
        ("other@example.com", False),
        ("any@sub.shop.test", False),
        ("news@example.com.evil.test", False),
        ("news@example.com@evil.test", False),
        ("no address", False),
    ],
)
def test_i2_only_listed_senders_are_allowed(mailbox: str, *, allowed: bool) -> None:
    """An address is listed by itself or with its domain; the null sender is everybody's."""
    assert Senders(["news@example.com", "@shop.test", "grün.test"]).allows(mailbox) is allowed


def test_without_a_list_every_sender_is_allowed() -> None:
    """Whoever is trusted and not restricted may use any address."""
    assert Senders([]).allows("who@ever.test")


def test_an_account_sends_at_its_rate() -> None:
    """Recipients beyond the rate have to wait, and those of an account without one never."""
    account = Account("app", AccountTable.model_validate({"rate": "1/s"}))
    assert account.wait_s(1.0, 60) == 0.0
    assert account.wait_s(1.0) == 1.0
    assert Account("free", AccountTable()).wait_s(1.0, 10**6) == 0.0


def test_users_may_be_tables(tmp_path: Path) -> None:
    """A table says what a user may; every problem in it is told, and no secret."""
    path = tmp_path / "users.toml"
    path.write_text(
        f'[good]\npassword = "{hash_password("x")}"\nsenders = ["@a.test", "b@c.test"]\nrate = "10/s"\n'
        '[bad]\npassword = "secret"\nsenders = ["@a..test", "b c@d.test"]\n'
        '[worse]\npassword = 5\nrate = 10\ncolour = "red"\n[none]\n'
    )
    with pytest.raises(ConfigError) as refusal:
        Users.load(path)
    assert sorted(problem.name for problem in refusal.value.problems) == [
        "bad.password",
        "bad.senders",
        "bad.senders",
        "none.password",
        "worse.colour",
        "worse.password",
        "worse.rate",
    ]
    assert "secret" not in str(refusal.value)
    path.write_text(path.read_text().partition("[bad]")[0])
    assert Users.load(path) is not None


def test_i7_an_address_that_failed_too_often_may_not_try_for_a_while() -> None:
    """Failures are counted within a window, for each address."""
    failures = Failures(SmtpSettings.model_validate({"max_auth_failures_per_address": 2, "auth_failure_window": "10s"}))
    failures.add("a", 1.0)
    assert not failures.too_many("a", 1.0)
    failures.add("a", 5.0)
    assert failures.too_many("a", 11.0)
    assert not failures.too_many("b", 5.0)
    assert not failures.too_many("a", 11.5)
    failures.add("a", 12.0)
    assert not failures.too_many("a", 12.0)


def test_i7_the_memory_of_failures_is_bounded() -> None:
    """However many addresses fail, those that failed last are remembered."""
    failures = Failures(SmtpSettings(max_auth_failures_per_address=1))
    for number in range(10_050):
        failures.add(str(number), 1.0)
    assert len(failures._since) == 10_000
    assert failures.too_many("10049", 1.0)
    assert not failures.too_many("0", 1.0)
