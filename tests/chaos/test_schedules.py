"""Receivers that answer by chance, in memory and by the thousand: what is believed of them (P15, P16, P19)."""

from __future__ import annotations

import tracemalloc
from random import Random
from typing import TYPE_CHECKING

import pytest

from sender.core.outcome import Trouble
from tests.chaos.faultsink import Flood, Ledger, Serve, says, then
from tests.chaos.scale import scaled
from tests.chaos.simulated import Simulated, connect, simulate
from tests.dialogs.peer import OFFER, OFFER_PIPELINING, Send
from tests.dialogs.session.model import IN_STEP, Act
from tests.dialogs.session.sending import letter
from tests.dialogs.session.test_model import EXTENSIONS, carried, check_in_step, final

if TYPE_CHECKING:
    from tests.chaos.faultsink import Script
    from tests.chaos.report import Report
    from tests.dialogs.peer import Step

_MIB = 1024 * 1024
_PIECE = b"x" * 65536
_FLOODS: dict[str, Step] = {
    "10 MB line": then(Send(b"250 "), Flood(_PIECE, 160)),
    "10 MB of lines": Flood(b"250-more\r\n" * 6500, 160),
    "an endless line": then(Send(b"250 "), Flood(_PIECE)),
    "endless lines": Flood(b"250-more\r\n" * 6500),
    "NULs": Flood(b"\0" * 65536),
    "short lines": Flood(b"250-\r\n" * 10_000),
}


@pytest.mark.parametrize("name", _FLOODS)
def test_p15_a_reply_without_measure_takes_no_memory(name: str, report: Report) -> None:
    """However much a receiver says, it ends the session before a mebibyte of it is held."""

    async def attempt(_: Simulated) -> tuple[Trouble | None, int]:
        session = await connect()
        assert session is not None
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        (answer,) = await session.transact(letter())
        return answer.trouble, tracemalloc.get_traced_memory()[1] - before

    loop = Simulated([Serve({"rcpt": [_FLOODS[name]]}, OFFER, Ledger())])
    tracemalloc.start()
    try:
        (trouble, most), _ = simulate(attempt, loop)
    finally:
        tracemalloc.stop()
    assert trouble is Trouble.PROTOCOL
    assert most < _MIB
    report.held("P15", runs=1, figures=f"{name}: {most // 1024} KiB at most")


def test_p16_a_stray_word_is_never_a_verdict(report: Report) -> None:
    """Of contents that are all refused none is delivered, whatever stands behind whichever reply in one segment."""
    runs = scaled(1000, 10_000)
    rng = Random(16)
    usual = {"banner": b"220 x\r\n", "mail": b"250 ok\r\n", "rcpt": b"250 ok\r\n", "data": b"354 go\r\n"}
    strays = (
        b"250 stray\r\n",
        b"250 stray\r\n" * 2,
        b"550 stray\r\n",
        b"354 stray\r\n",
        b"\r\n",
        b"25",
        b"250-",
        b"\0",
    )
    scripts: list[list[Step]] = []
    for _ in range(runs):
        offer = rng.choice((OFFER, OFFER_PIPELINING))
        stage = rng.choice((*usual, "ehlo"))
        before = rng.choice((b"", b"250-more\r\n")) if stage in {"mail", "rcpt"} else b""
        word = Send(before + usual.get(stage, offer) + rng.choice(strays))
        at: Script = {stage: [word], "end_of_data": [says("550 5.7.1 truly no")]}
        scripts.append([Serve(at, offer, Ledger())])

    async def attempts(loop: Simulated) -> tuple[int, int]:
        verdicts = false = 0
        while len(loop.links) < runs:
            session = await connect()
            answers = [] if session is None else await session.transact(letter("a@b.test", "b@b.test"))
            verdicts += any(answer.reply is not None for answer in answers)
            false += any(answer.delivered or "stray" in str(answer.reply) for answer in answers)
            if session is not None:
                session.abort()
        return verdicts, false

    (verdicts, false), _ = simulate(attempts, Simulated(*scripts))
    assert false == 0
    report.held("P16", runs=runs, figures=f"0 of {runs} believed, {verdicts} ended by a verdict of their own")


def test_p19_every_recipient_is_answered_as_it_was(report: Report) -> None:
    """In schedules by chance of replies, refusals, losses and segments no answer is another's, and none is missing."""
    runs = scaled(600, 100_000)
    rng = Random(19)
    acts = {True: sorted(IN_STEP, key=str), False: sorted(Act, key=str)}
    for number in range(runs):
        in_step = number % 4 != 0
        extensions = rng.choice(sorted(EXTENSIONS))
        sizes = [rng.choice((1, 1, 1, 2, 3)) for _ in range(rng.randint(1, 12))]
        plan = {rng.randint(0, 70): rng.choice(acts[in_step]) for _ in range(rng.randint(0, 6))}
        cuts = [rng.choice((rng.randint(1, 12), rng.randint(1, 200), 10_000)) for _ in range(rng.randint(1, 12))]
        run = carried(extensions, sizes, plan, cuts)
        try:
            if in_step:
                check_in_step(run, sizes, len)
            else:
                final(run, sizes)
        except AssertionError as error:
            raise AssertionError(f"schedule {number}: {extensions}, {sizes}, {plan}, {cuts}") from error
    report.held("P19", runs=runs, figures=f"{runs} schedules of a receiver that knows the truth, 0 wrong answers")
