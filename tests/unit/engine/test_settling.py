"""From results to what is recorded: settlements, histories, events and notices."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from sender.clock import Clock
from sender.core.identity import MessageIds
from sender.core.outcome import Outcome, Reason, Scope, Verdict
from sender.core.reply import Reply
from sender.core.stage import Stage
from sender.engine.committer import Batch, Committer
from sender.engine.settling import Result, Settler, Way
from sender.observe.metrics import LaneMetrics, Metrics
from sender.settings import from_tables
from sender.spool.contract import ClaimedRecipient, State
from sender.spool.sqlite import SqliteSpool

from .values import ACCEPTED_AT, message, recipients

_WAY = Way(site="mx.example.org", host="mx1.example.org", address="192.0.2.1", tls="TLSv1.3", session_s=1.23456)
_FIELDS = {
    *("at", "event", "message_id", "mail_from", "rcpt_to", "domain"),
    *("site", "source", "stream", "attempt", "stage", "code"),
    *("enhanced_code", "reply", "reason", "scope", "host", "address"),
    *("tls", "queued_s", "session_s", "size", "next_attempt_at"),
}


class _FakeSpool:
    """Gives ids."""

    ids = MessageIds(1)


class _FakeCommitter:
    """Keeps the batch."""

    def __init__(self) -> None:
        self.batch = Batch()
        self.noted = 0

    def note(self) -> None:
        """Count."""
        self.noted += 1


class _Desk:
    """A settler with its surroundings, `age_s` after the message was accepted."""

    def __init__(self, age_s: float = 100.0, **retry: Any) -> None:  # noqa: ANN401 - keys of `[retry]`
        self.now = ACCEPTED_AT + age_s
        settings = from_tables(
            {
                "hostname": "mta.example.com",
                "retry": {"jitter": 0.0, **retry},
                "destinations": {"patient.example": {"retry": {"max_age": "10d"}}},
            },
            Path("sender.toml"),
        )
        metrics = Metrics()
        self.registry = metrics.registry
        self.metrics = LaneMetrics(metrics, "mx.example.org", "default")
        self.committer = _FakeCommitter()
        self.settler = Settler(
            settings,
            cast("SqliteSpool", _FakeSpool()),
            cast("Committer", self.committer),
            Clock(wall=lambda: self.now),
            Random(1),
            metrics,
            events=True,
        )

    @property
    def batch(self) -> Batch:
        return self.committer.batch

    def settle(self, *results: Result, mail_from: str = "me@example.com", expires_at: float | None = None) -> None:
        claimed = message(*(result.recipient for result in results), mail_from=mail_from, expires_at=expires_at)
        self.settler.settle(claimed, results, _WAY, self.metrics)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"sender_{name}", labels)


def _result(outcome: Outcome, raw: str, *, recipient: ClaimedRecipient | None = None, **verdict: Any) -> Result:  # noqa: ANN401
    return Result(
        recipient=recipient or recipients("you@example.org")[0],
        verdict=Verdict(outcome=outcome, **{"scope": Scope.RECIPIENT, "rule": "a rule", **verdict}),
        stage=Stage.END_OF_DATA if outcome is Outcome.DELIVERED else Stage.RCPT,
        reply=Reply.parse(raw),
    )


_DELIVERED = _result(Outcome.DELIVERED, "250 2.0.0 queued")
_BOUNCED = _result(Outcome.BOUNCED, "550 5.1.1 no such user", reason=Reason.MAILBOX_UNKNOWN)
_DEFERRED = _result(Outcome.DEFERRED, "450 4.2.0 later", reason=Reason.GREYLISTED)


def test_a_delivery_is_recorded_and_nobody_is_told() -> None:
    """A delivered recipient ends, leaves its queue, and needs no notice."""
    desk = _Desk()
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
    desk = _Desk()
    desk.settle(_DEFERRED)
    (settlement,) = desk.batch.settlements
    assert (settlement.state, settlement.attempts, settlement.due_at) == (State.QUEUED, 1, desk.now + 120)
    assert desk.batch.requeued == [(7, desk.now + 120)]
    assert desk.batch.last_replies == {"example.org": "450 4.2.0 later"}
    assert (desk.batch.ended, desk.batch.notices) == ({}, [])
    assert desk.value("deferrals_total", provider="mx.example.org", source="default", reason="greylisted") == 1


def test_a_wait_that_the_reply_names_goes_before_the_schedule() -> None:
    """A recipient that is told to come back in 1,000 s comes after 1,100."""
    desk = _Desk()
    desk.settle(_result(Outcome.DEFERRED, "450 later", reason=Reason.GREYLISTED, retry_after_s=1000.0))
    assert desk.batch.settlements[0].due_at == pytest.approx(desk.now + 1100)


def test_the_last_attempt_is_made_when_the_time_is_over() -> None:
    """A next attempt beyond the greatest age is brought forward to its end."""
    desk = _Desk(age_s=3500.0, schedule=["30m"], max_age="1h")
    desk.settle(_DEFERRED)
    assert desk.batch.settlements[0].due_at == ACCEPTED_AT + 3600


@pytest.mark.parametrize("age_s", [259200.0, 300000.0])
def test_a_deferral_after_the_greatest_age_expires(age_s: float) -> None:
    """A recipient that is deferred when its time is over expires, and its sender is told with the status 5.4.7."""
    desk = _Desk(age_s=age_s)
    desk.settle(_DEFERRED)
    (settlement,) = desk.batch.settlements
    assert settlement.state is State.EXPIRED
    assert json.loads(settlement.record)["reason"] == "expired"
    (notice,) = desk.batch.notices
    assert b"Status: 5.4.7\r\n" in notice.content
    assert b"not delivered in time; the last answer was: 450 4.2.0 later" in b" ".join(notice.content.split())


def test_a_message_may_expire_before_the_greatest_age() -> None:
    """An `expires_at` of the message goes before the configured age, a domain's own age before the general one."""
    desk = _Desk()
    desk.settle(_DEFERRED, expires_at=ACCEPTED_AT + 50)
    assert desk.batch.settlements[0].state is State.EXPIRED
    desk = _Desk(age_s=300000.0)
    desk.settle(
        _result(Outcome.DEFERRED, "450 later", reason=Reason.GREYLISTED, recipient=recipients("a@patient.example")[0])
    )
    assert desk.batch.settlements[0].state is State.QUEUED


