"""Values that tests of the engine begin with."""

from __future__ import annotations

from sender.spool.contract import ClaimedMessage, ClaimedRecipient

ACCEPTED_AT = 1_790_000_000.0
CONTENT = b"Received: from a by b\r\nSubject: x\r\n\r\nhello\r\n"


def recipients(*mailboxes: str, attempts: int = 0, warned: bool = False) -> list[ClaimedRecipient]:
    """Give claimed recipients with ids from 1, all of queue 7."""
    return [
        ClaimedRecipient(
            id=number, queue_id=7, rcpt_to=mailbox, due_at=ACCEPTED_AT - 60, attempts=attempts, warned=warned
        )
        for number, mailbox in enumerate(mailboxes, start=1)
    ]


def message(
    *claimed: ClaimedRecipient, mail_from: str = "me@example.com", expires_at: float | None = None, blocks: int = 1
) -> ClaimedMessage:
    """Give a message with these recipients."""
    return ClaimedMessage(
        id=4711,
        mail_from=mail_from,
        size=len(CONTENT),
        stream="default",
        priority=1,
        eight_bit=False,
        smtputf8=False,
        accepted_at=ACCEPTED_AT,
        expires_at=expires_at,
        blocks=blocks,
        content=CONTENT,
        recipients=list(claimed),
    )
