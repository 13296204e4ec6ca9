"""Kill a process before each line of the drop folder's code in turn, and tell what the next process makes of it.

`python crash_drop.py leave|take FOLDER` prints a line for each kill: the line of code, and the messages in the spool.
The last line is of the run that was not killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

from sender.clock import Clock
from sender.core.options import NO_OPTIONS
from sender.intake import drop, dropped
from sender.intake.acceptance import Acceptance
from sender.intake.drop import DropFolder
from sender.intake.dropped import leave
from sender.intake.letter import Letter
from sender.observe.events import Events
from sender.observe.metrics import Metrics
from sender.settings import Settings, from_tables
from sender.spool.sqlite import Role, open_spool

LETTER = Letter(
    mail_from="ann@mail.test",
    rcpt_tos=("a@b.test", "c@d.test"),
    content=b"Date: x\r\nMessage-ID: y\r\n\r\n" + 5000 * (b"z" * 98 + b"\r\n"),
    options=NO_OPTIONS,
)
_FILES = {drop.__file__: "drop.py", dropped.__file__: "dropped.py"}


class Killer:
    """Counts lines, and kills this process before one of them."""

    def __init__(self, at: int, told: int) -> None:
        self._left = at
        self._told = told

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:  # noqa: ANN401 - sys.settrace's
        """Hear of a call, or of a line in one."""
        name = _FILES.get(frame.f_code.co_filename)
        if name is None:
            return None
        if event == "line":
            self._left -= 1
            if self._left < 0:
                os.write(self._told, f"{name}:{frame.f_lineno}".encode())
                os.kill(os.getpid(), signal.SIGKILL)
        return self

    def start(self) -> None:
        """Begin, in this thread and in those to come."""
        threading.settrace(self)
        sys.settrace(self)


def _settings(folder: Path) -> Settings:
    return from_tables({"hostname": "mail.test", "spool": {"url": "sqlite:spool.db"}}, folder / "sender.toml")


async def _take(settings: Settings, killer: Killer | None) -> None:
    clock = Clock()
    spool = await open_spool(settings.spool_path, Role.INTAKE, now=clock.wall(), commit_interval_s=0)
    taker = DropFolder(Acceptance(settings, spool, clock, Metrics(), Events()))
    if killer is not None:
        killer.start()
    await taker.open()
    sys.settrace(None)
    await spool.close(clean=True)


def _killed_at(step: int, what: str, settings: Settings) -> str:
    """Do it in a process that is killed at a step; give the line, or nothing if it came to its end."""
    hear, tell = os.pipe()
    if not os.fork():
        killer = Killer(step, tell)
        if what == "take":
            asyncio.run(_take(settings, killer))
        else:
            killer.start()
            leave(settings.drop_path, LETTER)
        os._exit(0)
    os.close(tell)
    with open(hear) as heard:  # noqa: PTH123 - a descriptor has no name
        line = heard.read()
    os.wait()
    return line


def _next_process(settings: Settings) -> None:
    if not os.fork():
        asyncio.run(_take(settings, None))
        os._exit(0)
    os.wait()


def _found(settings: Settings) -> str:
    """Count whole messages, recipients, and files that are left but for unfinished ones."""
    with closing(sqlite3.connect(settings.spool_path)) as database:
        rows = database.execute(
            "SELECT m.recipients, (SELECT content FROM contents WHERE message_id = m.id) || "
            "coalesce((SELECT group_concat(content, '') FROM blocks WHERE message_id = m.id), '') FROM messages m"
        ).fetchall()
        (recipients,) = database.execute("SELECT count(*) FROM recipients").fetchone()
    whole = sum(bytes(content, "utf-8").endswith(LETTER.content) for _, content in rows)
    files = [path for path in settings.drop_path.iterdir() if path.suffix != ".tmp"]
    return f"messages={len(rows)} whole={whole} recipients={recipients} files={len(files)}"


def main(what: str, folder: Path) -> None:
    """Kill at every step."""
    step, line = 0, "?"
    while line:
        settings = _settings(folder / str(step))
        settings.drop_path.mkdir(parents=True)
        if what == "take":
            leave(settings.drop_path, LETTER)
        line = _killed_at(step, what, settings)
        _next_process(settings)
        print(line or "end", _found(settings), flush=True)
        step += 1


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
