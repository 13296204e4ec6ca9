"""What the answers of one transaction mean."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import cast

import pytest

from sender.core.identity import id_text
from sender.core.options import NO_OPTIONS, Options
from sender.core.outcome import Outcome, Reason, Scope, Trouble
from sender.core.reply import Reply
from sender.core.stage import Stage
from sender.engine.delivery import Delivery, Judgement, again, judge, split, way_of
from sender.rules import shipped_classifier
from sender.smtp.session import Answer, Session
from sender.spool.contract import ClaimedMessage, DamagedError, Spool

from .values import CONTENT, message, recipients


class _FakeSession:
    """A session is asked for what it is, and how many transactions it has had."""

    host = "mx.example.org"
    address = "192.0.2.1"
    tls = "TLSv1.3"
    tells = True

    def __init__(self, transactions: int) -> None:
        self.transactions = transactions


class _FakeSpool:
    """Gives a block that says which it is."""

    async def block(self, message_id: int, number: int) -> bytes:
        """Give a block."""
        return f"block {number} of {message_id}".encode()


def _delivery(count: int, *, reconnected: bool = False) -> Delivery:
    claimed = recipients(*(f"r{number}@example.org" for number in range(1, count + 1)))
    return Delivery(message(*claimed), claimed, reconnected=reconnected)


def _answer(stage: Stage, raw: str) -> Answer:
    return Answer(stage, reply=Reply.parse(raw))


def _judged(answers: Sequence[Answer], *, transactions: int = 2, reconnected: bool = False) -> Judgement:
    session = cast("Session", _FakeSession(transactions))
    return judge(_delivery(len(answers), reconnected=reconnected), session, answers, shipped_classifier())


_TAKEN = _answer(Stage.END_OF_DATA, "250 2.0.0 queued")
_RCPT = {
    "taken": (_TAKEN, Outcome.DELIVERED),
    "oddly taken": (_answer(Stage.END_OF_DATA, "251 will forward"), Outcome.DELIVERED),
    "unknown": (_answer(Stage.RCPT, "550 5.1.1 no such user"), Outcome.BOUNCED),
    "greylisted": (_answer(Stage.RCPT, "450 4.2.0 greylisted"), Outcome.DEFERRED),
    "too many": (_answer(Stage.RCPT, "452 4.5.3 too many recipients"), None),
    "closed": (_answer(Stage.RCPT, "421 closing"), Outcome.DEFERRED),
}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_recipient_gets_what_its_own_answer_says(count: int) -> None:
    """Over all mixes of answers: none is settled by another's, and each is settled or goes again, once."""
    for kinds in product(_RCPT, repeat=count):
        judgement = _judged([_RCPT[kind][0] for kind in kinds])
        outcomes = {result.recipient.id: result.verdict.outcome for result in judgement.settled}
        again = {result.recipient.id for result in judgement.again}
        assert len(judgement.settled) + len(judgement.again) == count
        assert outcomes.keys() | again == set(range(1, count + 1))
        for number, kind in enumerate(kinds, start=1):
            expected = _RCPT[kind][1]
            if expected is None:
                assert (number in again) is (count > 1)
            else:
                assert outcomes[number] is expected
        assert judgement.delivered == sum(_RCPT[kind][1] is Outcome.DELIVERED for kind in kinds)
        assert judgement.session_over is ("closed" in kinds)


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.END_OF_DATA])
@pytest.mark.parametrize("code", [250, 251, 252, 354])
def test_only_the_end_of_data_delivers(stage: Stage, code: int) -> None:
    """A positive reply to anything but the content takes no responsibility: it is a protocol error, and deferred."""
    judgement = _judged([Answer(stage, reply=Reply(code, "ok"))], transactions=1)
    (result,) = judgement.settled
    assert (result.verdict.outcome, result.verdict.reason) == (Outcome.DEFERRED, Reason.PROTOCOL_ERROR)
    assert judgement.delivered == 0


