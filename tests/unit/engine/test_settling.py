"""From results to what is recorded: settlements, histories, events and notices."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sender.core.options import Options
from sender.core.outcome import Outcome, Reason, Scope, Verdict
from sender.core.reply import Reply
from sender.engine.notices import Notices
from sender.engine.results import Result
from sender.spool.contract import State

from .desk import Desk, got
from .values import ACCEPTED_AT, message, recipients

_FIELDS = {
    *("at", "event", "message_id", "mail_from", "rcpt_to", "domain"),
    *("site", "source", "stream", "attempt", "stage", "code"),
    *("enhanced_code", "reply", "reason", "scope", "host", "address"),
    *("tls", "queued_s", "session_s", "size", "next_attempt_at"),
}


_DELIVERED = got(Outcome.DELIVERED, "250 2.0.0 queued")
_BOUNCED = got(Outcome.BOUNCED, "550 5.1.1 no such user", reason=Reason.MAILBOX_UNKNOWN)
_DEFERRED = got(Outcome.DEFERRED, "450 4.2.0 later", reason=Reason.GREYLISTED)


def test_a_delivery_is_recorded_and_nobody_is_told() -> None:
    """A delivered recipient ends, leaves its queue, and needs no notice."""
    desk = Desk()
    desk.settle(_DELIVERED)
    (settlement,) = desk.batch.settlements
    assert (settlement.recipient_id, settlement.message_id, settlement.state) == (1, 4711, State.DELIVERED)
    assert settlement.attempts == 1
    assert desk.batch.ended == {7: 1}
    assert (desk.batch.requeued, desk.batch.notices) == ([], [])
    assert desk.committer.noted == 1
    assert desk.value("attempts_total", provider="mx.example.org", source="default", outcome="delivered") == 1
    assert desk.value("delivery_seconds_sum", stream="default") == 100.0


def test_a_deferral_sets_the_next_attempt_by_the_schedule() -> None:
    """A deferred recipient stays queued and is due after the wait of its attempt; its domain remembers the reply."""
    desk = Desk()
    desk.settle(_DEFERRED)
    (settlement,) = desk.batch.settlements
    assert (settlement.state, settlement.attempts, settlement.due_at) == (State.QUEUED, 1, desk.now + 120)
    assert desk.batch.requeued == [(7, desk.now + 120)]
    assert desk.batch.last_replies == {"example.org": "450 4.2.0 later"}
    assert (desk.batch.ended, desk.batch.notices) == ({}, [])
    assert desk.value("deferrals_total", provider="mx.example.org", source="default", reason="greylisted") == 1


def test_a_wait_that_the_reply_names_goes_before_the_schedule() -> None:
    """A recipient that is told to come back in 1,000 s comes after 1,100."""
    desk = Desk()
    desk.settle(got(Outcome.DEFERRED, "450 later", reason=Reason.GREYLISTED, retry_after_s=1000.0))
    assert desk.batch.settlements[0].due_at == pytest.approx(desk.now + 1100)


def test_the_last_attempt_is_made_when_the_time_is_over() -> None:
    """A next attempt beyond the greatest age is brought forward to its end."""
    desk = Desk(age_s=3500.0, schedule=["30m"], max_age="1h")
    desk.settle(_DEFERRED)
    assert desk.batch.settlements[0].due_at == ACCEPTED_AT + 3600


@pytest.mark.parametrize("age_s", [259200.0, 300000.0])
def test_a_deferral_after_the_greatest_age_expires(age_s: float) -> None:
    """A recipient that is deferred when its time is over expires, and its sender is told with the status 5.4.7."""
    desk = Desk(age_s=age_s)
    desk.settle(_DEFERRED)
    (settlement,) = desk.batch.settlements
    assert settlement.state is State.EXPIRED
    assert json.loads(settlement.record)["reason"] == "expired"
    (notice,) = desk.batch.notices
    assert b"Status: 5.4.7\r\n" in notice.content
    assert b"not delivered in time; the last answer was: 450 4.2.0 later" in b" ".join(notice.content.split())


def test_a_message_may_expire_before_the_greatest_age() -> None:
    """An `expires_at` of the message goes before the configured age, a domain's own age before the general one."""
    desk = Desk()
    desk.settle(_DEFERRED, expires_at=ACCEPTED_AT + 50)
    assert desk.batch.settlements[0].state is State.EXPIRED
    desk = Desk(age_s=300000.0)
    desk.settle(
        got(Outcome.DEFERRED, "450 later", reason=Reason.GREYLISTED, recipient=recipients("a@patient.example")[0])
    )
    assert desk.batch.settlements[0].state is State.QUEUED


