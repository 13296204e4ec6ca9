"""Plain texts, and the small language in which the table says what servers say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sender.core.lexicon import LEXICON
from sender.core.meanings import MEANINGS
from sender.core.plain import LIMIT, plain
from sender.core.wording import Text, wording


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Too many CONNECTIONS!", "too many connections"),
        ("Boîte aux lettres saturée", "boite aux lettres saturee"),
        ("Zbyt wiele połączeń", "zbyt wiele polaczen"),
        ("Слишком много соединений", "слишком много соединений"),
        ("see https://spam.example.org/virus?x=1 now", "see now"),
        ("<bob@example.org> unknown", "@ unknown"),
        ("blocked [192.0.2.7]", "blocked ip"),
        ("blocked [2001:db8::7]", "blocked ip"),
        ("by mx1.spam.example.org here", "by ~ here"),
        ("doesn't exist, can't do", "does not exist can not do"),
        ("an e-mail to the mail-box", "an email to the mailbox"),
        ("RESOLVER.ADR.RecipNotFound", "resolver adr recip not found"),
        ("id 0000000A5B1C2D3E done", "id done"),
        ("in 00:05:00 again", "in 00 05 00 again"),
    ],
)
def test_a_text_becomes_its_words(text: str, words: str) -> None:
    """Case, accents, punctuation, links, hosts, addresses and ids are gone; what is left are words."""
    assert plain(text).removesuffix(" .").rstrip("!") == words


@given(st.text(max_size=4000))
def test_any_text_becomes_words_of_bounded_length(text: str) -> None:
    """Whatever a server sends, what is searched is short and in one line."""
    words = plain(text)
    assert len(words) <= LIMIT
    assert "\n" not in words


def _said(source: str, text: str) -> bool:
    return wording(source).said_in(Text(plain(text)))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("black list", "Blacklisted? blacklist"),
        ("black list", "black-list"),
        ("full/empty", "it is empty"),
        ("greylist*", "greylisting"),
        ("a .. b", "a long way to b"),
        ("b <> a", "a and b"),
        ("{mailbox} .. {absent}", "Benutzer unbekannt"),
        ("{mailbox} .. {absent}", "收件人不存在"),
        ("no, yes", "yes"),
    ],
)
def test_a_wording_is_found(source: str, text: str) -> None:
    """Words together or apart, alternatives, endings, order and nouns in all languages."""
    assert _said(source, text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("ban", "banana"),
        ("a .. b", "b before a"),
        ("a .. b", "this is a. And b"),
        ("a .. b", f"a {'x ' * 60}b"),
        ("full", "fully"),
    ],
)
def test_a_wording_is_not_found_elsewhere(source: str, text: str) -> None:
    """Parts of words, another order, another sentence and great distance do not count."""
    assert not _said(source, text)


def test_a_noun_that_nobody_defined_is_an_error() -> None:
    """A misspelled noun in the table is found when it is read, and not when a reply comes."""
    with pytest.raises(KeyError):
        wording("{nobody}")


def test_every_meaning_has_its_name() -> None:
    """The name of a line of the table is what `sender classify` shows: no two have the same."""
    names = [meaning.name for meaning in MEANINGS]
    assert len(names) == len(set(names))


def test_every_noun_is_used() -> None:
    """The lexicon has no noun that no line of the table speaks of."""
    sources = " ".join(f"{meaning.says.source} {meaning.unless.source}" for meaning in MEANINGS)
    assert [name for name in LEXICON if f"{{{name}}}" not in sources] == []
