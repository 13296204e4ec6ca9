"""Which names have series of their own: those that are configured, and the busiest of all others.

- There is a bounded number of places. While places are free, who comes first gets one.
- A name keeps its place until another is clearly busier, and one that has won its place keeps it for a while: series
  do not come and go.
- What was counted under a name stays when it loses its place, and goes on when it gets one back. Only of very many
  names that have lost theirs, those that lost it first are forgotten.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Iterable

OTHER = "other"
RANK_EVERY_S = 60.0
KEPT = 10  # names that have lost their place, for each place
_FADES = 0.8  # of a score, from one ranking to the next
_CLEARLY, _SOME = 2.0, 10.0  # times, and more
_TENURE_S = 600.0
_NOTHING = 0.5  # a score that is none


class Name:
    """One of them. `label` is what its series carry now: itself, or OTHER."""

    __slots__ = ("__weakref__", "_names", "activity", "label", "score", "tenure_until", "text")

    def __init__(self, names: Names, text: str) -> None:
        self.text = text
        self.label = OTHER
        self.activity = 0  # since the last ranking
        self.score = 0.0
        self.tenure_until = 0.0
        self._names = names

    def note(self) -> None:
        """Count something that happened under this name."""
        if not self.activity:
            self._names.active.append(self)
        self.activity += 1


class Names:
    """All of them. `fixed` have their label in any case; of the others at most `places`."""

    def __init__(self, places: int, fixed: Iterable[str] = ()) -> None:
        self.active: list[Name] = []  # since the last ranking
        self._places = places
        self._fixed = {OTHER, *fixed}
        self._names: WeakValueDictionary[str, Name] = WeakValueDictionary()
        self._labelled: dict[str, Name] = {}
        self._left: dict[str, None] = {}  # who has lost its place, the first first
        self._candidates: set[Name] = set()  # the busiest without a place, with the score that they have so far

    def fix(self, texts: Iterable[str]) -> None:
        """Let these have their label from now on."""
        for text in texts:
            if text not in self._fixed:
                self._fixed.add(text)
                self._labelled.pop(text, None)
                self._left.pop(text, None)
                if (name := self._names.get(text)) is not None:
                    name.label = name.text

    def find(self, text: str) -> Name:
        """Give a name. Whoever counts under it keeps it; who is not kept is forgotten."""
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = Name(self, text)
            if text in self._fixed:
                name.label = name.text
            elif len(self._labelled) < self._places:
                self._give_place(name)
        return name

    def label(self, text: str) -> str:
        """Give the label of a name that may not be kept."""
        name = self._names.get(text)
        return name.label if name is not None else text if text in self._fixed else OTHER

    def rank(self, now: float) -> list[str]:
        """Let the busiest have the places; give the names whose series are to be forgotten. `now` never steps back."""
        active, self.active = self.active, []
        ranked = {*active, *self._candidates, *self._labelled.values()}
        for name in ranked:
            name.score = name.score * _FADES + name.activity
            name.activity = 0
        waiting = (name for name in ranked if name.label == OTHER and name.text not in self._fixed)
        busiest = heapq.nlargest(self._places * KEPT, waiting, key=lambda name: name.score)
        for name in busiest:
            if len(self._labelled) < self._places:
                self._give_place(name)
            elif not self._replace(name, now):
                break
        self._candidates = {name for name in busiest if name.label == OTHER and name.score >= _NOTHING}
        return self._forget()

    def _replace(self, name: Name, now: float) -> bool:
        """Give a name the place of the least busy one, if it is clearly busier; tell whether it is."""
        least = min(self._labelled.values(), key=lambda labelled: (labelled.tenure_until > now, labelled.score))
        if least.tenure_until > now or name.score < least.score * _CLEARLY + _SOME:
            return False
        del self._labelled[least.text]
        least.label = OTHER
        self._left[least.text] = None
        self._give_place(name)
        name.tenure_until = now + _TENURE_S
        return True

    def _give_place(self, name: Name) -> None:
        name.label = name.text
        self._labelled[name.text] = name
        self._left.pop(name.text, None)

    def _forget(self) -> list[str]:
        forgotten: list[str] = []
        while len(self._left) > self._places * KEPT:
            text = next(iter(self._left))
            del self._left[text]
            forgotten.append(text)
        return forgotten
