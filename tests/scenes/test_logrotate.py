"""The event file is rotated by the real logrotate as the shipped file says, while mail flows."""

from __future__ import annotations

import asyncio
import grp
import gzip
import json
import os
import pwd
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.scenes.processes import Served
from tests.servers import Logrotate, require

if TYPE_CHECKING:
    from tests.scenes.world import World

_SHIPPED = (Path(__file__).parents[2] / "deploy/logrotate/sender").read_text()
_TIMES = 3
_MESSAGES = 200
_SYSTEMCTL = """#!/bin/sh
[ "$*" = "reload sender.service" ] && kill -HUP {pid}
"""


async def test_no_event_is_lost_while_the_file_is_rotated(world: World) -> None:
    """Of every recipient there is one event `accepted` and one `delivered`, over all files; old ones are compressed."""
    require(Logrotate)
    receiver = await world.site("site.test")
    (world.folder / "log").mkdir(mode=0o750)
    events = world.folder / "log/events.jsonl"
    async with Served(world.configure({"events": {"file": str(events)}})) as served:
        await served.ready()
        (world.folder / "bin").mkdir()
        systemctl = world.folder / "bin/systemctl"
        systemctl.write_text(_SYSTEMCTL.format(pid=served.pid))
        systemctl.chmod(0o755)
        logrotate = Logrotate(_written(world.folder / "logrotate", events))
        submitting = asyncio.create_task(
            world.submit([world.message(f"user{number}@site.test") for number in range(_MESSAGES)], sessions=2)
        )
        for number in range(1, _TIMES + 1):
            await world.until("mail flows", lambda: receiver.tally.messages >= number * _MESSAGES // 5)  # noqa: B023
            await logrotate.rotate(programs=systemctl.parent)
            await world.until("a new file is there", events.exists)
        ids = await submitting
        await world.until_empty()
        served.signal(signal.SIGTERM)
        assert await served.ended() == 0, served.log
    files = sorted(path.name for path in events.parent.iterdir())
    assert files == ["events.jsonl", "events.jsonl.1", "events.jsonl.2.gz", "events.jsonl.3.gz"]
    told = Counter((event["event"], event["message_id"]) for path in events.parent.iterdir() for event in _read(path))
    for event in ("accepted", "delivered"):
        assert {message_id: count for (name, message_id), count in told.items() if name == event} == dict.fromkeys(
            ids, 1
        )


def _written(path: Path, events: Path) -> Path:
    """Write the shipped file for another place and the user of the test."""
    text = _SHIPPED
    user = f"{pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name}"
    for there, here in (("/var/log/sender/events.jsonl {", f"{events} {{"), ("su sender sender", f"su {user}")):
        assert there in text
        text = text.replace(there, here)
    path.write_text(text)
    return path


def _read(path: Path) -> list[dict[str, str]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.splitlines()]
