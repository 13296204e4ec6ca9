"""A message as a session sends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sender.core.options import NO_OPTIONS, Options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence


@dataclass(slots=True, eq=False, kw_only=True)
class Outgoing:
    """One message for one transaction. Content beyond `first` comes from `more`."""

    mail_from: str
    rcpt_tos: Sequence[str]
    size: int
    eight_bit: bool
    smtputf8: bool
    first: bytes
    dotted: bool = True  # a line of the content may begin with a dot
    more: Callable[[], AsyncIterator[bytes]] | None = None
    options: Options = NO_OPTIONS
    dsn: Sequence[str] = ()  # NOTIFY and ORCPT, one for each recipient; empty: none has any
