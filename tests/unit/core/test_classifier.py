"""The classifier: what decides, what does not, and how much of our own varied replies it understands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.classify import PACE, Classifier, Rule, classify
from sender.core.outcome import Outcome, Reason, Scope, Verdict
from sender.core.provider import Provider, Providers
from sender.core.reply import Reply
from sender.core.stage import Stage
from sender.rules import classify as classify_by_shipped_rules

_WORDINGS = Path(__file__).parent / "wordings.txt"


@dataclass(frozen=True)
class _Sample:
    """A reply of our own with what it means."""

    stage: Stage
    outcome: str
    scope: str
    reason: str
    wait_s: float | None
    reply: Reply


def _samples() -> list[_Sample]:
    samples = []
    for line in _WORDINGS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            stage, meant, raw = (part.strip() for part in line.split("|", 2))
            outcome, scope, reason, *wait = meant.split()
            reply = Reply.parse(raw.replace("\\n", "\n"))
            samples.append(_Sample(Stage(stage), outcome, scope, reason, float(wait[0]) if wait else None, reply))
    return samples


def _share(right: list[bool]) -> float:
    return sum(right) / len(right)


def test_replies_in_many_languages_are_understood() -> None:
    """Of our own wordings 98 % of outcomes, 95 % of scopes, 95 % of reasons and every named wait are read."""
    pairs = [(sample, classify_by_shipped_rules(sample.stage, sample.reply)) for sample in _samples()]
    assert len(pairs) >= 120
    assert _share([sample.outcome == verdict.outcome for sample, verdict in pairs]) >= 0.98
    assert _share([sample.scope == verdict.scope for sample, verdict in pairs]) >= 0.95
    assert _share([sample.reason == verdict.reason for sample, verdict in pairs]) >= 0.95
    assert all(sample.wait_s == verdict.retry_after_s for sample, verdict in pairs)


def test_the_general_table_alone_understands_almost_as_much() -> None:
    """Without any file of rules 95 % of reasons are read: what is general is not a matter of providers."""
    assert _share([sample.reason == classify(sample.stage, sample.reply).reason for sample in _samples()]) >= 0.95


@given(st.sampled_from(Stage), st.integers(200, 599), st.text(), st.sampled_from(["", "mx.example.org", "x.qq.com"]))
def test_every_reply_of_every_host_has_a_verdict(stage: Stage, code: int, text: str, mx: str) -> None:
    """The shipped rules leave no reply without a verdict: 2yz delivers, 4yz never bounces."""
    verdict = classify_by_shipped_rules(stage, Reply(code, text), mx)
    assert (verdict.outcome is Outcome.DELIVERED) == (code < 300)
    assert (verdict.reason is None) == (code < 300)
    if code < 500:
        assert verdict.outcome is not Outcome.BOUNCED
    if verdict.outcome is not Outcome.DEFERRED:
        assert verdict.retry_after_s is None
    assert verdict.rule


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        (Stage.BANNER, "too many connections from your address"),
        (Stage.MAIL, "sending rate exceeded"),
        (Stage.MAIL, "daily limit reached"),
        (Stage.MAIL, "too many messages in this session"),
        (Stage.RCPT, "too many messages for this recipient"),
        (Stage.MAIL, "too many messages from the sender domain"),
        (Stage.BANNER, "you are connecting too often"),
    ],
)
def test_a_throttle_that_comes_as_5yz_is_deferred(stage: Stage, text: str) -> None:
    """What is too much today is welcome later, whatever the first digit says."""
    verdict = classify(stage, Reply(550, text))
    assert verdict.reason in PACE
    assert verdict.outcome is Outcome.DEFERRED


@pytest.mark.parametrize(
    "text",
    [
        "5.1.1 no such user (mx-spam-filter7.example.org)",
        "5.1.1 no such user, see https://example.org/blacklisted/spam?reason=virus",
        "5.1.1 no such user <greylist@too-many-connections.example.org>",
        "5.1.1 no such user, id=4SPAM1x7VIRUS2-rate",
        "5.1.1 no such user - host [192.0.2.7]",
    ],
)
def test_hosts_links_addresses_and_ids_decide_nothing(text: str) -> None:
    """Words inside a host name, a link, an address or an id are names, not what the server says."""
    assert classify(Stage.RCPT, Reply(550, text)).reason is Reason.MAILBOX_UNKNOWN


def test_why_a_server_has_a_rule_is_not_the_matter() -> None:
    """To "protect our users from spam" is said of every refusal, and makes none of them one for spam."""
    reply = Reply(421, "4.7.0 To protect our users from spam, too many connections from you are refused")
    assert classify(Stage.BANNER, reply).reason is Reason.CONNECTION_LIMIT


def test_a_stated_cause_wins_over_the_rate() -> None:
    """Mail that is rate limited for want of a PTR record needs the record, and not patience."""
    verdict = classify(Stage.MAIL, Reply(421, "4.7.0 rate limited: your IP has no PTR record"))
    assert (verdict.reason, verdict.scope) == (Reason.AUTHENTICATION, Scope.LANE)


@pytest.mark.parametrize(
    ("stage", "code", "reason"),
    [
        (Stage.BANNER, 421, Reason.OVERLOADED),
        (Stage.RCPT, 450, Reason.GREYLISTED),
        (Stage.RCPT, 521, Reason.REPUTATION),
    ],
)
def test_the_stage_decides_where_the_words_do_not(stage: Stage, code: int, reason: Reason) -> None:
    """The same words are an overload at the banner, a greylist at RCPT and a refusal of us as 521."""
    assert classify(stage, Reply(code, "4.3.2 Service currently unavailable")).reason is reason


def test_a_scope_before_the_envelope_is_no_recipient() -> None:
    """Before MAIL there is no recipient that could be greylisted: it concerns the lane."""
    assert classify(Stage.BANNER, Reply(421, "greylisted, come back")).scope is Scope.LANE


@pytest.mark.parametrize(
    ("status", "stage", "reason"),
    [
        ("5.1.1", Stage.RCPT, Reason.MAILBOX_UNKNOWN),
        ("5.1.10", Stage.RCPT, Reason.DOMAIN_UNKNOWN),
        ("5.2.2", Stage.RCPT, Reason.MAILBOX_FULL),
        ("5.3.4", Stage.MAIL, Reason.TOO_LARGE),
        ("5.7.10", Stage.MAIL, Reason.TLS_REQUIRED),
        ("5.7.25", Stage.MAIL, Reason.AUTHENTICATION),
    ],
)
def test_an_enhanced_code_speaks_where_the_words_do_not(status: str, stage: Stage, reason: Reason) -> None:
    """Without a known word, the enhanced code has its meaning of RFC 3463 and of the registry."""
    assert classify(stage, Reply(550, f"{status} hm")).reason is reason


def _rule(**conditions: object) -> Rule:
    return Rule(name="own", reason=Reason.DAILY_LIMIT, scope=Scope.LANE, **conditions)  # type: ignore[arg-type]


def _verdict(rule: Rule, stage: Stage = Stage.RCPT, code: int = 450, text: str = "4.7.1 hm", mx: str = "") -> Verdict:
    return Classifier((rule,)).classify(stage, Reply(code, text), mx)


def test_a_rule_comes_before_the_general_table() -> None:
    """What the operator knows of a receiver is more than what the words say."""
    assert _verdict(_rule(enhanced=("4.7.1",)), text="4.7.1 mailbox full").rule == "own"


def test_a_rule_for_a_host_holds_under_its_domain_only() -> None:
    """A suffix is a domain: `mx.notexample.org` does not lie in `example.org`."""
    rule = _rule(mx=("example.org",))
    assert _verdict(rule, mx="MX1.example.org.").rule == "own"
    assert _verdict(rule, mx="mx.notexample.org").rule != "own"
    assert _verdict(rule).rule != "own"


def test_a_rule_for_a_stage_or_a_code_holds_there_only() -> None:
    """Every condition of a rule must be met."""
    rule = _rule(stages=frozenset({Stage.MAIL}), codes=("45",))
    assert _verdict(rule, stage=Stage.MAIL).rule == "own"
    assert _verdict(rule, stage=Stage.RCPT).rule != "own"
    assert _verdict(rule, stage=Stage.MAIL, code=421).rule != "own"


def test_a_verdict_names_the_provider_of_the_host() -> None:
    """The provider of a host is in every verdict, also in a good one."""
    providers = Providers((Provider(name="big", title="Big", mx=("big.example",)),))
    classifier = Classifier((), providers)
    assert classifier.classify(Stage.RCPT, Reply(250, "ok"), "mx.big.example").provider == "big"
    assert classifier.classify(Stage.RCPT, Reply(450, "hm"), "mx.small.example").provider is None
