"""`sender sandbox`: receivers and a name server on loopback, to try a sender against."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sender.cli.serve import run_loop
from sender.core.errors import ConfigError, Problem
from sender.sandbox import Behaviour, DnsServer, Receiver

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from sender.cli.common import Commands


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One receiver of the sandbox, with the domains whose mail it takes."""

    host: str
    domains: tuple[str, ...]
    behaviour: Behaviour
    text: str


PLACES = (
    Place(
        host="mx.capped.test",
        domains=("capped.test", "also-capped.test"),
        behaviour=Behaviour(name="mx.capped.test", max_sessions=3, accept_delay_s=0.03),
        text="allows 3 connections, answers 421 4.7.0 above",
    ),
    Place(
        host="mx.greylisting.test",
        domains=("greylisting.test",),
        behaviour=Behaviour(name="mx.greylisting.test", greylist_s=3.0),
        text="greylists for 3 seconds",
    ),
    Place(
        host="mx.choosy.test",
        domains=("choosy.test",),
        behaviour=Behaviour(name="mx.choosy.test", unknown_prefixes=("nobody",), max_messages_per_session=20),
        text="does not know nobody*, takes 20 messages per connection",
    ),
    Place(
        host="mx.fast.test",
        domains=("fast.test", "news.test"),
        behaviour=Behaviour(name="mx.fast.test"),
        text="takes everything",
    ),
)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What runs: receivers by host, and how a sender reaches them."""

    receivers: dict[str, Receiver]
    nameserver: str
    port: int


@contextlib.asynccontextmanager
async def running(places: tuple[Place, ...] = PLACES, *, port: int = 0, dns_port: int = 0) -> AsyncIterator[Sandbox]:
    """Run receivers on one port of 127.0.0.2, 127.0.0.3, ... and a name server that knows them."""
    receivers: dict[str, Receiver] = {}
    async with contextlib.AsyncExitStack() as stack:
        dns = await stack.enter_async_context(DnsServer({}, port=dns_port))
        for number, place in enumerate(places, 2):
            address = f"127.0.0.{number}"
            receiver = await stack.enter_async_context(Receiver(place.behaviour, host=address, port=port))
            port = receiver.port
            receivers[place.host] = receiver
            dns.a(place.host, address)
            for domain in place.domains:
                dns.mx(domain, [(10, place.host)])
        yield Sandbox(receivers, dns.address, port)


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "sandbox",
        help="Run receivers on loopback, to try a sender against.",
        description="Run SMTP receivers and a name server on loopback, to try a sender against.",
        epilog="example: sender sandbox --write /tmp/try.toml & sender serve --config /tmp/try.toml",
    )
    parser.add_argument(
        "--port", type=int, default=2600, help="port of the receivers, on 127.0.0.2 and following (default: 2600)"
    )
    parser.add_argument(
        "--dns-port", type=int, default=5300, help="port of the name server on 127.0.0.1 (default: 5300)"
    )
    parser.add_argument("--write", metavar="FILE", help="write a configuration that delivers there")
    parser.set_defaults(run=_sandbox)


def _sandbox(arguments: argparse.Namespace) -> int:
    return run_loop(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with running(port=arguments.port, dns_port=arguments.dns_port) as sandbox:
            if arguments.write:
                Path(arguments.write).write_text(_configuration(sandbox), encoding="utf-8")  # noqa: ASYNC240 - once
            print(f"name server {sandbox.nameserver}; receivers on port {sandbox.port}:")
            for place in PLACES:
                print(f"  {', '.join(place.domains)}: {place.text}")
            await stop.wait()
            for host, receiver in sandbox.receivers.items():
                tally = receiver.tally
                print(
                    f"{host}: {tally.messages} messages in {tally.sessions_opened} sessions, "
                    f"{tally.sessions_refused} refused"
                )
    except OSError as error:
        raise ConfigError([Problem("command line", "--port", arguments.port, f"cannot be used: {error}")]) from error
    return 0


def _configuration(sandbox: Sandbox) -> str:
    return f"""# Delivers to the sandbox; made by `sender sandbox --write`.
hostname = "sender.test"

[dns]
nameservers = ["{sandbox.nameserver}"]

[delivery]
port = {sandbox.port}
allow_private_addresses = true
"""
