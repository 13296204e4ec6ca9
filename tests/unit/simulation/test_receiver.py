"""The model receiver: each of its ways, one by one."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

import pytest

from sender.core.outcome import Reason, Scope
from sender.core.stage import Stage
from sender.rules import classifier
from sender.simulation import answers
from sender.simulation.receiver import Receiver, Visit
from tests.unit.simulation.daemon import reply
from tests.unit.simulation.values import let_in, message, receiver


def _reason(answer: answers.Answer | None) -> Reason | None:
    return None if answer is None else answer.verdict.reason


def _said(model: Receiver, visit: Visit, domain: int = 0) -> Reason | None:
    """Try a message; give the reason of a refusal."""
    answer = model.mail(visit, message(domain))
    model.done()
    return _reason(answer)


def test_a_receiver_without_limits_takes_everything() -> None:
    """A thousand sessions are let in."""
    model, _ = receiver()
    assert len(let_in(model, 1000)) == 1000
    assert model.room is None


def test_a_cap_is_kept_at_the_banner() -> None:
    """As many sessions are let in as it allows; the next is told so, and a place that is left can be taken."""
    model, _ = receiver(connections=3)
    visits = let_in(model, 3)
    refusal = model.knock(Visit())
    assert (_reason(refusal), refusal is not None and refusal.closes) == (Reason.CONNECTION_LIMIT, True)
    model.leave(visits[0])
    assert model.knock(Visit()) is None


def test_a_cap_may_be_kept_at_mail() -> None:
    """Every session is greeted; the first MAIL of one too many is refused, and it is not counted when it has left."""
    model, _ = receiver(connections=2, refuses_at="mail")
    let_in(model, 2)
    visit = Visit()
    assert model.knock(visit) is None
    assert _said(model, visit) is Reason.CONNECTION_LIMIT
    model.leave(visit)
    assert model.counted == 2


def test_sessions_beyond_a_lowered_cap_are_let_finish() -> None:
    """With `drain` a cap that falls ends no session; new ones have to wait until there is room."""
    model, clockwork = receiver(connections=4, changes=[{"at": "60s", "connections": 2}])
    visits = let_in(model, 4)
    clockwork.run(61.0)
    assert [_said(model, visit) for visit in visits] == [None] * 4
    for visit in visits[:2]:
        model.leave(visit)
        assert _reason(model.knock(Visit())) is Reason.CONNECTION_LIMIT
    model.leave(visits[2])
    assert model.knock(Visit()) is None


def test_sessions_beyond_a_lowered_cap_may_be_closed() -> None:
    """With `kill` they are closed at their next MAIL, until no more are left than are allowed."""
    keys: dict[str, Any] = {"when_lowered": "kill", "changes": [{"at": "60s", "connections": 2}]}
    model, clockwork = receiver(connections=4, **keys)
    visits = let_in(model, 4)
    clockwork.run(61.0)
    outcomes = []
    for visit in visits:
        outcomes.append(_said(model, visit))
        if outcomes[-1] is not None:
            model.leave(visit)
    assert outcomes == [Reason.CONNECTION_LIMIT, Reason.CONNECTION_LIMIT, None, None]


def test_a_session_that_has_said_quit_may_be_counted_for_a_while() -> None:
    """With a release delay the place is free only after it."""
    model, clockwork = receiver(connections=1, release_delay="2s")
    model.leave(let_in(model)[0])
    clockwork.run(1.9)
    assert _reason(model.knock(Visit())) is Reason.CONNECTION_LIMIT
    clockwork.run(2.1)
    assert model.knock(Visit()) is None


def test_a_session_that_was_cut_off_is_counted_for_half_an_hour() -> None:
    """Nobody has told the receiver that it is over."""
    model, clockwork = receiver(connections=1)
    model.leave(let_in(model)[0], clean=False)
    clockwork.run(1799.0)
    assert _reason(model.knock(Visit())) is Reason.CONNECTION_LIMIT
    clockwork.run(1801.0)
    assert model.knock(Visit()) is None


def test_nodes_that_tell_each_other_their_counts_seldom_let_too_many_in() -> None:
    """Between two exchanges every session is let in; after one the cap is kept, and freed places are not seen."""
    model, clockwork = receiver(connections=2, counts_every="5s")
    clockwork.run(1.0)
    visits = let_in(model, 5)
    clockwork.run(6.0)
    assert _reason(model.knock(Visit())) is Reason.CONNECTION_LIMIT
    for visit in visits:
        model.leave(visit)
    assert _reason(model.knock(Visit())) is Reason.CONNECTION_LIMIT
    clockwork.run(11.0)
    assert model.knock(Visit()) is None


def test_connections_may_be_limited_by_their_rate() -> None:
    """So many may begin in a span, and those that were refused count as well."""
    model, clockwork = receiver(connection_quota=3, connection_span="60s")
    let_in(model, 3)
    assert not model.would_take(0)
    assert _reason(model.knock(Visit())) is Reason.CONNECTION_LIMIT
    clockwork.run(60.0)
    assert model.would_take(2)
    assert not model.would_take(3)
    assert model.knock(Visit()) is None


def test_a_share_of_the_connections_meets_a_broken_node() -> None:
    """About a quarter is refused, whatever the cap."""
    model, _ = receiver(broken_nodes=0.25)
    refused = sum(model.knock(Visit()) is not None for _ in range(2000))
    assert 430 < refused < 570


def test_refusals_may_close_the_door() -> None:
    """More refusals than it bears, and even a session for which there is room is refused."""
    model, clockwork = receiver(connections=1, penalty={"refusals": 2, "within": "60s", "lasts": "10m"})
    visit = let_in(model)[0]
    for _ in range(3):
        assert model.knock(Visit()) is not None
    model.leave(visit)
    assert not model.would_take(0)
    assert _reason(model.knock(Visit())) is Reason.CONNECTION_LIMIT
    clockwork.run(601.0)
    assert model.knock(Visit()) is None


def test_others_take_their_part_of_the_cap() -> None:
    """When they have come, we have what they leave."""
    model, clockwork = receiver(connections=10, others={"sessions": 6.0})
    clockwork.run(60.0)
    assert (model.crowd, model.room) == (6, 4)
    let_in(model, 4)
    assert _reason(model.knock(Visit())) is Reason.CONNECTION_LIMIT


def test_a_session_may_carry_only_so_many_messages() -> None:
    """One more is answered by the end of the session, which is no throttle."""
    model, _ = receiver(messages_per_connection=2)
    visit = let_in(model)[0]
    assert _said(model, visit) is None
    assert _said(model, visit) is Reason.SESSION_MESSAGE_LIMIT
    assert (answers.SESSION_FULL.closes, answers.SESSION_FULL.throttle) == (True, False)


def test_messages_may_be_limited_by_a_bucket() -> None:
    """After the burst so many a second are taken; the session stays open."""
    model, clockwork = receiver(rate="2/s", burst=3)
    visit = Visit()
    model.knock(visit)
    assert [_said(model, visit) for _ in range(4)] == [None, None, None, Reason.MESSAGE_RATE]
    assert model.next_message_at() == pytest.approx(0.5)
    clockwork.run(0.51)
    assert _said(model, visit) is None


def test_messages_may_be_limited_by_a_counting_window() -> None:
    """So many are taken in a span, and no more until it is over."""
    model, clockwork = receiver(quota=2, quota_span="60s")
    visit = Visit()
    model.knock(visit)
    assert [_said(model, visit) for _ in range(3)] == [None, None, Reason.MESSAGE_RATE]
    assert model.next_message_at() == 60.0
    clockwork.run(60.0)
    assert _said(model, visit) is None


def test_a_rate_may_change() -> None:
    """From an instant on tokens come faster."""
    model, clockwork = receiver(rate="1/s", burst=1, changes=[{"at": "10s", "rate": "100/s"}])
    visit = let_in(model)[0]
    assert _said(model, visit) is Reason.MESSAGE_RATE
    clockwork.run(10.0)
    assert _said(model, visit) is None
    clockwork.run(10.02)
    assert _said(model, visit) is None


def test_a_message_that_is_greylisted_is_taken_later() -> None:
    """Its first attempt makes it known; after the wait it is taken, before it is not; that is no throttle."""
    model, clockwork = receiver(greylisted=1.0, greylisted_for="5m")
    visit, known = Visit(), message()
    model.knock(visit)
    for at, expected in ((0.0, Reason.GREYLISTED), (200.0, Reason.GREYLISTED), (301.0, None)):
        clockwork.run(at)
        assert _reason(model.mail(visit, known)) is expected
        model.done()
    assert not answers.GREYLISTED.throttle


def test_a_share_of_messages_is_greylisted() -> None:
    """Each message is known as greylisted or not at its first attempt."""
    model, _ = receiver(greylisted=0.3)
    visit = Visit()
    model.knock(visit)
    assert 520 < [_said(model, visit) for _ in range(2000)].count(Reason.GREYLISTED) < 680


def test_greylisting_may_be_said_in_words_about_connections() -> None:
    """A share of these replies reads like one about too many connections, and leaves the session open."""
    model, _ = receiver(greylisted=1.0, greylisting_misread=0.5)
    visit = Visit()
    model.knock(visit)
    misread = [_said(model, visit) for _ in range(1000)].count(Reason.CONNECTION_LIMIT)
    assert 440 < misread < 560
    assert not answers.MISREAD.closes


def test_a_domain_may_be_blocked_and_another_slow() -> None:
    """Its messages are put off in words that do not say why; those to others are taken."""
    model, _ = receiver(
        mail_domains=3, domains=[{"number": 1, "blocked": True}, {"number": 2, "rate": "1/h", "burst": 2}]
    )
    visit = Visit()
    model.knock(visit)
    assert [_said(model, visit, 0) for _ in range(2)] == [None, None]
    assert _said(model, visit, 1) is Reason.UNCLASSIFIED
    assert [_said(model, visit, 2) for _ in range(3)] == [None, None, Reason.UNCLASSIFIED]
    assert [model.would_take_for(domain) for domain in range(3)] == [True, False, False]


def test_a_connection_may_be_lost_in_a_transaction() -> None:
    """There is no reply then, after the time that a message takes."""
    model, _ = receiver(lost=1.0)
    visit = Visit()
    model.knock(visit)
    answer = model.mail(visit, message())
    assert answer is answers.LOST
    assert (answer.replied, answer.throttle) == (False, False)
    assert model.seconds(answer) > model.envelope_s


def test_too_many_transactions_at_a_time_may_be_too_much() -> None:
    """A receiver that is overloaded says so to those beyond its number."""
    model, clockwork = receiver(changes=[{"at": "10s", "overloaded_above": 2}])
    visits = let_in(model, 3)
    clockwork.run(11.0)
    assert [_reason(model.mail(visit, message())) for visit in visits] == [None, None, Reason.OVERLOADED]
    assert model.best_window == 2


def test_a_receiver_may_stop_to_trust_us() -> None:
    """While it does not, neither sessions nor messages are taken."""
    model, clockwork = receiver(changes=[{"at": "10s", "blocked": True}, {"at": "20s", "blocked": False}])
    visit = let_in(model)[0]
    clockwork.run(15.0)
    assert _reason(model.knock(Visit())) is Reason.REPUTATION
    assert _said(model, visit) is Reason.REPUTATION
    assert model.next_message_at() > 15.0
    clockwork.run(21.0)
    assert model.knock(Visit()) is None


def test_refusals_may_name_a_wait() -> None:
    """It stands in the verdicts on sessions and on messages."""
    model, _ = receiver(connections=1, rate="1/s", burst=1, names_wait="5m")
    visit = let_in(model)[0]
    refusal, throttle = model.knock(Visit()), model.mail(visit, message())
    assert refusal is not None
    assert throttle is not None
    assert (refusal.verdict.retry_after_s, throttle.verdict.retry_after_s) == (300.0, 300.0)


def test_messages_take_their_time_with_its_variation() -> None:
    """The times have the mean and the deviation that the scenario names."""
    model, _ = receiver(service_time="2s", service_variation=0.5)
    times = [model.seconds(None) for _ in range(20_000)]
    assert fmean(times) == pytest.approx(2.0, rel=0.02)
    assert stdev(times) == pytest.approx(1.0, rel=0.05)


def test_a_refusal_is_quick() -> None:
    """Three round trips are enough for one."""
    model, _ = receiver(rate="1/s", round_trip="100ms")
    assert model.seconds(answers.OVERLOADED) == pytest.approx(0.3)


@pytest.mark.parametrize(("exponent", "times"), [(1.0, 2.0), (2.0, 4.0)])
def test_beyond_its_knee_everything_takes_longer(exponent: float, times: float) -> None:
    """Twice as many messages at a time as it can bear take twice as long, or four times."""
    model, _ = receiver(service_variation=0.0, knee=5, knee_exponent=exponent)
    for _ in range(5):
        model.mail(Visit(), message())
        assert model.seconds(None) == pytest.approx(1.0)
    for _ in range(5):
        model.mail(Visit(), message())
    assert model.seconds(None) == pytest.approx(times)
    assert model.best_window == 5


def test_the_service_time_may_change() -> None:
    """From an instant on everything takes longer."""
    model, clockwork = receiver(service_variation=0.0, changes=[{"at": "10s", "service_time": "3s"}])
    assert model.seconds(None) == pytest.approx(1.0)
    clockwork.run(11.0)
    assert model.seconds(None) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("answer", "stage"),
    [
        (answers.BLOCKED, Stage.BANNER),
        (answers.OVERLOADED, Stage.MAIL),
        (answers.SESSION_FULL, Stage.MAIL),
        (answers.GREYLISTED, Stage.RCPT),
        (answers.MISREAD, Stage.MAIL),
        (answers.LATER, Stage.RCPT),
        (answers.Answer(verdict=answers.said(Reason.MESSAGE_RATE, Scope.LANE, 300.0)), Stage.MAIL),
        (answers.Answer(verdict=answers.said(Reason.CONNECTION_LIMIT, Scope.LANE, 300.0)), Stage.BANNER),
    ],
)
def test_what_is_said_is_what_the_classifier_would_read(answer: answers.Answer, stage: Stage) -> None:
    """Outcome, scope, reason and wait are those of a reply in the usual words."""
    verdict = classifier(None).classify(stage, reply(answer), "mx.b.test")
    expected = answer.verdict
    assert (verdict.outcome, verdict.scope, verdict.reason, verdict.retry_after_s) == (
        expected.outcome,
        expected.scope,
        expected.reason,
        expected.retry_after_s,
    )
