"""`sender suspend`, `resume`, `retry`, `bounce`, `delete`: act on a selection, and say how much it touched."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from sender.cli.common import Commands, ask, command, settings_of
from sender.core.errors import ConfigError, Problem
from sender.core.quantity import parse_duration
from sender.core.selection import Kind, Selection

if TYPE_CHECKING:
    import argparse

    from sender.engine.control import Control
    from sender.settings import Settings

_ACTIONS = {
    "suspend": (
        "POST",
        "/v1/suspensions",
        "Hold mail until it is resumed, or for a time.",
        "sender suspend --domain example.org --for 1h",
    ),
    "resume": ("DELETE", "/v1/suspensions", "Let suspended mail go again.", "sender resume --domain example.org"),
    "retry": ("POST", "/v1/retries", "Make deferred mail due now.", "sender retry --site mx.example.org"),
    "bounce": (
        "POST",
        "/v1/bounces",
        "Return mail to its senders.",
        "sender bounce --message 06chyk9v4k000 --reason spam",
    ),
    "delete": ("POST", "/v1/deletions", "Remove mail without a notice.", "sender delete --stream test"),
}


def register(commands: Commands) -> None:
    """Add the commands."""
    for name, (_, _, text, example) in _ACTIONS.items():
        parser = command(commands, name, functools.partial(_act, name), text=text, example=example, asks=True)
        what = parser.add_mutually_exclusive_group(required=True)
        for kind in Kind:
            if kind is Kind.ALL:
                what.add_argument("--all", action="store_true", help="everything")
            elif kind is not Kind.SOURCE or name in {"suspend", "resume", "retry"}:
                what.add_argument(f"--{kind}", metavar=kind[0].upper(), help=f"mail of this {kind}")
        if name == "suspend":
            parser.add_argument(
                "--for", dest="for_", metavar="TIME", help='how long, such as "1h" (default: until resumed)'
            )
        parser.add_argument("--reason", default="", metavar="TEXT", help="why; shown to who looks")


def _act(name: str, arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    touched = act(
        settings,
        name,
        _selection(arguments),
        token=arguments.token,
        for_=getattr(arguments, "for_", None),
        reason=arguments.reason,
    )
    print(f"{touched} recipient{'' if touched == 1 else 's'}")
    return 0


def act(
    settings: Settings, name: str, selection: Selection, *, token: str, for_: str | None = None, reason: str = ""
) -> int:
    """Do what a command of this name does: how many recipients it touched. Raises ConfigError, SenderError."""
    for_s = _for_s(for_)
    body: dict[str, Any] = {str(selection.kind): True if selection.kind is Kind.ALL else selection.value}
    if reason:
        body["reason"] = reason
    if for_s is not None:
        body["for"] = for_

    async def offline(control: Control) -> dict[str, int]:
        if name == "suspend":
            _, touched = await control.suspend(selection, for_s=for_s, reason=reason)
        elif name == "resume":
            touched = await control.resume(selection)
        elif name == "retry":
            touched = await control.retry(selection)
        elif name == "bounce":
            touched = await control.bounce(selection, reason)
        else:
            touched = await control.delete(selection, reason)
        return {"recipients": touched}

    method, path, _, _ = _ACTIONS[name]
    return int(ask(settings, method, path, token=token, body=body, offline=offline)["recipients"])


def _selection(arguments: argparse.Namespace) -> Selection:
    for kind in Kind:
        value = getattr(arguments, kind, None)
        if value is not None and value is not False:
            text = "" if kind is Kind.ALL else str(value)
            return Selection(kind, text.lower() if kind is Kind.DOMAIN else text)
    raise AssertionError("argparse requires one of them")


def _for_s(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigError([Problem("command line", "--for", text, str(error))]) from error
