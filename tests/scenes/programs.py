"""Programs as others call them: from a folder of their own, with the environment that a caller leaves them."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHECKOUT = Path(__file__).parents[2]
_SCRIPT = """\
#!{python}
import sys

sys.path.insert(0, {checkout!r})
from sender.cli import main

sys.exit(main())
"""
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and what it said."""

    code: int
    output: str
    errors: str


def install(folder: Path) -> Path:
    """Put the command into a folder, as an installation does, with a link named sendmail beside it; give the link."""
    folder.mkdir()
    command = folder / "sender"
    command.write_text(_SCRIPT.format(python=sys.executable, checkout=str(_CHECKOUT)))
    command.chmod(0o755)
    link = folder / "sendmail"
    link.symlink_to("sender")
    return link


async def run(
    *argv: str | Path, stdin: bytes = b"", environment: Mapping[str, str] = NOTHING, cwd: Path | str = "/"
) -> Ended:
    """Run a program to its end, in a session without a terminal."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environment),
        cwd=cwd,
        start_new_session=True,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate(stdin)
    return Ended(process.returncode or 0, output.decode(), errors.decode())
