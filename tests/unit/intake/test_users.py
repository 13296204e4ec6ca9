"""Users and their passwords."""

from __future__ import annotations

from pathlib import Path

import pytest

from sender.core.errors import ConfigError
from sender.intake.users import Users, UserTable, hash_password


def test_a_hash_says_how_it_was_made_and_does_not_show_the_password() -> None:
    """A hash names scrypt and its figures; the same password has another hash each time."""
    one, other = hash_password("secret"), hash_password("secret")
    assert one.startswith("scrypt$16384$8$1$")
    assert "secret" not in one
    assert one != other
    assert hash_password("secret", b"salt") == hash_password("secret", b"salt")


@pytest.mark.parametrize(
    ("name", "password", "right"),
    [
        ("app", "secret", True),
        ("app", "Secret", False),
        ("app", "", False),
        ("nobody", "secret", False),
        ("nobody", "", False),
        ("", "", False),
        ("empty", "", True),
        ("umlaut", "pässwörd", True),
    ],
)
async def test_only_the_right_password_of_a_known_user_is_right(name: str, password: str, *, right: bool) -> None:
    """A name that does not exist has no password, not even the empty one."""
    passwords = {"app": "secret", "empty": "", "umlaut": "pässwörd"}
    users = Users({user: UserTable(password=hash_password(word)) for user, word in passwords.items()})
    account = await users.check(name, password)
    assert (account is not None) is right
    assert account is None or account.name == name


async def test_users_are_read_from_toml(tmp_path: Path) -> None:
    """The users file has a line for each user."""
    path = tmp_path / "users.toml"
    path.write_text(f'app = "{hash_password("secret")}"\n')
    assert await Users.load(path).check("app", "secret")


def test_every_line_that_is_no_hash_is_named(tmp_path: Path) -> None:
    """All bad users are reported at once, without showing what stands there."""
    path = tmp_path / "users.toml"
    path.write_text(
        f'good = "{hash_password("x")}"\nplain = "secret"\nnumber = 5\ncut = "scrypt$16384$8$1$c2FsdA==$"\n'
        'other = "bcrypt$1$1$1$c2FsdA==$c2FsdA=="\nbase64 = "scrypt$16384$8$1$c2FsdA==$!"\n'
    )
    with pytest.raises(ConfigError) as refusal:
        Users.load(path)
    assert [problem.name for problem in refusal.value.problems] == ["plain", "number", "cut", "other", "base64"]
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("text", [None, "no toml", b"\xff"])
def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path, text: str | bytes | None) -> None:
    """A users file that is missing, is not TOML or not UTF-8 is reported with its name."""
    path = tmp_path / "users.toml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=r"users\.toml: (cannot be read|is not TOML): "):
        Users.load(path)
