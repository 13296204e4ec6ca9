"""`sender enqueue`: spool one message, whether a daemon runs or not."""

from __future__ import annotations

import asyncio
import getpass
import sys
from typing import TYPE_CHECKING, BinaryIO

from sender.cli.common import Commands, command, settings_of
from sender.clock import Clock
from sender.core.address import split_mailbox
from sender.core.errors import AddressError, ConfigError, Problem, SenderError
from sender.core.identity import id_text
from sender.intake.acceptance import Acceptance, Envelope, Origin
from sender.intake.content import RefusedContentError
from sender.observe.events import Events
from sender.observe.metrics import Metrics
from sender.spool.sqlite import Role, open_spool

if TYPE_CHECKING:
    import argparse

    from sender.settings import Settings

_PIECE = 64 * 1024


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "enqueue",
        _enqueue,
        text="Spool a message from a file or standard input and print its id.",
        example="sender enqueue --from news@example.com --to anna@example.net --to bert@example.org message.eml",
    )
    parser.add_argument(
        "--from", dest="mail_from", required=True, metavar="A", help='envelope sender; "" is the null sender'
    )
    parser.add_argument(
        "--to", dest="rcpt_tos", action="append", required=True, metavar="B", help="recipient; may be repeated"
    )
    parser.add_argument("--stream", default="default", metavar="S", help="stream (default: default)")
    parser.add_argument("file", nargs="?", metavar="FILE", help="the message (default: standard input)")


def _enqueue(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    _check(arguments)
    if arguments.file is None:
        return asyncio.run(_spool(settings, arguments, sys.stdin.buffer))
    try:
        with open(arguments.file, "rb") as file:  # noqa: PTH123 - the name may be /dev/stdin
            return asyncio.run(_spool(settings, arguments, file))
    except OSError as error:
        raise SenderError(f"{arguments.file}: cannot be read: {error.strerror}") from error


def _check(arguments: argparse.Namespace) -> None:
    problems = []
    for name, address in [("--from", arguments.mail_from), *(("--to", rcpt_to) for rcpt_to in arguments.rcpt_tos)]:
        if name == "--from" and not address:
            continue
        try:
            split_mailbox(address)
        except AddressError as error:
            problems.append(Problem("command line", name, address, error.rule))
    if problems:
        raise ConfigError(problems)


async def _spool(settings: Settings, arguments: argparse.Namespace, file: BinaryIO) -> int:
    clock = Clock()
    spool = await open_spool(settings.spool_path, Role.INTAKE, now=clock.wall(), commit_interval_s=0)
    events = Events(settings.path(settings.events.file) if settings.events.file else None)
    try:
        draft = Acceptance(settings, spool, clock, Metrics(), events).draft(
            Envelope(
                mail_from=arguments.mail_from,
                rcpt_tos=arguments.rcpt_tos,
                stream=arguments.stream,
                smtputf8=True,
            ),
            Origin(listener="enqueue", received=f"from {getpass.getuser()}", protocol="local", complete=True),
        )
        try:
            while piece := file.read(_PIECE):
                await draft.feed(piece)
            await draft.commit()
        except RefusedContentError as error:
            await draft.drop()
            raise SenderError(f"{arguments.file or 'standard input'}: refused: {error.reply}") from error
        print(id_text(draft.id))
    finally:
        await spool.close(clean=True)
        events.close()
    return 0
