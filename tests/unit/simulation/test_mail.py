"""The mail of a simulated lane."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from sender.core.schedule import RetryPolicy
from sender.simulation.clockwork import Clockwork
from sender.simulation.mail import Mail
from tests.unit.simulation.values import scenario

_POLICY = RetryPolicy(schedule_s=(60.0, 600.0), jitter=0.0, max_age_s=3600.0)


def _mail(**table: Any) -> tuple[Mail, Clockwork, list[float]]:  # noqa: ANN401 - as TOML has them
    """Give mail, the clock it lives by, and the list of the instants of its news."""
    clockwork = Clockwork()
    news: list[float] = []
    mail = Mail(
        scenario(mail=table).mail,
        clockwork=clockwork,
        policy=_POLICY,
        rng=Random(1),
        on_news=lambda: news.append(clockwork.now),
    )
    return mail, clockwork, news


def test_a_queue_without_end_does_not_empty() -> None:
    """There is always more."""
    mail, _, _ = _mail()
    before = mail.waiting
    assert all(mail.take() is not None for _ in range(100))
    assert (mail.waiting, mail.ended) == (before, False)


def test_a_campaign_ends_when_its_last_message_has_ended() -> None:
    """Messages are taken once each; the end is news."""
    mail, _, news = _mail(messages=3)
    assert [mail.take() is not None for _ in range(4)] == [True, True, True, False]
    for _ in range(3):
        assert not mail.ended
        mail.delivered_one()
    assert (mail.ended, news) == (True, [0.0])


def test_each_domain_has_its_turn() -> None:
    """Messages come from the domains one after another, also in a campaign."""
    for table in ({"domains": 3}, {"domains": 3, "messages": 7}):
        mail, _, _ = _mail(**table)
        taken = [mail.take() for _ in range(6)]
        assert [message.domain for message in taken if message is not None] == [0, 1, 2, 0, 1, 2]


def test_mail_to_some_domains_may_be_left_alone() -> None:
    """Where only some are allowed, messages to others wait, those that came back too."""
    mail, clockwork, _ = _mail(domains=3, messages=6)
    blocked = mail.take()
    assert blocked is not None
    mail.put_first(blocked)
    taken = [mail.take(lambda domain, _now: domain != 0) for _ in range(5)]
    assert [message.domain for message in taken if message is not None] == [1, 2, 1, 2]
    assert mail.waiting == 2
    assert mail.take() is blocked
    assert clockwork.now == 0.0


def test_a_message_that_is_put_back_is_the_next_one() -> None:
    """It lost nothing: not its place, and no attempt."""
    mail, _, _ = _mail(messages=5)
    message = mail.take()
    assert message is not None
    mail.put_first(message)
    assert mail.take() is message
    assert message.attempts == 0


def test_a_deferred_message_comes_back_as_the_schedule_says() -> None:
    """After the first wait, then after the second; that it is back is news."""
    mail, clockwork, news = _mail(messages=1)
    for came_back_at in (60.0, 660.0):
        message = mail.take()
        assert message is not None
        mail.defer(message)
        assert (mail.waiting, mail.deferred) == (0, 1)
        clockwork.run(came_back_at)
        assert (mail.waiting, news[-1]) == (1, came_back_at)


def test_a_wait_that_was_named_decides() -> None:
    """A reply that names a wait is waited for, and 10 % more."""
    mail, clockwork, news = _mail(messages=1)
    message = mail.take()
    assert message is not None
    mail.defer(message, 200.0)
    clockwork.run(1000.0)
    assert news == [pytest.approx(220.0)]


def test_a_message_that_is_too_old_expires() -> None:
    """Its age is looked at after an attempt; with the last message the campaign has ended."""
    mail, clockwork, _ = _mail(messages=1)
    message = mail.take()
    assert message is not None
    clockwork.run(3601.0)
    mail.defer(message)
    assert (mail.expired, mail.deferred, mail.ended) == (1, 0, True)


def test_mail_comes_at_its_rate() -> None:
    """About as many messages come as the rate says, each of them news."""
    mail, clockwork, news = _mail(rate="2/s")
    clockwork.run(1000.0)
    assert 1850 < mail.waiting < 2150
    assert len(news) == mail.waiting


def test_mail_may_come_in_waves() -> None:
    """In a wave it comes faster, between waves slowly."""
    mail, clockwork, news = _mail(rate="0.1/s", wave_rate="10/s", wave_every="10m", wave_for="1m")
    clockwork.run(6000.0)
    waves = [at for at in news if at % 600 < 60]
    assert 5600 < len(waves) < 6400
    assert 480 < mail.waiting - len(waves) < 600
