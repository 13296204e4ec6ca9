"""What a client asks for beside addresses and content; all of it may be absent, and mostly is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from sender.core.errors import SenderError
from sender.core.quantity import duration_text

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_LIMIT = 64  # characters of the name of a stream or campaign
PRIORITIES = ("urgent", "normal", "bulk")
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:@+-]{{0,{NAME_LIMIT - 1}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Of one message. Instants are seconds since 1970."""

    returns: str = ""  # RET of RFC 3461: FULL or HDRS; empty: we choose
    envelope_id: str = ""  # ENVID of RFC 3461, as xtext
    require_tls: bool = False  # RFC 8689
    send_at: float | None = None  # not before (RFC 4865)
    warn_at: float | None = None  # the sender hears of it if it is not delivered by then (RFC 2852, mode N)
    campaign: str = ""
    submitter: str = ""  # the user, or the name of the token, that it came from
    metadata: Mapping[str, Any] = field(default_factory=dict)  # the client's own; it comes back in events

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> Options:
        """Read what `stated` gave; what a later version has added is passed over. Raises TypeError."""
        if not isinstance(stated, dict):
            raise TypeError("must be an object")
        found = {name: stated[name] for name in _FIELDS if name in stated}
        for name, value in found.items():
            if not isinstance(value, _KINDS[name]):
                raise TypeError(f"{name} = {value!r}: must be another kind of value")
        return cls(**found)

    def stated(self) -> dict[str, Any]:
        """Give what is asked for, as JSON; nothing where nothing is."""
        return {name: value for name in _FIELDS if (value := getattr(self, name))}

    @property
    def told(self) -> dict[str, Any]:
        """What of it stands in events."""
        found: dict[str, Any] = {"campaign": self.campaign, "metadata": self.metadata}
        return {name: value for name, value in found.items() if value}


_FIELDS = tuple(one.name for one in fields(Options))
_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(_FIELDS, str),
    "require_tls": bool,
    "send_at": (int, float),
    "warn_at": (int, float),
    "metadata": dict,
}
NO_OPTIONS = Options()


class OptionError(SenderError, ValueError):
    """What a client asks for cannot be had. `rule` says what it must be."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def checked_name(value: str) -> str:
    """Give the name of a stream or campaign as it was written. Raises OptionError."""
    if not _NAME.fullmatch(value):
        raise OptionError(f"must be 1 to {NAME_LIMIT} letters, digits or . _ : @ + -, the first a letter or digit")
    return value


def checked_priority(value: str) -> str:
    """Give a priority in lower case. Raises OptionError."""
    if value.lower() not in PRIORITIES:
        raise OptionError(f"must be one of {', '.join(PRIORITIES)}")
    return value.lower()


def checked_times(*, send_at: float | None, expires_at: float | None, now: float, max_hold_s: float) -> None:
    """Check that a message can be sent when it is to be sent. Raises OptionError."""
    if send_at is not None and send_at > now + max_hold_s:
        raise OptionError(f"must be at most {duration_text(max_hold_s)} from now, when it is to be sent")
    if expires_at is not None and expires_at <= max(now, send_at or now):
        raise OptionError("must not be over before it is sent, when it is to expire")
