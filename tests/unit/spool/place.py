"""Where a spool is kept, and the mail that tests put into it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Protocol

from sender.core.errors import SpoolError
from sender.core.identity import MessageIds
from sender.spool.contract import ClaimedMessage, NewMessage, Priority, Settlement, Spool, State
from sender.spool.sqlite import Role, SqliteSpool, open_spool

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NOW = 1_790_000_000.0
SITE = "mx.b.test"
_processes = itertools.count(1)


class Place(Protocol):
    """A place that can be opened again and again, as processes do."""

    async def open(self, role: Role = Role.DELIVERY, *, now: float = NOW) -> Spool:
        """Open it as one more process."""

    async def crash(self, spool: Spool) -> None:
        """Let a process end that has recorded nothing about its end."""

    async def close(self) -> None:
        """Close what is open."""


class SqlitePlace:
    """A file in a directory."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "spool" / "spool.db"
        self._open: list[SqliteSpool] = []

    async def open(self, role: Role = Role.DELIVERY, *, now: float = NOW) -> SqliteSpool:
        """Open it as one more process."""
        spool = await open_spool(self.path, role, now=now, commit_interval_s=0.0)
        self._open.append(spool)
        return spool

    async def crash(self, spool: Spool) -> None:
        """Let a process end that has recorded nothing about its end."""
        assert isinstance(spool, SqliteSpool)
        self._open.remove(spool)
        await spool.close(clean=False)

    async def close(self) -> None:
        """Close what is open."""
        for spool in self._open:
            try:
                await spool.close(clean=True)
            except SpoolError as error:
                assert "is closed" in str(error)  # noqa: PT017 - a test has closed it before
        self._open.clear()


PLACES = {"sqlite": SqlitePlace}


def mail(
    *rcpt_tos: str,
    at: float = NOW,
    due_at: float | None = None,
    content: bytes = b"Subject: x\r\n\r\nhello\r\n",
    blocks: int = 1,
    mail_from: str = "me@a.test",
    stream: str = "default",
    priority: Priority = Priority.NORMAL,
) -> NewMessage:
    """Make a message that nobody else has made."""
    recipients = rcpt_tos or ("you@b.test",)
    return NewMessage(
        id=MessageIds(next(_processes)).next(at),
        mail_from=mail_from,
        rcpt_tos=recipients,
        domains=tuple(rcpt_to.rpartition("@")[2] for rcpt_to in recipients),
        content=content,
        size=len(content),
        accepted_at=at,
        due_ats=tuple(at if due_at is None else due_at for _ in recipients),
        stream=stream,
        priority=priority,
        blocks=blocks,
    )


async def claim(
    spool: Spool, *domains: str, now: float = NOW, limit: int = 100, site: str = SITE, byte_limit: int = 10**9
) -> list[ClaimedMessage]:
    """Claim from the queues of these domains, or from all."""
    queues = [row.id for row in await spool.queues() if not domains or row.domain in domains]
    return (await spool.claim(queues, site=site, now=now, limit=limit, byte_limit=byte_limit)).messages


def addresses(messages: Iterable[ClaimedMessage]) -> list[str]:
    """Give the recipients of claims, in order."""
    return [recipient.rcpt_to for message in messages for recipient in message.recipients]


def settlements(
    messages: Iterable[ClaimedMessage], state: State = State.DELIVERED, *, due_at: float = NOW, record: bytes = b"{}"
) -> list[Settlement]:
    """Say that this became of every recipient of claims."""
    return [
        Settlement(recipient.id, message.id, state, due_at, recipient.attempts + 1, record)
        for message in messages
        for recipient in message.recipients
    ]


async def end(spool: Spool, messages: Iterable[ClaimedMessage], state: State = State.DELIVERED) -> None:
    """Settle claims in one state that ends them."""
    await spool.settle(settlements(messages, state), [], {}, NOW)


async def states(spool: Spool, message_id: int) -> list[State]:
    """Give the states of a message's recipients."""
    report = await spool.message_report(message_id)
    assert report is not None
    return [recipient["state"] for recipient in report["recipients"]]
