"""What the configuration allows at a site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sender.settings import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """The ceiling of the window, and the sizes that may be learned to be smaller."""

    ceiling: int
    messages_per_session: int
    max_recipients: int


def configured(settings: Settings, site: str) -> Limits:
    """Read the limits for a site. Of a cap that the receiver is known to have, `headroom` is used."""
    here = settings.destination(site)
    ceiling = here.max_window or settings.window.max
    if here.cap is not None:
        ceiling = min(ceiling, max(1, int(here.cap * settings.window.headroom)))
    return Limits(
        ceiling,
        here.messages_per_session or settings.delivery.messages_per_session,
        here.max_recipients or settings.delivery.max_recipients,
    )