def test_nothing_expires_for_an_hour_after_the_clock_was_set() -> None:
    """A step of the wall clock makes no mail too old: it is tried as before, until an hour has gone by."""
    desk = Desk()
    desk.now += 10 * 86400.0
    desk.settle(_DEFERRED, expires_at=ACCEPTED_AT + 50)
    desk.settler.steps.seen(desk.settler.steps.look())
    desk.steady += 3599.0
    desk.now += 3599.0
    desk.settle(_DEFERRED)
    desk.steady += 1.0
    desk.now += 1.0
    desk.settle(_DEFERRED)
    states = [settlement.state for settlement in desk.batch.settlements]
    assert states == [State.QUEUED, State.QUEUED, State.EXPIRED]
    assert [settlement.due_at > desk.now - 3600 + 60 for settlement in desk.batch.settlements[:2]] == [True, True]


def test_a_bounce_queues_its_notice_in_the_same_batch() -> None:
    """The sender of a bounced recipient gets a notice from the null sender, in the commit that ends the recipient."""
    desk = Desk()
    desk.settle(_BOUNCED)
    assert [settlement.state for settlement in desk.batch.settlements] == [State.BOUNCED]
    (notice,) = desk.batch.notices
    assert (notice.mail_from, notice.rcpt_tos, notice.domains) == ("", ("me@example.com",), ("example.com",))
    assert notice.id != 4711
    assert notice.size == len(notice.content)
    for line in (
        b"Status: 5.1.1",
        b"Remote-MTA: dns; mx1.example.org",
        b"Diagnostic-Code: smtp; 550 5.1.1 no such user",
    ):
        assert line + b"\r\n" in notice.content
    assert desk.value("bounces_total", provider="mx.example.org", source="default", reason="mailbox_unknown") == 1


def test_recipients_that_fail_together_share_one_notice() -> None:
    """Three recipients of which two bounce give one notice about two."""
    desk = Desk()
    one, two, three = recipients("a@example.org", "b@example.org", "c@example.org")
    desk.settle(
        got(Outcome.BOUNCED, "550 5.1.1 no", recipient=one, reason=Reason.MAILBOX_UNKNOWN),
        got(Outcome.DELIVERED, "250 ok", recipient=two),
        got(Outcome.BOUNCED, "550 5.1.1 no", recipient=three, reason=Reason.MAILBOX_UNKNOWN),
    )
    (notice,) = desk.batch.notices
    assert notice.content.count(b"Final-Recipient: ") == 2
    assert b"<b@example.org>" not in notice.content
    assert desk.batch.ended == {7: 3}


@pytest.mark.parametrize("result", [_BOUNCED, _DEFERRED])
def test_no_notice_is_sent_about_a_notice(result: Result) -> None:
    """A message from the null sender that bounces or expires is recorded, and nobody is told."""
    desk = Desk(age_s=1e6)
    desk.settle(result, mail_from="")
    assert [settlement.state.ended for settlement in desk.batch.settlements] == [True]
    assert desk.batch.notices == []


def test_a_failure_of_ours_is_not_put_into_the_receivers_mouth() -> None:
    """A reply that we gave ourselves names no remote host in the notice."""
    desk = Desk()
    verdict = Verdict(outcome=Outcome.BOUNCED, scope=Scope.MESSAGE, reason=Reason.TOO_LARGE)
    reply = Reply(552, "5.3.4 larger than the receiver takes")
    desk.settle(Result(recipient=recipients("a@example.org")[0], verdict=verdict, reply=reply, ours=True))
    assert b"Remote-MTA" not in desk.batch.notices[0].content
    assert b"Diagnostic-Code: x-sender; 552 5.3.4" in desk.batch.notices[0].content


