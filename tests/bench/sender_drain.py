"""How fast this daemon drains its queue into a sink: durable outcomes, events and metrics on."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from sender.core.schedule import first_turn_at
from sender.spool.contract import NewMessage
from sender.spool.sqlite import Role, open_spool

_DEADLINE_S = 600.0
_FILL_AT_ONCE = 2000


async def sender_drain(messages: int, size: int, sessions: int, sink: tuple[str, int]) -> float:
    """Measure how many queued messages of `size` bytes the daemon delivers per second over up to `sessions` sessions.

    The time runs from its line "ready" until it exits by itself because every outcome is recorded.
    """
    with tempfile.TemporaryDirectory(prefix="sender-bench-") as folder:
        config = Path(folder, "sender.toml")
        window = f"[window]\nstart = {sessions}\nmax = {sessions}\n"
        config.write_text(configuration(sink, window + '[events]\nfile = "events.jsonl"\n'))
        await fill(Path(folder, "spool.db"), messages, size)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sender", "serve", "--config", str(config)),
            *("--role", "delivery", "--until-empty"),
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(_DEADLINE_S):
            assert process.stderr is not None
            async for line in process.stderr:
                if b" ready: " in line:
                    break
            started_at = time.perf_counter()
            await process.stderr.read()
            if await process.wait() != 0:
                raise RuntimeError(f"sender serve exited with {process.returncode}")
        return messages / (time.perf_counter() - started_at)


async def fill(path: Path, messages: int, size: int, *, domains: int = 1) -> None:
    """Queue messages to `domains` domains, as many to each."""
    spool = await open_spool(path, Role.INTAKE, now=time.time())
    header = b"From: a@bench.test\r\nSubject: bench\r\n\r\n"
    content = (header + (b"x" * 70 + b"\r\n") * (size // 72 + 1))[: size - 2] + b"\r\n"
    for start in range(0, messages, _FILL_AT_ONCE):
        now = time.time()
        await asyncio.gather(
            *(
                spool.accept(
                    NewMessage(
                        id=spool.ids.next(now),
                        mail_from="a@bench.test",
                        rcpt_tos=(f"user{number}@d{number % domains}.bench.test",),
                        domains=(f"d{number % domains}.bench.test",),
                        content=content,
                        size=size,
                        accepted_at=now,
                        due_ats=(first_turn_at(accepted_at=now, position=0, size=size),),
                    )
                )
                for number in range(start, min(start + _FILL_AT_ONCE, messages))
            )
        )
    await spool.close(clean=True)


def configuration(to: tuple[str, int], more: str = "") -> str:
    """Write a configuration that sends everything to one receiver; `more` are further tables."""
    host, port = to
    return f"""
hostname = "sender.bench.test"
[spool]
url = "sqlite:spool.db"
[http]
listen = "127.0.0.1:0"
[routes]
"*" = "{host}:{port}"
{more}"""