@pytest.mark.parametrize(
    ("raw", "stage", "reason"),
    [
        ("421 4.7.0 too many connections", Stage.MAIL, Reason.CONNECTION_LIMIT),
        ("450 4.7.1 rate limit reached", Stage.MAIL, Reason.MESSAGE_RATE),
        ("450 4.7.1 rate limit reached", Stage.END_OF_DATA, Reason.MESSAGE_RATE),
        ("421 too many messages in this session", Stage.MAIL, Reason.SESSION_MESSAGE_LIMIT),
    ],
)
def test_a_throttle_costs_the_message_nothing(raw: str, stage: Stage, reason: Reason) -> None:
    """Recipients that were refused for our pace are not settled: they go again, and the lane learns why."""
    judgement = _judged([_answer(stage, raw)] * 3, transactions=1)
    assert judgement.settled == []
    assert [result.recipient.id for result in judgement.again] == [1, 2, 3]
    assert list(judgement.throttles) == [reason]


def test_a_receiver_that_takes_not_even_one_recipient_defers_it() -> None:
    """A "too many recipients" to the only one is no limit that a smaller envelope meets: the recipient waits."""
    judgement = _judged([_answer(Stage.RCPT, "452 4.5.3 too many recipients")])
    assert [result.verdict.outcome for result in judgement.settled] == [Outcome.DEFERRED]


@pytest.mark.parametrize(
    ("transactions", "reconnected", "goes_again"), [(2, False, True), (1, False, False), (2, True, False)]
)
def test_a_session_that_died_before_its_envelope_costs_nothing_once(
    transactions: int, *, reconnected: bool, goes_again: bool
) -> None:
    """A used session that is found dead at MAIL gives the message another one; a fresh one, or the second, does not."""
    lost = Answer(Stage.MAIL, trouble=Trouble.LOST, detail="connection lost")
    judgement = _judged([lost], transactions=transactions, reconnected=reconnected)
    assert bool(judgement.again) is goes_again
    assert bool(judgement.settled) is not goes_again
    assert judgement.session_over


def test_a_message_that_found_a_dead_session_remembers_it() -> None:
    """What goes again after a dead session is marked; what goes again after a throttle is not."""
    delivery = _delivery(1)
    dead = _judged([Answer(Stage.MAIL, trouble=Trouble.LOST)])
    throttled = _judged([_answer(Stage.MAIL, "450 4.7.1 rate limit reached")])
    assert again(dead, delivery).reconnected
    assert not again(throttled, delivery).reconnected


@pytest.mark.parametrize("transactions", [1, 2, 9])
@pytest.mark.parametrize("reconnected", [False, True])
@pytest.mark.parametrize("stage", [Stage.RSET, Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END_OF_DATA])
def test_a_message_that_had_not_its_turn_pays_nothing_as_often_as_that_happens(
    stage: Stage, transactions: int, *, reconnected: bool
) -> None:
    """What was untried goes again with all its recipients, and is not marked: others were answered meanwhile."""
    answers = [Answer(stage, trouble=Trouble.UNTRIED, detail="closed")] * 2
    judgement = _judged(answers, transactions=transactions, reconnected=reconnected)
    assert (len(judgement.again), judgement.settled, judgement.throttles) == (2, [], {})
    assert judgement.session_over
    assert (judgement.ambiguous, judgement.proven) == (False, False)
    delivery = _delivery(2, reconnected=reconnected)
    assert again(judgement, delivery).reconnected is reconnected


@pytest.mark.parametrize("trouble", [trouble for trouble in Trouble if trouble is not Trouble.UNTRIED])
def test_only_a_connection_that_is_lost_after_the_content_is_ambiguous(trouble: Trouble) -> None:
    """Where the final dot may have arrived, the transaction may be repeated, and is counted as such."""
    judgement = _judged([Answer(Stage.END_OF_DATA, trouble=trouble)], transactions=1)
    assert judgement.ambiguous is (trouble is Trouble.LOST_AFTER_CONTENT)
    assert [result.verdict.outcome for result in judgement.settled] == [Outcome.DEFERRED]


