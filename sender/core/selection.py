"""What an operator's command is about: one domain, site, source, stream or message, or everything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_ALL_MAIL = "all mail"


class Kind(StrEnum):
    """By what a selection selects."""

    DOMAIN = "domain"
    SITE = "site"
    SOURCE = "source"
    STREAM = "stream"
    MESSAGE = "message"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Selection:
    """A kind and its value; `all` has the empty value."""

    kind: Kind
    value: str = ""

    def covers(self, *, domain: str, site: str | None, source: str | None, stream: str) -> bool:
        """Tell whether mail of this domain and stream, going this way, is selected (messages are looked up by id)."""
        match self.kind:
            case Kind.ALL:
                return True
            case Kind.DOMAIN:
                return self.value == domain
            case Kind.STREAM:
                return self.value == stream
            case Kind.SITE:
                return self.value == site
            case Kind.SOURCE:
                return self.value == source
            case Kind.MESSAGE:
                return False

    @property
    def told(self) -> dict[str, str | bool]:
        """What stands of it in events."""
        if self.kind is Kind.ALL:
            return {"all": True}
        return {"message_id" if self.kind is Kind.MESSAGE else str(self.kind): self.value}

    def __str__(self) -> str:
        return _ALL_MAIL if self.kind is Kind.ALL else f"{self.kind} {self.value}"

    @classmethod
    def named(cls, text: str) -> Selection:
        """Read what `str` wrote. Raises ValueError."""
        if text == _ALL_MAIL:
            return cls(Kind.ALL)
        kind, _, value = text.partition(" ")
        return cls(Kind(kind), value)


class Fault(StrEnum):
    """Why a message is held that no operator has suspended: it would spoil what it is tried with."""

    DAMAGED = "damaged"  # it is not what was accepted
    POISON = "poison"  # our own code fails under it, again and again

    def reason(self, why: str) -> str:
        """Write the reason of its suspension."""
        return f"{self}: {why}"

    @classmethod
    def of(cls, reason: str) -> Fault | None:
        """Read it out of the reason of a suspension; None: an operator gave that."""
        word, colon, _ = reason.partition(": ")
        return cls(word) if colon and word in set(cls) else None
