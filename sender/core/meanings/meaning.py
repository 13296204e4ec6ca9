"""One line of the table of meanings: a wording, and what it means where it is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sender.core.stage import Stage
from sender.core.wording import Text, Wording, wording

if TYPE_CHECKING:
    from sender.core.outcome import Reason, Scope

ANY = frozenset(Stage)
OPENING = frozenset({Stage.BANNER, Stage.EHLO, Stage.STARTTLS, Stage.AUTH})
SENDER = frozenset({Stage.MAIL})
RECIPIENT = frozenset({Stage.RCPT})
CONTENT = frozenset({Stage.DATA, Stage.END_OF_DATA})
MAILBOX = RECIPIENT | CONTENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a wording means. `scope` None is what the stage speaks of; `codes` are how the code may begin."""

    name: str
    reason: Reason
    scope: Scope | None
    says: Wording
    unless: Wording
    codes: tuple[str, ...]
    stages: frozenset[Stage]

    def holds(self, stage: Stage, code: int, text: Text) -> bool:
        """Tell whether a text with a code at a stage says this."""
        return (
            stage in self.stages
            and str(code).startswith(self.codes)
            and self.says.said_in(text)
            and not self.unless.said_in(text)
        )


def says(
    name: str,
    reason: Reason,
    scope: Scope | None,
    words: str,
    *,
    unless: str = "",
    codes: tuple[str, ...] = ("4", "5"),
    stages: frozenset[Stage] = ANY,
) -> Meaning:
    """Write one line of the table."""
    return Meaning(
        name=name,
        reason=reason,
        scope=scope,
        says=wording(words),
        unless=wording(unless),
        codes=codes,
        stages=stages,
    )
