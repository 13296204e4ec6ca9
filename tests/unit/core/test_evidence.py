"""Whom a throttle concerns that does not say it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sender.core.evidence import REFUSALS, SPAN_S, Evidence
from sender.core.rests import Kind, Subject

_Subjects = tuple[Subject, Subject, Subject]


def _about(mailbox: str, identity: str = "shop.example") -> _Subjects:
    domain = mailbox.rpartition("@")[2]
    return Subject(Kind.MAILBOX, mailbox), Subject(Kind.DOMAIN, domain), Subject(Kind.IDENTITY, identity)


def _others_are_taken(evidence: Evidence, *others: _Subjects) -> None:
    for other in (*others, *others):
        evidence.taken(other)


def test_a_mailbox_that_alone_is_refused_is_the_culprit() -> None:
    """A mailbox that is refused three times, while others at its domain are taken, is throttled by itself."""
    evidence, ann, bob = Evidence(), _about("ann@a.test"), _about("bob@a.test")
    found = []
    for now in range(REFUSALS):
        found.append(evidence.refused(ann, now))
        _others_are_taken(evidence, bob)
    assert found == [None, None, ann[0]]


def test_a_domain_none_of_whose_mailboxes_is_taken_is_the_culprit() -> None:
    """Mailboxes of one domain are refused, those of another are taken: it is the domain."""
    evidence, other = Evidence(), _about("bob@b.test")
    found = []
    for now in range(REFUSALS):
        found.append(evidence.refused(_about(f"r{now}@a.test", f"{now}.example"), now))
        _others_are_taken(evidence, other)
    assert found == [None, None, Subject(Kind.DOMAIN, "a.test")]


def test_an_identity_whose_mail_alone_is_refused_is_the_culprit() -> None:
    """Mail of one sending domain is refused everywhere, that of another is taken by the same mailboxes."""
    evidence = Evidence()
    found = []
    for now in range(REFUSALS):
        mailbox = f"r@{now}.test"
        found.append(evidence.refused(_about(mailbox, "loud.example"), now))
        _others_are_taken(evidence, _about(mailbox, "quiet.example"))
    assert found == [None, None, Subject(Kind.IDENTITY, "loud.example")]


def test_refusals_without_a_delivery_between_accuse_the_lane() -> None:
    """Three mailboxes are refused and nobody is taken: it is the lane."""
    evidence = Evidence()
    found = [evidence.refused(_about(f"r@{now}.test", f"{now}.example"), now) for now in range(3)]
    assert found == [None, None, Subject(Kind.LANE, "")]


def test_a_burst_of_refusals_accuses_nobody_but_the_lane() -> None:
    """Many refusals at once, after others were taken, are one refusal each: what comes between them is missing."""
    evidence, other = Evidence(), _about("bob@b.test", "b.example")
    _others_are_taken(evidence, other)
    found = {evidence.refused(_about(f"r{number}@a.test"), 0.0) for number in range(20)}
    assert found == {None, Subject(Kind.LANE, "")}


def test_whoever_is_taken_is_cleared() -> None:
    """A delivery to a mailbox acquits it, its domain, its sender and the lane."""
    evidence, ann, bob = Evidence(), _about("ann@a.test"), _about("bob@b.test", "b.example")
    for now in range(10):
        assert evidence.refused(ann, now) is None
        _others_are_taken(evidence, bob)
        evidence.taken(ann)
    assert not evidence


def test_refusals_that_lie_far_apart_are_no_evidence() -> None:
    """What was refused longer ago than the span does not count."""
    evidence, ann, bob = Evidence(), _about("ann@a.test"), _about("bob@a.test")
    for number in range(10):
        assert evidence.refused(ann, number * (SPAN_S + 1)) is None
        _others_are_taken(evidence, bob)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2), st.integers(0, 2))))
def test_only_who_was_refused_is_accused(history: list[tuple[bool, int, int, int]]) -> None:
    """Whatever happens, a culprit is among those whom the last refusal concerned, or it is the lane."""
    evidence = Evidence()
    for now, (taken, mailbox, domain, identity) in enumerate(history):
        subjects = _about(f"r{mailbox}@{domain}.test", f"{identity}.example")
        if taken:
            evidence.taken(subjects)
        else:
            assert evidence.refused(subjects, now) in {None, Subject(Kind.LANE, ""), *subjects}
