"""`sender enqueue`: spool one message, whether a daemon runs or not."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from sender.cli.common import Commands, command, settings_of
from sender.clock import Clock
from sender.core.address import split_mailbox
from sender.core.errors import AddressError, ConfigError, Problem, SenderError
from sender.core.identity import id_text
from sender.core.notify import DsnError, checked_envelope_id, checked_notify, encoded
from sender.core.notify import parameters as dsn_parameters
from sender.core.options import PRIORITIES, OptionError, Options, checked_name, checked_times
from sender.core.reply import sanitised
from sender.intake.acceptance import Acceptance, Envelope, Origin
from sender.intake.content import RefusedContentError
from sender.intake.instants import parse_instant
from sender.observe.events import Events
from sender.observe.metrics import Metrics
from sender.spool.sqlite import Role, open_spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sender.settings import Settings

T = TypeVar("T")
_PIECE = 64 * 1024
_PLACE = "command line"
_STDIN, _STDIN_NAME = "-", "standard input"


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
        "--to", dest="rcpt_tos", action="append", default=[], metavar="B", help="recipient; may be repeated"
    )
    parser.add_argument(
        "--to-file",
        metavar="LIST",
        help='recipients, one a line; empty lines and those with "#" first are passed over; "-" is standard input',
    )
    _add_options(parser)
    parser.add_argument("file", nargs="?", metavar="FILE", help="the message (default: standard input)")


def _add_options(parser: argparse.ArgumentParser) -> None:
    name, instant, notify = _taken(checked_name), _taken(parse_instant), _taken(checked_notify)
    envelope_id = _taken(lambda value: checked_envelope_id(encoded(value)))
    parser.add_argument("--stream", type=name, default="default", metavar="S", help="stream (default: default)")
    parser.add_argument("--priority", choices=PRIORITIES, default="", help="(default: that of the stream)")
    parser.add_argument("--campaign", type=name, metavar="NAME", help="a name that events tell")
    parser.add_argument("--send-at", type=instant, metavar="TIME", help="not before, such as 2026-12-01T08:00:00Z")
    parser.add_argument("--expires-at", type=instant, metavar="TIME", help="not after: then it is returned")
    parser.add_argument(
        "--notify", type=notify, metavar="DSN", help="when to send notices: never, or success,failure,delay"
    )
    parser.add_argument("--envelope-id", type=envelope_id, metavar="ID", help="an identification that notices tell")


def _taken(check: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse say what rule a value breaks."""

    def take(value: str) -> T:
        try:
            return check(value)
        except (OptionError, DsnError) as error:
            raise argparse.ArgumentTypeError(f"{value!r}: {error.rule}") from error

    return take


def _enqueue(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    envelope = _envelope(arguments, settings)
    if arguments.file is None:
        return asyncio.run(_spool(settings, envelope, sys.stdin.buffer, _STDIN_NAME))
    with _opened(arguments.file) as file:
        return asyncio.run(_spool(settings, envelope, file, arguments.file))


def _opened(name: str) -> BinaryIO:
    try:
        return open(name, "rb")  # noqa: PTH123 - the name may be /dev/stdin; whoever asked closes it
    except OSError as error:
        raise SenderError(f"{name}: cannot be read: {error.strerror}") from error


def _envelope(arguments: argparse.Namespace, settings: Settings) -> Envelope:
    """Check what the command line asks for. Raises ConfigError with every problem of its addresses."""
    named = list(_recipients(arguments))
    sender = [_Named(_PLACE, "--from", arguments.mail_from)] if arguments.mail_from else []
    problems = [problem for one in (*sender, *named) if (problem := one.problem()) is not None]
    if not named:
        problems.append(Problem(_PLACE, "--to", "", "must be given, or be in a --to-file"))
    try:
        checked_times(
            send_at=arguments.send_at,
            expires_at=arguments.expires_at,
            now=Clock().wall(),
            max_hold_s=settings.spool.max_hold,
        )
    except OptionError as error:
        problems.append(Problem(_PLACE, "--send-at, --expires-at", "", error.rule))
    if problems:
        raise ConfigError(problems)
    rcpt_tos = tuple(dict.fromkeys(one.address for one in named))
    dsn = dsn_parameters(notify=arguments.notify or "")
    return Envelope(
        mail_from=arguments.mail_from,
        rcpt_tos=rcpt_tos,
        dsn=(dsn,) * len(rcpt_tos),
        smtputf8=True,
        stream=arguments.stream,
        priority=arguments.priority,
        expires_at=arguments.expires_at,
        options=Options(
            send_at=arguments.send_at, campaign=arguments.campaign or "", envelope_id=arguments.envelope_id or ""
        ),
    )


@dataclass(frozen=True, slots=True)
class _Named:
    """An address, and where it stands."""

    place: str
    name: str
    address: str

    def problem(self) -> Problem | None:
        """Find what is wrong with it."""
        try:
            split_mailbox(self.address)
        except AddressError as error:
            return Problem(self.place, self.name, sanitised(self.address), error.rule)
        return None


def _recipients(arguments: argparse.Namespace) -> Iterator[_Named]:
    """Give those of the command line, then those of the file. Raises ConfigError, SenderError."""
    for rcpt_to in arguments.rcpt_tos:
        yield _Named(_PLACE, "--to", rcpt_to)
    if arguments.to_file is None:
        return
    if arguments.to_file != _STDIN:
        with _opened(arguments.to_file) as file:
            yield from _listed(arguments.to_file, file)
    elif arguments.file is not None:
        yield from _listed(_STDIN_NAME, sys.stdin.buffer)
    else:
        rule = "must be a file where the message comes from standard input"
        raise ConfigError([Problem(_PLACE, "--to-file", _STDIN, rule)])


def _listed(place: str, file: BinaryIO) -> Iterator[_Named]:
    for number, line in enumerate(file, start=1):
        address = line.decode(errors="surrogateescape").strip()  # what is not UTF-8 is no address
        if address and not address.startswith("#"):
            yield _Named(place, f"line {number}", address)


async def _spool(settings: Settings, envelope: Envelope, file: BinaryIO, name: str) -> int:
    clock = Clock()
    spool = await open_spool(settings.spool_path, Role.INTAKE, now=clock.wall(), commit_interval_s=0)
    metrics = Metrics()
    events = Events.open(settings, metrics)
    try:
        draft = Acceptance(settings, spool, clock, metrics, events).draft(
            envelope,
            Origin(listener="enqueue", received=f"from {getpass.getuser()}", protocol="local", complete=True),
        )
        try:
            while piece := file.read(_PIECE):
                await draft.feed(piece)
            await draft.commit()
        except RefusedContentError as error:
            await draft.drop()
            raise SenderError(f"{name}: refused: {error.reply}") from error
        print(id_text(draft.id))
    finally:
        await spool.close(clean=True)
        events.close()
    return 0