@pytest.mark.parametrize(("age_s", "warned", "told"), [(3599, False, False), (3600, False, True), (9999, True, False)])
def test_a_delay_is_told_once(age_s: float, *, warned: bool, told: bool) -> None:
    """After `delay_warning` the sender is told of a deferral, once, and the recipient remembers it."""
    desk = Desk(age_s=age_s, delay_warning="1h")
    claimed = recipients("you@example.org", warned=warned)[0]
    desk.settle(got(Outcome.DEFERRED, "450 later", recipient=claimed, reason=Reason.GREYLISTED))
    assert desk.batch.settlements[0].warned is (warned or told)
    assert [b"Action: delayed" in notice.content for notice in desk.batch.notices] == [True] * told


def test_an_event_has_every_field_of_the_contract() -> None:
    """One event per recipient and attempt, with the fields that the contract lists, in UTC where they are instants."""
    desk = Desk()
    desk.settle(_DEFERRED)
    (line,) = desk.batch.events
    event = json.loads(line)
    assert set(event) == _FIELDS
    assert (event["event"], event["attempt"], event["stage"], event["code"]) == ("deferred", 1, "rcpt", 450)
    assert (event["enhanced_code"], event["reason"], event["scope"]) == ("4.2.0", "greylisted", "recipient")
    assert (event["site"], event["host"], event["address"]) == ("mx.example.org", "mx1.example.org", "192.0.2.1")
    assert (event["queued_s"], event["session_s"]) == (100.0, 1.235)
    assert event["next_attempt_at"].endswith("Z")


@pytest.mark.parametrize(
    ("result", "word"), [(_DELIVERED, "delivered"), (_DEFERRED, "deferred"), (_BOUNCED, "bounced")]
)
def test_the_history_of_a_recipient_has_a_line_for_each_attempt(result: Result, word: str) -> None:
    """A line of JSON tells when, how it ended, what was said and by whom, and which rule matched."""
    desk = Desk()
    desk.settle(result)
    record = json.loads(desk.batch.settlements[0].record)
    assert (record["outcome"], record["reply"], record["rule"]) == (word, str(result.reply), "a rule")
    assert record["host"] == "mx1.example.org"


def test_what_an_operator_removes_ends_without_a_notice_and_without_an_attempt() -> None:
    """A removed recipient ends with the operator's reason; nothing was tried, and nobody is told."""
    desk = Desk()
    desk.settler.remove(message(*recipients("a@example.org", "b@example.org")), "cleaned up")
    assert [(one.state, one.attempts) for one in desk.batch.settlements] == [(State.REMOVED, 0)] * 2
    assert json.loads(desk.batch.settlements[0].record)["reply"] == "cleaned up"
    assert desk.batch.notices == []
    assert desk.batch.ended == {7: 2}


def test_what_has_waited_too_long_expires_with_one_notice() -> None:
    """Recipients that expire without a further attempt end together, and their sender is told once."""
    desk = Desk(age_s=1e6)
    desk.settler.expire(message(*recipients("a@example.org", "b@example.org", attempts=3)), desk.metrics, "too old")
    assert [(one.state, one.attempts) for one in desk.batch.settlements] == [(State.EXPIRED, 3)] * 2
    (notice,) = desk.batch.notices
    assert notice.content.count(b"Status: 5.4.7\r\n") == 2
    assert desk.value("bounces_total", provider="mx.example.org", source="default", reason="expired") == 2


# times

_HOUR_S = 3600.0


def test_an_event_says_what_the_client_called_the_message() -> None:
    """Campaign and metadata stand in each event about a recipient, and in no other message's."""
    desk = Desk()
    desk.settle(_DELIVERED, _BOUNCED, options=Options(campaign="spring", metadata={"order": 7}, submitter="shop"))
    desk.settle(_DEFERRED)
    *told, other = [json.loads(line) for line in desk.batch.events]
    assert [(event["event"], event["campaign"], event["metadata"]) for event in told] == [
        ("delivered", "spring", {"order": 7}),
        ("bounced", "spring", {"order": 7}),
    ]
    assert set(told[0]) == _FIELDS | {"campaign", "metadata"}
    assert set(other) == _FIELDS


