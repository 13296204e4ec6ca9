"""`sender demo`: the daemon, four receivers on loopback, 2,000 messages, and a look at the lanes while it works."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiosmtplib
from rich.console import Console
from rich.live import Live

from sender import settings as configuration
from sender.cli.sandbox import PLACES, Sandbox, running
from sender.cli.serve import run_loop
from sender.cli.top import lanes_view
from sender.core.quantity import duration_text
from sender.daemon import Daemon

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from sender.cli.common import Commands

_SHARES = {"capped.test": 700, "also-capped.test": 300, "greylisting.test": 200, "choosy.test": 300, "fast.test": 500}
_UNKNOWN_EVERY = 10  # of the mailboxes at choosy.test
_SUBMITTERS = 8
_RAISED_CAP, _RAISED_AFTER_S = 12, 4.0
_LIMIT_S = 120.0
_TOLD = 4  # changes of the window, first and last
_PLAIN_WIDTH = 110
_TRICKLE_S = 0.05  # between two messages, when it stays
_WAVE, _WAVE_EVERY_S = 600, 20.0  # messages to the capped receiver, so that its limit is felt


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="Deliver 2,000 messages to receivers on loopback and watch.",
        description="Run the daemon and four receivers on loopback, submit 2,000 messages, and show the lanes.",
        epilog="example: sender demo --stay (or: make demo -- --stay)",
    )
    parser.add_argument(
        "--stay",
        action="store_true",
        help="go on afterwards with a trickle of mail, until interrupted: see the console",
    )
    parser.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="sender-demo-") as folder:
        return run_loop(_run(Path(folder), stay=arguments.stay))


async def _run(folder: Path, *, stay: bool) -> int:
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    async with running() as sandbox:
        daemon = Daemon(_settings(folder, sandbox))
        await daemon.start()
        try:
            console.print("Receivers on loopback, looked up by MX:")
            for place in PLACES:
                console.print(f"  {', '.join(place.domains)}: {place.text}")
            if stay:
                console.print(f"The console: {_url(daemon)}")
            began_at = time.monotonic()
            raising = asyncio.create_task(_raise_cap(sandbox, console))
            submitting = asyncio.create_task(_submit_all(daemon, _mailboxes()))
            ended = await _watch(daemon, console, submitting)
            raising.cancel()
            await _report(daemon, sandbox, console, time.monotonic() - began_at)
            if stay:
                console.print(
                    f"\nStill running, with {1 / _TRICKLE_S:.0f} messages a second to all, and {_WAVE} at once "
                    f"to the capped one every {_WAVE_EVERY_S:.0f} seconds.\n"
                    f"The console: {_url(daemon)} (metrics: {_url(daemon)}metrics). Ctrl-C ends it."
                )
                await _go_on(daemon)
        finally:
            await daemon.stop(drain_s=10)
    return 0 if ended else 1


def _url(daemon: Daemon) -> str:
    return f"http://127.0.0.1:{daemon.http_port}/"


async def _go_on(daemon: Daemon) -> None:
    """Keep mail flowing for ever."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_trickle(daemon))
        group.create_task(_waves(daemon))


async def _trickle(daemon: Daemon) -> None:
    while True:
        async with _client(daemon) as client:  # no listener keeps one for ever
            for mailbox in _mailboxes():
                await _send(client, mailbox)
                await asyncio.sleep(_TRICKLE_S)


async def _waves(daemon: Daemon) -> None:
    while True:
        await asyncio.sleep(_WAVE_EVERY_S)
        await _submit_all(daemon, (f"user{number}@capped.test" for number in range(_WAVE)))


def _settings(folder: Path, sandbox: Sandbox) -> configuration.Settings:
    return configuration.from_tables(
        {
            "hostname": "sender.test",
            "spool": {"url": "sqlite:spool.db", "min_free": "10MiB"},
            "smtp": {"listen": ["127.0.0.1:0"]},
            "http": {"listen": "127.0.0.1:0"},
            "dns": {"nameservers": [sandbox.nameserver]},
            "delivery": {"port": sandbox.port, "allow_private_addresses": True, "idle_timeout": "1s"},
            "retry": {"schedule": ["2s", "5s"], "max_age": "1m"},
        },
        folder / "demo.toml",
    )


