"""Rests: a mailbox, a domain, an identity, a message or a whole lane that is not tried for a while.

What a receiver throttles by itself rests as long as the reply says, else 10 minutes, then twice as long each time that
it is refused again, up to a day. The first message that is taken ends a rest; who is refused again soon after it rests
for the same time, and who has been taken for so long begins anew. Neighbours go on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sender.core.wait import honoured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from random import Random

FIRST_S, MOST_S = 600.0, 86400.0
SPREAD = 0.1  # rests that began together do not end together
FORGOTTEN_S = 86400.0  # a rest that ended so long ago says nothing about the next one
KEPT, REMEMBERED = 10_000, 200  # at once in memory, over a restart


class Kind(StrEnum):
    """What can rest, the narrowest first."""

    MESSAGE = "message"
    MAILBOX = "mailbox"
    DOMAIN = "domain"
    IDENTITY = "identity"  # the domain of mail_from
    LANE = "lane"


@dataclass(frozen=True, slots=True)
class Subject:
    """One that can rest."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Rest:
    """A rest that has begun, and why."""

    until: float
    length_s: float  # what the next one is measured by
    reply: str
    times: int = 1  # one after the other
    eased: bool = False  # a message was taken since

    def over(self, now: float) -> bool:
        """Tell whether it says nothing about the next one."""
        return now - self.until > (self.length_s if self.eased else FORGOTTEN_S)


class Rests:
    """The rests of one lane; instants are seconds since 1970. `begin` and `taken` change them, nothing else."""

    def __init__(self, *, first_s: float = FIRST_S, most_s: float = MOST_S) -> None:
        self.first_s, self.most_s = first_s, most_s
        self._rests: dict[Subject, Rest] = {}

    def __bool__(self) -> bool:
        return bool(self._rests)

    def begin(
        self,
        subject: Subject,
        now: float,
        rng: Random,
        *,
        retry_after_s: float | None = None,
        reply: str = "",
        first_s: float | None = None,
    ) -> float:
        """Let a subject that was refused rest, and give the end. `first_s` is for one that is only suspected."""
        before = self._rests.get(subject)
        if before is not None and now < before.until:
            return before.until  # the same refusal, heard on another session
        if before is not None and before.over(now):
            before = None
        if before is None:
            length_s = first_s or self.first_s
        else:
            length_s = min(self.most_s, before.length_s * (1 if before.eased else 2))
        wait_s = length_s if retry_after_s is None else honoured(retry_after_s)
        until = now + wait_s * rng.uniform(1.0, 1.0 + SPREAD)
        self._rests.pop(subject, None)  # the latest stand last
        self._rests[subject] = Rest(until, length_s, reply, before.times + 1 if before else 1)
        if len(self._rests) > KEPT:
            del self._rests[next(iter(self._rests))]
        return until

    def taken(self, subjects: Iterable[Subject], now: float) -> None:
        """A message was taken: those whom it concerned rest no more."""
        for subject in subjects:
            rest = self._rests.get(subject)
            if rest is not None and rest.over(now):
                del self._rests[subject]
            elif rest is not None and not rest.eased:
                self._rests[subject] = replace(rest, until=min(rest.until, now), eased=True)

    def again(self, subjects: Iterable[Subject], now: float) -> Subject | None:
        """Give the one of those refused who has rested not long ago, the narrowest; None where nobody has."""
        for subject in subjects:
            rest = self._rests.get(subject)
            if rest is not None and not rest.over(now):
                return subject
        return None

    def until(self, subjects: Iterable[Subject], now: float) -> float | None:
        """Give the instant from which none of these rests any more; None where none does."""
        ends = [rest.until for subject in subjects if (rest := self._rests.get(subject)) is not None]
        return max((end for end in ends if end > now), default=None)

    def now(self, now: float) -> dict[Subject, Rest]:
        """Give the rests that are not over."""
        return {subject: rest for subject, rest in self._rests.items() if rest.until > now}

    def remember(self, now: float) -> list[dict[str, Any]]:
        """Give what is worth keeping, as JSON: the latest ones that are not over. A message has its own due time."""
        kept = [(subject, rest) for subject, rest in self.now(now).items() if subject.kind is not Kind.MESSAGE]
        return [
            {
                "kind": str(subject.kind),
                "name": subject.name,
                "until": rest.until,
                "length_s": rest.length_s,
                "reply": rest.reply,
                "times": rest.times,
            }
            for subject, rest in kept[-REMEMBERED:]
        ]

    def restore(self, remembered: Iterable[Mapping[str, Any]]) -> None:
        """Take in what was kept."""
        for row in remembered:
            self._rests[Subject(Kind(row["kind"]), row["name"])] = Rest(
                row["until"], row["length_s"], row["reply"], row["times"]
            )
