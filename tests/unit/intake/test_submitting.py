"""A letter on its way to a daemon, against receivers that answer as a daemon may."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sender.core.options import NO_OPTIONS, Options
from sender.intake.letter import Letter
from sender.intake.submitting import NotNowError, Refusal, Stage, submit
from sender.sandbox import Behaviour, Close, Hang, Receiver
from sender.settings import SendmailSettings
from tests.servers.process import free_port

LETTER = Letter(
    mail_from="ann@mail.test",
    rcpt_tos=("a@b.test", '"a>\\b"@c.test'),
    content=b"Subject: x\r\n\r\n.\r\n..x\r\nend\r\n",
    options=NO_OPTIONS,
)


_TIMEOUTS = SendmailSettings()


async def _submit(letter: Letter, receiver: Receiver, timeouts: SendmailSettings = _TIMEOUTS) -> Refusal | None:
    endpoint = f"{receiver.host}:{receiver.port}"
    return await asyncio.to_thread(submit, letter, endpoint, hostname="mail.test", timeouts=timeouts)


def _receiver(**behaviour: object) -> Receiver:
    return Receiver(Behaviour(**behaviour), keep_arrivals=True)  # type: ignore[arg-type] # any field


async def test_x9_what_is_handed_over_arrives_as_it_is() -> None:
    """Addresses and content are those of the letter, byte for byte."""
    async with _receiver() as receiver:
        assert await _submit(LETTER, receiver) is None
    (arrival,) = receiver.arrivals
    assert (arrival.mail_from, arrival.rcpt_tos) == (LETTER.mail_from, LETTER.rcpt_tos)
    assert (arrival.content, arrival.helo) == (LETTER.content, "mail.test")
    assert receiver.tally.lost == 0


async def test_what_is_asked_for_goes_as_parameters() -> None:
    """SIZE, BODY, SMTPUTF8, RET, ENVID and NOTIFY are said where they are needed."""
    letter = replace(
        LETTER,
        mail_from="",
        rcpt_tos=("jörg@bücher.test",),
        content=b"Subject: x\r\n\r\n\xe4\r\n",
        options=Options(returns="HDRS", envelope_id="a+2Bb"),
        notify="DELAY",
    )
    async with _receiver(dsn=True) as receiver:
        assert await _submit(letter, receiver) is None
    (arrival,) = receiver.arrivals
    assert dict(arrival.parameters) == {
        "SIZE": str(len(letter.content)),
        "BODY": "8BITMIME",
        "SMTPUTF8": "",
        "RET": "HDRS",
        "ENVID": "a+2Bb",
    }
    assert [dict(each) for each in arrival.rcpt_parameters] == [{"NOTIFY": "DELAY"}]
    assert (arrival.mail_from, arrival.rcpt_tos) == ("", letter.rcpt_tos)


@pytest.mark.parametrize(
    "behaviour",
    [
        {"scripted": {"banner": ["421 4.7.0 Too many connections"]}},
        {"scripted": {"banner": ["554 5.3.2 Not for you"]}},
        {"scripted": {"banner": [Close()]}},
        {"scripted": {"banner": ["220-this is\r\n no reply"]}},
        {"scripted": {"ehlo": ["502 5.5.1 What?"]}},
        {"scripted": {"mail": ["452 4.3.1 Not now"]}},
        {"scripted": {"mail": ["530 5.7.0 Authentication required"]}},
        {"scripted": {"mail": ["554 5.7.1 Relaying is not allowed"]}},
        {"scripted": {"mail": [Close(abort=True)]}},
        {"scripted": {"rcpt": ["250 2.1.5 One", "452 4.5.3 Too many"]}},
        {"scripted": {"rcpt": [Close()]}},
        {"scripted": {"data": ["451 4.3.0 Not now"]}},
        {"scripted": {"data": [Close()]}},
        {"scripted": {"end_of_data": ["451 4.3.0 Not now"]}},
        {"scripted": {"end_of_data": [Close(abort=True)]}},
    ],
)
async def test_what_is_not_taken_now_may_be_taken_later(behaviour: dict[str, object]) -> None:
    """A connection that breaks, a 4yz, and a daemon that wants to know who it is: none of them refuses the message."""
    async with _receiver(**behaviour) as receiver:
        with pytest.raises(NotNowError):
            await _submit(LETTER, receiver)
    assert receiver.arrivals == []


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("", "no port is configured"),
        ("127.0.0.1:0", "no port is configured"),
        ("127.0.0.1:{free}", "refused"),
        ("nobody.invalid:25", "nobody.invalid:25: "),
    ],
)
def test_where_nobody_listens_nobody_takes_it(endpoint: str, why: str) -> None:
    """Nor where it is not known who listens: no other server of the machine gets it."""
    with pytest.raises(NotNowError, match=why):
        submit(LETTER, endpoint.format(free=free_port()), hostname="mail.test")


@pytest.mark.parametrize(
    ("stage", "limit"),
    [("banner", "connect_timeout"), ("mail", "reply_timeout"), ("end_of_data", "end_of_data_timeout")],
)
async def test_a_daemon_that_does_not_answer_is_not_waited_for_for_ever(stage: str, limit: str) -> None:
    """Each step has its own time."""
    timeouts = SendmailSettings.model_validate({limit: "200ms"})
    async with asyncio.timeout(30), _receiver(scripted={stage: [Hang()]}) as receiver:
        with pytest.raises(NotNowError, match="timed out"):
            await _submit(LETTER, receiver, timeouts)


@pytest.mark.parametrize(
    ("letter", "lacking"),
    [
        (replace(LETTER, content=b"\xe4\r\n"), {"eightbitmime": False}),
        (replace(LETTER, rcpt_tos=("jörg@b.test",)), {"smtputf8": False}),
        (replace(LETTER, notify="NEVER"), {"dsn": False}),
        (replace(LETTER, options=Options(returns="FULL")), {"dsn": False}),
        (replace(LETTER, options=Options(envelope_id="1")), {"dsn": False}),
    ],
)
async def test_what_cannot_be_said_is_not_left_out(letter: Letter, lacking: dict[str, object]) -> None:
    """A daemon that does not offer what the message needs does not get it."""
    async with _receiver(**lacking) as receiver:
        with pytest.raises(NotNowError, match="it has no"):
            await _submit(letter, receiver)
    assert receiver.arrivals == []


@pytest.mark.parametrize(
    ("behaviour", "stage", "reply", "about"),
    [
        ({"scripted": {"mail": ["553 5.7.1 Not yours"]}}, Stage.SENDER, "553 5.7.1 Not yours", ""),
        ({"scripted": {"mail": ["554 5.6.0 No"]}}, Stage.SENDER, "554 5.6.0 No", ""),
        (
            {"scripted": {"rcpt": ["250 ok", "550 5.1.1 \x1b[2JWho?"]}},
            Stage.RECIPIENT,
            "550 5.1.1 ?[2JWho?",
            '"a>\\b"@c.test',
        ),
        ({"scripted": {"data": ["554 5.5.1 No"]}}, Stage.CONTENT, "554 5.5.1 No", ""),
        ({"scripted": {"end_of_data": ["554-5.6.0 No\r\n554 5.6.0 NUL"]}}, Stage.CONTENT, "554 5.6.0 No 5.6.0 NUL", ""),
    ],
)
async def test_a_refusal_for_good_is_told_with_its_reply(
    behaviour: dict[str, object], stage: Stage, reply: str, about: str
) -> None:
    """It says what was refused, in one line without controls; nobody gets the message then."""
    async with _receiver(**behaviour) as receiver:
        refusal = await _submit(LETTER, receiver)
    assert refusal == Refusal(stage=stage, code=int(reply[:3]), reply=reply, about=about)
    assert receiver.arrivals == []


async def test_a_goodbye_that_fails_changes_nothing() -> None:
    """What was taken is taken."""
    async with _receiver(scripted={"quit": [Close(abort=True)]}) as receiver:
        assert await _submit(LETTER, receiver) is None
    assert len(receiver.arrivals) == 1