@pytest.mark.parametrize("trouble", [Trouble.PROTOCOL, Trouble.LOST_AFTER_CONTENT])
def test_a_trouble_of_a_message_that_was_sent_whole_is_ambiguous(trouble: Trouble) -> None:
    """A receiver that is out of step when it has the content may have taken it."""
    assert _judged([Answer(Stage.RCPT, trouble=trouble, sent=True)]).ambiguous
    assert not _judged([Answer(Stage.RCPT, reply=Reply(450, "later"), sent=True)]).ambiguous


@pytest.mark.parametrize(
    ("answer", "proven"),
    [
        (_TAKEN, True),
        (_answer(Stage.RCPT, "550 5.1.1 no such user"), True),
        (_answer(Stage.MAIL, "451 4.7.652 too many connections"), False),
        (Answer(Stage.MAIL, trouble=Trouble.LOST), False),
        (Answer(Stage.MAIL, reply=Reply(552, "5.3.4 too large"), ours=True), False),
    ],
)
def test_a_session_is_proven_by_an_answer_that_is_no_refusal_of_it(answer: Answer, *, proven: bool) -> None:
    """Any answer of the receiver proves the session, but one that refuses it, and none that we gave ourselves."""
    assert _judged([answer], transactions=1).proven is proven


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("452 4.3.1 insufficient system storage", Reason.OVERLOADED),
        ("550 5.7.1 your address is on our blocklist", Reason.REPUTATION),
    ],
)
def test_overload_and_blocks_reach_the_lane(raw: str, reason: Reason) -> None:
    """A refusal that concerns the whole lane is handed to it."""
    verdict = _judged([_answer(Stage.MAIL, raw)]).lane_verdict
    assert verdict is not None
    assert (verdict.reason, verdict.scope) == (reason, Scope.LANE)
    assert _judged([_TAKEN]).lane_verdict is None


def test_the_last_refusal_is_kept_in_its_words() -> None:
    """What the lane writes into its diary is the last answer that was none of consent."""
    judgement = _judged([_answer(Stage.RCPT, "450 4.2.0 greylisted"), _TAKEN])
    assert judgement.last_refusal == (Stage.RCPT, "450 4.2.0 greylisted")
    assert _judged([_TAKEN]).last_refusal is None


@pytest.mark.parametrize("order", [1, -1])
def test_what_a_receiver_says_about_our_pace_explains_more_than_what_it_says_about_a_mailbox(order: int) -> None:
    """Where one recipient is throttled and another unknown, the throttle is what is kept, whichever came last."""
    throttled = _answer(Stage.RCPT, "451 4.7.0 too many connections")
    judgement = _judged([throttled, _answer(Stage.RCPT, "550 5.1.1 no such user")][::order])
    assert judgement.last_refusal == (Stage.RCPT, "451 4.7.0 too many connections")


@pytest.mark.parametrize(("count", "most", "sizes"), [(5, 2, [2, 2, 1]), (4, 2, [2, 2]), (3, 100, [3]), (1, 1, [1])])
def test_a_message_is_split_into_envelopes_of_a_size(count: int, most: int, sizes: list[int]) -> None:
    """No envelope has more recipients than allowed, and each recipient is in exactly one, in their order."""
    whole = _delivery(count)
    parts = split(whole, most)
    assert [len(part.recipients) for part in parts] == sizes
    assert [recipient for part in parts for recipient in part.recipients] == whole.recipients


@pytest.mark.parametrize(
    ("most", "most_domains", "parts"),
    [
        (100, 1, ["a@x b@x", "c@y d@y", "e@z"]),
        (100, 2, ["a@x c@y b@x d@y", "e@z"]),
        (1, 1, ["a@x", "b@x", "c@y", "d@y", "e@z"]),
        (3, 2, ["a@x c@y b@x", "d@y", "e@z"]),
    ],
)
def test_an_envelope_has_recipients_of_so_many_domains(most: int, most_domains: int, parts: list[str]) -> None:
    """Whom one envelope leaves out goes in the next ones, and nobody goes twice."""
    claimed = recipients("a@x", "c@y", "b@x", "d@y", "e@z")
    envelopes = split(Delivery(message(*claimed), claimed), most, most_domains)
    assert [" ".join(one.rcpt_to for one in envelope.recipients) for envelope in envelopes] == parts


