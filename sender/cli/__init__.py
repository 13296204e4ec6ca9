"""argv in, exit codes out: 0 done, 1 failed, 2 wrong usage or wrong configuration."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sender import __version__
from sender.core.errors import ConfigError, SenderError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SENDMAIL = "sendmail"  # the command, and a name under which the program may be called


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None and Path(sys.argv[0]).name == _SENDMAIL:
        words.insert(0, _SENDMAIL)
    if words[:1] == [_SENDMAIL]:
        from sender.cli import sendmail  # noqa: PLC0415 - each of many small programs pays for what is imported

        return sendmail.main(words[1:])
    arguments = parser().parse_args(words)
    try:
        code = arguments.run(arguments)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except SenderError as error:
        print(f"sender: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has seen enough
        return 0
    return int(code)


def parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    from sender.cli import (  # noqa: PLC0415 - as above
        act,
        classify,
        config,
        demo,
        health,
        lanes,
        sandbox,
        sendmail,
        serve,
        show,
        simulate,
        submit,
        top,
        trace,
    )

    top_parser = argparse.ArgumentParser(
        prog="sender",
        description="An outbound SMTP delivery daemon that finds out by itself how fast each receiver takes mail.",
    )
    top_parser.add_argument("--version", action="version", version=f"sender {__version__}")
    commands = top_parser.add_subparsers(metavar="COMMAND", required=True)
    modules = (serve, health, submit, sendmail, show, lanes, act, top, trace, classify, simulate, config, sandbox, demo)
    for module in modules:
        module.register(commands)
    return top_parser
