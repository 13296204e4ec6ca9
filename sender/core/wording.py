"""Wordings: a small language for what servers say, and the texts that it is searched in.

A wording is a line of phrases, parted by commas; any one of them is enough. In a phrase:

- words stand next to each other, together or apart: `mail box` is "mailbox", "mail box", "mail-box";
- `a/b` is one or the other, `word*` has any ending;
- `{noun}` is a noun of `lexicon.py`, in all its languages;
- `a .. b` is b soon after a, in the same sentence; `a <> b` in either order.

`plain.py` says what the text looks like by then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from sender.core.lexicon import LEXICON

if TYPE_CHECKING:
    from collections.abc import Iterable

SOON = 55  # characters between two parts of a phrase
_SCRIPT_WITHOUT_SPACES = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]")
_NOUN = re.compile(r"\{(\w+)\}")


@cache
def _literal(phrase: str) -> str:
    """Write words next to each other as an expression."""
    if not phrase:
        return ""
    if _SCRIPT_WITHOUT_SPACES.search(phrase):
        return phrase.replace(" ", " ?")
    words = []
    for word in phrase.split():
        alternatives = (re.escape(part).replace(r"\*", r"\w*") for part in word.split("/"))
        joined = "|".join(alternatives)
        words.append(f"(?:{joined})" if "/" in word else joined)
    body = " ?".join(words)
    before = "" if phrase.startswith(("*", "@", "~")) else r"\b"
    after = "" if phrase.endswith(("*", "@", "~")) else r"\b"
    return f"{before}{body}{after}"


@cache
def _noun(name: str) -> str:
    return _any(LEXICON[name])


def _any(phrases: str) -> str:
    return "(?:" + "|".join(_part(phrase.strip()) for phrase in phrases.split(",") if phrase.strip()) + ")"


@cache
def _part(phrase: str) -> str:
    """Write one part of a phrase, which may name nouns, as an expression."""
    pieces = _NOUN.split(phrase)
    written = [
        _noun(piece) if index % 2 else _literal(piece.strip()) for index, piece in enumerate(pieces) if piece.strip()
    ]
    return " ?".join(written)


@cache
def _compiled(part: str) -> re.Pattern[str]:
    return re.compile(_part(part))


@dataclass(slots=True)
class Text:
    """A plain text, and where in it each part that was asked for stands."""

    words: str
    _found: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def places(self, part: str) -> tuple[tuple[int, int], ...]:
        """Give start and end of each place of a part."""
        found = self._found.get(part)
        if found is None:
            found = tuple(match.span() for match in _compiled(part).finditer(self.words))
            self._found[part] = found
        return found

    def follows(self, before: Iterable[tuple[int, int]], part: str) -> tuple[tuple[int, int], ...]:
        """Give the places of a part soon after one of `before`, in the same sentence."""
        places = self.places(part)
        if not places:
            return ()
        return tuple(
            place
            for place in places
            if any(0 <= place[0] - end <= SOON and " . " not in self.words[end : place[0]] for _, end in before)
        )


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Parts in their order; `either` where the order of the two does not matter."""

    parts: tuple[str, ...]
    either: bool = False

    def said_in(self, text: Text) -> bool:
        if self._in_order(text, self.parts):
            return True
        return self.either and self._in_order(text, self.parts[::-1])

    @staticmethod
    def _in_order(text: Text, parts: tuple[str, ...]) -> bool:
        places = text.places(parts[0])
        for part in parts[1:]:
            if not places:
                return False
            places = text.follows(places, part)
        return bool(places)


@dataclass(frozen=True, slots=True)
class Wording:
    """Phrases of which any one is enough."""

    source: str
    phrases: tuple[_Phrase, ...]

    def said_in(self, text: Text) -> bool:
        """Tell whether a text says it."""
        return any(phrase.said_in(text) for phrase in self.phrases)


@cache
def wording(source: str) -> Wording:
    """Read a wording. Raises KeyError for a noun that is not in the lexicon."""
    lines = (" ".join(line.split()) for line in source.split(","))
    phrases = tuple(
        _Phrase(tuple(line.split(" <> ")), either=True) if " <> " in line else _Phrase(tuple(line.split(" .. ")))
        for line in lines
        if line
    )
    for noun in _NOUN.findall(source):
        LEXICON[noun]
    return Wording(source, phrases)
