"""Tokens, and the file of them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from sender.core.errors import ConfigError
from sender.intake.tokens import Scope, Tokens, digest, new_token

_FIRST, _SECOND = new_token(), new_token()
_NEW_YEAR = dt.datetime(2027, 1, 1, tzinfo=dt.UTC).timestamp()


def _loaded(tmp_path: Path, text: str) -> Tokens:
    path = tmp_path / "tokens.toml"
    path.write_text(text, encoding="utf-8")
    return Tokens.load(path)


def test_a_token_is_new_each_time_and_its_digest_does_not_show_it() -> None:
    """Two tokens differ; what stands in the file tells nothing of them."""
    assert _FIRST != _SECOND
    assert _FIRST.startswith("sender_")
    assert len(_FIRST) >= 7 + 43
    assert digest(_FIRST).startswith("sha256$")
    assert _FIRST not in digest(_FIRST)


def test_a_token_is_known_by_what_it_is(tmp_path: Path) -> None:
    """The one who shows a token has its name, its scopes, its senders; nobody else has."""
    tokens = _loaded(
        tmp_path,
        f'[shop]\ntoken = "{digest(_FIRST)}"\nscopes = ["send"]\nsenders = ["@example.com"]\nrate = "10/s"\n'
        f'[ops]\ntoken = "{digest(_SECOND)}"\nscopes = ["operate"]\n',
    )
    shop, ops = tokens.find(_FIRST, 0), tokens.find(_SECOND, 0)
    assert shop is not None
    assert ops is not None
    assert (shop.name, ops.name) == ("shop", "ops")
    assert [shop.may(scope) for scope in Scope] == [True, False, False]
    assert [ops.may(scope) for scope in Scope] == [False, True, True]
    assert (shop.senders.allows("a@example.com"), shop.senders.allows("a@example.org")) == (True, False)
    assert shop.wait_s(1.0, 600) == 0
    assert shop.wait_s(1.0, 10) == pytest.approx(1.0)
    for wrong in ("", "shop", _FIRST[:-1], _FIRST + "x", _FIRST.upper(), digest(_FIRST)):
        assert tokens.find(wrong, 0) is None


@pytest.mark.parametrize("expires", ["2027-01-01", "2027-01-01T00:00:00Z", "2027-01-01T02:00:00+02:00"])
def test_i12_a_token_that_has_expired_is_none(tmp_path: Path, expires: str) -> None:
    """A token is good until the instant, or the beginning of the day, that the file names."""
    tokens = _loaded(tmp_path, f'[a]\ntoken = "{digest(_FIRST)}"\nscopes = ["send"]\nexpires = {expires}\n')
    assert tokens.find(_FIRST, _NEW_YEAR - 1) is not None
    assert tokens.find(_FIRST, _NEW_YEAR) is None


def test_every_problem_of_a_file_is_named_and_no_secret_shown(tmp_path: Path) -> None:
    """A token in plain text, scopes that do not exist, unknown keys and repeated tokens are told all at once."""
    with pytest.raises(ConfigError) as refusal:
        _loaded(
            tmp_path,
            f'[plain]\ntoken = "{_FIRST}"\nscopes = ["send"]\n'
            f'[scope]\ntoken = "{digest(_FIRST)}"\nscopes = ["admin"]\n'
            f'[none]\ntoken = "{digest(_FIRST)}"\nscopes = []\n'
            f'[text]\ntoken = "{digest(_SECOND)}"\nscopes = ["send"]\nexpires = "soon"\nname = 1\n'
            f'[list]\ntoken = ["{_FIRST}"]\nscopes = ["send"]\n'
            f'[one]\ntoken = "{digest(_SECOND)}"\nscopes = ["send"]\nsenders = ["nobody@"]\n'
            f'["a b"]\ntoken = "{digest(_FIRST)}"\nscopes = ["send"]\n'
            f'[first]\ntoken = "{digest(_FIRST)}"\nscopes = ["send"]\n'
            f'[second]\ntoken = "{digest(_FIRST)}"\nscopes = ["send"]\n',
        )
    text = str(refusal.value)
    assert _FIRST not in text
    assert digest(_FIRST) not in text
    assert [problem.name for problem in refusal.value.problems] == [
        *("plain.token", "scope.scopes", "none.scopes", "text.expires", "text.name", "list.token", "one.senders"),
        *("name", "second.token"),
    ]


def test_a_line_that_is_no_table_is_named(tmp_path: Path) -> None:
    """A name alone with a digest is not enough: scopes are given."""
    with pytest.raises(ConfigError, match=r'shop = "\.\.\.": must be a table with token and scopes'):
        _loaded(tmp_path, f'shop = "{digest(_FIRST)}"\n')