def _mailboxes() -> Iterator[str]:
    """Give the recipients, mixed as a campaign mixes them."""
    left = dict(_SHARES)
    number = 0
    while left:
        for domain in list(left):
            number += 1
            unknown = domain == "choosy.test" and left[domain] % _UNKNOWN_EVERY == 0
            yield f"{'nobody' if unknown else 'user'}{number}@{domain}"
            left[domain] -= 1
            if not left[domain]:
                del left[domain]


async def _submit_all(daemon: Daemon, mailboxes: Iterator[str]) -> None:
    await asyncio.gather(*(_submit(daemon, mailboxes) for _ in range(_SUBMITTERS)))


async def _submit(daemon: Daemon, mailboxes: Iterator[str]) -> None:
    async with _client(daemon) as client:
        for mailbox in mailboxes:
            await _send(client, mailbox)


def _client(daemon: Daemon) -> aiosmtplib.SMTP:
    port = daemon.listeners[0].ports[0]
    return aiosmtplib.SMTP(hostname="127.0.0.1", port=port, local_hostname="client.test", start_tls=False)


async def _send(client: aiosmtplib.SMTP, mailbox: str) -> None:
    message = f"From: news@news.test\r\nTo: {mailbox}\r\nSubject: Demo\r\n\r\nGood news for {mailbox}.\r\n"
    await client.sendmail("news@news.test", [mailbox], message)


async def _raise_cap(sandbox: Sandbox, console: Console) -> None:
    """Let the capped receiver allow more after a while: nobody tells the sender."""
    await asyncio.sleep(_RAISED_AFTER_S)
    receiver = sandbox.receivers["mx.capped.test"]
    receiver.behaviour = dataclasses.replace(receiver.behaviour, max_sessions=_RAISED_CAP)
    if not console.is_terminal:
        console.print(f"(mx.capped.test allows {_RAISED_CAP} connections from now on; the sender is not told)")


async def _watch(daemon: Daemon, console: Console, submitting: asyncio.Task[None]) -> bool:
    """Show the lanes until every recipient has ended; tell whether that came in time."""
    deadline = time.monotonic() + _LIMIT_S
    live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
    if live is not None:
        live.start()
    try:
        while time.monotonic() < deadline:
            seen = await _look(daemon)
            lanes, totals = seen["lanes"], seen["totals"]
            if live is not None:
                live.update(lanes_view(seen), refresh=True)
            else:
                windows = ", ".join(f"{lane['site']} {lane['window']}" for lane in lanes)
                ended = totals.get("delivered", 0) + totals.get("bounced", 0)
                console.print(f"{ended} of {totals.get('accepted', 0)} ended; windows: {windows}")
            if submitting.done():
                submitting.result()
                if daemon.emptied.is_set():
                    return True
            await asyncio.sleep(0.2 if live is not None else 1.0)
    finally:
        if live is not None:
            live.stop()
    return False


async def _look(daemon: Daemon) -> dict[str, Any]:
    assert daemon.control is not None  # noqa: S101 - tells the type checker
    return await daemon.control.lanes()


async def _report(daemon: Daemon, sandbox: Sandbox, console: Console, seconds: float) -> None:
    seen = await _look(daemon)
    lanes, totals = seen["lanes"], seen["totals"]
    console.print(lanes_view(seen))
    console.print("\nWhat the receivers saw:")
    for host, receiver in sandbox.receivers.items():
        tally = receiver.tally
        console.print(
            f"  {host}: {tally.messages} messages in {tally.sessions_opened} sessions, "
            f"at most {tally.sessions_peak} at once, {tally.sessions_refused} refused",
        )
    capped = next(lane for lane in lanes if lane["site"] == "mx.capped.test")
    console.print(f"\nHow the limit of {capped['name']} was found (`sender lane` shows this):")
    history = capped["history"]
    for number, change in enumerate(history):
        if _TOLD <= number < len(history) - _TOLD:
            if number == _TOLD:
                console.print("            ...")
            continue
        reply = f': "{change["reply"]}"' if change["reply"] else ""
        console.print(f"  {change['at'][11:19]}  {change['from']:>2} → {change['to']:<2}  {change['cause']}{reply}")
    console.print(f"\n{totals.get('accepted', 0)} recipients, notices included, ended in {duration_text(seconds)}.")
