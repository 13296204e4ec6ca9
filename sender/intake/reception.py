"""The content of one message as it comes in, by DATA or by BDAT, until it is the spool's or has been refused.

A client hears of a refusal when it has sent everything that it was going to send: before that it does not listen.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from typing import TYPE_CHECKING

from sender.core.errors import SpoolError
from sender.core.identity import id_text
from sender.intake.content import RefusedContentError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sender.intake.acceptance import Acceptance, Envelope, Origin
    from sender.intake.patience import Upload

log = logging.getLogger(__name__)


def fault(error: Exception) -> str:
    """Give the reply for a fault of ours: the client keeps its message, the log gets the cause."""
    reference = secrets.token_hex(4)
    log.error("submission failed, reference %s", reference, exc_info=error)
    return f"451 4.3.0 Temporary failure here, reference {reference}"


class Reception:
    """Ended by `end` or `drop`."""

    def __init__(self, acceptance: Acceptance, envelope: Envelope, origin: Origin, upload: Upload) -> None:
        self.upload = upload
        self.refusal = ""  # the reply; empty: nothing is wrong so far
        self.accepted = False
        self._acceptance = acceptance
        self._listener = origin.listener
        self._draft = acceptance.draft(envelope, origin)

    async def take(self, piece: bytes, *, dotted: bool = True) -> None:
        """Take a piece; what comes after a refusal is thrown away. `dotted` as for `Draft.feed`."""
        if not self.refusal:
            await self._try(self._draft.feed(piece, dotted=dotted))

    async def end(self) -> str:
        """Commit it; give the reply."""
        if not self.refusal:
            await self._try(self._draft.commit())
            if not self.refusal:
                self.accepted = True
                return f"250 2.0.0 Queued as {id_text(self._draft.id)}"
        await self.drop()
        return self.refusal

    async def drop(self) -> None:
        """Forget it, unless it is the spool's already."""
        with contextlib.suppress(SpoolError):
            await self._draft.drop()

    async def _try(self, step: Awaitable[None]) -> None:
        try:
            await step
        except RefusedContentError as error:
            self._refuse(error.reply, error.reason)
        except SpoolError as error:
            # Whatever the cause is, the client keeps its message.
            log.error("%s", error)  # noqa: TRY400 - the cause is the message
            self._refuse("452 4.3.1 Cannot store the message now, try again later", "spool")
        except Exception as error:  # noqa: BLE001 - the rest of the content must not be taken for commands
            self._refuse(fault(error), "fault")

    def _refuse(self, reply: str, reason: str) -> None:
        self.refusal = reply
        self._acceptance.refused(self._listener, reason)
