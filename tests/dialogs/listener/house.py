"""A listener with a spool of its own, and what it has taken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sender.clock import Clock
from sender.core.identity import id_number
from sender.intake.acceptance import Acceptance
from sender.intake.listener import Listener
from sender.intake.users import Users, UserTable, hash_password
from sender.observe.events import Events
from sender.observe.metrics import Metrics
from sender.settings import Settings, from_tables
from sender.spool.contract import ClaimedMessage
from sender.spool.sqlite import Role, SqliteSpool, open_spool
from tests.dialogs.client import CERTIFICATE
from tests.dialogs.peer import until

NAME, PASSWORD = "ann", "sesame"
_HASH = hash_password(PASSWORD)


@dataclass
class House:
    """What a test may look at and break."""

    settings: Settings
    spool: SqliteSpool
    acceptance: Acceptance
    listener: Listener
    spool_open: bool = True

    async def close_spool(self) -> None:
        """Close the spool, once."""
        if self.spool_open:
            self.spool_open = False
            await self.spool.close(clean=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.listener.ports[0]

    async def taken(self) -> list[ClaimedMessage]:
        """Claim everything that the spool has, in the order of its acceptance."""
        return [
            message
            for row in sorted(await self.spool.queues(), key=lambda row: row.id)
            for message in (
                await self.spool.claim([row.id], site="", now=2e10, limit=10_000, byte_limit=2**40)
            ).messages
        ]

    async def contents(self) -> list[bytes]:
        """Give the content of everything that was taken, without our own line."""
        return [await self.content(message) for message in await self.taken()]

    async def content(self, message: ClaimedMessage) -> bytes:
        """Give the whole content of one message without our own line."""
        blocks = [await self.spool.block(message.id, number) for number in range(message.blocks)]
        whole = b"".join(blocks)
        assert len(whole) == message.size
        assert whole.startswith(b"Received: from ")
        end = whole.index(b"\r\n", whole.index(b";"))  # the date is the last of our line, folded
        return whole[whole.index(b"\r\n", end + 2) + 2 :]

    async def until_left(self) -> None:
        """Wait until no connection is left, and what they left behind is cleared away."""
        admission = self.listener._admission
        await until(lambda: not (admission._connections or admission._tasks))

    async def has(self, reply: str) -> bool:
        """Tell whether the message that a 250 names is in the spool."""
        return await self.spool.message_report(id_number(reply.rpartition(" ")[2])) is not None


async def open_house(
    directory: Path,
    *,
    users: bool = False,
    senders: tuple[str, ...] = (),
    rate: str | None = None,
    tls: bool = False,
    **smtp: Any,  # noqa: ANN401 - any key
) -> House:
    """Make a listener on a free port of loopback; `smtp` has keys of `[smtp]` as they stand in a file.

    `senders` and `rate` are those of the user that there is.
    """
    table = {"listen": ["127.0.0.1:0"]} | smtp
    if tls:
        table |= {"tls_cert": str(CERTIFICATE), "tls_key": str(CERTIFICATE)}
    settings = from_tables({"hostname": "mail.sender.test", "smtp": table}, directory / "sender.toml")
    clock = Clock()
    spool = await open_spool(settings.spool_path, Role.DELIVERY, now=clock.wall(), commit_interval_s=0.0)
    acceptance = Acceptance(settings, spool, clock, Metrics(), Events())
    user = UserTable.model_validate({"password": _HASH, "senders": senders, "rate": rate})
    known = Users({NAME: user}) if users else None
    listener = Listener(acceptance, settings.smtp, users=known)
    await listener.start()
    return House(settings, spool, acceptance, listener)