def test_a_bounce_queues_its_notice_in_the_same_batch() -> None:
    """The sender of a bounced recipient gets a notice from the null sender, in the commit that ends the recipient."""
    desk = _Desk()
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
    desk = _Desk()
    one, two, three = recipients("a@example.org", "b@example.org", "c@example.org")
    desk.settle(
        _result(Outcome.BOUNCED, "550 5.1.1 no", recipient=one, reason=Reason.MAILBOX_UNKNOWN),
        _result(Outcome.DELIVERED, "250 ok", recipient=two),
        _result(Outcome.BOUNCED, "550 5.1.1 no", recipient=three, reason=Reason.MAILBOX_UNKNOWN),
    )
    (notice,) = desk.batch.notices
    assert notice.content.count(b"Final-Recipient: ") == 2
    assert b"<b@example.org>" not in notice.content
    assert desk.batch.ended == {7: 3}


@pytest.mark.parametrize("result", [_BOUNCED, _DEFERRED])
def test_no_notice_is_sent_about_a_notice(result: Result) -> None:
    """A message from the null sender that bounces or expires is recorded, and nobody is told."""
    desk = _Desk(age_s=1e6)
    desk.settle(result, mail_from="")
    assert [settlement.state.ended for settlement in desk.batch.settlements] == [True]
    assert desk.batch.notices == []


def test_a_failure_of_ours_is_not_put_into_the_receivers_mouth() -> None:
    """A reply that we gave ourselves names no remote host in the notice."""
    desk = _Desk()
    verdict = Verdict(outcome=Outcome.BOUNCED, scope=Scope.MESSAGE, reason=Reason.TOO_LARGE)
    reply = Reply(552, "5.3.4 larger than the receiver takes")
    desk.settle(Result(recipient=recipients("a@example.org")[0], verdict=verdict, reply=reply, ours=True))
    assert b"Remote-MTA" not in desk.batch.notices[0].content
    assert b"Diagnostic-Code: x-sender; 552 5.3.4" in desk.batch.notices[0].content


@pytest.mark.parametrize(("age_s", "warned", "told"), [(3599, False, False), (3600, False, True), (9999, True, False)])
def test_a_delay_is_told_once(age_s: float, *, warned: bool, told: bool) -> None:
    """After `delay_warning` the sender is told of a deferral, once, and the recipient remembers it."""
    desk = _Desk(age_s=age_s, delay_warning="1h")
    claimed = recipients("you@example.org", warned=warned)[0]
    desk.settle(_result(Outcome.DEFERRED, "450 later", recipient=claimed, reason=Reason.GREYLISTED))
    assert desk.batch.settlements[0].warned is (warned or told)
    assert [b"Action: delayed" in notice.content for notice in desk.batch.notices] == [True] * told


def test_an_event_has_every_field_of_the_contract() -> None:
    """One event per recipient and attempt, with the fields that the contract lists, in UTC where they are instants."""
    desk = _Desk()
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
    desk = _Desk()
    desk.settle(result)
    record = json.loads(desk.batch.settlements[0].record)
    assert (record["outcome"], record["reply"], record["rule"]) == (word, str(result.reply), "a rule")
    assert record["host"] == "mx1.example.org"


def test_what_an_operator_removes_ends_without_a_notice_and_without_an_attempt() -> None:
    """A removed recipient ends with the operator's reason; nothing was tried, and nobody is told."""
    desk = _Desk()
    desk.settler.remove(message(*recipients("a@example.org", "b@example.org")), "cleaned up")
    assert [(one.state, one.attempts) for one in desk.batch.settlements] == [(State.REMOVED, 0)] * 2
    assert json.loads(desk.batch.settlements[0].record)["reply"] == "cleaned up"
    assert desk.batch.notices == []
    assert desk.batch.ended == {7: 2}


def test_what_has_waited_too_long_expires_with_one_notice() -> None:
    """Recipients that expire without a further attempt end together, and their sender is told once."""
    desk = _Desk(age_s=1e6)
    desk.settler.expire(message(*recipients("a@example.org", "b@example.org", attempts=3)), desk.metrics, "too old")
    assert [(one.state, one.attempts) for one in desk.batch.settlements] == [(State.EXPIRED, 3)] * 2
    (notice,) = desk.batch.notices
    assert notice.content.count(b"Status: 5.4.7\r\n") == 2
    assert desk.value("bounces_total", provider="mx.example.org", source="default", reason="expired") == 2
