"""What a client asks for beside delivery: it reaches a receiver that knows of it, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sender.core.options import Options
from sender.core.stage import Stage
from sender.sandbox import Receiver
from sender.settings import Tls
from sender.smtp.session import Outgoing
from tests.dialogs.trust import trusting

from .sending import CERTIFICATE, WAYS, connect, converse, delivered, letter, server_context, shown, taking


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this machine trust the receiver's certificate."""
    yield from trusting(CERTIFICATE, monkeypatch)


def _asking(*rcpt_tos: str, dsn: tuple[str, ...] = (), options: Options) -> Outgoing:
    asking = letter(*rcpt_tos)
    asking.options, asking.dsn = options, dsn
    return asking


_WISHES = ("NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Ann+2BBox@B.test", "")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("announced", [False, True])
async def test_b2_a_receiver_with_dsn_gets_what_was_asked_verbatim(way: str, *, announced: bool) -> None:
    """On every way, message by message: RET, ENVID, NOTIFY and ORCPT where DSN is announced, and else nothing."""
    behaviour = replace(taking(way), dsn=announced)
    asking = _asking("a@b.test", "c@b.test", dsn=_WISHES, options=Options(returns="HDRS", envelope_id="Qq+2B1"))
    async with Receiver(behaviour, keep_arrivals=True) as receiver:
        session = await connect(receiver.port)
        assert session.tells is announced
        answers = await converse(session, letter(), asking, letter())
        assert all(map(delivered, answers))
        await session.quit()
    plain, asked, behind = receiver.arrivals
    assert [set(plain.parameters), set(behind.parameters)] == [{"SIZE"}, {"SIZE"}]
    if announced:
        assert {**asked.parameters} == {"SIZE": asked.parameters["SIZE"], "RET": "HDRS", "ENVID": "Qq+2B1"}
        assert [{**each} for each in asked.rcpt_parameters] == [
            {"NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;Ann+2BBox@B.test"},
            {},
        ]
    else:
        assert set(asked.parameters) == {"SIZE"}
        assert [{**each} for each in asked.rcpt_parameters] == [{}, {}]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("tls", "announced", "goes"),
    [
        ("required", True, True),
        ("required", False, False),
        ("opportunistic", True, False),
        ("none", True, False),
    ],
)
async def test_t12_mail_that_needs_tls_goes_under_verified_tls_only(tls: Tls, *, announced: bool, goes: bool) -> None:
    """Elsewhere we refuse it ourselves for good, not a byte of it is sent, and the session goes on."""
    behaviour = replace(taking("chunking"), tls=server_context(), requiretls=announced)
    async with Receiver(behaviour, keep_arrivals=True) as receiver:
        session = await connect(receiver.port, tls=tls)
        answers, others = await converse(session, _asking("a@b.test", options=Options(require_tls=True)), letter())
        await session.quit()
    assert delivered(others)
    assert delivered(answers) is goes
    assert len(receiver.arrivals) == 1 + goes
    if goes:
        assert "REQUIRETLS" in receiver.arrivals[0].parameters
        assert receiver.arrivals[0].tls
    else:
        assert shown(answers) == [(Stage.MAIL, 550)]
        assert answers[0].ours
        assert "5.7.30" in str(answers[0])
    assert "REQUIRETLS" not in receiver.arrivals[-1].parameters
