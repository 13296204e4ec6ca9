"""One message from MAIL to its answer, without a connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.outcome import Trouble
from sender.core.reply import Reply
from sender.core.stage import Stage
from sender.smtp.habits import Way
from sender.smtp.offer import Offer
from sender.smtp.outgoing import Outgoing
from sender.smtp.transaction import Answer, OutOfStepError, Transaction

_OFFER = Offer(pipelining=True, chunking=True, eightbitmime=True, smtputf8=True, size=True)
_CODES = (200, 250, 251, 354, 421, 450, 452, 500, 503, 550, 552)
_codes = st.lists(st.sampled_from(_CODES), max_size=8)


def _outgoing(recipients: int = 2) -> Outgoing:
    return Outgoing(
        mail_from="me@a.test",
        rcpt_tos=[f"r{index}@b.test" for index in range(recipients)],
        size=7,
        eight_bit=False,
        smtputf8=False,
        first=b"hello\r\n",
    )


def _begun(way: Way | None, recipients: int = 2, *, reset: bool = False) -> Transaction:
    """Make a transaction whose group was written."""
    behind = way in {Way.OVERLAPPING, Way.DOUBLING}
    chunk = b"hello\r\n" if way in {Way.CHUNKING, Way.DOUBLING} else None
    blank: list[Answer | None] = [None] * recipients
    transaction = Transaction(_outgoing(recipients), blank, _OFFER, way=way, behind=behind, chunk=chunk, reset=reset)
    transaction.written_at_once()
    return transaction


def _take(transaction: Transaction, *codes: int) -> None:
    for code in codes:
        if transaction.awaited:
            transaction.take(Reply(code, str(transaction.stage)))
            if transaction.go and not transaction.awaited and not transaction.sent:
                transaction.content_begins(whole=True)


def test_a_group_has_everything_up_to_what_must_be_waited_for() -> None:
    """DATA ends a group, BDAT has its content with it, and RSET goes first where it is owed."""
    envelope = b"MAIL FROM:<me@a.test> SIZE=7\r\nRCPT TO:<r0@b.test>\r\nRCPT TO:<r1@b.test>\r\n"
    assert _begun(Way.PIPELINING).group() == envelope + b"DATA\r\n"
    assert _begun(Way.CHUNKING).group() == envelope + b"BDAT 7 LAST\r\nhello\r\n"
    assert _begun(Way.DOUBLING, reset=True).group() == b"RSET\r\n" + envelope + b"BDAT 7 LAST\r\nhello\r\n"


def test_steps_end_where_nobody_is_left() -> None:
    """Step by step, nothing follows a refused sender or the last refused recipient."""
    for codes, sent in (((550,), 1), ((250, 550, 550), 3), ((250, 550, 250, 354), 4)):
        transaction = _begun(None)
        steps = iter(transaction.steps())
        for code in codes:
            next(steps)
            transaction.take(Reply(code, ""))
        assert list(steps) == []
        assert len(codes) == sent
        assert not transaction.awaited


@given(st.sampled_from([None, *Way]), st.integers(1, 3), st.booleans(), _codes, st.sampled_from(Trouble))
def test_everybody_has_one_answer_whatever_is_said_and_however_it_ends(
    way: Way | None,
    recipients: int,
    reset: bool,  # noqa: FBT001 - drawn
    codes: list[int],
    trouble: Trouble,
) -> None:
    """After the last reply, or the end of the session, each recipient has a reply or a trouble; none has both."""
    transaction = _begun(way, recipients, reset=reset)
    try:
        _take(transaction, *codes)
    except OutOfStepError:
        trouble = Trouble.PROTOCOL
    if transaction.awaited or transaction.undecided or trouble is Trouble.PROTOCOL:
        transaction.fail(trouble, "it ended")
    for answer in transaction.answers:
        assert answer is not None
        assert (answer.reply is None) is (answer.trouble is not None)
        assert not answer.delivered or transaction.sent
        assert answer.ambiguous is (answer.trouble is Trouble.LOST_AFTER_CONTENT or answer.sent)


@given(st.sampled_from([Way.OVERLAPPING, Way.DOUBLING]), _codes)
def test_what_is_behind_another_is_untried_or_unknown_when_the_session_ends(way: Way, codes: list[int]) -> None:
    """It pays for the end of a session only if its content had gone, and then nobody can know."""
    transaction = _begun(way)
    try:
        _take(transaction, *codes)
    except OutOfStepError:
        return
    if not transaction.awaited:
        return
    before = [answer for answer in transaction.answers if answer is not None]
    begun = transaction.sent
    transaction.fail(Trouble.LOST, "closed")
    for answer in transaction.answers:
        assert answer is not None
        if answer not in before:
            assert answer.trouble is (Trouble.LOST_AFTER_CONTENT if begun else Trouble.UNTRIED)


@pytest.mark.parametrize("code", [250, 550])
def test_of_content_that_was_sent_in_part_only_a_refusal_counts(code: int) -> None:
    """A receiver may refuse before it has everything; it cannot consent."""
    transaction = _begun(Way.PIPELINING, 1)
    for each in (250, 250, 354):
        transaction.take(Reply(each, ""))
    transaction.content_begins(whole=False)
    if code == 250:
        with pytest.raises(OutOfStepError, match="before the end of the content"):
            transaction.take(Reply(code, ""))
        transaction.fail(Trouble.PROTOCOL, "out of step")
        (answer,) = transaction.answers
        assert (answer and answer.trouble, answer and answer.ambiguous) == (Trouble.PROTOCOL, False)
    else:
        transaction.take(Reply(code, ""))
        (answer,) = transaction.answers
        assert answer == Answer(Stage.END_OF_DATA, Reply(550, ""))


@pytest.mark.parametrize(
    ("way", "codes", "blamed"),
    [
        (Way.PIPELINING, (250, 250, 250, 503), Way.PIPELINING),
        (Way.PIPELINING, (250, 503, 250, 354), None),
        (Way.PIPELINING, (503, 503, 503, 503), None),
        (Way.PIPELINING, (250, 550, 550, 503), None),
        (Way.OVERLAPPING, (503,), Way.OVERLAPPING),
        (Way.OVERLAPPING, (250, 503), Way.OVERLAPPING),
        (Way.OVERLAPPING, (550, 503, 503, 503), None),
        (Way.OVERLAPPING, (250, 250, 250, 250), Way.OVERLAPPING),
        (Way.CHUNKING, (250, 250, 250, 502), Way.CHUNKING),
        (Way.CHUNKING, (250, 550, 550, 503), None),
        (Way.CHUNKING, (250, 250, 250, 554), None),
        (Way.DOUBLING, (250, 250, 250, 502), Way.CHUNKING),
        (Way.DOUBLING, (503, 250, 250, 250), Way.DOUBLING),
    ],
)
def test_only_what_makes_no_sense_is_held_against_a_way(way: Way, codes: tuple[int, ...], blamed: Way | None) -> None:
    """A refusal that belongs to the message says nothing of the group that it came in."""
    transaction = _begun(way)
    try:
        _take(transaction, *codes)
    except OutOfStepError:
        assert blamed is not None
    assert (transaction.evidence.way if transaction.evidence else None) is blamed


def test_a_receiver_that_objects_to_the_group_is_understood() -> None:
    """Words about pipelining or synchronization in a refusal are about us, at whatever stage and with whatever code."""
    for words in ("5.5.0 improper command pipelining", "SMTP synchronization error", "not synchronised"):
        transaction = _begun(Way.PIPELINING)
        with pytest.raises(OutOfStepError):
            transaction.take(Reply(554, words))
        transaction.fail(Trouble.PROTOCOL, words)
        assert {answer.trouble for answer in transaction.answers if answer} == {Trouble.UNTRIED}
