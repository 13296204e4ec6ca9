"""The times of RFC 5321 as they are configured by default, to the second, in time that passes by itself (P1 to P8)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from sender.core.errors import SessionError
from sender.core.outcome import Trouble
from sender.core.stage import Stage
from sender.settings import DeliverySettings
from sender.smtp.opening import Target, open_session
from sender.smtp.session import Session
from tests.chaos.faultsink import Hang, Ledger, Says, Serve, then
from tests.chaos.simulated import Simulated, simulate
from tests.dialogs.peer import OFFER, OFFER_CHUNKING, OFFER_PIPELINING, Drip, Pause, Take
from tests.dialogs.session.sending import letter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from typing import Any

    from sender.settings import Tls
    from sender.smtp.session import Answer, Outgoing
    from tests.chaos.faultsink import Script
    from tests.chaos.report import Report
    from tests.dialogs.peer import Link, Step

_DEFAULTS = DeliverySettings()
_OFFERS = {"steps": OFFER, "pipelining": OFFER_PIPELINING, "chunking": OFFER_CHUNKING}
_OFFER_TLS = b"250-sink.test\r\n250 STARTTLS\r\n"
_BODY = b"0123456789abcdef" * 4 + b"\r\n"
_TIMES = {
    "banner": _DEFAULTS.banner_timeout,
    "ehlo": _DEFAULTS.ehlo_timeout,
    "mail": _DEFAULTS.mail_timeout,
    "rcpt": _DEFAULTS.rcpt_timeout,
    "data": _DEFAULTS.data_timeout,
    "end_of_data": _DEFAULTS.end_of_data_timeout,
}


@dataclass(frozen=True)
class Ended:
    """How an attempt ended: with answers, or without a session."""

    answers: list[Answer]
    stage: Stage | None = None
    trouble: Trouble | None = None

    @property
    def where(self) -> tuple[Stage | None, Trouble | None]:
        """Give the stage and the trouble."""
        return (self.answers[0].stage, self.answers[0].trouble) if self.answers else (self.stage, self.trouble)


def _attempt(
    message: Outgoing, tls: Tls = "none", *, says_quit: bool = False
) -> Callable[[Simulated], Coroutine[Any, Any, Ended]]:
    """Make the attempt to deliver one message, as the daemon would."""

    async def attempt(_: Simulated) -> Ended:
        target = Target(host="mx.test", address="192.0.2.1", port=25, source_address="", helo="sender.test", tls=tls)
        try:
            session = await open_session(target, _DEFAULTS)
        except SessionError as error:
            return Ended([], error.stage, error.trouble)
        assert isinstance(session, Session)
        answers = await session.transact(message)
        if says_quit:
            await session.quit()
        return Ended(answers)

    return attempt


def _served(script: Script, offer: bytes = OFFER) -> list[Step]:
    return [Serve(script, offer, Ledger())]


def _long(size: int) -> Outgoing:
    """Make a message of so many bytes, read piece by piece."""
    block = _BODY * (65536 // len(_BODY))

    async def more() -> AsyncIterator[bytes]:
        for _ in range(size // len(block)):
            yield block

    return replace(letter(content=b"Subject: long\r\n\r\n" + block), size=size, more=more)


def test_p1_a_host_that_cannot_be_reached_costs_its_time_and_no_more(report: Report) -> None:
    """Without TCP it is 30 seconds, without a banner 300."""
    ended, seconds = simulate(_attempt(letter()), Simulated(None))
    assert (ended.where, seconds) == ((Stage.CONNECT, Trouble.TIMEOUT), 30)
    ended, seconds = simulate(_attempt(letter()), Simulated(_served({"banner": [Hang()]})))
    assert (ended.where, seconds) == ((Stage.BANNER, Trouble.TIMEOUT), 300)
    report.held("P1", runs=2, figures="no TCP: 30 s, silent: 300 s")


def test_p2_silence_at_each_place_costs_that_place_s_time(report: Report) -> None:
    """The configured time of each stage is kept to the second on each way, and what was not sent is freed."""
    runs = 0
    for stage, expected in _TIMES.items():
        for way, offer in _OFFERS.items():
            if (stage, way) == ("data", "chunking"):
                continue
            loop = Simulated(_served({stage: [Hang()]}, offer))
            ended, seconds = simulate(_attempt(letter()), loop)
            assert (ended.where[0], seconds) == (Stage(stage), expected), way
            assert all(link.transport.over and not link.transport.going for link in loop.links)
            runs += 1
    more: list[tuple[Script, Tls, Stage, float]] = [
        ({"content": [Pause(1e6)]}, "none", Stage.END_OF_DATA, _DEFAULTS.block_timeout),
        ({"starttls": [Hang()]}, "required", Stage.STARTTLS, _DEFAULTS.starttls_timeout),
        ({"starttls": [then(Says(b"220 go\r\n"), Hang())]}, "required", Stage.STARTTLS, _DEFAULTS.starttls_timeout),
    ]
    for script, tls, expected_stage, expected in more:
        loop = Simulated(_served(script, _OFFER_TLS if tls == "required" else OFFER))
        ended, seconds = simulate(_attempt(_long(1_000_000), tls), loop)
        assert (ended.where[0], seconds) == (expected_stage, expected)
        assert all(link.transport.over and not link.transport.going for link in loop.links)
        runs += 1
    ended, seconds = simulate(_attempt(letter(), says_quit=True), Simulated(_served({"quit": [Hang()]})))
    assert (ended.answers[0].delivered, seconds) == (True, _DEFAULTS.quit_timeout)
    report.held("P2", runs=runs + 1, figures="each timer as configured, to the second; nothing stays in a buffer")


def test_p3_a_reply_that_drips_has_the_time_of_its_stage(report: Report) -> None:
    """A byte for each nine tenths of a stage's time gets that time once."""
    for stage, expected in _TIMES.items():
        drip = Drip(b"250-" + b"x" * 100, every_s=0.9 * expected)
        ended, seconds = simulate(_attempt(letter()), Simulated(_served({stage: [drip]})))
        assert (ended.where[0], seconds) == (Stage(stage), expected)
    report.held("P3", runs=len(_TIMES), figures="a byte for each 0.9 of the timer: the timer, to the second")


