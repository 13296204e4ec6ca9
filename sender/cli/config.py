"""`sender config check`, `show`, `hash-password`, `new-token`."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from sender import rules
from sender import settings as configuration
from sender.cli.common import Commands, command, print_json, settings_of
from sender.intake.tokens import Tokens, digest, new_token
from sender.intake.users import Users, hash_password
from sender.observe.signing import signing_key

if TYPE_CHECKING:
    import argparse


def register(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add_parser(
        "config", help="Check or show the configuration.", description="Check or show the configuration."
    )
    inner = parser.add_subparsers(metavar="COMMAND", required=True)
    command(inner, "check", _check, text="Name every problem of the configuration.", example="sender config check")
    command(
        inner,
        "show",
        _show,
        text="Print the configuration in force, with defaults, as JSON.",
        example="sender config show",
        reads=True,
    )
    command(
        inner,
        "hash-password",
        _hash,
        text="Read a password and print what stands for it in the users file.",
        example="sender config hash-password",
    )
    command(
        inner,
        "new-token",
        _new_token,
        text="Make a token for the HTTP calls, and print what stands for it in the tokens file.",
        example="sender config new-token",
    )


def _check(arguments: argparse.Namespace) -> int:
    path = configuration.find(arguments.config)
    settings = configuration.load(path)
    if settings.smtp.users_file:
        Users.load(settings.path(settings.smtp.users_file))
    if settings.http.tokens_file:
        Tokens.load(settings.path(settings.http.tokens_file))
    signing_key(settings)
    rules.classifier(settings.rules_path)
    print(f"{path}: good")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    print_json(settings_of(arguments).model_dump(mode="json"))
    return 0


def _hash(_arguments: argparse.Namespace) -> int:
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    print(hash_password(password))
    return 0


def _new_token(_arguments: argparse.Namespace) -> int:
    token = new_token()
    print(f"{token}\n\nIt is shown this once. In the tokens file stands, in a table of a name of yours:\n")
    print(f'[name]\ntoken = "{digest(token)}"\nscopes = ["send"]')
    return 0