def test_the_age_of_mail_that_was_to_wait_begins_with_its_instant() -> None:
    """A message of an hour that was to wait for 59 minutes is a minute old: in metrics, events, and for expiry."""
    desk = Desk(_HOUR_S, max_age="30m", schedule=["1h"])
    options = Options(send_at=ACCEPTED_AT + _HOUR_S - 60)
    desk.settle(_DELIVERED, _DEFERRED, options=options)
    assert desk.value("delivery_seconds_sum", stream="default") == 60.0
    assert [json.loads(line)["queued_s"] for line in desk.batch.events] == [60.0, 60.0]
    deferred = desk.batch.settlements[1]
    assert (deferred.state, deferred.due_at) == (State.QUEUED, ACCEPTED_AT + _HOUR_S - 60 + 1800)
    of = replace(message(*recipients("you@example.org")), options=options)
    assert not desk.settler.overdue(of, of.recipients[0], "mx.example.org", desk.now)
    assert desk.settler.overdue(of, of.recipients[0], "mx.example.org", desk.now + 2 * 1800 - 60)


def test_mail_that_goes_before_its_instant_has_no_age() -> None:
    """Where an operator lets scheduled mail go at once, it is not of a negative age."""
    desk = Desk()
    desk.settle(_DELIVERED, options=Options(send_at=ACCEPTED_AT + _HOUR_S))
    assert json.loads(desk.batch.events[0])["queued_s"] == 0.0
    assert desk.value("delivery_seconds_sum", stream="default") == 0.0


def test_a_delay_of_mail_that_was_to_wait_is_told_by_its_instant() -> None:
    """`delay_warning` counts from the instant that a message was to wait for."""
    for age_s, told in ((_HOUR_S + 99, 0), (_HOUR_S + 100, 1)):
        desk = Desk(age_s, delay_warning="100s")
        desk.settle(_DEFERRED, options=Options(send_at=ACCEPTED_AT + _HOUR_S))
        assert len(desk.batch.notices) == told


@pytest.mark.parametrize(("warn_at_s", "told"), [(-9.0, True), (100.0, True), (101.0, False)])
def test_a_delay_is_told_when_the_message_asks_for_it(warn_at_s: float, *, told: bool) -> None:
    """With DELIVERBY in mode N the sender hears of it once the message has not been delivered by then, and once."""
    options = Options(warn_at=ACCEPTED_AT + warn_at_s)
    desk = Desk()
    desk.settle(_DEFERRED, options=options)
    assert [b"Action: delayed" in notice.content for notice in desk.batch.notices] == [True] * told
    assert desk.batch.settlements[0].warned is told
    desk = Desk()
    desk.settle(_DEFERRED._replace(recipient=recipients("you@example.org", warned=True)[0]), options=options)
    assert desk.batch.notices == []


@pytest.mark.parametrize(
    ("warn_at_s", "dsn", "warned", "due_s"),
    [
        (150.0, "", False, 150.0),
        (150.0, "NOTIFY=DELAY", False, 150.0),
        (150.0, "NOTIFY=FAILURE", False, 220.0),
        (150.0, "", True, 220.0),
        (100.2, "", False, 101.0),
        (500.0, "", False, 220.0),
    ],
)
def test_the_next_attempt_is_made_when_the_sender_is_to_hear(
    warn_at_s: float, dsn: str, due_s: float, *, warned: bool
) -> None:
    """An attempt that would come later is brought forward to that instant, where there is somebody to tell."""
    desk = Desk()
    recipient = replace(recipients("you@example.org", warned=warned)[0], dsn=dsn)
    desk.settle(_DEFERRED._replace(recipient=recipient), options=Options(warn_at=ACCEPTED_AT + warn_at_s))
    assert desk.batch.settlements[0].due_at == ACCEPTED_AT + due_s


def test_who_rests_is_not_tried_for_a_warning() -> None:
    """A rest is over when it is over."""
    desk = Desk()
    desk.settle(_DEFERRED._replace(rest_until=desk.now + 999), options=Options(warn_at=desk.now + 10))
    assert desk.batch.settlements[0].due_at == desk.now + 999


def test_a_notice_that_cannot_be_written_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the notice about a bounce fails for a fault of ours, the batch is as it was: not one recipient is in it."""
    desk = Desk()
    desk.settle(_DELIVERED)
    before = (list(desk.batch.settlements), dict(desk.batch.ended), list(desk.batch.events))

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Notices, "write", fail)
    with pytest.raises(ZeroDivisionError):
        desk.settle(_BOUNCED)
    assert (desk.batch.settlements, desk.batch.ended, desk.batch.events) == before
    assert desk.batch.notices == []
