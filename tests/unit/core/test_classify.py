"""What replies mean: properties over all of them. Examples are in `test_classify_examples.py`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.classify import classify, classify_trouble
from sender.core.outcome import THROTTLES, Outcome, Reason, Scope, Trouble, Verdict
from sender.core.reply import Reply
from sender.core.stage import Stage

_MESSAGE_STAGES = [Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END_OF_DATA]
_wordings = st.lists(
    st.sampled_from(
        [
            *(
                "spam",
                "blocked",
                "too many",
                "connections",
                "messages",
                "recipients",
                "user",
                "unknown",
                "mailbox full",
            ),
            *("greylisted", "try again in 300 seconds", "rate limit", "quota", "policy", "relay", "DMARC", "TLS"),
            *("server busy", "error", "daily limit", "sender rejected", "5.1.1", "4.7.0", "5.7.1", "4.2.2", "5.3.4"),
        ]
    ),
    max_size=5,
).map(" ".join)


@pytest.mark.parametrize("stage", Stage)
def test_every_code_at_every_stage_has_a_verdict(stage: Stage) -> None:
    """From 200 to 599 no code is without a verdict: its first digit bounds what it can mean."""
    for code in range(200, 600):
        verdict = classify(stage, Reply(code, "no words that anybody knows"))
        match code // 100:
            case 2:
                assert verdict.outcome is Outcome.DELIVERED
            case 3 | 4:
                assert verdict.outcome is Outcome.DEFERRED
            case _:
                assert verdict.outcome is not Outcome.DELIVERED
        assert verdict.rule


@given(st.sampled_from(Stage), st.integers(200, 299), st.one_of(_wordings, st.text()))
def test_a_2yz_is_delivered_whatever_its_words_are(stage: Stage, code: int, text: str) -> None:
    """A positive reply delivers: its first digit decides, and it has no reason."""
    verdict = classify(stage, Reply(code, text))
    assert (verdict.outcome, verdict.reason) == (Outcome.DELIVERED, None)


@given(st.sampled_from(Stage), st.integers(300, 499), st.one_of(_wordings, st.text()))
def test_a_3yz_or_4yz_is_deferred_whatever_its_words_are(stage: Stage, code: int, text: str) -> None:
    """A transient reply never bounces, and always has a reason."""
    verdict = classify(stage, Reply(code, text))
    assert verdict.outcome is Outcome.DEFERRED
    assert verdict.reason is not None


@given(st.sampled_from(Stage), st.integers(300, 599), st.one_of(_wordings, st.text()))
def test_a_bounce_names_no_wait_and_a_throttle_never_bounces(stage: Stage, code: int, text: str) -> None:
    """What is final is not waited for; a refusal for our pace is never final, whatever its code is."""
    verdict = classify(stage, Reply(code, text))
    if verdict.outcome is Outcome.BOUNCED:
        assert verdict.retry_after_s is None
    if verdict.reason in THROTTLES - {Reason.RECIPIENT_LIMIT}:  # that is about one envelope, not about pace
        assert verdict.outcome is Outcome.DEFERRED


@given(st.sampled_from(Stage), st.integers(400, 499))
def test_a_wait_that_a_transient_reply_names_is_in_its_verdict(stage: Stage, code: int) -> None:
    """A named wait comes along with every deferral but that of a dialogue that is out of step."""
    verdict = classify(stage, Reply(code, "not now, try again in 300 seconds"))
    assert verdict.retry_after_s == 300


@pytest.mark.parametrize("code", [500, 501, 502, 503, 504])
@pytest.mark.parametrize("stage", _MESSAGE_STAGES)
def test_a_dialogue_that_is_out_of_step_concerns_the_session(stage: Stage, code: int) -> None:
    """A "503 nested MAIL" and its kin say something about the session, and nothing about a mailbox."""
    verdict = classify(stage, Reply(code, "nested command"))
    assert (verdict.reason, verdict.scope) == (Reason.MALFORMED, Scope.SESSION)


@pytest.mark.parametrize("code", [452, 552])
def test_too_many_recipients_is_not_about_the_recipient(code: int) -> None:
    """452 and 552 to RCPT, without an enhanced code, limit the envelope (RFC 5321 section 4.5.3.1.10)."""
    verdict = classify(Stage.RCPT, Reply(code, "no more"))
    assert (verdict.outcome, verdict.reason) == (Outcome.DEFERRED, Reason.RECIPIENT_LIMIT)
    assert verdict.throttles


@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END_OF_DATA, Stage.RSET])
def test_a_421_ends_the_session(stage: Stage) -> None:
    """421 without known words is about the session, at every stage of a transaction."""
    verdict = classify(stage, Reply(421, "closing"))
    assert (verdict.outcome, verdict.scope) == (Outcome.DEFERRED, Scope.SESSION)


@pytest.mark.parametrize("trouble", Trouble)
@pytest.mark.parametrize("stage", Stage)
def test_a_session_that_ends_without_a_reply_defers(stage: Stage, trouble: Trouble) -> None:
    """No lost connection, timeout or protocol error bounces or delivers anything (RFC 5321 section 3.8)."""
    verdict = classify_trouble(stage, trouble)
    assert verdict.outcome is Outcome.DEFERRED
    assert verdict.reason is not None
    assert not verdict.throttles


@pytest.mark.parametrize(
    ("trouble", "stage", "scope", "reason"),
    [
        (Trouble.REFUSED, Stage.CONNECT, Scope.LANE, Reason.CONNECT_FAILED),
        (Trouble.TIMEOUT, Stage.CONNECT, Scope.LANE, Reason.TIMEOUT),
        (Trouble.TIMEOUT, Stage.RCPT, Scope.SESSION, Reason.TIMEOUT),
        (Trouble.LOST_AFTER_CONTENT, Stage.END_OF_DATA, Scope.SESSION, Reason.CONNECTION_LOST),
        (Trouble.TLS, Stage.STARTTLS, Scope.LANE, Reason.TLS_FAILURE),
        (Trouble.PROTOCOL, Stage.EHLO, Scope.SESSION, Reason.PROTOCOL_ERROR),
        (Trouble.LOCAL, Stage.CONNECT, Scope.SESSION, Reason.CONNECT_FAILED),
    ],
)
def test_a_trouble_has_its_scope_and_reason(trouble: Trouble, stage: Stage, scope: Scope, reason: Reason) -> None:
    """A connection that cannot be made concerns the lane, one that breaks the session; our own fault never the lane."""
    verdict = classify_trouble(stage, trouble)
    assert (verdict.scope, verdict.reason) == (scope, reason)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("scope", Scope)
def test_only_limits_of_our_pace_throttle(reason: Reason, scope: Scope) -> None:
    """A verdict throttles when its reason is a limit of ours and it is not about one recipient or identity."""
    verdict = Verdict(outcome=Outcome.DEFERRED, scope=scope, reason=reason)
    limits = {"connection_limit", "connection_rate", "session_message_limit", "recipient_limit"}
    limits |= {"message_rate", "daily_limit"}
    assert verdict.throttles is (reason.value in limits and scope not in {Scope.RECIPIENT, Scope.IDENTITY})
