"""What a follower is shown of a dialogue, and that nothing is put into words for nobody."""

from __future__ import annotations

import pytest

from sender.sandbox import Behaviour, Receiver
from sender.smtp.ear import raw, shown
from sender.smtp.opening import Target, open_session
from sender.smtp.outgoing import Outgoing
from sender.smtp.session import Session
from tests.dialogs.session.sending import limits


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (b"MAIL FROM:<a@b.test> SIZE=3", "MAIL FROM:<a@b.test> SIZE=3"),
        ("RCPT TO:<ä@b.test>".encode(), "RCPT TO:<ä@b.test>"),
        (b"bdat 5 LAST", "bdat 5 LAST"),
        (b".", "."),
        (b"RCPT TO:<\x1b[2J@b.test>", "RCPT TO:<\\x1b[2J@b.test>"),
        (b"AUTH PLAIN AGFubgBzZXNhbWU=", "AUTH PLAIN [hidden]"),
        (b"AUTH LOGIN", "AUTH LOGIN [hidden]"),
        (b"AGFubgBzZXNhbWU=", "[16 bytes, hidden]"),
        (b"DATAbase", "[8 bytes, hidden]"),
        (b".password", "[9 bytes, hidden]"),
        (b"", "[0 bytes, hidden]"),
    ],
)
def test_commands_are_shown_and_nothing_else(command: bytes, text: str) -> None:
    """What is no command known to us may be a secret: of it the length is shown."""
    assert shown(command) == text


def test_what_is_no_reply_is_shown_in_part() -> None:
    """However much a peer sends, one line says what it begins with."""
    assert raw(b"\x00\r\n\xff") == "\\x00\\r\\n\\xff"
    assert raw(b"x" * 100_000) == "x" * 500 + " [99,500 bytes more]"


class _Deaf:
    """An ear of which nobody must make use."""

    followed = False

    def session(self) -> int:
        return 1

    def hear(self, session: int, host: str, address: str, direction: str, text: str) -> None:
        raise AssertionError(text)


@pytest.mark.parametrize("chunking", [True, False], ids=["chunking", "pipelining"])
async def test_an_ear_that_nobody_follows_hears_nothing(chunking: bool) -> None:  # noqa: FBT001 - a way to send
    """A session is carried from its banner to its QUIT without a word to it."""
    message = Outgoing(
        mail_from="a@b.test", rcpt_tos=["c@d.test"], size=4, eight_bit=False, smtputf8=False, first=b"hi\r\n"
    )
    async with Receiver(Behaviour(chunking=chunking)) as receiver:
        target = Target(
            host="mx", address=receiver.host, port=receiver.port, source_address="", helo="a.test", tls="none"
        )
        session = await open_session(target, limits(), None, _Deaf())
        assert isinstance(session, Session)
        (answer,) = await session.transact(message)
        assert answer.delivered
        await session.quit()