async def test_a_message_goes_out_as_it_was_claimed() -> None:
    """A session gets sender, recipients and first block; further blocks are read from the spool."""
    claimed = recipients("a@example.org", "b@example.org")
    spool = cast("Spool", _FakeSpool())
    long = replace(message(*claimed, blocks=3), size=len(CONTENT) + 2 * len(b"block 1 of 4711"))
    outgoing = Delivery(long, claimed).outgoing(spool)
    assert (outgoing.mail_from, outgoing.rcpt_tos) == ("me@example.com", ["a@example.org", "b@example.org"])
    assert outgoing.first == CONTENT
    assert outgoing.more is not None
    assert [block async for block in outgoing.more()] == [b"block 1 of 4711", b"block 2 of 4711"]
    assert Delivery(message(*claimed), claimed).outgoing(spool).more is None


def _long(*blocks: bytes, **facts: int | None) -> ClaimedMessage:
    """Give a message whose further blocks are what the spool of these tests gives."""
    whole = b"".join((CONTENT, *blocks))
    of = message(*recipients("a@example.org"), blocks=1 + len(blocks))
    return replace(of, **{"size": len(whole), "checksum": zlib.crc32(whole), **facts})  # type: ignore[arg-type]


async def _read(of: ClaimedMessage) -> list[bytes]:
    """Read the further blocks of a message until one is damaged; that is the last."""
    outgoing = Delivery(of, of.recipients).outgoing(cast("Spool", _FakeSpool()))
    assert outgoing.more is not None
    read: list[bytes] = []
    try:
        async for block in outgoing.more():
            read.append(block)  # noqa: PERF401 - what came before the error counts
    except DamagedError as error:
        read.append(str(error.why).encode())
    return read


_BLOCKS = (b"block 1 of 4711", b"block 2 of 4711")


@pytest.mark.parametrize("checksum", [True, False])
async def test_content_of_several_blocks_is_given_as_it_was_accepted(*, checksum: bool) -> None:
    """All blocks are given where their checksum is the one that was accepted, or where nobody knows it."""
    of = _long(*_BLOCKS) if checksum else _long(*_BLOCKS, checksum=None)
    assert await _read(of) == [*_BLOCKS]


@pytest.mark.parametrize(
    "of",
    [
        _long(b"block 1 of 4711", b"block 2 of 4712"),
        _long(b"block 1 of 4710", b"block 2 of 4711"),
        replace(_long(*_BLOCKS), content=CONTENT.swapcase()),
        _long(*_BLOCKS, size=1, checksum=None),
        _long(b"block 1 of 4711", b"block 2 of 4711 and more", checksum=None),
    ],
    ids=["last block", "another block", "first block", "size", "size of a block"],
)
async def test_x11_the_last_block_of_damaged_content_is_not_given(of: ClaimedMessage) -> None:
    """A session that carries it does not come to the final dot."""
    expected = f"the content of message {id_text(of.id)} is not what was accepted"
    assert await _read(of) == [b"block 1 of 4711", expected.encode()]


def test_a_receiver_gets_what_was_asked() -> None:
    """A session hears of the options of a message, and of the parameters of each recipient."""
    claimed = recipients("a@example.org", "b@example.org")
    claimed[1].dsn = "NOTIFY=NEVER"
    of = replace(message(*claimed), options=Options(returns="HDRS"))
    outgoing = Delivery(of, claimed).outgoing(cast("Spool", _FakeSpool()))
    assert (outgoing.options, outgoing.dsn) == (Options(returns="HDRS"), ["", "NOTIFY=NEVER"])
    assert Delivery(message(*claimed), claimed).outgoing(cast("Spool", _FakeSpool())).options is NO_OPTIONS


def test_the_way_of_an_attempt_is_that_of_its_session() -> None:
    """Host, address, TLS, and whether the receiver tells senders itself are the session's."""
    way = way_of(cast("Session", _FakeSession(1)), site="mx.example.org", source="default", seconds=1.5)
    assert (way.site, way.source, way.session_s) == ("mx.example.org", "default", 1.5)
    assert (way.host, way.address, way.tls, way.tells) == ("mx.example.org", "192.0.2.1", "TLSv1.3", True)
