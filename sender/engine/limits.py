"""What the configuration allows at a site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sender.core.provider import Provider
from sender.smtp.habits import Way

if TYPE_CHECKING:
    from sender.settings import Settings

_NOBODY = Provider(name="", title="", mx=())


@dataclass(frozen=True, slots=True)
class Limits:
    """The ceiling of the window, the sizes that may be learned to be smaller, and ways that are not gone."""

    ceiling: int
    messages_per_session: int
    max_recipients: int
    forbidden: tuple[Way, ...] = ()


def configured(settings: Settings, site: str, provider: Provider | None = None) -> Limits:
    """Read the limits for a site: what the operator set for it or its provider, else what the provider publishes.

    Of a cap that the receiver is known to have, `headroom` is used.
    """
    here = settings.destinations.get(site) or settings.destination(provider.name if provider else "")
    published = provider or _NOBODY
    cap = here.cap or (published.cap if here.max_window is None else None)
    ceiling = here.max_window or settings.window.max
    if cap is not None:
        ceiling = min(ceiling, max(1, int(cap * settings.window.headroom)))
    general = settings.delivery
    return Limits(
        ceiling,
        here.messages_per_session or _smaller(published.messages_per_session, general.messages_per_session),
        here.max_recipients or _smaller(published.max_recipients, general.max_recipients),
        tuple(
            way
            for way, here_on, on in (
                (Way.PIPELINING, here.pipelining, general.pipelining),
                (Way.CHUNKING, here.chunking, general.chunking),
            )
            if not (on if here_on is None else here_on)
        ),
    )


def shared(settings: Settings, site: str, provider: Provider | None) -> str:
    """Name the limit that a site shares with others; empty where it has one of its own."""
    named = settings.destination(site).share
    if named is None and provider is not None:
        of_provider = settings.destination(provider.name).share
        named = provider.share if of_provider is None else of_provider
    return named or ""


def _smaller(published: int | None, general: int) -> int:
    return general if published is None else min(published, general)
