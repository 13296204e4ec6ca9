"""What arrived is on file before the peer hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sender.sandbox import Behaviour, Ledger, Receiver

from .client import Client, codes

if TYPE_CHECKING:
    from pathlib import Path


async def test_each_delivered_recipient_has_a_line(tmp_path: Path) -> None:
    """A ledger has a line for each recipient, with X-Ledger before Message-ID, and is appended to."""
    path = tmp_path / "ledger"
    path.write_text("before\n")
    with Ledger(path) as ledger:
        async with Receiver(Behaviour(unknown_prefixes=("no",)), store=ledger) as receiver, Client(receiver) as client:
            await client.greet()
            await client.deliver(b"Message-ID: <1@a.test>\r\nx-ledger:  seven\r\n\r\nX-Ledger: body\r\n")
            await client.deliver(b"Subject: x\r\nmessage-id: <2@a.test>\r\n\r\n")
            await client.deliver(b"Subject: x\r\n\r\nMessage-ID: <body@a.test>\r\n")
            await client.deliver(rcpt_to="nobody@b.test")
            await client.say("RSET", "MAIL FROM:<>", "RCPT TO:<x@b.test>", "RCPT TO:<y@b.test>")
            client.send(b"BDAT 15\r\nX-Ledger: a\tb\r\nBDAT 0 LAST\r\n")
            assert codes([await client.reply(), await client.reply()]) == ["250", "250"]
            assert path.read_text().splitlines() == [
                "before",
                "me@a.test\tyou@b.test\tseven",
                "me@a.test\tyou@b.test\t<2@a.test>",
                "me@a.test\tyou@b.test\t",
                "\tx@b.test\ta b",
                "\ty@b.test\ta b",
            ]


async def test_a_message_that_cannot_be_recorded_is_not_taken() -> None:
    """A store that fails makes the receiver answer 451, and nothing has arrived."""

    class Full:
        """A store without room."""

        def record(self, arrival_header: bytes) -> None:
            """Fail."""
            raise OSError

    async with Receiver(Behaviour(), store=Full(), keep_arrivals=True) as receiver, Client(receiver) as client:
        await client.greet()
        assert codes(await client.deliver()) == ["250", "250", "354", "451"]
    assert (receiver.tally.messages, receiver.arrivals) == (0, [])
