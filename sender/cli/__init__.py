"""argv in, exit codes out: 0 done, 1 failed, 2 wrong usage or wrong configuration."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from sender import __version__
from sender.cli import act, classify, config, demo, lanes, sandbox, serve, show, simulate, submit, top
from sender.core.errors import ConfigError, SenderError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    arguments = parser().parse_args(argv)
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
    top_parser = argparse.ArgumentParser(
        prog="sender",
        description="An outbound SMTP delivery daemon that finds out by itself how fast each receiver takes mail.",
    )
    top_parser.add_argument("--version", action="version", version=f"sender {__version__}")
    commands = top_parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (serve, submit, show, lanes, act, top, classify, simulate, config, sandbox, demo):
        module.register(commands)
    return top_parser