def test_p4_who_takes_a_byte_a_second_is_left_and_a_slow_line_is_not(report: Report) -> None:
    """64 KiB have 180 seconds: at a byte per second they end it, at 50 KB per second 20 MB go through."""
    byte: list[Step] = [Take(1), Pause(1.0)]
    ended, seconds = simulate(_attempt(_long(1_000_000)), Simulated(_served({"content": [then(*byte * 1000)]}), room=1))
    assert ended.where == (Stage.END_OF_DATA, Trouble.TIMEOUT)
    assert seconds == _DEFAULTS.block_timeout
    slow: list[Step] = [_Skip(50_000), Pause(1.0)]
    loop = Simulated(_served({"content": [then(*slow * 390)]}))
    ended, seconds = simulate(_attempt(_long(20_000_000)), loop)
    assert ended.answers[0].delivered
    assert seconds == 390
    report.held("P4", runs=2, figures=f"1 B/s ends after 180 s; 20 MB at 50 KB/s delivered after {seconds:.0f} s")


@dataclass(frozen=True)
class _Skip(Take):
    """Read so many bytes, and forget them."""

    async def play(self, link: Link) -> None:
        """Read them."""
        await super().play(link)
        link.visit.content = b""


@pytest.mark.parametrize("way", _OFFERS)
def test_p7_p8_the_answer_to_the_content_has_ten_minutes(way: str, report: Report) -> None:
    """Answers after 61, 299 and 599 seconds deliver; one after 601 is too late, and nobody can know."""
    for length_s, delivered in ((61, True), (299, True), (599, True), (601, False)):
        script: Script = {"end_of_data": [then(Pause(length_s), Says(b"250 ok\r\n"))]}
        ended, seconds = simulate(_attempt(letter()), Simulated(_served(script, _OFFERS[way])))
        assert ended.answers[0].delivered is delivered
        assert ended.answers[0].ambiguous is not delivered
        assert seconds == min(length_s, 600)
    report.held("P7", runs=3, figures=f"{way}: 250 after 61, 299, 599 s delivered")
    report.held("P8", runs=1, figures=f"{way}: 250 after 601 s ambiguous after 600 s")


def test_p7_the_ten_minutes_begin_with_the_last_byte(report: Report) -> None:
    """However long a receiver takes to read the content, its time for the answer begins behind that."""
    answer: list[Step] = [then(Pause(599), Says(b"250 ok\r\n"))]
    slow: list[Step] = [_Skip(50_000), Pause(60.0)]
    loop = Simulated(_served({"content": [then(*slow * 19)], "end_of_data": answer}))
    ended, seconds = simulate(_attempt(_long(1_000_000)), loop)
    assert ended.answers[0].delivered
    assert seconds == 19 * 60 + 599
    slow = [_Skip(1000), Pause(2.0)]
    loop = Simulated(_served({"content": [then(*slow * 58)], "end_of_data": answer}), room=1000)
    ended, seconds = simulate(_attempt(letter(content=_BODY * 900)), loop)
    assert ended.answers[0].delivered
    assert seconds == 58 * 2 + 599
    report.held("P7", runs=2, figures="1,140 s and 116 s for the content, then 599 s for the answer: delivered")
