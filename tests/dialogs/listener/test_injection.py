"""Arguments of every kind (I3): what is taken can be sent on in one line, and what is not taken leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sender.intake.syntax import RefusedCommandError, parse_mail, parse_rcpt
from sender.smtp.offer import Offer
from sender.smtp.outgoing import Outgoing
from tests.dialogs.client import Client

from .house import open_house

T = TypeVar("T")
_CHARACTERS = "\r\n\0 ><\t\x1b\x7f\x85\u2028=;\"\\@aü%'-{}\udcff"
_WORDS = ["b.test", "+0D+0A", "RCPT TO:<evil@b.test>", "ORCPT=rfc822;", "NOTIFY=", "ENVID=", "SIZE="]
_NASTY = st.sampled_from([*_CHARACTERS, *_WORDS])
_ARGUMENTS = st.lists(_NASTY, max_size=12).map("".join)
_FULL = Offer(smtputf8=True, eightbitmime=True, size=True)


def _taken(parse: Callable[[], T]) -> T | None:
    """Give what is read, or None where it is refused, in a line that can be shown."""
    try:
        return parse()
    except RefusedCommandError as refusal:
        reply = refusal.reply
    assert reply.isprintable()
    return None


def _outgoing(mail_from: str, rcpt_to: str) -> Outgoing:
    return Outgoing(mail_from=mail_from, rcpt_tos=[rcpt_to], size=1, eight_bit=False, smtputf8=True, first=b"x\r\n")


@given(_ARGUMENTS, _ARGUMENTS)
@example('"a\r\nb"@b.test', "")
@example("a@b.test", "ENVID=a\r\nRSET")
@settings(max_examples=1500, deadline=None)
def test_i3_whatever_is_taken_is_one_line_of_the_next_dialogue(path: str, parameters: str) -> None:
    """A sender and its parameters that are taken make one MAIL command, a recipient one RCPT command."""
    argument = f"<{path}> {parameters}" if parameters else f"<{path}>"
    mail = _taken(lambda: parse_mail(f"FROM:{argument}", max_size=100, max_hold_s=1e6, now=1e9, secure=True))
    if mail is not None:
        assert mail.path == path
        command = _FULL.mail(_outgoing(mail.path, "you@b.test"))
        assert command.count(b"\r") == command.count(b"\n") == 1
        assert command.endswith(b"\r\n")
        assert all(isinstance(value, bool) or str(value).isprintable() for value in mail.options.stated().values())
    rcpt = _taken(lambda: parse_rcpt(f"TO:{argument}"))
    if rcpt is not None:
        assert rcpt.path == path
        assert rcpt.dsn.isprintable()
        assert f"RCPT TO:<{path}> {rcpt.dsn}".encode().count(b"\n") == 0


@given(st.lists(st.binary(max_size=60), max_size=10))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_i3_i11_after_any_bytes_the_session_is_in_step_or_over(lines: list[bytes]) -> None:
    """Binary lines get an answer each, none of which has a control character, and accept nothing."""
    with TemporaryDirectory() as directory:
        asyncio.run(_say([line.replace(b"\n", b"\r") for line in lines], Path(directory)))


async def _say(lines: list[bytes], directory: Path) -> None:
    house = await open_house(directory, max_errors=1000)
    async with Client(house.port) as client:
        await client.greet()
        for line in lines:
            (reply,) = await client.say(line)
            assert reply == "" or reply.isprintable()
        (last,) = await client.say("NOOP")
        assert last in {"", "250 2.0.0 OK"}
    assert await house.taken() == []
    await house.listener.close(0.0)
    await house.close_spool()
