"""Evidence: whom a throttle concerns when its text does not say it ("4.7.0 try again later").

Who is refused again and again while others are taken in between is throttled by itself: a mailbox, or a domain or an
identity of whose mailboxes none is taken. When several mailboxes are refused and nobody is taken, it is the lane.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sender.core.rests import Kind, Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

REFUSALS = 3  # of one subject, with others taken in between each time, before it is the culprit
OTHERS = 2  # messages to others that must be taken in between: one may have been in flight
MAILBOXES = 2  # of a domain or an identity that must have been refused, else it may be the mailbox
SPAN_S = 300.0  # a refusal is evidence for so long
_LANE = Subject(Kind.LANE, "")
_KEPT = 1000


@dataclass(slots=True)
class _Suspicion:
    at: float  # of the last refusal
    refusals: int = 0  # before each of which, but the first, others were taken
    others: int = 0  # messages to others that were taken since the last one
    mailboxes: set[str] = field(default_factory=set)


class Evidence:
    """What speaks for and against the subjects at one lane. `refused` and `taken` change it, nothing else."""

    def __init__(self) -> None:
        self._suspicions: dict[Subject, _Suspicion] = {}

    def __bool__(self) -> bool:
        return bool(self._suspicions)

    def taken(self, subjects: Sequence[Subject]) -> None:
        """A message was taken: that clears whom it concerned, and the lane, and speaks against the others."""
        self._suspicions.pop(_LANE, None)
        for subject in subjects:
            self._suspicions.pop(subject, None)
        for suspicion in self._suspicions.values():
            suspicion.others += 1

    def refused(self, subjects: Sequence[Subject], now: float) -> Subject | None:
        """A message was refused, and nobody said for whose sake. Give the culprit once it is known.

        `subjects` are the mailbox, the domain and the identity that the message concerned.
        """
        mailbox = subjects[0].name
        suspicions = [self._note(subject, mailbox, now) for subject in subjects]
        lane = self._note(_LANE, mailbox, now)
        # The mailbox last: where none of a domain's mailboxes is taken, it is the domain.
        for subject, suspicion in reversed(list(zip(subjects, suspicions, strict=True))):
            enough = 1 if subject.kind is Kind.MAILBOX else MAILBOXES
            if suspicion.refusals >= REFUSALS and len(suspicion.mailboxes) >= enough:
                del self._suspicions[subject]
                return subject
        return _LANE if len(lane.mailboxes) >= REFUSALS else None

    def _note(self, subject: Subject, mailbox: str, now: float) -> _Suspicion:
        suspicion = self._suspicions.pop(subject, None)
        if suspicion is None or now - suspicion.at > SPAN_S:
            suspicion = _Suspicion(now)
        if suspicion.refusals == 0 or suspicion.others >= OTHERS:
            suspicion.refusals += 1
            suspicion.others = 0
        suspicion.at = now
        suspicion.mailboxes.add(mailbox)
        self._suspicions[subject] = suspicion
        if len(self._suspicions) > _KEPT:
            del self._suspicions[next(iter(self._suspicions))]
        return suspicion
